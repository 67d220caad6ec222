"""What of a warehouse in Snowflake is its own; `test_conformance` has what all engines share.

What is said of it here is at the level of the statements that are sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest

from sf_assets.errors import ConfigError, WarehouseError, WarehouseLockedError
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.sql.connection import Cause

snowflake = pytest.importorskip("snowflake.connector")

from sf_assets.warehouse.snowflake.address import parameters  # noqa: E402
from sf_assets.warehouse.snowflake.connection import SnowflakeConnection  # noqa: E402
from sf_assets.warehouse.snowflake.refusals import cause, refusal  # noqa: E402
from sf_assets.warehouse.snowflake.render import CAPABILITIES, render  # noqa: E402

URL = "snowflake://loader:s%40cret@my-org-my_account/ANALYTICS?warehouse=WH&role=LOADER"
SECRET = "Ada Lovelace"


class Sent:
    """The connector, as far as it is used: notes statements, and answers what it is told to.

    Attributes:
        statements: What was sent.
        answers: The rows of an answer, or an error, by how the statement begins.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.answers: dict[str, list[tuple[Any, ...]] | Exception] = {}
        self.description: list[Any] = []

    def cursor(self) -> "Sent":
        return self

    def execute(self, sql: str) -> None:
        self.statements.append(" ".join(sql.split()))
        found = next((a for start, a in self.answers.items() if sql.startswith(start)), [])
        if isinstance(found, Exception):
            raise found
        self._rows = found

    def describe(self, sql: str) -> list[Any]:
        self.statements.append(f"(describe) {sql}")
        return []

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def close(self) -> None:
        self.statements.append("(close)")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    found = Sent()
    monkeypatch.setattr(snowflake, "connect", lambda **_: found)
    return found


def refused(number: int, said: str = "", state: str = "") -> Exception:
    error = snowflake.errors.ProgrammingError(msg=said, errno=number, sqlstate=state)
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (URL, {"account": "my-org-my_account", "user": "loader", "password": "s@cret",
               "database": "ANALYTICS", "warehouse": "WH", "role": "LOADER"}),
        ("snowflake://me@acct/db?authenticator=externalbrowser",
         {"account": "acct", "user": "me", "database": "db", "authenticator": "externalbrowser"}),
        ("snowflake://me@acct/db?private_key_path=/k.p8&private_key_passphrase=pw",
         {"account": "acct", "user": "me", "database": "db", "private_key_file": "/k.p8",
          "private_key_file_pwd": "pw"}),
        ("snowflake:///db?connection_name=dev&login_timeout=5&client_session_keep_alive=false",
         {"database": "db", "connection_name": "dev", "login_timeout": 5,
          "client_session_keep_alive": False}),
    ],
)  # fmt: skip
def test_an_address_is_what_the_connector_is_told(url: str, told: dict[str, Any]) -> None:
    waits = {} if "authenticator" in told else {"login_timeout": 30}
    assert parameters(url) == waits | told
    assert "s%40cret" not in str(open_warehouse(url))
    assert "=pw" not in str(open_warehouse(url))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("snowflake://me@acct", "must name account and database"),
        ("snowflake:///db", "must name account and database"),
        ("snowflake://me@acct/db/public", "leave out the schema"),
    ],
)
def test_an_address_of_another_form_is_told(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_warehouse(url)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (390100, "the user or password is refused"),
        (390144, "the key of the user is refused"),
        (390189, "no such role"),
        (390201, "no such database, warehouse or role"),
        (290404, "no such account"),
    ],
)
def test_a_login_that_is_refused_says_why(
    monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def connect(**_: Any) -> None:
        raise refused(number)

    monkeypatch.setattr(snowflake, "connect", connect)
    with pytest.raises(WarehouseError, match=f"cannot be reached: .*{says}") as told:
        open_warehouse(URL).check_writing()
    assert "cret" not in str(told.value)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"SELECT CURRENT": [(None, "WH", "LOADER")]}, r"no database ANALYTICS.*GRANT USAGE"),
        ({"SELECT CURRENT": [("A", None, "LOADER")]}, "GRANT USAGE ON WAREHOUSE WH TO ROLE"),
        ({"CREATE SCHEMA": refused(3001)}, 'GRANT CREATE SCHEMA ON DATABASE "A" TO ROLE "LOADER"'),
        ({"CREATE OR REPLACE TEMPORARY STAGE": refused(3001)}, "CREATE STAGE ON SCHEMA"),
        ({"CREATE OR REPLACE TEMPORARY TABLE": refused(606)}, "no warehouse computes"),
    ],
)
def test_doctor_says_what_to_grant(
    sent: Sent, answers: dict[str, list[tuple[Any, ...]] | Exception], says: str
) -> None:
    sent.answers = {"SELECT CURRENT": [("A", "WH", "LOADER")], **answers}
    with pytest.raises(WarehouseError, match=says):
        open_warehouse(URL).check_writing()
    assert sent.statements[-1] == "(close)"


