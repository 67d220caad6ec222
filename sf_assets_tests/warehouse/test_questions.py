"""Questions to the warehouse, as other people's assets ask them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sf_assets.assets.resources import WarehouseResource
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
        ("COPY (SELECT 1) TO '{folder}/x.csv'", "only reads"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/x.csv'", "only reads"),
        ("SELECT 1; SELECT 2", "one question: .* this is SELECT, SELECT"),
        ("SET threads = 1", "only reads"),
        ("CREATE TEMP TABLE u AS FROM t", "this is CREATE"),
        ("ATTACH '{folder}/other.duckdb'", "only reads"),
        ("SELECT 1 WHERE", "refused: Parser Error"),
    ],
)
def test_nothing_is_changed_by_a_question(warehouse: Database, statement: str, said: str) -> None:
    folder = warehouse.path.parent
    with pytest.raises(WarehouseError, match=said):
        warehouse.query(statement.format(folder=folder))
    assert [path.name for path in folder.iterdir()] == ["warehouse.duckdb"]
    assert warehouse.query("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 1}]


@pytest.mark.parametrize(
    "question",
    [
        "FROM t",
        "SELECT 1 AS n; -- the end",
        "WITH a AS (SELECT 1 AS n) FROM a",
        "DESCRIBE t",
        "SUMMARIZE t",
        "SHOW TABLES",
        "PIVOT t ON moment USING count(*)",
        "EXPLAIN SELECT 1",
        "explain analyze FROM t",
        "EXPLAIN (FORMAT json) FROM t",
        "VALUES (1)",
    ],
)
def test_every_kind_of_question_is_answered(warehouse: Database, question: str) -> None:
    assert len(warehouse.query(question))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("{folder}/none.duckdb", r"there is no warehouse .*none\.duckdb yet"),
        ("{folder}", "cannot be opened: it is a folder.* or the resource's url"),
        ("{folder}/w.duckdb?nope=1", "DuckDB has no setting nope"),
        (
            "{folder}/w.duckdb?threads=many",
            "by one of the settings behind .*: threads",
        ),
    ],
)
def test_an_address_that_is_wrong_is_told_for_what_it_is(
    warehouse: Database, address: str, said: str
) -> None:
    folder = warehouse.path.parent
    (folder / "w.duckdb").write_bytes(warehouse.path.read_bytes())
    resource = WarehouseResource(url=f"duckdb:///{address.format(folder=folder)}")
    with pytest.raises(WarehouseError, match=said):
        resource.query("SELECT 1")


def test_what_is_no_text_is_no_question(warehouse: Database) -> None:
    resource = WarehouseResource(url=f"duckdb:///{warehouse.path}")
    with pytest.raises(WarehouseError, match="takes SQL as text, and was given NoneType"):
        resource.query(None)  # type: ignore[arg-type]
