"""Rows become files: cut by date, bounded, repeatable, and read back as they were."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sf_assets.storage import parquet_writer as parts
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.parquet_writer import DAY, MONTH, Layout, Written, unit_of, write_page
from sf_assets.storage.store import Store
from sf_assets.windows import BEGIN, Window

READ_AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
Row = dict[str, str | None]


def layout(unit: int = DAY, cursor: str | None = "Stamp") -> Layout:
    return Layout("org/raw/account", "S1", cursor, unit, "2026-11-21")


def batches(rows: Sequence[Row], size: int = 1000) -> list[pa.RecordBatch]:
    schema = pa.schema([("Id", pa.string()), ("Stamp", pa.string()), ("Text", pa.string())])
    table = pa.Table.from_pylist(list(rows), schema)
    return list(table.to_batches(max_chunksize=size))


def rows_of(stamps: Iterable[str | None]) -> list[Row]:
    return [{"Id": f"{n:018}", "Stamp": s, "Text": f"é{n % 3}"} for n, s in enumerate(stamps)]


def stamp(day: int, month: int = 11, year: int = 2026) -> str:
    return f"{year}-{month:02}-{day:02}T10:00:00.000Z"


def written_slice(written: Written, cursor: str | None = "Stamp") -> Slice:
    return Slice(
        org_id="org", object="Account", id="S1", kind=SliceKind.EXPORT, start=BEGIN, end=READ_AT,
        read_at=READ_AT, source="bulk", soql="", cursor=cursor, fields=("Id", "Stamp", "Text"),
        parts=tuple(written.parts),
    )  # fmt: skip


def read_back(store: Store, written: Written) -> list[dict[str, Any]]:
    return [
        r for rows in scan(store, written_slice(written)) for r in pl.DataFrame(rows).to_dicts()
    ]


def labels(written: Written) -> list[str]:
    return [part.label for part in written.parts]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/raw")


stamps = st.builds(
    "{}-{:02}-{:02}T{:02}:00:00.000Z".format,
    st.integers(1999, 2026), st.integers(1, 12), st.integers(1, 28), st.integers(0, 23),
)  # fmt: skip


@given(
    st.lists(st.none() | stamps, max_size=120).map(rows_of),
    st.sampled_from([DAY, MONTH]),
    st.integers(1, 60),
    st.sampled_from([1, 2000, parts.CHUNK_BYTES]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_rows_come_back_as_they_were_from_files_that_hold_what_their_names_say(
    store: Store, rows: list[Row], unit: int, size: int, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "CHUNK_BYTES", chunk)
        written = write_page(store, layout(unit), 0, batches(rows, size))
    back = read_back(store, written)
    assert sorted(back, key=lambda r: r["Id"]) == [
        row | {"_read_at": READ_AT, "_slice": "S1"} for row in rows
    ]
    cursors = [row["Stamp"] for row in rows if row["Stamp"]]
    assert (written.min_cursor, written.max_cursor) == (
        min(cursors, default=None), max(cursors, default=None),
    )  # fmt: skip
    assert (written.rows, written.known) == (len(rows), 0)
    for part in written.parts:
        assert f"/date={part.label}/" in part.path
        held = pq.read_table(io.BytesIO(store.get(part.path)))["Stamp"].to_pylist()
        assert len(held) == part.rows
        dates = {s[: len(part.label)] for s in held if s}
        assert dates == {part.label} or (part.label == "2026-11-21" and not dates)
        assert len(part.label) <= unit or not dates


def test_days_are_filed_by_day_and_wide_windows_by_month(store: Store) -> None:
    rows = rows_of([stamp(1), stamp(2), stamp(1), stamp(1, 12)])
    daily = write_page(store, layout(DAY), 0, batches(rows))
    assert sorted(labels(daily)) == ["2026-11-01", "2026-11-02", "2026-12-01"]
    assert sorted(p.rows for p in daily.parts) == [1, 1, 2]
    monthly = write_page(store, layout(MONTH), 0, batches(rows))
    assert sorted(labels(monthly)) == ["2026-11", "2026-12"]
    assert unit_of(Window(READ_AT - timedelta(days=31), READ_AT)) == DAY
    assert unit_of(Window(READ_AT - timedelta(days=32), READ_AT)) == MONTH
    assert unit_of(Window(BEGIN, READ_AT)) == MONTH


def test_rows_that_would_fall_into_crumbs_are_filed_by_coarser_dates(store: Store) -> None:
    days = rows_of(stamp(day, month) for month in (1, 2) for day in range(1, 29))
    assert sorted(labels(write_page(store, layout(DAY), 0, batches(days)))) == [
        "2026-01",
        "2026-02",
    ]
    months = rows_of(stamp(1, month, year) for year in range(2000, 2026) for month in (1, 7))
    years = labels(write_page(store, layout(MONTH), 0, batches(months)))
    assert sorted(years) == [str(year) for year in range(2000, 2026)]


def test_rows_without_a_cursor_are_filed_by_the_day_they_were_read(store: Store) -> None:
    rows = rows_of([stamp(1), stamp(2)])
    written = write_page(store, layout(cursor=None), 0, batches(rows))
    assert labels(written) == ["2026-11-21"]
    assert (written.min_cursor, written.max_cursor) == (None, None)
    assert labels(write_page(store, layout(), 0, batches(rows_of([None, None])))) == ["2026-11-21"]


def test_a_page_written_again_leaves_the_very_same_files(store: Store) -> None:
    rows = rows_of(stamp(1 + n % 5) for n in range(500))
    first = write_page(store, layout(), 7, batches(rows, 100))
    again = write_page(store, layout(), 7, batches(rows, 100))
    assert first == again
    assert len(list(store.list("org"))) == len(first.parts)
    other = write_page(store, layout(), 8, batches(rows, 100))
    assert not {p.path for p in first.parts} & {p.path for p in other.parts}


def test_a_page_of_any_size_is_written_a_bounded_chunk_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "CHUNK_BYTES", 20_000)
    rows = rows_of(stamp(1) for _ in range(5000))
    (batch,) = batches(rows[:100], 100)
    most = 20_000 // batch.nbytes + 1
    written = write_page(store, layout(), 0, batches(rows, 100))
    assert len(written.parts) > 5
    assert all(part.rows <= most * 100 for part in written.parts)
    assert sum(part.rows for part in written.parts) == 5000


def test_a_page_without_rows_leaves_no_file(store: Store) -> None:
    written = write_page(store, layout(), 0, [])
    assert written == Written() == write_page(store, layout(), 0, batches([]))
    assert list(store.list("org")) == []


def test_rows_that_raw_has_already_are_counted_and_left_out(store: Store) -> None:
    rows = rows_of([stamp(1), stamp(2), stamp(3), stamp(9)])
    written = write_page(store, layout(), 0, batches(rows), lambda table: table.slice(1, 2))
    assert (written.rows, written.known) == (4, 2)
    assert [row["Id"] for row in read_back(store, written)] == [rows[1]["Id"], rows[2]["Id"]]
    assert (written.min_cursor, written.max_cursor) == (stamp(2), stamp(3))
    nothing = write_page(store, layout(), 1, batches(rows), lambda table: table.slice(0, 0))
    assert (nothing.rows, nothing.known, nothing.parts) == (4, 4, [])


def test_manifests_know_the_sizes_and_checksums_of_their_files(store: Store) -> None:
    (part,) = write_page(store, layout(), 0, batches(rows_of([stamp(1)] * 3))).parts
    data = store.get(part.path)
    assert (part.bytes, part.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert part.rows == 3


def test_awkward_texts_and_nulls_come_back_as_they_were(store: Store) -> None:
    texts = ["", None, " ", "NA", "\x00", "a\r\nb\u2028", "😀" * 65_536, "x" * 131_072]
    rows: list[Row] = [
        {"Id": f"{n:018}", "Stamp": stamp(1), "Text": text} for n, text in enumerate(texts)
    ]
    written = write_page(store, layout(), 0, batches(rows))
    assert [row["Text"] for row in read_back(store, written)] == texts


def test_values_that_repeat_are_stored_once(store: Store) -> None:
    repeating: list[Row] = [
        {"Id": f"{n:018}", "Stamp": stamp(1), "Text": f"a long value {n % 3}" * 20}
        for n in range(20_000)
    ]
    (part,) = write_page(store, layout(), 0, batches(repeating)).parts
    columns = pq.ParquetFile(io.BytesIO(store.get(part.path))).metadata.row_group(0)
    assert columns.column(2).has_dictionary_page
    assert not columns.column(0).has_dictionary_page
