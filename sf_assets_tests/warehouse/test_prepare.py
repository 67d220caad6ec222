"""What merges need is made before they begin, by what manifests tell of the slices' numbers."""

from collections.abc import Iterator

import duckdb
import polars as pl
import pytest

from sf_assets.columns.column import Column, ColumnKind
from sf_assets.errors import CountMismatchError
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.storage.parquet_writer import most_digits
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.sql import intact, merge, ops
from sf_assets.warehouse.sql.tables import Table
from sf_assets_tests.warehouse.test_patch import piece, stamp

COLUMNS = {
    "Id": Column("Id", ColumnKind.TEXT),
    "SystemModstamp": Column("SystemModstamp", ColumnKind.TIMESTAMP),
    "Total__c": Column("Total__c", ColumnKind.DECIMAL, integers=4, scale=2),
}


@pytest.fixture
def table() -> Iterator[Table]:
    with duckdb.connect() as raw:
        connection = DuckDBConnection(raw)
        connection.execute("SET TimeZone = 'UTC'")
        ops.bring_up(connection)
        yield Table(connection, "silver", "account")


def numbers(
    minute: int, *totals: str, digits: dict[str, tuple[int, int]] | None = None
) -> tuple[Slice, pl.DataFrame]:
    rows = [
        {"Id": f"r{i}", "SystemModstamp": stamp(minute), "Total__c": t}
        for i, t in enumerate(totals)
    ]
    made, frame = piece(minute, SliceKind.EXPORT, rows, list(COLUMNS))
    return made.model_copy(update={"digits": digits or {}}), frame


def load(table: Table, *slices: tuple[Slice, pl.DataFrame], reads: list[str]) -> None:
    frames = {made.id: frame for made, frame in slices}

    def read(made: Slice) -> list[pl.DataFrame]:
        reads.append(made.id)
        return [frames[made.id]]

    list(merge.merge(table, [made for made, _ in slices], COLUMNS, read))


def stored(table: Table) -> tuple[str, list[str]]:
    """The type of the numbers, and what they are."""
    rows = table.connection.execute(f"SELECT Total__c FROM {table.name} ORDER BY Id")
    return table.types()["Total__c"], [str(value) for (value,) in rows]


def test_room_is_made_by_the_manifest_and_rows_are_read_once(table: Table) -> None:
    reads: list[str] = []
    first = numbers(1, "1.5", digits={"Total__c": (4, 2)})
    second = numbers(2, "1.5", "123456.789", digits={"total__C": (6, 3)})

    load(table, first, second, reads=reads)

    assert stored(table) == ("DECIMAL(9,3)", ["1.500", "123456.789"])
    assert sorted(reads) == sorted([first[0].id, second[0].id])


def test_a_slice_of_an_earlier_release_is_counted(table: Table) -> None:
    load(table, numbers(1, "123456.789"), reads=[])

    assert stored(table) == ("DECIMAL(9,3)", ["123456.789"])


def test_a_manifest_that_tells_too_few_digits_is_refused(table: Table) -> None:
    with pytest.raises(CountMismatchError, match="more digits than its manifest says"):
        load(table, numbers(1, "1234567", digits={"Total__c": (4, 2)}), reads=[])
    assert table.is_empty()


def test_what_was_made_for_a_merge_that_did_not_come_to_pass_is_silvers_own(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(table, numbers(1, "1.5"), reads=[])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(merge, "_merge_batches", killed)
    with pytest.raises(KeyboardInterrupt):
        load(table, numbers(2, "123456.789"), reads=[])

    assert stored(table) == ("DECIMAL(9,3)", ["1.500"])
    assert intact.changed(table.connection, "00D1", {"": "silver"}) == {}


@pytest.mark.parametrize("told", [None, {"Total__c": (38, 38)}], ids=["counted", "told too much"])
def test_a_number_with_too_many_digits_takes_the_place_of_no_other(
    table: Table, told: dict[str, tuple[int, int]] | None
) -> None:
    totals = ("12345678.25", "0.00000000000000005551115123125783", "5.5")
    load(table, numbers(1, *totals, digits=told), reads=[])

    kind, values = stored(table)
    assert kind == "DECIMAL(38,30)"
    assert [value.rstrip("0") for value in values] == ["12345678.25", "None", "5.5"]


def test_several_tell_only_what_all_of_them_tell() -> None:
    told = [{"a": (1, 5), "b": (2, 0)}, {"a": (4, 2)}]
    assert most_digits(told) == {"a": (4, 5)}
    assert most_digits([]) == {}
