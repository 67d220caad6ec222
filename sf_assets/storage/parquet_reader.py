"""Reading slices back: only ever committed ones, each file held against its checksum."""

import hashlib
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sf_assets.errors import StorageError
from sf_assets.naming import Names
from sf_assets.storage.manifest import Part, Slice, SliceKind
from sf_assets.storage.store import Store

ORIGIN = ("_read_at", "_slice")
"""Columns that tell when a row was read, and by which slice."""

_ADVICE = "run `sf-assets rebuild` and `sf-assets reconcile --repair` of the object"

_AHEAD = 2
"""Files read while the one before is worked on."""

_HEAP_BYTES = 16 << 20
"""Up to about this size small files are put together, as they are in memory."""


def scan(
    store: Store, piece: Slice, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """The rows of a slice, a file or several small ones at a time.

    Args:
        store: Where the slice is.
        piece: Its manifest.
        columns: Which columns, in any case, named as here; None for all that the manifest names.

    Yields:
        Frames of text columns, with `_read_at` (UTC, microseconds) and `_slice` beside them.

    Raises:
        StorageError: A file is gone or damaged.
    """
    read_at = pl.lit(piece.read_at, pl.Datetime("us", "UTC")).alias("_read_at")
    origin = [read_at, pl.lit(piece.id).alias("_slice")]
    columns = piece.columns if columns is None else columns
    if piece.kind is SliceKind.COMPACTED:  # its rows know better
        origin = []
        columns = [*columns, *ORIGIN]
    with ThreadPoolExecutor(_AHEAD) as pool:
        for heap in _batched(_read_ahead(pool, store, piece.parts, columns)):
            yield heap.with_columns(origin)


def _read_ahead(
    pool: ThreadPoolExecutor, store: Store, parts: Iterable[Part], columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    waiting = deque[Future[pl.DataFrame]]()
    for part in parts:
        waiting.append(pool.submit(_read, store, part, columns))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _batched(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Small frames put together: to work on a few rows costs as much as on many."""
    heap: list[pl.DataFrame] = []
    size = 0.0
    for frame in frames:
        heap.append(frame)
        size += frame.estimated_size()
        if size >= _HEAP_BYTES:
            yield pl.concat(heap)
            heap, size = [], 0.0
    if heap:
        yield pl.concat(heap)


def since(piece: Slice, low: str) -> Slice:
    """A slice without the files whose cursors all lie before a stamp, which their labels tell."""
    if piece.cursor is None:
        return piece
    parts = tuple(part for part in piece.parts if part.label >= low[: len(part.label)])
    return piece.model_copy(update={"parts": parts})


def read_part(store: Store, part: Part) -> pa.Table:
    """All that a file holds, as it was written.

    Raises:
        StorageError: It is gone or damaged.
    """
    return pq.read_table(io.BytesIO(_bytes(store, part)))


def _read(store: Store, part: Part, columns: Sequence[str]) -> pl.DataFrame:
    # Polars reads text columns several times as fast as pyarrow: it need not copy repeated values.
    data = _bytes(store, part)
    stored = Names((name, name) for name in pl.read_parquet_schema(io.BytesIO(data)))
    if lacking := [name for name in columns if name not in stored]:
        raise StorageError(
            f"{store.uri(part.path)} lacks {', '.join(lacking)}, which its manifest names; restore "
            f"it, or remove the manifest and {_ADVICE}"
        )
    frame = pl.read_parquet(io.BytesIO(data), columns=[stored[name] for name in columns])
    return frame.select(pl.col(stored[name]).alias(name) for name in columns)


def _bytes(store: Store, part: Part) -> bytes:
    try:
        data = store.get(part.path)
    except FileNotFoundError:
        raise StorageError(
            f"{store.uri(part.path)} is gone, and a manifest names it; restore it, or remove the "
            f"manifest and {_ADVICE}"
        ) from None
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise StorageError(
            f"{store.uri(part.path)} is not what was written ({part.bytes} bytes, sha256 "
            f"{part.sha256}); restore it, or remove the manifest and {_ADVICE}"
        )
    return data
