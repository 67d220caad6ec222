"""What of a warehouse in Redshift is its own; `test_conformance` has what all engines share.

What is said of it here is at the level of the statements that are sent; `test_redshift_server` runs
them.
"""

import logging
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster_aws.s3 import S3Resource

from sf_assets import WarehouseResource
from sf_assets.errors import (
    ConfigError,
)
from sf_assets.storage.store import Store
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.sql.connection import Cause
from sf_assets_tests.redshift_sql import RefusedError, translated

redshift = pytest.importorskip("redshift_connector")

from sf_assets.warehouse.redshift import loading  # noqa: E402
from sf_assets.warehouse.redshift.address import read_address  # noqa: E402
from sf_assets.warehouse.redshift.loading import FEW, MANY, Staging  # noqa: E402
from sf_assets.warehouse.redshift.refusals import cause, gave_way, refusal  # noqa: E402
from sf_assets.warehouse.redshift.render import CAPABILITIES, render  # noqa: E402

URL = "redshift://loader:s%40cret@cluster.abc.eu-west-1.redshift.amazonaws.com/analytics"
ROLE = "arn:aws:iam::123456789012:role/loader"
SECRET = "Ada Lovelace"


def error_of(state: str, said: str, detail: str = "") -> Exception:
    error = redshift.error.ProgrammingError({"S": "ERROR", "C": state, "M": said, "D": detail})
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (URL, {"host": "cluster.abc.eu-west-1.redshift.amazonaws.com", "port": 5439,
               "user": "loader", "password": "s@cret", "database": "analytics"}),
        ("redshift://u:p@h:5555/db?sslmode=verify-full&timeout=60",
         {"host": "h", "port": 5555, "user": "u", "password": "p", "database": "db",
          "sslmode": "verify-full", "timeout": 60}),
        ("redshift:///db?iam=true&cluster_identifier=c1&db_user=loader&region=eu-west-1",
         {"database": "db", "iam": True, "cluster_identifier": "c1", "db_user": "loader",
          "region": "eu-west-1"}),
    ],
)  # fmt: skip
def test_an_address_is_what_the_connector_is_told(url: str, told: dict[str, Any]) -> None:
    assert read_address(url).parameters == told
    assert "s%40cret" not in str(open_warehouse(url))


