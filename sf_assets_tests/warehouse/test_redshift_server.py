"""A warehouse in what stands for Redshift: a PostgreSQL that speaks, and refuses, as that does."""

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
    WarehouseError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from sf_assets.storage.bucket import Access
from sf_assets.storage.store import Store
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.sql import forgetting
from sf_assets_tests import redshift as emulated
from sf_assets_tests.conftest import Workspace

redshift = pytest.importorskip("redshift_connector")

from sf_assets.warehouse.redshift.address import read_address  # noqa: E402
from sf_assets.warehouse.redshift.connection import RedshiftConnection  # noqa: E402
from sf_assets.warehouse.redshift.loading import FEW, Staging  # noqa: E402
from sf_assets.warehouse.redshift.render import LONGEST_TEXT  # noqa: E402

pytestmark = pytest.mark.clouds

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


def test_more_rows_than_a_cursor_tells_at_once_are_all_told(
    connection: RedshiftConnection, tmp_path: Path
) -> None:
    connection.execute("CREATE TABLE silver.n (n BIGINT)")
    connection.load("silver.n", pl.DataFrame({"n": range(2500)}))
    assert connection.copy("SELECT n FROM silver.n ORDER BY n", tmp_path / "n.parquet") == 2500
    assert pq.read_table(tmp_path / "n.parquet")["n"].to_pylist() == list(range(2500))
    assert connection.copy("SELECT n FROM silver.n WHERE n < 0", tmp_path / "0.parquet") == 0


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


def test_no_value_is_logged_however_much_is(
    connection: RedshiftConnection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(connection.error):
            connection.run(f"SELECT CAST(x AS DATE) FROM (SELECT '{SECRET}' AS x) AS q")
        logging.getLogger("of.others").debug("said")
    assert SECRET not in caplog.text
    assert "said" in caplog.text


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


def test_what_gave_way_to_another_transaction_is_told_as_that(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RedshiftConnection.run
    told = {"S": "ERROR", "C": "XX000", "M": "1023", "D": "Serializable isolation violation"}

    def refusing(connection: RedshiftConnection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if sql.startswith('INSERT INTO "ops"."forgotten"'):
            raise redshift.error.ProgrammingError(told)
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
        with pytest.raises(WarehouseLockedError, match="not kept, run again"):
            session.note_forgotten("account", {"x"})
    with warehouse.reading("00D1", "default") as session:
        assert session.forgotten("account") == set()
