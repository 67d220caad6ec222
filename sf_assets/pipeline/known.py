"""What raw holds already of a window that is read again: to compare with, and to leave out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from sf_assets.naming import folded
from sf_assets.storage.lake import Lake
from sf_assets.storage.scan import scan, since
from sf_assets.storage.slices import Kind, SliceRef
from sf_assets.windows import Window

_SEEDS = (1, 2)
_DIGEST = [str(n) for n, _ in enumerate(_SEEDS)]
_UNLIKE = [pl.lit(None, pl.UInt64).alias(name) for name in _DIGEST]
"""What stands for the digest of a version with other columns: no row is the same."""

_MOMENT = pl.Datetime("us", "UTC")
_SECONDS = len("2026-01-31T10:00:00")


@dataclass(frozen=True, slots=True)
class Known:
    """The rows of a window that raw holds.

    Attributes:
        records: How many records have their newest version in the window.
        newest: Its greatest cursor, as text; None when it is empty.
        digests: Two 64-bit hashes of each record as it was read last, all columns included. What
            was read before may come back within one second, and is then news; so is what is read
            again of a record that was held for gone, or whose fields were read since.
    """

    records: int
    newest: str | None
    digests: pl.DataFrame

    def unknown(self, rows: pa.Table) -> pa.Table:
        """The rows that raw does not hold, to the letter."""
        frame = pl.DataFrame(rows)
        fresh = _digest(frame).with_row_index().join(self.digests, on=_DIGEST, how="anti")
        if len(fresh) == len(rows):
            return rows
        return rows.take(pa.array(fresh["index"].sort().to_numpy()))


def known_rows(
    lake: Lake, refs: Sequence[SliceRef], window: Window, cursor: str, columns: Sequence[str]
) -> Known:
    """Read what raw holds of a window.

    Only slices with the same columns can hold the same rows; versions of others are counted alone.

    Args:
        lake: The raw layer.
        refs: The object's slices.
        window: Which versions count.
        cursor: The cursor column.
        columns: Columns that are being extracted.
    """
    low, high = (edge.isoformat()[:_SECONDS] for edge in (window.start, window.end))
    near = [ref for ref in refs if ref.window.end > window.start and not ref.kind.patches]
    versions = [pl.DataFrame(schema={"Id": pl.UInt64, "cursor": pl.String, "_read_at": _MOMENT})]
    versions[0] = versions[0].with_columns(_UNLIKE)
    for piece in lake.read(sorted(near, key=lambda ref: ref.id)):
        if piece.max_cursor is None or piece.max_cursor < low:
            continue
        alike = tuple(map(folded, piece.columns)) == tuple(map(folded, columns))
        chosen = columns if alike else ["Id", cursor]
        for rows in scan(lake.store, since(piece, low), chosen):
            frame = rows.filter(pl.col(cursor) >= low)
            read = frame.select(pl.col("Id").hash(), pl.col(cursor).alias("cursor"), "_read_at")
            versions.append(read.with_columns(_digest(frame.select(columns)) if alike else _UNLIKE))
    newest = pl.concat(versions).sort("_read_at", "cursor", maintain_order=True)
    newest = newest.unique("Id", keep="last").filter(pl.col("cursor") < high)
    patches = [ref for ref in refs if ref.kind.patches and ref.made_at >= window.start]
    gone = [ref for ref in patches if ref.kind is Kind.DELETIONS]
    newest = _without(newest, lake, gone, low)
    latest = newest["cursor"].max()
    alike_rows = _without(newest.drop_nulls(_DIGEST), lake, set(patches) - set(gone), low)
    return Known(len(newest), str(latest) if latest else None, alike_rows.select(_DIGEST))


def _without(
    versions: pl.DataFrame, lake: Lake, patches: Collection[SliceRef], low: str
) -> pl.DataFrame:
    """Versions but those of which patches, read later, say something."""
    said = [pl.DataFrame(schema={"Id": pl.UInt64, "at": _MOMENT})]
    said += [
        rows.select(pl.col("Id").hash(), pl.col("_read_at").alias("at"))
        for piece in lake.read(patches)
        for rows in scan(lake.store, since(piece, low), ["Id"])
    ]
    last = pl.concat(said).group_by("Id").agg(pl.col("at").max())
    both = versions.join(last, on="Id", how="left")
    return both.filter(pl.col("at").is_null() | (pl.col("at") <= pl.col("_read_at"))).drop("at")


def _digest(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({str(n): rows.hash_rows(seed) for n, seed in enumerate(_SEEDS)})