def test_an_address_names_the_staging_folder_and_the_role() -> None:
    address = read_address(f"{URL}?staging=s3://bucket/prefix/&iam_role={ROLE}")
    assert (address.staging, address.iam_role) == ("s3://bucket/prefix", ROLE)
    assert "staging" not in address.parameters


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redshift://u:p@host", "must name host and database"),
        ("redshift:///db", "must name host and database"),
        ("redshift://u:p@host/db/public", "leave out the schema"),
        (f"{URL}?sslmode=require", "sslmode is verify-ca or verify-full"),
        (f"{URL}?staging=gs://bucket", "staging is a folder of a bucket in S3"),
        (f"{URL}?iam_role={ROLE}", "iam_role is of a staging folder"),
    ],
)
def test_an_address_of_another_form_is_told(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_warehouse(url)


@pytest.mark.parametrize(
    ("state", "said", "kind"),
    [
        ("42P01", 'relation "silver.nothing" does not exist', Cause.NAME),
        ("42703", 'column "nothing" does not exist', Cause.MEANING),
        ("42601", 'syntax error at or near "nothing"', Cause.SYNTAX),
        ("42501", "permission denied for schema nothing", Cause.DATA),
        ("22P02", f'invalid input syntax for integer: "{SECRET}"', Cause.DATA),
        ("XX000", f"Invalid digit, Value '{SECRET[0]}', Pos 0, Type: Integer", Cause.DATA),
    ],
)
def test_a_refusal_tells_names_and_no_value(state: str, said: str, kind: Cause) -> None:
    error = error_of(state, said, f"code: 1207 context: {SECRET}")
    assert cause(error) is kind
    assert SECRET not in refusal(error)
    assert "Value" not in refusal(error)
    assert ("nothing" in said) == ("nothing" in refusal(error))


@pytest.mark.parametrize(
    ("said", "detail", "says"),
    [
        ("1023", "Serializable isolation violation on table - 1", "gave way to another"),
        ("Disk Full", "error: Disk Full code: 1016", "disks are full"),
        ("Value too long for character type", f"context: {SECRET}", "longer than the 65,535 bytes"),
        ("S3ServiceException:Access Denied,Status 403,Error AccessDenied", "", "s3:GetObject"),
        ("Not authorized to get credentials of role x", "", "attach the role"),
        ("Spectrum Scan Error", f"context: {SECRET}", "in its own region"),
        ("Load into table 't' failed. Check 'stl_load_errors'.", "", "it broke off"),
    ],
)  # fmt: skip
def test_what_its_nodes_say_is_told_in_our_words(said: str, detail: str, says: str) -> None:
    error = error_of("XX000", said, detail)
    assert says in refusal(error)
    assert SECRET not in refusal(error)
    assert gave_way(error) == (said == "1023")


@pytest.mark.parametrize(
    ("sql", "values", "rendered"),
    [
        ("SELECT 1 FROM ops.t WHERE a = ANY(CAST(? AS VARCHAR[]))", [["x", "it's \\"]],
         "SELECT 1 FROM \"ops\".\"t\" WHERE \"a\" IN ('x', 'it\\'s \\\\')"),
        ("SELECT 1 WHERE a = ANY($1) OR b IN (SELECT unnest($2::VARCHAR[]))", [[], ["x"]],
         "SELECT 1 WHERE FALSE OR \"b\" IN ('x')"),
        ("SELECT slice FROM (SELECT unnest($1::VARCHAR[]) AS slice) n", [["x", "y"]],
         ('SELECT "slice" FROM (SELECT CAST("one" AS VARCHAR(MAX)) AS "slice" FROM '
          '(SELECT JSON_PARSE(\'["x", "y"]\') AS "list") AS "told", "told"."list" AS one) AS "n"')),
        ("INSERT INTO ops.t (a, b) VALUES (?, ?)", [[date(2026, 1, 2)], datetime(2026, 1, 2,
         tzinfo=UTC)],
         ('INSERT INTO "ops"."t" ("a", "b") VALUES (JSON_PARSE(\'["2026-01-02"]\'), '
          "CAST('2026-01-02 00:00:00+00:00' AS TIMESTAMP WITH TIME ZONE))")),
        ("SELECT a IS NOT DISTINCT FROM b", (),
         ('SELECT (CASE WHEN "a" = "b" OR ("a" IS NULL AND "b" IS NULL) THEN TRUE ELSE FALSE '
          "END)")),
        ("SELECT (a, b) > (c, d)", (), 'SELECT ("a" > "c" OR ("a" = "c" AND "b" > "d"))'),
        ("SELECT count(*) FILTER (WHERE a), sum(b) FILTER (WHERE a) FROM temp.staged", (),
         ('SELECT COUNT(CASE WHEN "a" THEN 1 END), SUM(CASE WHEN "a" THEN "b" END) FROM '
          "sf_assets_temp_staged AS staged")),
        ("SELECT count(*) FILTER (WHERE a) / count(*)", (),
         'SELECT CAST(COUNT(CASE WHEN "a" THEN 1 END) AS DOUBLE PRECISION) / COUNT(*)'),
        ("DELETE FROM temp.staged WHERE (Id, n) IN (SELECT Id, n FROM temp.older)", (),
         ('DELETE FROM sf_assets_temp_staged WHERE EXISTS(SELECT 1 FROM (SELECT "id", "n" FROM '
          'sf_assets_temp_older AS older) AS "_keys" WHERE "_keys"."id" = '
          '"sf_assets_temp_staged"."id" AND "_keys"."n" = "sf_assets_temp_staged"."n")')),
        ("SELECT Id FROM silver.t QUALIFY row_number() OVER (PARTITION BY Id ORDER BY n) = 1", (),
         ('SELECT "id" FROM "silver"."t" AS "t" QUALIFY ROW_NUMBER() OVER (PARTITION BY "id" '
          'ORDER BY "n") = 1')),
        ("CREATE TABLE silver.t (Id VARCHAR NOT NULL, l VARCHAR[], _cursor TIME, _read_at TIME)",
         (),
         ('CREATE TABLE "silver"."t" ("id" VARCHAR(MAX) NOT NULL, "l" SUPER, "_cursor" TIME, '
          '"_read_at" TIME) DISTKEY("id") SORTKEY("id")')),
        ("CREATE TABLE ops.t (id VARCHAR)", (), 'CREATE TABLE "ops"."t" ("id" VARCHAR(MAX))'),
        ("SELECT now(), a / b, avg(c)", (),
         ('SELECT CAST(SYSDATE AS TIMESTAMP WITH TIME ZONE), CAST("a" AS DOUBLE PRECISION) / "b", '
          'AVG(CAST("c" AS DOUBLE PRECISION))')),
        ("SELECT NOT regexp_full_match(t.a, '\\d+')", (),
         "SELECT NOT REGEXP_INSTR(\"t\".\"a\", '^(\\\\d+)$', 1, 1, 0, 'p') > 0"),
        ("SELECT NOT ['a'] @> t.l FROM silver.x AS t", (),
         ('SELECT NOT NOT EXISTS(SELECT 1 FROM "t"."l" AS one WHERE NOT '
          "CAST(\"one\" AS VARCHAR(MAX)) IN ('a')) FROM \"silver\".\"x\" AS \"t\"")),
        ("WITH RECURSIVE m AS (SELECT 1 AS n UNION ALL SELECT n FROM m) SELECT n FROM m", (),
         ('WITH RECURSIVE "m"("n") AS (SELECT 1 AS "n" UNION ALL SELECT "n" FROM "m") '
          'SELECT "n" FROM "m"')),
    ],
)  # fmt: skip
def test_the_shared_sql_as_redshift_takes_it(sql: str, values: Any, rendered: str) -> None:
    assert render(sql, values) == rendered
    translated(rendered, within=False)


def test_texts_are_compared_with_the_blanks_at_their_end() -> None:
    """Redshift takes `'a' = 'a '` for true, and lists for no texts."""
    kinds = {"t.a": "VARCHAR", "t.l": "VARCHAR[]", "t.n": "BIGINT"}
    told = (CAPABILITIES.content(column, kind) for column, kind in kinds.items())
    sql = render(f"SELECT {', '.join(told)}")
    assert sql == 'SELECT SHA2("t"."a", 256), JSON_SERIALIZE("t"."l"), "t"."n"'


def test_many_members_of_a_list_are_told_by_several_texts() -> None:
    sql = "SELECT slice FROM (SELECT unnest($1::VARCHAR[]) AS slice) n"
    assert render(sql, [[str(n) for n in range(2500)]]).count("JSON_PARSE") == 3


def test_a_list_that_no_text_has_room_for_is_put_together() -> None:
    sql = render("INSERT INTO ops.t (a) VALUES (?)", [["x" * 40_000, "y" * 40_000]])
    assert sql.count("JSON_PARSE") == 2
    assert "ARRAY_CONCAT" in sql


def test_a_name_that_is_too_long_is_refused() -> None:
    assert CAPABILITIES.kept("X" * 127) == "x" * 127
    with pytest.raises(ConfigError, match="longer than the 127 bytes that a name in Redshift"):
        render(f'SELECT "{"x" * 128}"')


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t WHERE a = ANY(ARRAY['x'])", "CREATE TABLE t (a VARCHAR(9)[])",
        "SELECT a IS DISTINCT FROM b FROM t", "SELECT COUNT(*) FILTER (WHERE a) FROM t",
        "CREATE INDEX i ON t (a)", "INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING",
        "SELECT DISTINCT ON (a) a FROM t", "SELECT NOW() FROM t", "SELECT CURRENT_TIMESTAMP",
        "SELECT (a, b) > (c, d) FROM t", "DELETE FROM t WHERE (a, b) IN (SELECT a, b FROM u)",
        "WITH q AS MATERIALIZED (SELECT 1) SELECT * FROM q", "SELECT * FROM GENERATE_SERIES(1, 2)",
        "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1", "SELECT ctid FROM t",
        "SELECT CAST(t AS VARCHAR(MAX)) FROM x AS t", "TRUNCATE t", "FETCH FORWARD 2000 FROM c",
        "ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(300)", "VACUUM DELETE ONLY t TO 100 PERCENT",
        "SELECT MEDIAN(a), MEDIAN(b) FROM t", "SELECT * FROM (VALUES (1)) AS v(a)",
        "SELECT 1 FROM x WHERE EXISTS(SELECT 1 FROM y WHERE 1 IN (SELECT a FROM z WHERE a = x.a))",
        "SELECT (SELECT MIN(y.a) FROM y WHERE y.a > x.a) FROM x",
        "SELECT a FROM t, LATERAL (SELECT 1) AS l", "SELECT PG_TRY_ADVISORY_LOCK(1)",
        "WITH RECURSIVE m AS (SELECT 1 AS n UNION ALL SELECT n FROM m) SELECT n FROM m",
    ],
)  # fmt: skip
def test_what_stands_for_redshift_refuses_what_redshift_does(sql: str) -> None:
    with pytest.raises(RefusedError):
        translated(sql, within=True)


