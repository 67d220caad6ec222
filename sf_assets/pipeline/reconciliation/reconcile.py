"""The org against silver, record by record, at one horizon; and what can be done where they differ.

A census of Ids and cursors is compared with silver's keys; where those are the same, all fields of
a sample, or of all records. What differs is asked again before it is believed, because a live org
moves between two questions.
"""

import logging
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from sf_assets.catalog import ObjectSpec
from sf_assets.checks.check import Facts, Finding
from sf_assets.comparison.keys import DIFFERENT, GONE, SILVER, SUSPECT, Comparison, Day, comparison
from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.extraction.deletion_coverage import not_asked_yet
from sf_assets.pipeline.extraction.extract import Extractor
from sf_assets.pipeline.extraction.id_scan import IDS_A_QUERY, ask_again, scan_ids
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.tick_interval import present_interval, probed
from sf_assets.pipeline.reconciliation.content import comparable, compare_contents
from sf_assets.pipeline.reconciliation.replay import copy_raw, replay
from sf_assets.pipeline.schema.described import Described, describe_objects
from sf_assets.storage.manifest import column_name
from sf_assets.windows import BEGIN, Coverage

log = logging.getLogger(__name__)

ASKED_SINGLY = 4_000
"""More differences than these are asked again by another census: it costs fewer calls."""

_EXAMPLES = 10
_LATE = timedelta(hours=2)
_SNAPSHOT_AGE = timedelta(days=1)
"""An object without a cursor is read whole, the more rows it has the less often."""

_NO_IDS = pl.DataFrame(schema={"Id": pl.String})
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Compared:
    """What of an object's content was compared.

    Attributes:
        records: Records of which all fields were compared.
        of: Records there are; of the others Id, cursor and deletion were.
        fields: Fields compared.
        omitted: Those that were not: they say something of the user who asks, or are columns of
            fields that are not read any more.
        changed: How many records say something else, by field, under the same stamp.
        derived: The same of fields that change without a stamp; that is no difference here.
    """

    records: int
    of: int
    fields: int
    omitted: tuple[str, ...]
    changed: Mapping[str, int]
    derived: Mapping[str, int]


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
        unasked: Of those `gone`, how many were deleted after deletions were last asked for.
        examples: Ids of some that differ.
        replayed: Records of which silver has not what is the newest version by raw alone.
        compared: Of what all fields were compared; None where none were.
        standing: Why the horizon is too far behind the org's present for this to say much; else "".
        error: Why it could not be compared.
        gone: Ids of those `gone`, unless they are very many.
    """

    slug: str
    horizon: datetime | None = None
    org: int = 0
    silver: int = 0
    differences: list[Day] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    replayed: int = 0
    compared: Compared | None = None
    unasked: int = 0
    standing: str = ""
    error: SfAssetsError | None = None
    gone: pl.DataFrame = field(default_factory=_NO_IDS.clear, repr=False)

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same records in the same versions, up to the present."""
        return self.as_asked and not self.kinds.get(GONE)

    @property
    def as_asked(self) -> bool:
        """Whether nothing differs but what is gone since deletions were last asked for."""
        wrong = DIFFERENT & self.kinds.keys() - {GONE}
        late = self.kinds.get(GONE, 0) - self.unasked
        return not (self.error or self.replayed or self.standing or wrong or late)


Remedy = Callable[[Described, Comparison, datetime], object]
"""Does something about what differs: the object, the judged comparison, when the org was read.

It is called with the object's lock held since before that, so that nothing was read in between.
"""


