"""Raw replayed against silver: the newest version of each record, worked out from slices alone."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from sf_assets.pipeline.describes import Described
from sf_assets.pipeline.org import Org
from sf_assets.storage.lake import Lake
from sf_assets.storage.scan import ORIGIN, scan
from sf_assets.storage.slices import Kind, Slice, column_name
from sf_assets.warehouse.cast import cast
from sf_assets.warehouse.columns import Column
from sf_assets.warehouse.columns import Kind as ColumnKind
from sf_assets.warehouse.compare import replayed_differences
from sf_assets.warehouse.merge import merged_slices


def replay(org: Org, lake: Lake, item: Described, folder: Path) -> int:
    """Records of which silver does not have the version that raw says is the newest.

    Args:
        org: The org; it is not asked anything.
        lake: Its raw layer.
        item: The object.
        folder: Where silver's keys were copied to, and where there is room to spill.
    """
    pieces = lake.slices(item.spec.slug)
    ids = [slice_id for piece in pieces for slice_id in (piece.id, *piece.replaces)]
    with org.warehouse.connect(read_only=True) as connection:
        merged = merged_slices(connection, lake.org_id, ids)
    pieces = [piece for piece in pieces if piece.id in merged or _all_merged(piece, merged)]
    snapshots = [p.read_at for p in pieces if p.kind is Kind.SNAPSHOT]
    return replayed_differences(
        folder,
        versions=_versions(lake, (p for p in pieces if not p.kind.patches)),
        deletions=_deletions(lake, (p for p in pieces if p.kind is Kind.DELETIONS)),
        snapshot=max(snapshots, default=None),
    )


def _all_merged(piece: Slice, merged: set[str]) -> bool:
    return bool(piece.replaces) and merged.issuperset(piece.replaces)


def _versions(lake: Lake, pieces: Iterable[Slice]) -> Iterator[pl.DataFrame]:
    """Id, cursor, read time and slice of every version."""
    for piece in pieces:
        cursor = column_name(piece.cursor) if piece.cursor else None
        for frame in scan(lake.store, piece, list(filter(None, ("Id", cursor)))):
            typed = frame
            stamp = pl.lit(None, pl.Datetime("us", "UTC"))
            if cursor:
                typed, _ = cast(frame, [Column(cursor, ColumnKind.TIMESTAMP)])
                stamp = pl.col(cursor)
            yield typed.select("Id", stamp.fill_null(pl.col("_read_at")).alias("cursor"), *ORIGIN)


def _deletions(lake: Lake, pieces: Iterable[Slice]) -> Iterator[pl.DataFrame]:
    for piece in pieces:
        for frame in scan(lake.store, piece, ["Id"]):
            yield frame.select("Id", "_read_at")