@pytest.mark.parametrize(
    ("number", "said", "kind"),
    [
        (2003, "Object 'ANALYTICS.SILVER.NOTHING' does not exist or not authorized.", Cause.NAME),
        (904, "invalid identifier 'NOTHING'", Cause.MEANING),
        (1003, "syntax error line 1 at position 0 unexpected 'SELEC'.", Cause.SYNTAX),
        (100038, f"Numeric value '{SECRET}' is not recognized", Cause.DATA),
        (100132, f"JavaScript execution error: {SECRET}", Cause.DATA),
    ],
)
def test_a_refusal_tells_names_and_no_value(number: int, said: str, kind: Cause) -> None:
    error = refused(number, said)
    assert cause(error) is kind
    assert SECRET not in refusal(error)
    assert ("NOTHING" in said) == ("NOTHING" in refusal(error))


@contextmanager
def connected() -> Iterator[SnowflakeConnection]:
    connection = SnowflakeConnection(parameters(URL))
    yield connection
    connection.close()


def test_what_would_commit_a_transaction_is_not_sent(sent: Sent) -> None:
    with connected() as connection:
        with pytest.raises(RuntimeError, match="would commit"), connection.transaction():
            connection.execute("CREATE TABLE silver.t (Id VARCHAR)")
        assert sent.statements[-2:] == ["BEGIN", "ROLLBACK"]


def test_a_writer_whose_place_was_taken_commits_nothing(sent: Sent) -> None:
    sent.answers = {"UPDATE": [(0,)]}
    with connected() as connection:
        connection.fence = "UPDATE WRITERS SET UNTIL = …"
        with pytest.raises(WarehouseLockedError), connection.transaction():
            connection.execute("DELETE FROM silver.t")
        assert sent.statements[-3:] == ["BEGIN", "UPDATE WRITERS SET UNTIL = …", "ROLLBACK"]


def test_another_number_of_digits_makes_the_table_anew_in_one_statement(sent: Sent) -> None:
    columns = [("T", "ID", "TEXT", None, None, "Key"), ("T", "N", "NUMBER", 5, 2, "It's")]
    sent.answers = {"SELECT table_name": columns}
    with connected() as connection:
        connection.resize("silver", "t", "n", "DECIMAL(9, 4)")
    changes = [sql for sql in sent.statements if sql.startswith(("CREATE", "COMMENT"))]
    assert changes == [
        (
            'CREATE OR REPLACE TABLE "SILVER"."T" COPY GRANTS AS '
            'SELECT "ID", CAST("N" AS DECIMAL(9, 4)) AS "N" FROM "SILVER"."T"'
        ),
        'COMMENT ON COLUMN "SILVER"."T"."ID" IS \'Key\'',
        'COMMENT ON COLUMN "SILVER"."T"."N" IS \'It\\\'s\'',
    ]


@pytest.mark.parametrize(
    ("sql", "values", "rendered"),
    [
        ("SELECT 1 FROM ops.t WHERE a = ANY(CAST(? AS VARCHAR[]))", [["x", "it's"]],
         ('SELECT 1 FROM "OPS"."T" WHERE "A" IN (SELECT CAST("VALUE" AS VARCHAR) AS "VALUE" '
         "FROM TABLE(FLATTEN(INPUT => PARSE_JSON('[\"x\", \"it\\'s\"]'))))")),
        ("INSERT INTO ops.t (a) VALUES (?)", [[date(2026, 1, 2)]],
         'INSERT INTO "OPS"."T" ("A") SELECT CAST(PARSE_JSON(\'["2026-01-02"]\') AS ARRAY)'),
        ("SELECT (a, b) > (c, d)", (), 'SELECT ("A" > "C" OR ("A" = "C" AND "B" > "D"))'),
        ("SELECT a / b, least(a, b)", (),
         'SELECT CAST("A" AS DOUBLE) / "B", LEAST_IGNORE_NULLS("A", "B")'),
        ("SELECT a ~ '^x'", (), r"""SELECT REGEXP_LIKE("A", '[\\s\\S]*(^x)[\\s\\S]*')"""),
        ("SELECT 'a\\b'", (), "SELECT 'a\\\\b'"),
        ("CREATE VIEW silver.v AS SELECT 1 AS a", (),
         'CREATE OR REPLACE VIEW "SILVER"."V" COPY GRANTS AS SELECT 1 AS "A"'),
        ("CREATE TABLE t (a BIGINT, b DECIMAL(19, 0), c VARCHAR[], d TIMESTAMP WITH TIME ZONE)", (),
         'CREATE TABLE "T" ("A" DECIMAL(19, 0), "B" DECIMAL(20, 0), "C" ARRAY, "D" TIMESTAMPTZ)'),
        ("SELECT count(*) FILTER (WHERE a) FROM temp.staged", (),
         'SELECT COUNT(IFF("A", 1, NULL)) FROM "OPS"."SF_ASSETS_TEMP_STAGED" AS "STAGED"'),
        ("SELECT count(*) FILTER (WHERE a) / count(*)", (),
         'SELECT CAST(COUNT(IFF("A", 1, NULL)) AS DOUBLE) / COUNT(*)'),
    ],
)  # fmt: skip
def test_the_shared_sql_as_snowflake_takes_it(sql: str, values: Any, rendered: str) -> None:
    assert render(sql, values) == rendered


def test_a_name_that_is_too_long_is_refused() -> None:
    assert CAPABILITIES.kept("x" * 255) == "X" * 255
    with pytest.raises(ConfigError, match="longer than the 255 bytes that a name in Snowflake"):
        render(f'SELECT "{"x" * 256}"')
