"""What raw holds already of a window that is read again: to compare with, and to leave out."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from sf_assets.storage.lake import Lake
from sf_assets.storage.scan import scan
from sf_assets.storage.slices import SliceRef
from sf_assets.windows import Window

_SEEDS = (1, 2)
_SECONDS = len("2026-01-31T10:00:00")


@dataclass(frozen=True, slots=True)
class Known:
    """The rows of a window that raw holds.

    Attributes:
        records: How many records have their newest version in the window.
        newest: Its greatest cursor, as text; None when it is empty.
        digests: Two 64-bit hashes of each record as it was read last, all columns included. What
            was read before may come back within one second, and is then news.
    """

    records: int
    newest: str | None
    digests: pl.DataFrame

    def unknown(self, rows: pa.Table) -> pa.Table:
        """The rows that raw does not hold, to the letter."""
        frame = pl.DataFrame(rows)
        fresh = _digest(frame).with_row_index().join(self.digests, on=["0", "1"], how="anti")
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
    versions = [pl.DataFrame(schema={"Id": pl.String, "cursor": pl.String})]
    digests = [pl.DataFrame(schema=dict.fromkeys(("Id", "0", "1"), pl.UInt64))]
    near = (ref for ref in refs if ref.window.end > window.start)
    for piece in lake.read(sorted(near, key=lambda ref: ref.id)):
        if piece.max_cursor is None or piece.max_cursor < low:
            continue
        alike = piece.columns == tuple(columns)
        for rows in scan(lake.store, piece, None if alike else ["Id", cursor]):
            frame = rows.filter(pl.col(cursor) >= low)
            versions.append(frame.select("Id", pl.col(cursor).alias("cursor")))
            if alike:
                inside = frame.filter(pl.col(cursor) < high)
                keys = inside.select(pl.col("Id").hash())
                digests.append(pl.concat([keys, _digest(inside.select(columns))], how="horizontal"))
    newest = pl.concat(versions).group_by("Id").agg(pl.col("cursor").max())
    newest = newest.filter(pl.col("cursor") < high)
    latest = newest["cursor"].max()
    last = pl.concat(digests).unique("Id", keep="last", maintain_order=True).drop("Id")
    return Known(len(newest), str(latest) if latest else None, last)


def _digest(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({str(n): rows.hash_rows(seed) for n, seed in enumerate(_SEEDS)})
