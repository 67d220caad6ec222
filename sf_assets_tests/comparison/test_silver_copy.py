"""The org's answers held against silver: typed, version by version, in bounded memory."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from sf_assets.columns.column import Column, ColumnKind
from sf_assets.comparison.silver_copy import SilverCopy
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.silver import Silver
from sf_assets.warehouse.sql.tables import Table

COLUMNS = {
    "Id": Column("Id", ColumnKind.TEXT),
    "SystemModstamp": Column("SystemModstamp", ColumnKind.TIMESTAMP),
    "Total__c": Column("Total__c", ColumnKind.DECIMAL, integers=4, scale=2),
    "Due__c": Column("Due__c", ColumnKind.DATE),
    "Label__c": Column("Label__c", ColumnKind.TEXT),
    "Tags__c": Column("Tags__c", ColumnKind.LIST),
}
STAMP = "2026-11-20T10:00:00.000Z"


@pytest.fixture
def aside(tmp_path: Path) -> SilverCopy:
    connection = DuckDBConnection(duckdb.connect())
    connection.execute("SET TimeZone = 'UTC'")
    ops.bring_up(connection)
    table = Table(connection, "silver", "account")
    table.ensure([column for name, column in COLUMNS.items() if name != "Label__c"])
    connection.execute(
        "INSERT INTO silver.account BY NAME SELECT * FROM (VALUES "
        "('a', 12.50::DECIMAL(6, 2), DATE '2026-01-31', ['x', 'y'], false), "
        "('b', NULL, NULL, NULL, false), ('gone', NULL, NULL, NULL, true)"
        ") v(Id, Total__c, Due__c, Tags__c, _deleted), (SELECT TIMESTAMPTZ "
        f"'{STAMP}' AS _cursor)"
    )
    silver = Silver(connection, "silver", "restricted")
    path = tmp_path / "aside.parquet"
    return silver.copy_columns("account", COLUMNS, "SystemModstamp", path)


def told(*rows: tuple[str | None, ...]) -> pa.Table:
    schema = dict.fromkeys(COLUMNS, pl.String)
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .to_arrow()
        .cast(pa.schema([(name, pa.string()) for name in COLUMNS]))
    )


def ids(rows: pa.Table) -> list[str]:
    return [str(i) for i in rows["Id"].to_pylist()]


def test_values_are_compared_as_what_they_mean(aside: SilverCopy) -> None:
    assert aside.rows == 2
    same = told(
        ("a", STAMP, "12.5", "2026-01-31", None, "x;y"), ("b", STAMP, None, None, None, None)
    )
    assert ids(aside.unlike(same)) == []
    assert aside.drift(pl.DataFrame(same))[0] == 2
    for row in [
        ("a", STAMP, "1.251E1", "2026-01-31", None, "x;y"),
        ("a", STAMP, "123456789.5", "2026-01-31", None, "x;y"),
        ("a", STAMP, None, "2026-01-31", None, "x;y"),
        ("a", STAMP, "12.5", "2026-02-01", None, "x;y"),
        ("a", STAMP, "12.5", "2026-01-31", "a column that silver has not yet", "x;y"),
        ("a", STAMP, "12.5", "2026-01-31", None, "y;x"),
    ]:
        assert ids(aside.unlike(told(row))) == ["a"], row
        rows, differing = aside.drift(pl.DataFrame(told(row)))
        assert (rows, sum(differing.values())) == (1, 1)


def test_numbers_of_any_room_are_compared(tmp_path: Path) -> None:
    """A type that held both sides would have more digits than a number can."""
    with duckdb.connect() as raw:
        connection = DuckDBConnection(raw)
        connection.execute("SET TimeZone = 'UTC'")
        ops.bring_up(connection)
        Table(connection, "silver", "account").ensure(list(COLUMNS.values()))
        connection.execute("ALTER TABLE silver.account ALTER COLUMN Total__c TYPE DECIMAL(38, 30)")
        connection.execute(
            "INSERT INTO silver.account BY NAME SELECT 'a' AS Id, false AS _deleted, "
            f"TIMESTAMPTZ '{STAMP}' AS _cursor, 12345678.25 AS Total__c"
        )
        path = tmp_path / "aside.parquet"
        held = Silver(connection, "silver", "restricted").copy_columns(
            "account", COLUMNS, "SystemModstamp", path
        )
    for total, differs in (("12345678.25", 0), ("12345678901234567890.5", 1), ("1E-25", 1)):
        row = pl.DataFrame(told(("a", STAMP, total, None, None, None)))
        assert held.drift(row) == (1, dict.fromkeys(held.compared, 0) | {"Total__c": differs})


def test_other_versions_and_other_records_are_left_alone(aside: SilverCopy) -> None:
    later = "2026-11-20T10:00:01.000Z"
    rows = told(
        ("new", STAMP, "1", None, None, None),
        ("a", later, "1", None, None, None),
        ("gone", STAMP, "1", None, None, None),
        ("b", STAMP, "1", None, None, None),
    )
    assert ids(aside.unlike(rows)) == ["b"]
    assert aside.drift(pl.DataFrame(rows))[0] == 1


def test_a_text_that_the_warehouse_cannot_hold_is_none_on_both_sides(aside: SilverCopy) -> None:
    rows = told(("b", STAMP, None, None, None, None))
    long = told(("b", STAMP, None, None, "too long", None))
    bounded = replace(aside, longest=7)
    assert ids(aside.unlike(long)) == ["b"]
    assert ids(bounded.unlike(long)) == ids(bounded.unlike(rows)) == []


_PROGRAM = """
import resource, sys
from pathlib import Path
import duckdb, pyarrow as pa
from sf_assets.columns.column import Column, ColumnKind
from sf_assets.comparison.silver_copy import SilverCopy
path, rows = Path(sys.argv[1]), int(sys.argv[2])
duckdb.connect(config={"memory_limit": "200MB", "preserve_insertion_order": False}).execute(
    "COPY (SELECT lpad(i::VARCHAR, 18, '0') AS Id, TIMESTAMPTZ '2026-11-20 10:00:00+00' AS _cursor,"
    f" md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS T FROM range({rows}) r(i)) TO '{path}'"
)
kinds = {"Id": ColumnKind.TEXT, "C": ColumnKind.TIMESTAMP, "T": ColumnKind.TEXT}
columns = {name: Column(name, kind) for name, kind in kinds.items()}
aside = SilverCopy(path, columns, "C", rows)
for start in range(0, rows, rows // 4):
    ids = [f"{i:018d}" for i in range(start, start + 50_000)]
    chunk = pa.table({"Id": ids, "C": ["2026-11-20T10:00:00.000Z"] * 50_000, "T": ["x"] * 50_000})
    assert len(aside.unlike(chunk)) == 50_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.more
def test_memory_does_not_grow_with_the_object(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        done = subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-c", _PROGRAM, str(tmp_path / f"{rows}.parquet"), str(rows)],
            capture_output=True,
            text=True,
            check=True,
            timeout=200,
        )
        return int(done.stdout.split()[-1])

    small, large = peak(200_000), peak(4_000_000)
    assert large < small + 200, f"{small} MB for 200,000 rows, {large} MB for 4,000,000"
