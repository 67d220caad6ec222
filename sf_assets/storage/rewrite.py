"""Rows are removed from a slice for good: it stays the same slice, in other files.

Its new files are written beside the old; then the manifest is, over the old one, in one atomic put;
then the old files are removed. Whoever is killed in between leaves one or the other slice, and
files of no manifest, which the next one finds.
"""

import re
from collections.abc import Callable

import polars as pl

from sf_assets.storage.manifest import Slice
from sf_assets.storage.parquet_reader import read_part
from sf_assets.storage.parquet_writer import repetitive, write_part
from sf_assets.storage.raw_layer import RawLayer

_PAGE = re.compile(r"-p(\d+)-c(\d+)\.parquet$")
_GENERATION = 100_000
"""What is added to a page's number with each writing."""

Change = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives the rows that are to stay, in their order; the very frame it was given where all do."""


def rewrite(
    raw: RawLayer, piece: Slice, change: Change, told: Callable[[str], str] = str
) -> Slice | None:
    """Write a slice anew. To be called with the object's lock held.

    Args:
        raw: The raw layer.
        piece: The slice.
        change: What is done to the rows of each of its files.
        told: What is done to its query, which may name records.

    Returns:
        The slice as it is now; None where nothing changed.

    Raises:
        StorageError: A file is gone or damaged, or the storage refuses.
        BusyError: The object's lock was lost to another run.
    """
    parts, old, removed = [], [], 0
    for part in piece.parts:
        rows = read_part(raw.store, part)
        before = pl.DataFrame(rows)
        after = change(before)
        if after is before:
            parts.append(part)
            continue
        old.append(part.path)
        removed += len(before) - len(after)
        if len(after):
            table = after.to_arrow().cast(rows.schema.remove_metadata())
            dictionary = repetitive(table)
            path = _PAGE.sub(_next, part.path)
            parts.append(write_part(raw.store, path, table, dictionary, part.label, nul=part.nul))
    soql = told(piece.soql)
    if not old and soql == piece.soql:
        return None
    counts = piece.counts.model_copy(
        update={
            "written": sum(part.rows for part in parts),
            "removed": piece.counts.removed + removed,
        }
    )
    digest = None if old else piece.digest
    made = piece.model_copy(
        update={"parts": tuple(parts), "counts": counts, "soql": soql, "digest": digest}
    )
    raw.commit(made)
    raw.store.delete(old)
    return made


def _next(match: re.Match[str]) -> str:
    return f"-p{int(match[1]) + _GENERATION:05d}-c{match[2]}.parquet"
