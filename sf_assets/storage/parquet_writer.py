"""Rows become Parquet: cut by day or month of the cursor, a file for each, page by page.

The folders are `date=2026-11-20` or `date=2026-11`: one hive key whatever the unit, so that any
engine can read them together, and prune by prefix.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sf_assets.columns.decimals import digits
from sf_assets.storage.manifest import Part
from sf_assets.storage.store import Store
from sf_assets.windows import Window

CHUNK_BYTES = 32 << 20
"""Arrow bytes held before they are written: what bounds the memory of a page being read."""

DAY, MONTH, YEAR = 10, 7, 4
"""Length of a stamp's prefix that names its day, month or year."""

_DAYS_BY_DAY = timedelta(days=31)
_FILES_A_CHUNK = 40
_SEEDS = (1, 2)
_SAMPLE_ROWS, _DISTINCT_SHARE = 4096, 0.3


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a slice are laid out.

    Attributes:
        folder: Folder of the object's files.
        slice_id: The slice they belong to.
        cursor: Column that rows are cut by; None to put them all under `label`.
        unit: Finest unit to cut by: `DAY` or `MONTH`.
        label: The date to file rows under that have no cursor.
        numbers: Room that describe gives number columns: digits before and after the point.
    """

    folder: str
    slice_id: str
    cursor: str | None
    unit: int
    label: str
    numbers: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Written:
    """What one page became.

    Attributes:
        rows: Rows parsed.
        known: Rows left out.
        parts: The files.
        min_cursor: Smallest cursor written.
        max_cursor: Greatest.
        digest: Sum of the hashes of all rows parsed; only where there is no cursor.
        digits: Room that the numbers written need, by column.
    """

    rows: int = 0
    known: int = 0
    parts: list[Part] = field(default_factory=list)
    min_cursor: str | None = None
    max_cursor: str | None = None
    digest: int = 0
    digits: dict[str, tuple[int, int]] = field(default_factory=dict)


def unit_of(window: Window) -> int:
    """The unit for a window's rows: days up to 31 of them, months beyond."""
    return DAY if window.end - window.start <= _DAYS_BY_DAY else MONTH


def write_page(
    store: Store,
    layout: Layout,
    page: int,
    batches: Iterable[pa.RecordBatch],
    unknown: Callable[[pa.Table], pa.Table] | None = None,
    *,
    see: Callable[[pa.Table], object] | None = None,
) -> Written:
    """Write the rows of one page.

    A page that is written again writes the same paths again.

    Args:
        store: Where to.
        layout: Folder, names and cuts.
        page: Number of the page within its slice.
        batches: The rows, all text.
        unknown: Leaves out the rows that need not be written.
        see: Is shown all rows, a chunk at a time.
    """
    written = Written(digits=dict(layout.numbers))
    for number, parsed in enumerate(_chunks(batches)):
        chunk = unknown(parsed) if unknown else parsed
        written.rows += parsed.num_rows
        written.known += parsed.num_rows - chunk.num_rows
        if see:
            see(parsed)
        if layout.cursor is None:
            written.digest += digest(parsed)
        if not chunk.num_rows:
            continue
        _note_cursor(written, chunk, layout.cursor)
        _note_digits(written, chunk)
        dictionary, nul = repetitive(chunk), _may_hold_nul(chunk)
        for label, rows in _cut(chunk, layout):
            name = f"{layout.slice_id}-p{page:05d}-c{number:03d}.parquet"
            path = f"{layout.folder}/date={label}/{name}"
            written.parts.append(write_part(store, path, rows, dictionary, label, nul=nul))
    return written


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= CHUNK_BYTES:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if size:
        yield pa.Table.from_batches(held)


def _note_cursor(written: Written, chunk: pa.Table, cursor: str | None) -> None:
    """Widen the page's cursor range. Stamps of one form compare as text."""
    if cursor is None:
        return
    low, high = pc.min_max(chunk[cursor]).as_py().values()
    written.min_cursor = min(filter(None, (written.min_cursor, low)), default=None)
    written.max_cursor = max(filter(None, (written.max_cursor, high)), default=None)


def _note_digits(written: Written, chunk: pa.Table) -> None:
    """Widen the room that the page's numbers need."""
    for name, room in written.digits.items():
        written.digits[name] = digits(pl.Series(chunk[name]), *room)


def most_digits(pages: Iterable[Mapping[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """Room that the numbers of several pages or slices need: of columns that all of them tell."""
    found = list(pages)
    told = set(found[0]).intersection(*found[1:]) if found else set()
    return {
        name: (max(page[name][0] for page in found), max(page[name][1] for page in found))
        for name in sorted(told)
    }


def _cut(chunk: pa.Table, layout: Layout) -> Iterator[tuple[str, pa.Table]]:
    """Split a chunk by unit, or by a coarser one where it would fall into crumbs."""
    if layout.cursor is None:
        yield layout.label, chunk
        return
    stamps = chunk[layout.cursor].combine_chunks()
    for unit in [u for u in (DAY, MONTH, YEAR) if u <= layout.unit]:
        labels = pc.utf8_slice_codeunits(stamps, 0, unit).dictionary_encode()
        if len(labels.dictionary) <= _FILES_A_CHUNK or unit == YEAR:
            break
    if len(labels.dictionary) == 1:
        yield labels.dictionary[0].as_py(), chunk
        return
    order = pc.sort_indices(labels.indices)
    rows = chunk.take(order)
    runs = pc.run_end_encode(labels.indices.take(order))
    start = 0
    for end, index in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
        label = layout.label if index is None else labels.dictionary[index].as_py()
        yield label, rows.slice(start, end - start)
        start = end


def digest(rows: pa.Table) -> int:
    """Sum of the hashes of rows: the same for the same rows in any order."""
    hashes = [pl.DataFrame(rows).hash_rows(seed).to_list() for seed in _SEEDS]
    return int(sum(hashes[0]) + (sum(hashes[1]) << 64))


def repetitive(chunk: pa.Table) -> list[str]:
    """Columns whose values repeat, judged by a sample: a dictionary slows the others down.

    Args:
        chunk: Rows; the first few thousand are looked at.
    """
    sample = chunk.slice(0, _SAMPLE_ROWS)
    few = sample.num_rows * _DISTINCT_SHARE
    return [n for n in sample.column_names if pc.count_distinct(sample[n]).as_py() <= few]


def write_part(
    store: Store, path: str, rows: pa.Table, dictionary: list[str], label: str, *, nul: bool
) -> Part:
    """Write rows as one file; the arguments are as `Part` has them."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows, sink, compression="zstd", use_dictionary=dictionary, write_statistics=["Id"]
    )
    data = memoryview(sink.getvalue()).cast("B")
    store.put(path, data)
    return Part(
        path=path,
        rows=rows.num_rows,
        bytes=data.nbytes,
        sha256=hashlib.sha256(data).hexdigest(),
        label=label,
        nul=nul,
    )


def _may_hold_nul(rows: pa.Table) -> bool:
    """Whether there is a NUL in the texts, found by a look at their bytes as one piece.

    Of a slice of a table these are the bytes of all of it.
    """
    texts = [column for column in rows.columns if pa.types.is_string(column.type)]
    bodies = [chunk.buffers()[2] for column in texts for chunk in column.chunks]
    return any(body and not np.frombuffer(body, np.uint8).min() for body in bodies)