class Sent:
    """Statements, as they are sent."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def __call__(self, sql: str, values: Any = None) -> None:
        del values
        self.statements.append(sql)


@pytest.mark.parametrize(
    ("role", "says"),
    [
        (ROLE, f"IAM_ROLE '{ROLE}'"),
        ("default", "IAM_ROLE DEFAULT"),
        ("", "ACCESS_KEY_ID 'AKID' SECRET_ACCESS_KEY 'secret'"),
    ],
)
def test_files_are_copied_by_the_role_or_by_the_keys_of_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, says: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(loading, "_FILE_BYTES", 1)
    sent, store = Sent(), Store(f"file://{tmp_path}")
    rows = pl.DataFrame({"Id": [str(n) for n in range(FEW + 1)]}).to_arrow()
    loading.load(sent, Staging(store, role), '"silver"."t"', rows.to_reader(max_chunksize=100))
    assert [" ".join(sql.split()[:2]) for sql in sent.statements] == [
        "DROP TABLE", "CREATE TEMP", "COPY sf_assets_temp_loading", "INSERT INTO", "DROP TABLE",
    ]  # fmt: skip
    assert f"{says} FORMAT AS PARQUET" in sent.statements[2]
    assert list(store.list("")) == [], "files are removed"


def test_rows_are_inserted_by_statements_that_do_not_hold_them() -> None:
    sent = Sent()
    rows = pl.DataFrame({"Id": [SECRET] * (FEW + 1), "l": [[SECRET]] * (FEW + 1)})
    loading.load(sent, None, '"silver"."t"', rows.to_arrow().to_reader())
    assert len(sent.statements) == 2
    assert SECRET not in "".join(sent.statements)
    assert sent.statements[1] == 'INSERT INTO "silver"."t" ("id", "l") VALUES (?, JSON_PARSE(?))'


def test_that_much_is_inserted_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rows = pl.DataFrame({"n": range(3 * MANY)}).to_arrow()
    with caplog.at_level(logging.WARNING):
        loading.load(Sent(), None, "t", rows.to_reader(max_chunksize=MANY // 2))
    assert [record.getMessage().count("staging=s3://") for record in caplog.records] == [1]


def test_resources_of_dagster_aws_enter_the_staging_folder_or_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        "sf_assets.warehouse.open.open_warehouse", lambda *told: opened.append(told)
    )
    url = "redshift://u:p@h:5439/db?staging=s3://bucket/x"
    s3 = S3Resource(aws_access_key_id="AKID", aws_secret_access_key="s", region_name="eu-north-1")
    _ = WarehouseResource(url=url, credentials=s3).warehouse
    ((told, access),) = opened
    assert (told, access.region, access.credentials()["access_key_id"]) == (
        url, "eu-north-1", "AKID",
    )  # fmt: skip

    client = RedshiftClientResource(host="h2", user="me", password="s@/cret", database="d2")
    only = WarehouseResource(url="redshift://?staging=s3://bucket/x", credentials=client)
    _ = only.warehouse
    address = read_address(opened[-1][0])
    assert address.staging == "s3://bucket/x"
    assert address.parameters == {
        "host": "h2", "port": 5439, "user": "me", "password": "s@/cret", "database": "d2",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="give it an S3Resource or a RedshiftClientResource"):
        _ = WarehouseResource(url=url, credentials=only).warehouse


class RedshiftClientResource(dg.ConfigurableResource[Any]):
    """The fields of dagster-aws' own, whose module needs another connector than ours."""

    host: str
    port: int = 5439
    user: str | None = None
    password: str | None = None
    database: str | None = None


RedshiftClientResource.__module__ = "dagster_aws.redshift.resources"
