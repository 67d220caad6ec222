"""What of a warehouse in BigQuery is its own; `test_conformance` has what all engines share.

What is said of it here is at the level of what is asked of Google's client.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster_gcp import BigQueryResource
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.bigquery import SchemaField

from sf_assets import WarehouseResource
from sf_assets.errors import ConfigError, WarehouseError, WarehouseLockedError
from sf_assets.warehouse.bigquery.address import Address, parsed
from sf_assets.warehouse.bigquery.connection import BigQueryConnection
from sf_assets.warehouse.bigquery.refusals import BigQueryError, cause, refusal
from sf_assets.warehouse.bigquery.render import CAPABILITIES, render
from sf_assets.warehouse.bigquery.writers import Turn
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.sql import server as server_module
from sf_assets.warehouse.sql.connection import Cause

URL = "bigquery://my-project/sf?location=EU"
SECRET = "Ada Lovelace"


class Rows(list[tuple[Any, ...]]):
    """An answer.

    Attributes:
        num_dml_affected_rows: How many rows a change has changed.
    """

    num_dml_affected_rows: int | None = None


class Client:
    """Google's client, as far as it is used: notes what is asked, and answers as it is told to.

    Attributes:
        asked: What was asked; what belongs to a session begins with its name.
        answers: By how a statement begins: rows, how many were changed, or an error.
        columns: Of all tables.
        location: Where datasets are; None where there are none.
    """

    project = "my-project"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {}
        self.columns = [
            SchemaField("Id", "STRING"),
            SchemaField("N", "NUMERIC", precision=5, scale=2),
        ]
        self.location: str | None = "EU"
        self._sessions = 0

    def _answer(self, sql: str) -> Any:
        found: Any = next((a for start, a in self.answers.items() if sql.startswith(start)), [])
        if isinstance(found, Exception):
            raise found
        return found

    def query_and_wait(self, sql: str, *, job_config: Any, **_: Any) -> Rows:
        session = "".join(f"({p.value}) " for p in job_config.connection_properties)
        self.asked.append(session + sql)
        found = self._answer(sql)
        rows = Rows(found if isinstance(found, list) else ())
        rows.num_dml_affected_rows = found if isinstance(found, int) else None
        return rows

    def query(self, sql: str, config: Any, **_: Any) -> Any:
        self.asked.append(("(looked at) " if config.dry_run else "(new session) ") + sql)
        self._answer(sql)
        self._sessions += bool(config.create_session)
        session = SimpleNamespace(session_id=f"session {self._sessions}")
        kind = "SELECT" if ";" not in sql else "SCRIPT"
        return SimpleNamespace(
            result=lambda: None, session_info=session, schema=self.columns, statement_type=kind
        )

    def get_dataset(self, *_: Any, **__: Any) -> Any:
        if self.location is None:
            raise refused("notFound", "Not found: Dataset")
        return SimpleNamespace(location=self.location)

    def get_table(self, name: str, **_: Any) -> Any:
        return SimpleNamespace(name=name, schema=self.columns)

    def update_table(self, table: Any, parts: list[str], **_: Any) -> None:
        self.asked.append(f"(update {', '.join(parts)}) {table.name}")
        self.columns = table.schema

    def load_table_from_file(self, file: Any, name: str, job_config: Any, **_: Any) -> Any:
        rows = len(pl.read_parquet(file.read()))
        how = f"{job_config.write_disposition}, {job_config.create_disposition}"
        self.asked.append(f"(load {rows} rows, {how}) {name}")
        return SimpleNamespace(result=lambda **_: None)

    def close(self) -> None:
        self.asked.append("(close)")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client()
    monkeypatch.setattr(Address, "client", lambda *_: found)
    return found


@contextmanager
def connected() -> Iterator[BigQueryConnection]:
    connection = BigQueryConnection(parsed(URL))
    yield connection
    connection.close()


def denied(permission: str, where: str = "project my-project") -> Exception:
    said = f"Access Denied: User does not have {permission} permission in {where}."
    return refused("accessDenied", said)


def refused(reason: str, said: str) -> Exception:
    errors = [{"reason": reason, "message": said}]
    return BadRequest(said, errors=errors)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (URL, Address("my-project", "sf_", "EU")),
        ("bigquery://p", Address("p")),
        ("bigquery://p?credentials_path=/keys/sa.json",
         Address("p", credentials_path="/keys/sa.json")),
        ("bigquery://p/a?endpoint=http://127.0.0.1:9", Address("p", "a_", endpoint="http://127.0.0.1:9")),
    ],
)  # fmt: skip
def test_an_address_names_project_and_prefix(url: str, address: Address) -> None:
    assert parsed(url) == address
    assert "/keys" not in str(open_warehouse(url))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("bigquery://", "must name the project"),
        ("bigquery://me:pw@p/x", "must name the project and no user"),
        ("bigquery://p/a/b", "how the names of datasets begin"),
        ("bigquery://p/a?place=EU", "place is no parameter; there are location"),
    ],
)
def test_an_address_of_another_form_is_told(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as told:
        open_warehouse(url)
    assert "pw" not in str(told.value)


def test_datasets_are_called_by_the_prefix() -> None:
    address = parsed(URL)
    datasets = ["silver", "gold_emea", "ops", "rebuilt_silver", "restricted", "finance"]
    assert [address.dataset(one) for one in datasets] == [
        "sf_silver", "sf_gold_emea", "sf_ops", "sf_rebuilt_silver", "sf_restricted", "finance",
    ]  # fmt: skip
    assert address.schema("sf_silver") == "silver"
    assert address.schema("silver") is address.schema("sf_x") is None


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"CREATE SCHEMA": denied("bigquery.datasets.create")}, r"\(roles/bigquery.user\)"),
        ({"CREATE TABLE": denied("bigquery.tables.create", "dataset sf_ops")},
         r"no permission bigquery.tables.create: grant them BigQuery Data Editor"),
        ({"SELECT 1": denied("bigquery.jobs.create")}, r"roles/bigquery.jobUser\) on the project"),
        ({"DELETE": refused("billingNotEnabled", "Billing is off")}, "link a billing"),
        ({"CREATE SCHEMA": refused("quotaExceeded", "Quota exceeded")}, "a quota of the project"),
    ],
)  # fmt: skip
def test_doctor_says_which_role_is_lacking(
    client: Client, answers: dict[str, Any], says: str
) -> None:
    client.answers = answers
    with pytest.raises(WarehouseError, match=says):
        open_warehouse(URL).check_writing()
    assert client.asked[-1] == "(close)"


def test_a_warehouse_elsewhere_is_told(client: Client) -> None:
    client.location = "us-east1"
    with pytest.raises(ConfigError, match="lies in us-east1, not in EU"):
        open_warehouse(URL).exists()
    open_warehouse("bigquery://my-project/sf").check_writing()


def test_no_credentials_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(*_: Any) -> None:
        raise DefaultCredentialsError("nothing at /home/somebody")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(Address, "client", client)
    with pytest.raises(WarehouseError, match="gcloud auth application-default login"):
        open_warehouse(URL).check_writing()
    monkeypatch.undo()
    with pytest.raises(WarehouseError, match="the file of credentials cannot be used"):
        open_warehouse("bigquery://p?credentials_path=/nowhere.json").check_writing()


@pytest.mark.parametrize(
    ("reason", "said", "kind"),
    [
        ("notFound", "Not found: Table p:silver.nothing was not found in location EU", Cause.NAME),
        ("invalidQuery", "Unrecognized name: nothing at [1:8]", Cause.MEANING),
        ("invalidQuery", "Syntax error: Unexpected keyword nothing at [1:8]", Cause.SYNTAX),
        ("invalidQuery", f'Could not cast literal "{SECRET}" to type DATE at [1:8]', Cause.DATA),
        ("invalidQuery", f"Bad int64 value: {SECRET}", Cause.DATA),
    ],
)
def test_a_refusal_tells_names_and_no_value(reason: str, said: str, kind: Cause) -> None:
    error = BigQueryError(reason, said)
    assert cause(error) is kind
    assert SECRET not in refusal(error)
    assert ("nothing" in said) == ("nothing" in refusal(error))


def test_rows_are_loaded_before_a_transaction_once_for_each_table(client: Client) -> None:
    with connected() as connection:
        for name in ("staged_0", "gone_1"):
            connection.temporary(name, "(Id VARCHAR)")
        for some in (["a"], ["b", "c"]):
            connection.load("temp.staged_0", pl.DataFrame({"Id": some}))
        (made,) = client.asked
        assert made.count("CREATE TABLE `sf_ops`.`sf_assets_temp_") == len(("staged", "gone"))
        client.asked.clear()
        with connection.transaction():
            connection.execute("SELECT Id FROM temp.staged_0")
        loaded, session, *rest = client.asked
    into, _, name = loaded.partition(".")
    assert into == "(load 3 rows, WRITE_APPEND, CREATE_NEVER) my-project"
    assert name.startswith("sf_ops.sf_assets_temp_")
    assert session == "(new session) SELECT 1"
    assert [asked.partition(" FROM ")[0] for asked in rest] == [
        "(session 1) BEGIN TRANSACTION", "(session 1) SELECT `Id`",
        "(session 1) COMMIT TRANSACTION",
    ]  # fmt: skip
    dropped, *rest = client.asked[-3:]
    assert dropped.count("DROP TABLE IF EXISTS `sf_ops.sf_assets_temp_") == len(("staged", "gone"))
    assert rest == ["CALL BQ.ABORT_SESSION('session 1')", "(close)"]


def test_notes_within_a_transaction_are_added_by_a_statement(client: Client) -> None:
    with connected() as connection, connection.transaction():
        connection.load("ops.t", pl.DataFrame({"Id": ["it's"], "N": [1]}))
    assert client.asked[-4] == (
        "(session 1) INSERT INTO `sf_ops.t` (`Id`, `N`) SELECT JSON_VALUE(r, '$[0]'), "
        "CAST(JSON_VALUE(r, '$[1]') AS NUMERIC) FROM UNNEST(@rows) AS r"
    )


def test_what_makes_tables_is_not_sent_in_a_transaction(client: Client) -> None:
    with connected() as connection:
        with pytest.raises(RuntimeError, match="not in a transaction"), connection.transaction():
            connection.execute("CREATE TABLE silver.t (Id VARCHAR)")
        assert client.asked[-2:] == [
            "(session 1) BEGIN TRANSACTION", "(session 1) ROLLBACK TRANSACTION",
        ]  # fmt: skip


def test_a_session_that_is_lost_is_not_used_again(client: Client) -> None:
    client.answers = {"ROLLBACK": refused("invalid", "Invalid input session id.")}
    with connected() as connection:
        with pytest.raises(BigQueryError), connection.transaction():
            raise BigQueryError("invalid", "Invalid input session id.")
        with connection.transaction():
            pass
    assert "(session 2) COMMIT TRANSACTION" in client.asked


def test_a_writer_whose_place_was_taken_commits_nothing(client: Client) -> None:
    client.answers = {"UPDATE": 0}
    with connected() as connection:
        connection.fence = "UPDATE fence SET …"
        with pytest.raises(WarehouseLockedError), connection.transaction():
            connection.execute("DELETE FROM silver.t")
        assert client.asked[-2:] == [
            "(session 1) UPDATE fence SET …", "(session 1) ROLLBACK TRANSACTION",
        ]  # fmt: skip


@pytest.mark.parametrize("ended", [None, refused("invalidQuery", "it has ended")])
def test_the_session_of_a_writer_that_died_is_ended_first(
    client: Client, ended: Exception | None
) -> None:
    client.answers = {"SELECT holder": [("him", "his session", True)], "UPDATE": 1}
    if ended:
        client.answers["CALL BQ.ABORT_SESSION('his"] = ended
    with connected() as connection:
        assert Turn.of(connection, "sf_ops", "00D1", 120).take()
    verbs = [sql.partition(" SET ")[0] for sql in client.asked]
    assert verbs[1:5] == [
        "CALL BQ.ABORT_SESSION('his session')", "(new session) SELECT 1",
        "UPDATE `sf_ops`.`sf_assets_lease_00d1`", "UPDATE `sf_ops`.`sf_assets_fence_00d1`",
    ]  # fmt: skip


def test_a_writer_of_another_user_that_died_is_told(client: Client) -> None:
    client.answers = {
        "SELECT holder": [("him", "his session", True)],
        "CALL": denied("bigquery.jobs.update"),
    }
    with (
        connected() as connection,
        pytest.raises(WarehouseLockedError, match=r"bigquery\.jobs\.update"),
    ):
        Turn.of(connection, "sf_ops", "00D1", 120).take()


def test_a_writer_that_lives_is_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "PATIENCE", 0)
    client.answers = {"SELECT holder": [("him", "his session", False)]}
    with pytest.raises(WarehouseLockedError), open_warehouse(URL).writing("00D1", "default"):
        pass
    assert not [sql for sql in client.asked if "ABORT_SESSION('his" in sql]


def test_more_digits_change_a_column_and_others_the_table(client: Client) -> None:
    with connected() as connection:
        connection.resize("silver", "t", "n", "DECIMAL(9, 4)")
        connection.resize("silver", "t", "n", "DECIMAL(5, 4)")
        connection.add("silver", "t", {"A": "DECIMAL(38, 2)", "B": "VARCHAR[]"})
        connection.replace("silver", "t", "SELECT * FROM rebuilt_silver.t")
        connection.comment("silver", "t", {"n": "It's", "id": "x" * 2000})
    changes = [sql for sql in client.asked if sql.startswith(("CREATE", "ALTER", "(update"))]
    assert changes == [
        "ALTER TABLE `sf_silver`.`t` ALTER COLUMN `n` SET DATA TYPE NUMERIC(9, 4)",
        (
            "CREATE OR REPLACE TABLE `sf_silver`.`t` (`Id` STRING, `N` NUMERIC(5, 4)) "
            "CLUSTER BY `Id` AS SELECT CAST(`Id` AS STRING), ROUND(CAST(`N` AS NUMERIC), 4) "
            "FROM `sf_silver`.`t` AS `_from_t`"
        ),
        (
            "ALTER TABLE `sf_silver`.`t` ADD COLUMN `A` BIGNUMERIC(38, 2), "
            "ADD COLUMN `B` ARRAY<STRING>"
        ),
        "CREATE OR REPLACE TABLE `sf_silver.t` COPY `sf_rebuilt_silver.t`",
        "(update schema) my-project.sf_silver.t",
    ]
    assert [field.description for field in client.columns] == ["x" * 1024, "It's"]


def test_a_question_is_one_query(client: Client) -> None:
    with pytest.raises(WarehouseError, match="only reads, and takes one question; this is SCRIPT"):
        open_warehouse(URL).query("SELECT 1; DROP TABLE silver.account")
    assert all("(looked at)" in sql for sql in client.asked if "DROP" in sql)


@pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated")
def test_credentials_are_those_of_a_bigquery_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    identity: Any = AnonymousCredentials()  # type: ignore[no-untyped-call]
    monkeypatch.setattr("google.auth.default", lambda *_, **__: (identity, "project"))
    bigquery = BigQueryResource(project="my-project", location="EU")

    @dg.op
    def look(warehouse: WarehouseResource) -> None:
        found: Any = warehouse.warehouse
        assert vars(found)["_credentials"] is identity
        assert vars(found)["_address"] == Address("my-project", "sf_", "EU")

    @dg.job
    def looking() -> None:
        look()

    resource = WarehouseResource(url="bigquery://my-project/sf", credentials=bigquery)
    assert looking.execute_in_process(resources={"warehouse": resource}).success
    with pytest.raises(ConfigError, match="those of other engines are in the address"):
        _ = WarehouseResource(url="duckdb:////x", credentials=bigquery).warehouse
    with pytest.raises(ConfigError, match="give it a BigQueryResource of dagster-gcp"):
        _ = WarehouseResource(url=URL, credentials=dg.ResourceDefinition.none_resource()).warehouse


@pytest.mark.parametrize(
    ("sql", "values", "rendered"),
    [
        ("SELECT 1 FROM ops.t WHERE a = ANY(CAST(? AS VARCHAR[]))", [["x", "it's"]],
         "SELECT 1 FROM `sf_ops`.`t` AS `_from_t` WHERE `a` IN UNNEST(@list_0)"),
        ("SELECT 1 FROM ops.t WHERE a = ANY(CAST(? AS VARCHAR[]))", [[]],
         "SELECT 1 FROM `sf_ops`.`t` AS `_from_t` WHERE FALSE"),
        ("SELECT (SELECT unnest($1::DATE[]) AS d)", [[date(2026, 1, 2)]],
         "SELECT (SELECT `d` FROM UNNEST(@list_0) AS `d`)"),
        ("INSERT INTO ops.t (a, b) VALUES (?, ?)", [["x"], "a'\n\\"],
         "INSERT INTO `sf_ops`.`t` (`a`, `b`) VALUES (@list_0, 'a\\'\\n\\\\')"),
        ("SELECT (a, b) > (c, d)", (), "SELECT (`a` > `c` OR (`a` = `c` AND `b` > `d`))"),
        ("SELECT 1 FROM t WHERE (a, b) IN (SELECT a, b FROM s)", (),
         "SELECT 1 FROM `t` WHERE (`a`, `b`) IN (SELECT (`a`, `b`) FROM `s`)"),
        ("SELECT a / b, least(a, b), 0.5", (),
         ("SELECT CAST(`a` AS FLOAT64) / `b`, LEAST(COALESCE(`a`, `b`), COALESCE(`b`, `a`)), "
          "CAST('0.5' AS NUMERIC)")),
        ("SELECT count(*) FILTER (WHERE a), sum(b) FILTER (WHERE a)", (),
         "SELECT COUNTIF(`a`), SUM(IF(`a`, `b`, NULL))"),
        ("SELECT count(*) FILTER (WHERE a) / count(*)", (),
         "SELECT CAST(COUNTIF(`a`) AS FLOAT64) / COUNT(*)"),
        ("SELECT date_trunc('week', a), date_diff('minute', a, b), date_diff('day', a, b)", (),
         ("SELECT DATE_TRUNC(`a`, ISOWEEK), TIMESTAMP_DIFF(TIMESTAMP_TRUNC(CAST(`b` AS TIMESTAMP), "
          "MINUTE), TIMESTAMP_TRUNC(CAST(`a` AS TIMESTAMP), MINUTE), MINUTE), "
          "DATE_DIFF(CAST(`b` AS DATE), CAST(`a` AS DATE), DAY)")),
        ("SELECT a ~ '^x', hash(a, b), now()", (),
         ("SELECT REGEXP_CONTAINS(`a`, '^x'), FARM_FINGERPRINT(TO_JSON_STRING(STRUCT(`a`, `b`))), "
          "CURRENT_TIMESTAMP()")),
        ("SELECT a.x AS y, count(*) FROM a GROUP BY a.x ORDER BY y", (),
         "SELECT `a`.`x` AS `y`, COUNT(*) FROM `a` GROUP BY 1 ORDER BY `y` NULLS LAST"),
        ("SELECT Invoice__c FROM silver.invoice__c", (),
         "SELECT `Invoice__c` FROM `sf_silver`.`invoice__c` AS `_from_invoice__c`"),
        ("SELECT CAST(t AS VARCHAR) FROM silver.account AS t", (),
         "SELECT TO_JSON_STRING(`t`) FROM `sf_silver`.`account` AS `t`"),
        ("UPDATE ops.t SET a = l.b FROM ops.l WHERE t.c = l.c", (),
         ("UPDATE `sf_ops`.`t` AS `t` SET `a` = `l`.`b` FROM `sf_ops`.`l` AS `l` "
          "WHERE `t`.`c` = `l`.`c`")),
        ("DELETE FROM ops.t", (), "DELETE FROM `sf_ops`.`t` AS `_from_t` WHERE TRUE"),
        ("SELECT sum(CAST(a AS DECIMAL(29, 2))), CAST(NULL AS DECIMAL(38, 20))", (),
         ("SELECT SUM(ROUND(CAST(`a` AS NUMERIC), 2)), ROUND(CAST(NULL AS BIGNUMERIC), 20)")),
        ("CREATE TABLE silver.t (Id VARCHAR NOT NULL, n DECIMAL(38, 2), w BIGINT, l VARCHAR[])", (),
         ("CREATE TABLE `sf_silver`.`t` (`Id` STRING NOT NULL, `n` BIGNUMERIC(38, 2), `w` INT64, "
          "`l` ARRAY<STRING>) CLUSTER BY `Id`")),
        ("CREATE VIEW silver.v AS SELECT 1 AS a", (),
         "CREATE OR REPLACE VIEW `sf_silver`.`v` AS SELECT 1 AS `a`"),
        ("ALTER TABLE silver.t RENAME COLUMN name TO Name", (),
         ("ALTER TABLE `sf_silver`.`t` RENAME COLUMN `name` TO `name_renamed`, "
          "RENAME COLUMN `name_renamed` TO `Name`")),
        ("SELECT 1 FROM finance.t JOIN other.silver.t USING (a)", (),
         "SELECT 1 FROM `finance`.`t` AS `_from_t` JOIN `other`.`silver`.`t` USING (`a`)"),
        ("SELECT * FROM sf_assets_native('SELECT LEAST(a, b) / 2 FROM silver.t WHERE day = @day')",
         {"day": date(2026, 1, 2)},
         ("SELECT * FROM (SELECT LEAST(`a`, `b`) / 2 FROM `sf_silver`.`t` AS `_from_t` "
          "WHERE `day` = CAST('2026-01-02' AS DATE))")),
    ],
)  # fmt: skip
def test_the_shared_sql_as_bigquery_takes_it(sql: str, values: Any, rendered: str) -> None:
    address = parsed(URL)
    place = lambda schema, name: f"{address.dataset(schema)}.{name}"  # noqa: E731
    assert render(sql, values, place, lambda _: ()).sql == rendered


def test_lists_that_are_none_are_those_without_members() -> None:
    """BigQuery keeps no list that is none, and holds none against another."""
    sql = "SELECT count(x), s.x IS NOT DISTINCT FROM t.x, a IS NULL FROM t WHERE x IS NULL"
    told = render(sql, (), "{}.{}".format, lambda _: {"X"}).sql
    x = "NULLIF(NULLIF(TO_JSON_STRING({}), 'null'), '[]')"
    s, t = x.format("`s`.`x`"), x.format("`t`.`x`")
    assert told == (
        f"SELECT COUNT({x.format('`x`')}), {s} IS NOT DISTINCT FROM {t}, `a` IS NULL "
        f"FROM `t` WHERE {x.format('`x`')} IS NULL"
    )
    assert not CAPABILITIES.empty_lists


def test_what_is_temporary_ends_by_itself() -> None:
    told = render("CREATE TABLE temp.t (Id VARCHAR)", (), "{}.{}".format, lambda _: ()).sql
    assert told.startswith("CREATE TABLE `temp`.`t` (`Id` STRING) OPTIONS (expiration_timestamp=")


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigError, match="longer than the 300 bytes that a name in BigQuery"):
        render(f'SELECT "{"x" * 301}"', (), "{}.{}".format, lambda _: ())
