"""Parents' fields in raw of which nothing says whose they are: the query lacked the reference.

`SELECT Id, Contact.Name FROM Case` is such a query: which of its rows have the name of a contact
that is to be forgotten, nobody can tell.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from sf_assets.naming import Names, same_name
from sf_assets.pipeline.schema.stored_describes import StoredDescribes
from sf_assets.storage.manifest import Slice, SliceKind, column_name
from sf_assets.storage.parquet_reader import ORIGIN, read_part
from sf_assets.storage.raw_layer import RawLayer

_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Untraceable:
    """A parent's field of an object.

    Attributes:
        slug: Lower-cased object name.
        path: The field, such as `Contact.Name`.
        reference: The field that would say whose it is, such as `ContactId`.
        rows: How many rows of raw have a value of it, and do not say whose.
    """

    slug: str
    path: str
    reference: str
    rows: int


def untraceable(raw: RawLayer, target: str) -> Iterator[Untraceable]:
    """Find parents' fields that may be of an object's records, and do not say of which.

    Args:
        raw: The raw layer.
        target: Name of the object.
    """
    kept = StoredDescribes(raw)
    for slug, refs in raw.refs().items():
        pieces = list(raw.read(refs))
        paths = Names((p, p) for piece in pieces for p in piece.fields if "." in p)
        for path in paths.values():
            for reference, to in kept.links(slug, path):
                if not any(same_name(target, name) for name in to):
                    continue
                if rows := _rows(raw, pieces, path, reference):
                    yield Untraceable(slug, path, reference, rows)


def _rows(raw: RawLayer, pieces: Sequence[Slice], path: str, reference: str) -> int:
    """How many rows have a value of a field, and not the reference that says whose it is."""
    having = [piece for piece in pieces if _has(piece, path)]
    versions = [piece for piece in having if not piece.kind.patches]
    parent = ".".join(path.split(".")[: reference.count(".") + 1])
    known = [p for p in versions if _has(p, reference) or _has(p, f"{parent}.Id")]
    unknown = [piece for piece in versions if piece not in known]
    if not unknown:  # then fields that were read again are of rows that say it
        return 0
    rows = sum(len(frame) for piece in unknown for frame in _with_value(raw, piece, path))
    again = [piece for piece in having if piece.kind is SliceKind.FIELDS]
    with TemporaryDirectory(prefix="sf-assets-") as folder:
        since = _read_since(raw, known, Path(folder)) if again and known else None
        for piece in again:
            for frame in _with_value(raw, piece, path):
                rows += len(frame)
                if since is not None:
                    earlier = since.filter(pl.col("since") <= piece.read_at)
                    said = earlier.join(frame.lazy(), on="Id", how="semi").select("Id").unique()
                    rows -= len(said.collect(engine="streaming"))
    return rows


def _has(piece: Slice, path: str) -> bool:
    return any(same_name(path, field) for field in piece.fields)


def _with_value(raw: RawLayer, piece: Slice, path: str) -> Iterator[pl.DataFrame]:
    """The Ids of a slice's rows that have a value of a field, by file."""
    for part in piece.parts:
        frame = pl.DataFrame(read_part(raw.store, part))
        names = Names((name, name) for name in frame.columns)
        if (column := names.get(column_name(path))) is not None:
            there = frame.filter(pl.col(column).is_not_null() & (pl.col(column) != ""))
            yield there.select(pl.col(names["Id"]).alias("Id"))


def _read_since(raw: RawLayer, pieces: Sequence[Slice], folder: Path) -> pl.LazyFrame:
    """When each record of some slices was read, in files: they may be many."""
    for piece in pieces:
        read_at = pl.lit(piece.read_at, _TIME)
        for number, part in enumerate(piece.parts):
            frame = pl.DataFrame(read_part(raw.store, part))
            since = pl.col(ORIGIN[0]) if ORIGIN[0] in frame.columns else read_at
            file = folder / f"{piece.id}-{number}.parquet"
            frame.select("Id", since.alias("since")).write_parquet(file)
    empty = pl.DataFrame(schema={"Id": pl.String, "since": _TIME})
    empty.write_parquet(folder / "none.parquet")
    return pl.scan_parquet(folder)
