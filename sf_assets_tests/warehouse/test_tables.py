"""Silver tables as they are made, widened and re-spelt."""

import duckdb
import pytest

from sf_assets.columns.column import Column, ColumnKind
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.sql.tables import Table
from sf_assets.warehouse.sql.types import type_of

ID, ROOM = (
    Column("Id", ColumnKind.TEXT),
    Column("Room_no__c", ColumnKind.DECIMAL, integers=3, scale=1),
)


@pytest.fixture
def table() -> Table:
    table = Table(DuckDBConnection(duckdb.connect()), "silver", "room__c")
    table.ensure([ID, ROOM])
    table.make_view()
    row = "'a', 1.5, now(), now(), 's', false"
    table.connection.execute(f"INSERT INTO {table.name} VALUES ({row})")
    rejected = "('a', 'Room_no__c', 'x', 'no number', 's'), ('a', 'Other', 'x', 'no', 's')"
    table.connection.execute(f"INSERT INTO {table.rejects} VALUES {rejected}")
    return table


def test_a_column_that_is_spelt_anew_is_the_same_column(table: Table) -> None:
    again = Column("ROOM_No__c", ColumnKind.DECIMAL, integers=4, scale=1)
    assert table.conflicts([again]) == []
    actual = table.ensure([ID, again])
    assert type_of(actual["ROOM_No__c"]) == "DECIMAL(5, 1)"
    table.make_view()
    assert list(table.types().items()) == [("Id", "VARCHAR"), ("ROOM_No__c", "DECIMAL(5,1)")]
    run = table.connection.execute
    assert run("SELECT ROOM_No__c FROM silver.room__c_live")[0][0] is not None
    rejects = run(f'SELECT "column" FROM {table.rejects} ORDER BY 1')
    assert rejects == [("Other",), ("ROOM_No__c",)]


def test_a_column_of_another_kind_is_a_conflict_in_any_spelling(table: Table) -> None:
    assert table.conflicts([Column("room_NO__c", ColumnKind.TEXT)]) == ["room_NO__c"]
