"""A warehouse of an earlier release, or that others worked on, is brought up; a cut one is told."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from sf_assets.errors import ConfigError, WarehouseDamagedError
from sf_assets.warehouse.builds import Build
from sf_assets.warehouse.duckdb.database import Database
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.gold import Gold

FIRST = """
CREATE SCHEMA ops;
CREATE TABLE ops.orgs (name VARCHAR PRIMARY KEY, org_id VARCHAR NOT NULL);
CREATE TABLE ops.slices (org_id VARCHAR, object VARCHAR, slice VARCHAR, kind VARCHAR);
CREATE VIEW ops.sync_log AS SELECT org_id, object, slice FROM ops.slices;
INSERT INTO ops.orgs VALUES ('default', '00D1');
INSERT INTO ops.slices VALUES ('00D1', 'account', 's1', 'export'), ('00D1', 'gone', 's2', 'export');
CREATE SCHEMA silver;
CREATE TABLE silver.account (Id VARCHAR NOT NULL, Amount DECIMAL(18, 2), _slice VARCHAR);
"""
"""Notes as an early release made them: most tables and columns are lacking."""

UNVERSIONED = "CREATE SCHEMA ops;" + "".join(
    f"CREATE TABLE ops.{table} ({columns});"
    for table, columns in ops._TABLES.items()  # noqa: SLF001
    if table not in {"schema_version", "tables"}
)
"""Notes as the last release without a schema version made them."""


@pytest.fixture
def warehouse(tmp_path: Path) -> Database:
    return Database(f"duckdb:///{tmp_path}/sf.duckdb")


def write(warehouse: Database, statements: str) -> None:
    with duckdb.connect(warehouse.path) as connection:
        connection.execute(statements)


@pytest.mark.parametrize("before", [FIRST, UNVERSIONED, ""])
@pytest.mark.parametrize("read_only", [True, False])
def test_an_older_warehouse_is_brought_up(
    warehouse: Database, before: str, *, read_only: bool
) -> None:
    write(warehouse, before)

    with warehouse.connect(read_only=read_only) as connection:
        assert ops.is_current(connection)
        assert connection.types("ops", "sync_log")["error"] == "VARCHAR"

    with warehouse.connect() as connection:
        version = connection.execute("FROM ops.schema_version")
    with warehouse.connect() as connection:
        assert connection.execute("FROM ops.schema_version") == version


def test_the_columns_of_older_tables_are_noted_once(warehouse: Database) -> None:
    write(warehouse, FIRST)

    with warehouse.connect() as connection:
        noted = connection.execute("SELECT object, columns FROM ops.tables ORDER BY 1")

    assert noted == [
        ("account", ["Id VARCHAR", "Amount DECIMAL(18,2)", "_slice VARCHAR"]),
        ("gone", None),
    ]


def test_of_older_notes_no_slice_is_missed_that_may_have_been_replaced(
    warehouse: Database,
) -> None:
    write(
        warehouse,
        f"{FIRST} INSERT INTO ops.slices VALUES ('00D1', 'account', 's3', 'compacted'), "
        "('00D1', 'account', 's4', 'deletions')",
    )

    with warehouse.connect() as connection:
        rows = connection.execute("SELECT slice FROM ops.replaced ORDER BY 1")

    assert rows == [("s1",), ("s3",)]


GOLD_WAS_MARKED = """
CREATE SCHEMA ops;
CREATE TABLE ops.schema_version (version INTEGER, schema VARCHAR, made_at TIMESTAMPTZ);
INSERT INTO ops.schema_version VALUES (1, 'f16f93d', now());
CREATE TABLE ops.gold_late (org_id VARCHAR, name VARCHAR);
CREATE TABLE ops.gold_builds (
    org_id VARCHAR, name VARCHAR, built_at TIMESTAMPTZ, rows BIGINT
);
INSERT INTO ops.gold_late VALUES ('00D1', 'accounts');
INSERT INTO ops.gold_builds VALUES ('00D1', 'leads', '2026-11-01', 7);
"""
"""Notes of the last release that kept which gold tables are late."""


def test_gold_that_was_built_by_no_known_query_is_built_anew(warehouse: Database) -> None:
    write(warehouse, GOLD_WAS_MARKED)

    with warehouse.connect() as connection:
        assert ops.is_current(connection)
        tables = connection.execute("SELECT table_name FROM duckdb_tables()")
        assert ("gold_late",) not in tables
        gold = Gold(connection, "00D1", "silver", "gold")
        assert gold.builds() == {}
        build = Build("1234", {"silver.lead": "m1"}, datetime(2026, 11, 2, tzinfo=UTC), 8)
        gold.note_build("leads", build)
        assert gold.builds() == {"leads": build}


@pytest.mark.parametrize(
    "dropped",
    ["VIEW ops.sync_log", "TABLE ops.failures", "TABLE ops.slices", "TABLE ops.schema_version"],
)
def test_what_others_dropped_from_ops_is_made_again(warehouse: Database, dropped: str) -> None:
    with warehouse.connect():
        pass
    write(warehouse, f"DROP {dropped} CASCADE")

    with warehouse.connect() as connection:
        assert ops.is_current(connection)


def test_a_warehouse_of_a_newer_release_is_refused(warehouse: Database) -> None:
    with warehouse.connect():
        pass
    write(warehouse, "UPDATE ops.schema_version SET version = 999")

    with pytest.raises(ConfigError, match="newer release"), warehouse.connect():
        pass


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(_: bytes) -> bytes:
    return b""


def overwritten(_: bytes) -> bytes:
    return b"no database at all\n" * 1000


def flipped(content: bytes) -> bytes:
    """One bit of every block is another."""
    flipped = bytearray(content)
    flipped[5000 :: 64 << 10] = bytes(byte ^ 1 for byte in flipped[5000 :: 64 << 10])
    return bytes(flipped)


@pytest.mark.parametrize("damage", [cut, emptied, overwritten, flipped])
def test_a_damaged_file_is_told_and_can_be_put_aside(
    warehouse: Database, damage: Callable[[bytes], bytes]
) -> None:
    write(warehouse, "CREATE TABLE a AS SELECT range i, md5(range::VARCHAR) m FROM range(50000)")
    content = damage(warehouse.path.read_bytes())
    warehouse.path.write_bytes(content)
    Path(f"{warehouse.path}.wal").write_bytes(b"")

    with pytest.raises(WarehouseDamagedError, match="sf-assets rebuild"):
        warehouse.check()

    aside = warehouse.quarantine()
    assert aside.name.startswith("sf.duckdb.broken-")
    with warehouse.connect() as connection:
        assert ops.is_current(connection)
    warehouse.check()


def test_a_value_that_looks_like_damage_is_none(warehouse: Database) -> None:
    with suppress(Exception), warehouse.connect() as connection:
        connection.execute("SELECT ?::INT", ["Corrupt database file: not a valid DuckDB database"])

    with pytest.raises(Exception, match="cannot be converted"), warehouse.connect() as connection:
        connection.execute("SELECT ?::INT", ["Corrupt database file"])
