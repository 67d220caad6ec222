"""What of a warehouse in Redshift is its own; `test_conformance` has what all engines share.

What is marked as of clouds runs on a PostgreSQL that speaks as Redshift does; the rest is about the
statements that are sent.
"""

import gc
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.errors import (
    ConfigError,
    WarehouseError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from sf_assets.storage.bucket import Access
from sf_assets.storage.store import Store
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.sql import forgetting
from sf_assets.warehouse.sql.connection import Cause
from sf_assets_tests import redshift as emulated
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.redshift_sql import RefusedError, translated

redshift = pytest.importorskip("redshift_connector")

from sf_assets.warehouse.redshift import loading  # noqa: E402
from sf_assets.warehouse.redshift.address import read_address  # noqa: E402
from sf_assets.warehouse.redshift.connection import RedshiftConnection  # noqa: E402
from sf_assets.warehouse.redshift.loading import FEW, MANY, Staging  # noqa: E402
from sf_assets.warehouse.redshift.refusals import cause, gave_way, refusal  # noqa: E402
from sf_assets.warehouse.redshift.render import CAPABILITIES, LONGEST_TEXT, render  # noqa: E402

URL = "redshift://loader:s%40cret@cluster.abc.eu-west-1.redshift.amazonaws.com/analytics"
ROLE = "arn:aws:iam::123456789012:role/loader"
SECRET = "Ada Lovelace"
ROW = {
    "Id": "é\U0001f600\t\\N\"'\r\n ", "Number": Decimal("12345678901234567890.123456789"),
    "Whole": -(2**63), "Day": date(1, 1, 1), "At": datetime(9999, 12, 31, 23, tzinfo=UTC),
    "Hour": time(23, 59, 59, 999000), "Several": ["a;b", "", '{"\\'], "Flag": False, "Real": 0.1,
}  # fmt: skip
DECLARED = (
    "Id VARCHAR, Number DECIMAL(38, 9), Whole BIGINT, Day DATE, At TIMESTAMP WITH TIME ZONE, "
    "Hour TIME, Several VARCHAR[], Flag BOOLEAN, Real DOUBLE"
)
KINDS = {"Number": pl.Decimal(38, 9)}


@pytest.fixture(scope="module")
def server() -> Iterator[emulated.RedshiftServer]:
    if why := emulated.lacking():
        pytest.skip(why)
    with emulated.running() as found:
        yield found


@pytest.fixture
def url(server: emulated.RedshiftServer, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server.new()


@pytest.fixture
def connection(url: str) -> Iterator[RedshiftConnection]:
    address = read_address(url)
    found = RedshiftConnection(
        address.parameters, Staging(Store(address.staging, Access()), address.iam_role)
    )
    with closing(found):
        found.execute("CREATE SCHEMA silver")
        yield found


def staged(server: emulated.RedshiftServer) -> list[str]:
    """Files that are left in the staging folder."""
    return [entry.path for entry in server.bucket.store().list("staging")]


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


@pytest.mark.clouds
@pytest.mark.parametrize("count", [1, FEW + 1])
def test_every_type_comes_in_as_it_is(
    server: emulated.RedshiftServer, connection: RedshiftConnection, tmp_path: Path, count: int
) -> None:
    connection.execute(f"CREATE TABLE silver.t ({DECLARED})")
    nothing, before = dict.fromkeys(ROW), len(server.proxy.copied)
    connection.load("silver.t", pl.DataFrame([ROW] * count + [nothing], schema_overrides=KINDS))
    assert len(server.proxy.copied) - before == (count > 1), "few are inserted, many copied"
    rows = connection.execute("SELECT * FROM silver.t ORDER BY Id")
    assert rows == [tuple(ROW.values())] * count + [tuple(nothing.values())]
    assert staged(server) == []
    copied = connection.copy("SELECT Id, Number, Several, At FROM silver.t", tmp_path / "t.parquet")
    told = pq.read_table(tmp_path / "t.parquet")
    assert copied == told.num_rows == count + 1
    assert told.column_names == ["Id", "Number", "Several", "At"]
    assert {name: ROW[name] for name in told.column_names} in told.to_pylist()


@pytest.mark.clouds
def test_more_rows_than_a_cursor_tells_at_once_are_all_told(
    connection: RedshiftConnection, tmp_path: Path
) -> None:
    connection.execute("CREATE TABLE silver.n (n BIGINT)")
    connection.load("silver.n", pl.DataFrame({"n": range(2500)}))
    assert connection.copy("SELECT n FROM silver.n ORDER BY n", tmp_path / "n.parquet") == 2500
    assert pq.read_table(tmp_path / "n.parquet")["n"].to_pylist() == list(range(2500))
    assert connection.copy("SELECT n FROM silver.n WHERE n < 0", tmp_path / "0.parquet") == 0


@pytest.mark.clouds
def test_what_cannot_be_copied_leaves_nothing_behind(
    server: emulated.RedshiftServer, connection: RedshiftConnection
) -> None:
    connection.execute("CREATE TABLE silver.t (Id VARCHAR)")
    texts = pl.DataFrame({"Id": [SECRET + "x" * LONGEST_TEXT] * (FEW + 1)})
    with pytest.raises(connection.error) as refused, connection.transaction():
        connection.load("silver.t", texts)
    assert "longer than the 65,535 bytes" in connection.refusal(refused.value)
    assert staged(server) == []
    assert connection.execute("SELECT count(*) FROM silver.t") == [(0,)]


@pytest.mark.clouds
def test_a_number_that_needs_room_gets_another_column_in_its_place(
    connection: RedshiftConnection,
) -> None:
    connection.execute("CREATE TABLE silver.t (Id VARCHAR, n DECIMAL(4, 2), o VARCHAR)")
    connection.comment("silver", "t", {"n": "It's a number"})
    connection.execute("INSERT INTO silver.t VALUES ('a', 12.34, 'b')")
    with connection.transaction():
        connection.resize("silver", "t", "n", "DECIMAL(9, 4)")
    assert dict(connection.types("silver", "t"))["n"] == "DECIMAL(9,4)"
    assert connection.execute("SELECT Id, n, o FROM silver.t") == [("a", Decimal("12.3400"), "b")]
    assert connection.comments("silver")["t"]["n"] == "It's a number"


@pytest.mark.clouds
def test_texts_are_looked_for_in_all_columns_that_can_have_any(
    connection: RedshiftConnection,
) -> None:
    connection.execute("CREATE TABLE silver.a (Id VARCHAR, l VARCHAR[], n BIGINT, d DATE)")
    connection.execute("CREATE TABLE silver.b (n BIGINT)")
    connection.execute("INSERT INTO silver.a VALUES ('x', ?, 1, NULL)", [["his 001A", "b"]])
    connection.run("CREATE TABLE silver.c (v VARCHAR(20), s SUPER)")
    connection.run("INSERT INTO silver.c VALUES ('001A', NULL), ('b', NULL)")
    found = dict(forgetting.search(connection, ["001A", "001B"]))
    assert found == {"silver.a": 1, "silver.c": 1}


@pytest.mark.clouds
def test_texts_longer_than_redshift_takes_are_rejected_and_told(
    url: str, living_org: Emulator, tmp_path: Path
) -> None:
    own = Workspace(tmp_path, living_org.environment, url)
    own.catalogue({"Showcase__c": None})
    batch = next(iter(living_org.store.table("Showcase__c")))
    first, second = batch["Id"].to_pylist()[:2]
    for key, length in ((first, LONGEST_TEXT), (second, LONGEST_TEXT + 1)):
        living_org.org.records.update("Showcase__c", key, {"Huge_Text__c": "x" * length})
    living_org.advance(60)
    own.tick()
    rows = dict(own.rows("SELECT Id, length(Huge_Text__c) FROM silver.showcase__c"))
    assert (rows[first], rows[second]) == (LONGEST_TEXT, None)
    told = 'SELECT "column", "text", reason FROM silver.showcase__c_rejects'
    rejected = own.rows(f"{told} WHERE Id = '{second}'")
    assert rejected == [("Huge_Text__c", None, "65536 bytes, and a text has at most 65535")]


@pytest.mark.clouds
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_login_that_is_refused_says_why(url: str) -> None:
    for wrong, says in (
        (url.replace(":secret@", ":other@"), "the user or password is refused"),
        (url.replace("/w", "/no_w"), "does not exist"),
        ("redshift://u:p@127.0.0.1:1/db?ssl=false", "Connection refused"),
    ):
        with pytest.raises(WarehouseUnreachableError, match=says) as told:
            open_warehouse(wrong).check_writing()
        assert "other" not in str(told.value)
    gc.collect()  # the connector leaves its socket open


@pytest.mark.clouds
def test_doctor_says_what_to_grant(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = open_warehouse(url)
    warehouse.check_writing()
    run = RedshiftConnection.run

    def without(connection: RedshiftConnection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if "has_database_privilege" in sql:
            return [(False, True, "analytics", "loader")]
        return run(connection, sql, *values)

    monkeypatch.setattr(RedshiftConnection, "run", without)
    grant = 'GRANT CREATE, TEMPORARY ON DATABASE "analytics" TO "loader"'
    with pytest.raises(WarehouseError, match=grant):
        warehouse.check_writing()


@pytest.mark.clouds
def test_doctor_says_that_the_staging_folder_cannot_be_read(
    server: emulated.RedshiftServer, url: str
) -> None:
    server.proxy.refuse_files = "S3ServiceException:Access Denied,Status 403"
    try:
        with pytest.raises(WarehouseError, match="s3:GetObject"):
            open_warehouse(url).check_writing()
    finally:
        server.proxy.refuse_files = ""
    assert staged(server) == []


@pytest.mark.clouds
def test_transactions_that_write_come_one_after_the_other(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    run = RedshiftConnection.run

    def noting(connection: RedshiftConnection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        statements.append(sql)
        return run(connection, sql, *values)

    monkeypatch.setattr(RedshiftConnection, "run", noting)
    with open_warehouse(url).writing("00D1", "default") as session:
        statements.clear()
        session.note_forgotten("account", {"x"})
    begun = statements.index("BEGIN")
    assert statements[begun + 1] == 'LOCK "ops"."sf_assets_lock"'
    assert statements[-2:] == ["SELECT 1", "COMMIT"], "the lock on the org's tables still is there"


@pytest.mark.clouds
def test_what_gave_way_to_another_transaction_is_told_as_that(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RedshiftConnection.run

    def refusing(connection: RedshiftConnection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if sql.startswith('INSERT INTO "ops"."forgotten"'):
            raise error_of("XX000", "1023", "Serializable isolation violation on table - 1")
        return run(connection, sql, *values)

    warehouse = open_warehouse(url)
    with warehouse.writing("00D1", "default"):
        pass
    monkeypatch.setattr(RedshiftConnection, "run", refusing)
    with (
        pytest.raises(WarehouseLockedError, match="another program writes"),
        warehouse.writing("00D1", "default") as session,
    ):
        session.note_forgotten("account", {"x"})


@pytest.mark.clouds
def test_a_writer_whose_lock_is_gone_commits_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[RedshiftConnection] = []
    begin = RedshiftConnection.__init__

    def noting(connection: RedshiftConnection, *values: Any) -> None:
        begin(connection, *values)
        opened.append(connection)

    monkeypatch.setattr(RedshiftConnection, "__init__", noting)
    warehouse = open_warehouse(url)
    with warehouse.writing("00D1", "default") as session:
        opened[-1].close()  # which holds the lock
        with pytest.raises(redshift.error.InterfaceError):
            session.note_forgotten("account", {"x"})
    with warehouse.reading("00D1", "default") as session:
        assert session.forgotten("account") == set()