def reconcile(
    org: Org,
    specs: Iterable[ObjectSpec],
    remedy: Remedy | None = None,
    *,
    everything: bool = False,
) -> Iterator[Reconciled]:
    """Compare the org with silver, object by object.

    Records that changed after the watermark are left out on both sides: of those, silver has the
    version before.

    Args:
        org: The org.
        specs: Which objects.
        remedy: Called for each object in which records differ, purged ones included.
        everything: Compare all fields of all records, not of a sample.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    specs = list(specs)
    found = describe_objects(org, specs)
    inventory = org.raw.inventory()
    for spec in specs:
        item = found[spec.slug]
        result = Reconciled(spec.slug)
        failed: dict[str, SfAssetsError] = {}
        with isolated(Work.RECONCILE, spec.slug, failed):
            if isinstance(item, SfAssetsError):
                raise item
            watermark = inventory.coverage.get(spec.slug, Coverage()).watermark
            if item.cursor:
                if watermark == BEGIN:
                    raise ConfigError(
                        f"{item.info.name} is not extracted to the end; run `sf-assets refresh`"
                    )
                result.horizon = watermark
            result.standing = _standing(org, item, watermark)
            _reconcile_object(org, item, result, remedy, everything=everything)
            if result.kinds.get(GONE):
                result.unasked = not_asked_yet(org, item, inventory, result.gone)
        result.error = failed.get(spec.slug)
        yield result


def check_reconciled(org: Org, specs: Collection[ObjectSpec]) -> Iterator[Finding]:
    """Compare objects, as a check of each."""
    for found in reconcile(org, specs):
        yield Finding(
            found.slug,
            "reconciled",
            found.as_asked,
            severe=not (found.error or found.standing),
            facts=_facts(found),
            reason=str(found.error or found.standing),
        )


def _facts(found: Reconciled) -> Facts:
    if found.error:
        return {"reason": str(found.error)}
    horizon = f"{found.horizon:%Y-%m-%d %H:%M:%S} UTC" if found.horizon else "none"
    facts: Facts = {
        "horizon": horizon,
        "records in the org": found.org,
        "in silver": found.silver,
        "days that differ": len(found.differences),
        "differ from raw": found.replayed,
    }
    facts |= found.kinds
    if found.unasked:  # they are asked for hourly, or swept daily
        facts["gone, not asked for yet"] = found.unasked
    if found.compared:
        facts["all fields compared of"] = found.compared.records
        facts |= {f"{name} differs in": n for name, n in found.compared.changed.items()}
    if found.standing:
        facts["reason"] = found.standing
    return facts | ({"such as": ", ".join(found.examples)} if found.examples else {})


def _standing(org: Org, item: Described, watermark: datetime) -> str:
    """Why an object's watermark is too far behind; empty where it is not.

    As far as the schedule lets it, and an hour or two for a run that was late, is not too far.
    """
    objects = probed(org.catalog.objects.values())
    pace = max(present_interval(org.raw, org.settings, objects), item.spec.refresh.pause)
    allowed = org.settings.lag + max(_LATE, 3 * pace)
    if item.cursor is None:
        allowed += _SNAPSHOT_AGE
    now = org.client.now()
    if now - watermark <= allowed:
        return ""
    since = "never" if watermark == BEGIN else f"only up to {watermark:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"{item.info.name} was read {since}, and it is {now:%Y-%m-%d %H:%M:%S} UTC there: what "
        "came since was not compared; run `sf-assets refresh`, and see why it was not read"
    )


def _reconcile_object(
    org: Org, item: Described, result: Reconciled, remedy: Remedy | None, *, everything: bool
) -> None:
    with (
        turn(org, item) if remedy else nullcontext(),
        compared(org, item, result.horizon) as (judged, began, folder),
    ):
        content = None
        if item.cursor:
            content = compare_contents(org, item, judged, folder, everything=everything)
        days = judged.days()
        result.org = sum(day.org for day in days)
        result.silver = sum(day.silver for day in days)
        result.differences = [d for d in days if d.org != d.silver or not d.digests_equal]
        counts = judged.counts()
        result.kinds = {kind: n for kind, n in counts.items() if kind in SUSPECT}
        first = next(judged.ids(DIFFERENT), None)
        result.examples = [] if first is None else first["Id"].to_list()[:_EXAMPLES]
        if result.kinds.get(GONE, 0) <= ASKED_SINGLY:
            result.gone = pl.concat([_NO_IDS, *(f.select("Id") for f in judged.ids((GONE,)))])
        if content:
            fields = comparable(org, item)
            result.compared = Compared(
                records=content.records,
                of=result.org,
                fields=len(fields),
                omitted=_omitted(org, item, fields),
                changed=content.changed,
                derived=content.derived,
            )
        result.replayed = replay(org, org.raw, item, folder)
        if remedy and result.kinds:
            remedy(item, judged, began)


def _omitted(org: Org, item: Described, compared: Collection[str]) -> tuple[str, ...]:
    """Fields that were not compared, and columns that silver still has of fields not read now."""
    read = {column_name(field).lower() for field in item.query.fields}
    with org.reading(org.raw.org_id) as session:
        columns = session.silver.columns(item.spec.slug)
    old = [name for name in columns if not name.startswith("_") and name.lower() not in read]
    return (*(field for field in item.query.fields if field not in compared), *old)


@contextmanager
def turn(org: Org, item: Described) -> Iterator[None]:
    """Hold an object's lock while the block runs, with nothing of it being read by others."""
    with org.raw.working(item.spec.slug, item.info.name, _PATIENCE):
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
        The comparison, the time of the reading as `RawLayer.reading` gives it, and the folder with
        the keys.
    """
    with tempfile.TemporaryDirectory(prefix="sf-assets-") as folder:
        root = Path(folder)
        began = org.raw.reading(item.spec.slug, org.client.now())
        census = scan_ids(org, item, root / "first")
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
        return scan_ids(org, item, root / "second").frames()
    ids = [i for frame in judged.ids(SUSPECT) for i in frame["Id"]]
    return ask_again(org, item, cut(ids))


def cut(ids: list[str]) -> Iterator[list[str]]:
    """Ids in batches that one query takes."""
    for start in range(0, len(ids), IDS_A_QUERY):
        yield ids[start : start + IDS_A_QUERY]


def _copy_newest(org: Org, item: Described, root: Path) -> None:
    """Copy raw's keys of an object into a folder."""
    copy_raw(org.raw, org.raw.slices(item.spec.slug), root)


def _copy_silver(org: Org, item: Described, root: Path) -> None:
    """Copy silver's keys of an object into a folder.

    Raises:
        ConfigError: There is no table yet.
        WarehouseError: The warehouse is locked or refuses.
    """
    slug = item.spec.slug
    with org.reading(org.raw.org_id) as session:
        if slug not in session.silver:
            raise ConfigError(f"{org.schema} has no {slug}; run `sf-assets refresh`")
        session.silver.copy_keys(slug, root / SILVER)
