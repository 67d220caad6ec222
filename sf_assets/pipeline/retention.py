"""Old versions that raw keeps no longer: those that others took the place of before a day.

What raw has is enough for all states since that day, the present one among them. So of what was
read before it the newest version of each record stays, and what was read again of its fields. A
version that has columns which newer ones lack stays, too: silver takes these from it.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from sf_assets.catalog import ObjectSpec
from sf_assets.comparison.keys import RAW, write_newest
from sf_assets.errors import BusyError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.naming import folded
from sf_assets.pipeline.reconciliation.replay import typed_keys, typed_versions
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.storage.parquet_reader import ORIGIN
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.storage.rewrite import rewrite

log = logging.getLogger(__name__)

_EVERY = timedelta(days=1)
_KEY = ("Id", "read_at", "cursor")
_NOBODYS = pl.col("Id").is_null()


def expire(raw: RawLayer, spec: ObjectSpec, now: datetime) -> SfAssetsError | None:
    """Remove what an object's raw keeps no longer, once a day.

    Where somebody is at work on the object, that is left to the next time.

    Args:
        raw: The raw layer.
        spec: The object.
        now: The org's present.

    Returns:
        Why it could not be done; None where it was, or nothing was to be done.
    """
    if spec.retention_days is None:
        return None
    until = now - timedelta(days=spec.retention_days)
    failed: dict[str, SfAssetsError] = {}
    with isolated(Work.EXPIRE, spec.slug, failed):
        if until - _done(raw, spec.slug, until) < _EVERY:
            return None
        with raw.working(spec.slug, spec.name):
            rows = _remove(raw, spec.slug, until)
        raw.store.put(_note(raw, spec.slug), json.dumps({"until": until.isoformat()}).encode())
        if rows:
            log.info("%s: %d versions are kept no longer", spec.slug, rows)
    error = failed.get(spec.slug)
    return None if isinstance(error, BusyError) else error


def _done(raw: RawLayer, slug: str, now: datetime) -> datetime:
    """Until when that was done last."""
    try:
        return datetime.fromisoformat(json.loads(raw.store.get(_note(raw, slug)))["until"])
    except (FileNotFoundError, ValueError, TypeError, LookupError):
        return now - _EVERY


def _note(raw: RawLayer, slug: str) -> str:
    return f"{raw.org_id}/retained/{slug}.json"


def _remove(raw: RawLayer, slug: str, until: datetime) -> int:
    """Remove versions of an object, with its lock held; how many."""
    old = [piece for piece in raw.slices(slug) if piece.read_at < until]
    versions = [piece for piece in old if not piece.kind.patches]
    fields = [piece for piece in old if piece.kind is SliceKind.FIELDS]
    removed = 0
    with TemporaryDirectory(prefix="sf-assets-") as folder:
        kept = _newest(raw, versions, until, Path(folder))
        again = _newest(raw, fields, until, Path(folder) / "fields")
        if kept:
            again = {columns: _of_those(path, kept.values()) for columns, path in again.items()}
        for piece in versions:
            removed += _write(raw, piece, until, kept[_columns(piece)])
        for piece in fields:
            removed += _write(raw, piece, until, again[_columns(piece)])
    return removed


def _of_those(path: Path, kept: Iterable[Path]) -> Path:
    """Keys of a file that are of versions which are kept, in another file."""
    stamps = pl.concat([pl.scan_parquet(file) for file in kept])
    left = path.with_name("left.parquet")
    pl.scan_parquet(path).join(stamps, on=["Id", "cursor"], how="semi").sink_parquet(left)
    return left


def _newest(
    raw: RawLayer, pieces: Sequence[Slice], until: datetime, folder: Path
) -> Mapping[frozenset[str], Path]:
    """Keys of what is newest of each record before a moment, in files.

    By a set of columns: of all that has these columns, or more.
    """
    found = {}
    for number, columns in enumerate({_columns(piece) for piece in pieces}):
        place = folder / str(number)
        place.mkdir(parents=True)
        alike = [piece for piece in pieces if _columns(piece) >= columns]
        write_newest(place, versions=_before(raw, alike, until), deletions=(), snapshot=None)
        found[columns] = place / RAW
    return found


def _before(raw: RawLayer, pieces: Sequence[Slice], until: datetime) -> Iterator[pl.DataFrame]:
    for frame in typed_versions(raw, pieces):
        yield frame.filter(pl.col("_read_at") < until, ~_NOBODYS)


def _write(raw: RawLayer, piece: Slice, until: datetime, newest: Path) -> int:
    """Write a slice anew with what is newest, or young; how many rows less it has."""
    made = rewrite(raw, piece, partial(_left, piece, until, newest))
    return made.counts.removed - piece.counts.removed if made else 0


def _left(piece: Slice, until: datetime, newest: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that stay, in their order."""
    origin = [pl.lit(piece.read_at, pl.Datetime("us", "UTC")).alias("_read_at")]
    rows = frame if ORIGIN[0] in frame.columns else frame.with_columns(origin)
    keys = typed_keys(piece, rows).rename({"_read_at": "read_at"}).with_row_index()
    young = keys.filter(_NOBODYS | (pl.col("read_at") >= until))["index"]
    kept = keys.lazy().join(pl.scan_parquet(newest), on=list(_KEY), how="semi").collect()["index"]
    left = pl.concat([young, kept]).unique().sort()
    return frame if len(left) == len(frame) else frame[left]


def _columns(piece: Slice) -> frozenset[str]:
    return frozenset(map(folded, piece.columns))
