"""A row without an Id is nobody's: it is told as rejected, and all others are merged."""

from typing import Any

import duckdb
import polars as pl
import pytest

from sf_assets.storage.manifest import Slice
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.merge import merge, rebuild
from sf_assets.warehouse.sql.tables import Table
from sf_assets_tests.warehouse.test_patch import COLUMNS, export, fields

NOBODY: Any = None


@pytest.mark.parametrize("first", [True, False], ids=["first load", "later"])
@pytest.mark.parametrize("history", [True, False], ids=["history", "no history"])
def test_a_row_without_an_id_keeps_no_other_from_silver(first: bool, history: bool) -> None:
    odd = export(2, (NOBODY, 1, "nobody", "1"), ("b", 1, "B", "2"))
    amended = fields(3, (NOBODY, 1, "7"), ("b", 1, "3"))
    read = [odd, amended] if first else [export(1, ("a", 1, "A", "1")), odd, amended]
    frames: dict[str, pl.DataFrame] = {made.id: frame for made, frame in read}

    def rows(piece: Slice) -> list[pl.DataFrame]:
        return [frames[piece.id]]

    def right() -> None:
        found = connection.execute(f"SELECT Id, Score__c FROM {table.name} ORDER BY Id")
        assert found == [("b", 3)] if first else [("a", 1), ("b", 3)]
        told = connection.execute(f"SELECT Id, reason, _slice FROM {table.rejects} ORDER BY _slice")
        reason = "a record without an Id"
        assert told == [(None, reason, odd[0].id), (None, reason, amended[0].id)]

    with duckdb.connect() as raw:
        connection = DuckDBConnection(raw)
        connection.execute("SET TimeZone = 'UTC'")
        ops.bring_up(connection)
        table = Table(connection, "silver", "account", history)
        for made, _ in read:
            for outcome in merge(table, [made], COLUMNS, rows):
                assert outcome.agrees
        right()
        rebuild(table, "00D1", [made for made, _ in read], COLUMNS, rows)
        right()
