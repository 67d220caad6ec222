"""The org against silver, record by record, at one horizon; and what can be done where they differ.

A census of Ids and cursors is compared with silver's keys. What differs is asked again before it is
believed, because a live org moves between two questions.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.failures import Work, alone
from sf_assets.pipeline.census import IDS_A_QUERY, ask_again, take_census
from sf_assets.pipeline.describes import Described, describe_objects
from sf_assets.pipeline.extract import Extractor
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.replay import copy_raw, replay
from sf_assets.warehouse.checks import Silver
from sf_assets.warehouse.compare import (
    DIFFERENT,
    SILVER,
    SUSPECT,
    Comparison,
    Day,
    comparison,
    copy_keys,
)
from sf_assets.warehouse.duckdb import quoted
from sf_assets.windows import BEGIN

log = logging.getLogger(__name__)

ASKED_SINGLY = 4_000
"""More differences than these are asked again by another census: it costs fewer calls."""

_EXAMPLES = 10
_PATIENCE = 600.0


@dataclass(slots=True)
class Reconciled:
    """The comparison of one object.

    Attributes:
        slug: Lower-cased object name.
        horizon: Only records whose present cursor lies before it were compared.
        org: Records of the org.
        silver: Records of silver, those not counted that are known to be gone.
        differences: Days that differ, also after asking again.
        kinds: Records by how they differ: `missing`, `outdated`, `ahead`, `back`, `gone`; and
            `purged`, deleted on both sides, which is no difference.
        examples: Ids of some that differ.
        replayed: Records of which silver has not what is the newest version by raw alone.
        error: Why it could not be compared.
    """

    slug: str
    horizon: datetime | None = None
    org: int = 0
    silver: int = 0
    differences: list[Day] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    replayed: int = 0
    error: SfAssetsError | None = None

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same records in the same versions."""
        return self.error is None and not self.replayed and DIFFERENT.isdisjoint(self.kinds)


Remedy = Callable[[Described, Comparison, datetime], object]
"""Does something about what differs: the object, the judged comparison, when the org was read.

It is called with the object's lock held since before that, so that nothing was read in between.
"""


def reconcile(
    org: Org, specs: Iterable[ObjectSpec], remedy: Remedy | None = None
) -> Iterator[Reconciled]:
    """Compare the org with silver, object by object.

    Records that changed after the watermark are left out on both sides: of those, silver has the
    version before.

    Args:
        org: The org.
        specs: Which objects.
        remedy: Called for each object in which records differ, purged ones included.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    specs = list(specs)
    found = describe_objects(org, specs)
    coverage = org.lake.coverage()
    for spec in specs:
        item = found[spec.slug]
        result = Reconciled(spec.slug)
        failed: dict[str, SfAssetsError] = {}
        with alone(Work.RECONCILE, spec.slug, failed):
            if isinstance(item, SfAssetsError):
                raise item
            if item.cursor:
                watermark = coverage[spec.slug].watermark if spec.slug in coverage else BEGIN
                if watermark == BEGIN:
                    raise ConfigError(
                        f"{item.info.name} is not extracted to the end; run `sf-assets refresh`"
                    )
                result.horizon = watermark
            _reconcile_object(org, item, result, remedy)
        result.error = failed.get(spec.slug)
        yield result


def _reconcile_object(org: Org, item: Described, result: Reconciled, remedy: Remedy | None) -> None:
    with (
        _turn(org, item) if remedy else nullcontext(),
        compared(org, item, result.horizon) as (judged, began, folder),
    ):
        days = judged.days()
        result.org = sum(day.org for day in days)
        result.silver = sum(day.silver for day in days)
        result.differences = [d for d in days if d.org != d.silver or not d.digests_equal]
        counts = judged.counts()
        result.kinds = {kind: n for kind, n in counts.items() if kind in SUSPECT}
        first = next(judged.ids(DIFFERENT), None)
        result.examples = [] if first is None else first["Id"].to_list()[:_EXAMPLES]
        result.replayed = replay(org, org.lake, item, folder)
        if remedy and result.kinds:
            remedy(item, judged, began)


@contextmanager
def _turn(org: Org, item: Described) -> Iterator[None]:
    """Hold an object's lock while the block runs, with nothing of it being read by others."""
    with org.lake.working(item.spec.slug, item.info.name, _PATIENCE):
        extractor = Extractor(org)
        try:
            for piece in extractor.settle(item):
                log.info("%s: slice %s is of an earlier run", item.info.name, piece.id)
        finally:
            extractor.close()
        yield


@contextmanager
def compared(
    org: Org, item: Described, horizon: datetime | None, side: str = SILVER
) -> Iterator[tuple[Comparison, datetime, Path]]:
    """A comparison of one object in which every difference was found twice.

    Args:
        org: The org.
        item: The object.
        horizon: Records whose cursor in the org lies behind it are not judged.
        side: What to hold the org against: `SILVER`, or the newest versions of `RAW`.

    Yields:
        The comparison, the time of the reading as `Lake.reading` gives it, and the folder with
        the keys.
    """
    with tempfile.TemporaryDirectory(prefix="sf-assets-") as folder:
        root = Path(folder)
        began = org.lake.reading(item.spec.slug, org.client.now())
        census = take_census(org, item, root / "first")
        copy = _copy_silver if side == SILVER else _copy_newest
        with comparison(root / side, began, horizon) as judged:
            copy(org, item, root)
            if suspects := judged.judge(census.frames()):
                log.info("%s: %d records differ, and are asked again", item.info.name, suspects)
                again = _ask_again(org, item, judged, suspects, root)
                copy(org, item, root)
                judged.amend(again)
            yield judged, began, root


def _ask_again(
    org: Org, item: Described, judged: Comparison, suspects: int, root: Path
) -> Iterator[pl.DataFrame]:
    """What the org says now of the records that differ, or of all if there are many."""
    if suspects > ASKED_SINGLY:
        return take_census(org, item, root / "second").frames()
    ids = [i for frame in judged.ids(SUSPECT) for i in frame["Id"]]
    return ask_again(org, item, cut(ids))


def cut(ids: list[str]) -> Iterator[list[str]]:
    """Ids in batches that one query takes."""
    for start in range(0, len(ids), IDS_A_QUERY):
        yield ids[start : start + IDS_A_QUERY]


def _copy_newest(org: Org, item: Described, root: Path) -> None:
    """Copy raw's keys of an object into a folder."""
    copy_raw(org.lake, org.lake.slices(item.spec.slug), root)


def _copy_silver(org: Org, item: Described, root: Path) -> None:
    """Copy silver's keys of an object into a folder.

    Raises:
        ConfigError: There is no table yet.
        WarehouseError: The warehouse is locked or refuses.
    """
    slug = item.spec.slug
    with org.warehouse.connect(read_only=True) as connection:
        silver = Silver(connection, org.schema)
        if slug not in silver:
            raise ConfigError(f"{org.schema} has no {slug}; run `sf-assets refresh`")
        flagged = "IsDeleted" in silver.columns(slug)
        copy_keys(connection, quoted(org.schema, slug), root, flagged=flagged)
