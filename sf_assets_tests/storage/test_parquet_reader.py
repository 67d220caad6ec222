"""Reading slices back: whole, or not at all."""

from pathlib import Path

import polars as pl
import pytest

from sf_assets.errors import StorageError
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.parquet_writer import Written, write_page
from sf_assets.storage.store import Store
from sf_assets_tests.storage.test_parquet_writer import (
    READ_AT,
    batches,
    layout,
    rows_of,
    stamp,
    written_slice,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/raw")


@pytest.fixture
def written(store: Store) -> Written:
    return write_page(store, layout(), 0, batches(rows_of([stamp(1), stamp(2), stamp(3)])))


@pytest.mark.parametrize(
    ("heap", "sizes"), [(0, [1, 1, 1]), (60, [2, 1]), (16 << 20, [3])], ids=str
)
def test_small_files_are_read_together_with_read_time_and_name(
    store: Store, written: Written, monkeypatch: pytest.MonkeyPatch, heap: int, sizes: list[int]
) -> None:
    monkeypatch.setattr("sf_assets.storage.parquet_reader._HEAP_BYTES", heap)
    heaps = list(scan(store, written_slice(written)))
    assert [len(rows) for rows in heaps] == sizes
    for rows in heaps:
        assert rows.columns == ["Id", "Stamp", "Text", "_read_at", "_slice"]
        assert rows["_read_at"].to_list() == [READ_AT] * len(rows)
        assert rows["_slice"].to_list() == ["S1"] * len(rows)


def test_only_the_columns_asked_for_are_read(store: Store, written: Written) -> None:
    (first, *_) = scan(store, written_slice(written), ["Id"])
    assert pl.DataFrame(first).columns == ["Id", "_read_at", "_slice"]


def test_an_empty_slice_has_no_rows(store: Store) -> None:
    assert list(scan(store, written_slice(Written()))) == []


def test_a_file_that_is_gone_is_named_with_what_to_do(store: Store, written: Written) -> None:
    store.delete([written.parts[1].path])
    with pytest.raises(StorageError, match=r"is gone.*reconcile --repair") as caught:
        list(scan(store, written_slice(written)))
    assert store.uri(written.parts[1].path) in str(caught.value)


@pytest.mark.parametrize("position", [0, 100, -1])
def test_a_file_with_one_wrong_bit_is_not_read(
    store: Store, written: Written, position: int
) -> None:
    path = written.parts[0].path
    data = bytearray(store.get(path))
    data[position] ^= 1
    store.put(path, bytes(data))
    with pytest.raises(StorageError, match="not what was written") as caught:
        list(scan(store, written_slice(written)))
    assert store.uri(path) in str(caught.value)


def test_a_file_cut_short_is_not_read(store: Store, written: Written) -> None:
    path = written.parts[0].path
    store.put(path, store.get(path)[:-1])
    with pytest.raises(StorageError, match="not what was written"):
        list(scan(store, written_slice(written)))
