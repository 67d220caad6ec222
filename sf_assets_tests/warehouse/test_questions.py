"""Questions to the warehouse, as other people's assets ask them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sf_assets.errors import WarehouseError
from sf_assets.warehouse.duckdb.database import Database


@pytest.fixture
def warehouse(tmp_path: Path) -> Database:
    found = Database(f"duckdb:///{tmp_path}/warehouse.duckdb")
    with found.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT TIMESTAMPTZ '2026-01-02 03:04:05Z' AS moment")
    return found


def test_an_answer_outlives_its_connection_and_its_times_are_utc(warehouse: Database) -> None:
    table = warehouse.query("SELECT moment FROM t")
    assert str(table.schema.field("moment").type) == "timestamp[us, tz=UTC]"
    assert table.to_pylist() == [{"moment": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM t", "only reads"),
        ("DROP TABLE t", "only reads"),
        ("SELECT 1; CREATE TABLE u AS FROM t", "only reads"),
        ("SELECT nope FROM t", "refused: Binder Error"),
        ("SELECT 'attached in read-only mode'::INT", "refused: a value cannot"),
        ("-- nothing", "is none"),
    ],
)
def test_nothing_is_changed_by_a_question(warehouse: Database, statement: str, said: str) -> None:
    with pytest.raises(WarehouseError, match=said):
        warehouse.query(statement)
    assert warehouse.query("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 1}]
