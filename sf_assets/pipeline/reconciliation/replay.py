"""Raw replayed against silver: the newest version of each record, worked out from slices alone."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path

import polars as pl

from sf_assets.columns.cast import cast
from sf_assets.columns.column import Column, ColumnKind
from sf_assets.comparison.keys import differing, write_newest
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.described import Described
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef, column_name
from sf_assets.storage.parquet_reader import ORIGIN, scan, since
from sf_assets.storage.raw_layer import RawLayer

_KEYS = {
    "Id": pl.String(),
    "cursor": pl.Datetime("us", "UTC"),
    "_read_at": pl.Datetime("us", "UTC"),
    "_slice": pl.String(),
    "binned": pl.Boolean(),
}
_SECONDS = len("2026-01-31T10:00:00")


def replay(org: Org, raw: RawLayer, item: Described, folder: Path) -> int:
    """Records of which silver does not have the version that raw says is the newest.

    Args:
        org: The org; it is not asked anything.
        raw: Its raw layer.
        item: The object.
        folder: Where silver's keys were copied to, and where there is room to spill.
    """
    pieces = raw.slices(item.spec.slug)
    ids = [slice_id for piece in pieces for slice_id in (piece.id, *piece.replaces)]
    with org.reading(raw.org_id) as session:
        merged = session.slices.merged(item.spec.slug, ids)
    copy_raw(raw, [p for p in pieces if p.id in merged or _all_merged(p, merged)], folder)
    return differing(folder)


def copy_raw(raw: RawLayer, pieces: Sequence[Slice], folder: Path) -> None:
    """Copy the keys of each record's newest version by slices into a folder, deletions applied.

    Args:
        raw: The raw layer.
        pieces: The slices, of one object.
        folder: Where to, and where there is room to spill.
    """
    snapshots = [p.read_at for p in pieces if p.kind is SliceKind.SNAPSHOT]
    write_newest(
        folder,
        versions=typed_versions(raw, (p for p in pieces if not p.kind.patches)),
        deletions=_deletions(raw, (p for p in pieces if p.kind is SliceKind.DELETIONS)),
        snapshot=max(snapshots, default=None),
    )


def newest_among(
    raw: RawLayer, refs: Iterable[SliceRef], low: datetime, ids: pl.DataFrame
) -> pl.DataFrame:
    """Id, cursor and `binned` of the newest versions of some records that raw holds.

    Of one that is gone by raw the last two are null.

    Args:
        raw: The raw layer.
        refs: The object's slices.
        low: Versions with older cursors are not looked at.
        ids: Frame with a column Id.
    """
    refs, edge = list(refs), low.isoformat()[:_SECONDS]
    near = (ref for ref in refs if ref.window.end > low and not ref.kind.patches)
    recent = (piece for piece in raw.read(near) if piece.max_cursor and piece.max_cursor >= edge)
    gone = (ref for ref in refs if ref.kind is SliceKind.DELETIONS and ref.made_at >= low)
    frames = chain(
        typed_versions(raw, (since(piece, edge) for piece in recent)),
        _deletions(raw, raw.read(gone)),
    )
    mine = (frame.join(ids, on="Id", how="semi") for frame in frames)
    newest = pl.concat([pl.DataFrame(schema=_KEYS), *mine], how="diagonal")
    newest = newest.sort("_read_at", "cursor", "_slice")
    return newest.unique("Id", keep="last").select("Id", "cursor", "binned")


def _all_merged(piece: Slice, merged: set[str]) -> bool:
    return bool(piece.replaces) and merged.issuperset(piece.replaces)


def typed_versions(raw: RawLayer, pieces: Iterable[Slice]) -> Iterator[pl.DataFrame]:
    """Id, cursor, read time and slice of every version, and whether it lies in the bin."""
    for piece in pieces:
        cursor = column_name(piece.cursor) if piece.cursor else None
        flag = "IsDeleted" if "IsDeleted" in piece.columns else None
        binned = pl.col(flag) == "true" if flag else pl.lit(value=False)
        for frame in scan(raw.store, piece, list(filter(None, ("Id", cursor, flag)))):
            others = frame.select("_slice", binned.fill_null(value=False).alias("binned"))
            yield pl.concat([typed_keys(piece, frame), others], how="horizontal")


def typed_keys(piece: Slice, rows: pl.DataFrame) -> pl.DataFrame:
    """Id, cursor and read time of rows of a slice."""
    stamp = pl.lit(None, pl.Datetime("us", "UTC"))
    if piece.cursor:
        cursor = column_name(piece.cursor)
        names = {name.lower(): name for name in rows.columns}
        there = rows.rename({names[cursor.lower()]: cursor})
        blank = there.select("Id", cursor, ORIGIN[0], pl.lit("").alias("_slice"))
        rows, _ = cast(blank, [Column(cursor, ColumnKind.TIMESTAMP)])
        stamp = pl.col(cursor)
    return rows.select("Id", stamp.fill_null(pl.col("_read_at")).alias("cursor"), ORIGIN[0])


def _deletions(raw: RawLayer, pieces: Iterable[Slice]) -> Iterator[pl.DataFrame]:
    for piece in pieces:
        for frame in scan(raw.store, piece, ["Id"]):
            yield frame.select("Id", "_read_at")
