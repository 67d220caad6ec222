"""Compaction: many small slices of an object become one. No row, and no row's origin, is lost.

Slices stay as they are; the new one names those whose place it takes. They are removed when nobody
can be reading them any more.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa

from sf_assets.errors import CountMismatchError
from sf_assets.storage.manifest import Counts, Slice, SliceKind, new_slice_id
from sf_assets.storage.parquet_reader import ORIGIN, scan
from sf_assets.storage.parquet_writer import MONTH, Layout, most_digits, write_page
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.windows import BEGIN, Window

MANY = 24
"""So many small slices are worth making one."""

_SMALL_ROWS = 1_000_000
_RECENT = timedelta(hours=2)
"""Slices that ticks still compare with are left alone: they are read again and again."""

_GRACE = timedelta(hours=1)
"""A slice is removed so long after another one has taken its place."""

_COMPACTABLE = frozenset({SliceKind.EXPORT, SliceKind.RECORDS})
_ORIGIN_TYPES = dict(zip(ORIGIN, (pa.timestamp("us", "UTC"), pa.string()), strict=True))


def compact_slices(raw: RawLayer, slug: str, now: datetime) -> list[Slice]:
    """Make one of an object's small slices where there are many, and remove what was replaced.

    To be called with the object's lock held. Safe to be interrupted anywhere.

    Args:
        raw: The raw layer.
        slug: Lower-cased object name.
        now: The org's present.

    Returns:
        The new slices, usually none.

    Raises:
        StorageError: The storage refuses.
        CountMismatchError: A slice does not hold the rows that its manifest says.
    """
    refs = raw.refs(slug).get(slug, [])
    old = [r for r in refs if r.kind in _COMPACTABLE and r.window.end <= now - _RECENT]
    if len(old) < MANY:
        return []
    remove_replaced(raw, slug, now)
    made = []
    slices = raw.slices(slug)
    for group in _groups(slices, now):
        covering = [piece.ref for piece in group if piece.kind.covers]
        settled = filter(None, (ref.settled(raw.late, now) for ref in covering))
        # What was deleted before the first reading was never here; its slice may be gone soon.
        first = min(piece.read_at for piece in slices if not piece.kind.patches)
        raw.coverage_log.add(
            {slug: [ref.window for ref in covering]},
            {slug: [Window(BEGIN, first)]},
            now,
            {slug: list(settled)},
        )
        made.append(_compacted(raw, group, now))
        raw.commit(made[-1])
    return made


def remove_replaced(raw: RawLayer, slug: str, now: datetime) -> int:
    """Remove slices whose place others took a while ago; how many there were."""
    found = {piece.id: piece for piece in raw.read(raw.refs(slug).get(slug, []))}
    settled = [piece for piece in found.values() if piece.ref.made_at <= now - _GRACE]
    replaced = {old for piece in settled for old in piece.replaces}
    gone = [found[slice_id] for slice_id in replaced & found.keys()]
    raw.remove(gone)
    return len(gone)


def _groups(slices: Sequence[Slice], now: datetime) -> Iterator[list[Slice]]:
    """Slices of the same columns that are to become one."""
    alike: dict[tuple[tuple[str, ...], str], list[Slice]] = defaultdict(list)
    for piece in slices:
        small = piece.counts.written < _SMALL_ROWS and piece.end <= now - _RECENT
        if piece.cursor and small and piece.kind in _COMPACTABLE | {SliceKind.COMPACTED}:
            alike[piece.fields, piece.cursor].append(piece)
    for group in alike.values():
        fresh = [piece for piece in group if piece.kind in _COMPACTABLE]
        if len(fresh) >= MANY:
            older = [piece for piece in group if piece.kind is SliceKind.COMPACTED]
            yield sorted(_joined(fresh, older), key=lambda piece: (piece.read_at, piece.id))


def _joined(fresh: list[Slice], older: list[Slice]) -> list[Slice]:
    """Slices and those compacted before that are no larger than what they are joined with.

    So there are few of them, each twice as large as the next, and a row is not written again with
    every compaction.
    """
    joined, rows = fresh, sum(piece.counts.written for piece in fresh)
    for piece in sorted(older, key=lambda piece: piece.counts.written):
        if piece.counts.written > rows:
            break
        joined, rows = [*joined, piece], rows + piece.counts.written
    return joined


def _compacted(raw: RawLayer, group: Sequence[Slice], now: datetime) -> Slice:
    """Write the rows of slices as one slice, which is not yet committed."""
    first = group[0]
    # By what is in its id times of reading go on rising, when those of its rows are told no more.
    slice_id = new_slice_id(raw.reading(first.object.lower(), now))
    layout = Layout(
        folder=raw.raw_folder(first.object.lower()),
        slice_id=slice_id,
        cursor=first.cursor,
        unit=MONTH,
        label=f"{now:%Y-%m}",
    )
    written = write_page(raw.store, layout, 0, _rows(raw, group))
    rows = sum(piece.counts.written for piece in group)
    if written.rows != rows:
        raise CountMismatchError(
            f"{len(group)} slices of {first.object} hold {written.rows} rows, and their manifests "
            f"say {rows}; nothing was changed, run `sf-assets doctor`"
        )
    return first.model_copy(
        update={
            "id": slice_id,
            "kind": SliceKind.COMPACTED,
            "start": min(piece.start for piece in group),
            "end": max(piece.end for piece in group),
            "read_at": min(piece.read_at for piece in group),
            "source": "compaction",
            "job_id": None,
            "counts": Counts(org=rows, pages=rows, parsed=rows, written=rows),
            "min_cursor": min((p.min_cursor for p in group if p.min_cursor), default=None),
            "max_cursor": max((p.max_cursor for p in group if p.max_cursor), default=None),
            "calls": 0,
            "seconds": 0.0,
            "parts": tuple(written.parts),
            "digits": most_digits(piece.digits for piece in group),
            "replaces": tuple(piece.id for piece in group),
        }
    )


def _rows(raw: RawLayer, group: Sequence[Slice]) -> Iterator[pa.RecordBatch]:
    columns = group[0].columns
    types = dict.fromkeys(columns, pa.string()) | _ORIGIN_TYPES
    schema = pa.schema(list(types.items()))
    for piece in group:
        for frame in scan(raw.store, piece, columns):
            chosen = frame.select(*columns, *ORIGIN).with_columns(pl.col("_read_at"))
            yield from chosen.to_arrow().cast(schema).to_batches()
