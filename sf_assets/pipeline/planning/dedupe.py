"""What raw holds already of a window that is read again: to compare with, and to leave out."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from sf_assets.naming import folded
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef
from sf_assets.storage.parquet_reader import scan, since
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.windows import Window

MANY = 1_000_000
"""Versions held in memory at one time; where a window has more, none is told from what is read."""

_SEEDS = (1, 2)
_DIGEST = [str(n) for n, _ in enumerate(_SEEDS)]
_UNLIKE = [pl.lit(None, pl.UInt64).alias(name) for name in _DIGEST]
"""What stands for the digest of a version with other columns: no row is the same."""

_MOMENT = pl.Datetime("us", "UTC")
_SECONDS = len("2026-01-31T10:00:00")


@dataclass(frozen=True, slots=True)
class StoredVersions:
    """The rows of a window that raw holds.

    Attributes:
        records: How many records have their newest version in the window.
        newest: Its greatest cursor, as text; None when it is empty.
        digests: Two 64-bit hashes of each record as it was read last, all columns included. What
            was read before may come back within one second, and is then news; so is what is read
            again of a record that was held for gone, or whose fields were read since. None at all
            where there are too many: then all rows are news.
    """

    records: int
    newest: str | None
    digests: pl.DataFrame

    def new_rows(self, rows: pa.Table) -> pa.Table:
        """The rows that raw does not hold, to the letter."""
        frame = pl.DataFrame(rows)
        fresh = _digest(frame).with_row_index().join(self.digests, on=_DIGEST, how="anti")
        if len(fresh) == len(rows):
            return rows
        return rows.take(fresh["index"].sort().to_arrow())


def stored_versions(
    raw: RawLayer, refs: Sequence[SliceRef], window: Window, cursor: str, columns: Sequence[str]
) -> StoredVersions:
    """Read what raw holds of a window, in bounded memory.

    Only slices with the same columns can hold the same rows; versions of others are counted alone.
    So are all versions where they are very many, a portion of the records after the other.

    Args:
        raw: The raw layer.
        refs: The object's slices.
        window: Which versions count.
        cursor: The cursor column.
        columns: Columns that are being extracted.
    """
    low, high = (edge.isoformat()[:_SECONDS] for edge in (window.start, window.end))
    near = [ref for ref in refs if ref.window.end > window.start and not ref.kind.patches]
    pieces = [
        since(piece, low)
        for piece in raw.read(sorted(near, key=lambda ref: ref.id))
        if piece.max_cursor is not None and piece.max_cursor >= low
    ]
    patches = [ref for ref in refs if ref.kind.patches and ref.made_at >= window.start]
    gone = [ref for ref in patches if ref.kind is SliceKind.DELETIONS]
    look = _Look(raw, cursor, low)
    portions = max(1, -(-look.count(pieces) // MANY))
    records, newest, digests = 0, "", pl.DataFrame(schema=dict.fromkeys(_DIGEST, pl.UInt64))
    for number in range(portions):
        mine = pl.lit(value=True) if portions == 1 else pl.col("Id") % portions == number
        versions = look.versions(pieces, columns if portions == 1 else (), mine)
        last = versions.sort("_read_at", "cursor", maintain_order=True)
        last = last.unique("Id", keep="last").filter(pl.col("cursor") < high)
        last = look.without(last, gone, mine)
        records, newest = records + len(last), max(newest, str(last["cursor"].max() or ""))
        if portions == 1:
            alike = look.without(last.drop_nulls(_DIGEST), set(patches) - set(gone), mine)
            digests = alike.select(_DIGEST)
    return StoredVersions(records, newest or None, digests)


@dataclass(frozen=True, slots=True)
class _Look:
    """What reading rows since a stamp takes; of Ids the hashes are read."""

    raw: RawLayer
    cursor: str
    low: str

    def count(self, pieces: Sequence[Slice]) -> int:
        """How many versions there are; where they cannot be many, at most how many."""
        most = sum(part.rows for piece in pieces for part in piece.parts)
        if most <= MANY:
            return most
        frames = (f for piece in pieces for f in scan(self.raw.store, piece, [self.cursor]))
        return sum(len(frame.filter(pl.col(self.cursor) >= self.low)) for frame in frames)

    def versions(
        self, pieces: Iterable[Slice], columns: Sequence[str], mine: pl.Expr
    ) -> pl.DataFrame:
        """Some versions, with the digest of those that have just these columns."""
        found = [pl.DataFrame(schema={"Id": pl.UInt64, "cursor": pl.String, "_read_at": _MOMENT})]
        found[0] = found[0].with_columns(_UNLIKE)
        for piece in pieces:
            alike = tuple(map(folded, piece.columns)) == tuple(map(folded, columns))
            chosen = columns if alike else ["Id", self.cursor]
            for rows in scan(self.raw.store, piece, chosen):
                frame = rows.filter(pl.col(self.cursor) >= self.low)
                stamp = pl.col(self.cursor).alias("cursor")
                read = frame.select(pl.col("Id").hash(), stamp, "_read_at")
                read = read.with_columns(_digest(frame.select(columns)) if alike else _UNLIKE)
                found.append(read.filter(mine))
        return pl.concat(found)

    def without(
        self, versions: pl.DataFrame, patches: Collection[SliceRef], mine: pl.Expr
    ) -> pl.DataFrame:
        """Versions but those of which patches, read later, say something."""
        said = [pl.DataFrame(schema={"Id": pl.UInt64, "at": _MOMENT})]
        said += [
            rows.select(pl.col("Id").hash(), pl.col("_read_at").alias("at")).filter(mine)
            for piece in self.raw.read(patches)
            for rows in scan(self.raw.store, since(piece, self.low), ["Id"])
        ]
        last = pl.concat(said).group_by("Id").agg(pl.col("at").max())
        both = versions.join(last, on="Id", how="left")
        return both.filter(pl.col("at").is_null() | (pl.col("at") <= pl.col("_read_at"))).drop("at")


def _digest(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({str(n): rows.hash_rows(seed) for n, seed in enumerate(_SEEDS)})
