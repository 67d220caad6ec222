"""What a run has to extract, found out from the coverage and cheap probes."""

import logging
from collections.abc import Container, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import LimitExceededError, SalesforceError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.extraction.deletions import Deletions, look_for_deletions
from sf_assets.pipeline.extraction.download import Filter
from sf_assets.pipeline.extraction.extract import ExtractTask
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.dedupe import StoredVersions, stored_versions
from sf_assets.pipeline.planning.deferred_windows import still_deferred
from sf_assets.pipeline.planning.estimate import Estimate, estimate
from sf_assets.pipeline.planning.future_coverage import present_inventory
from sf_assets.pipeline.planning.probe import (
    Gap,
    ProbeAnswer,
    ask,
    fits_a_call,
    gap_of,
    says_otherwise,
)
from sf_assets.pipeline.planning.split import cut, tasks_again
from sf_assets.pipeline.schema.described import Described, describe_objects
from sf_assets.pipeline.schema.schema_drift import back_fill, is_drift, lacking_fields
from sf_assets.salesforce.rest import ROWS_A_PAGE
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef
from sf_assets.storage.raw_layer import Inventory, RawLayer
from sf_assets.windows import BEGIN, Coverage, Window

log = logging.getLogger(__name__)

HOURLY_OVERLAP = timedelta(minutes=60)
"""Read again once an hour, for what became visible late (design rule 3)."""

_BACKFILL_PATIENCE = 600.0
_SNAPSHOT_AGES = ((ROWS_A_PAGE, timedelta(0)), (100_000, timedelta(hours=1)))
_SNAPSHOT_AGE = timedelta(days=1)


@dataclass(slots=True)
class Plan:
    """What a run has to do.

    Attributes:
        end: The org's present less the lag: where all windows end.
        orders: What to extract, by lower-cased object, the newest window first.
        idle: Windows proven to hold nothing that raw does not have.
        settled: Windows of which that was proven by content, when it could no longer change.
        failed: Objects that cannot be extracted, and why.
        patience: Seconds to wait where another run is at work on an object.
        deletions: What to find out about records that are gone for good.
        lacking: Objects whose rows in raw lack columns that could be asked for.
        described: All objects that can be extracted.
        asked: The windows of a backfill: read to the end by later ticks if the budget ends first.
    """

    end: datetime
    orders: dict[str, list[ExtractTask]] = field(default_factory=dict)
    idle: dict[str, list[Window]] = field(default_factory=dict)
    settled: dict[str, list[Window]] = field(default_factory=dict)
    failed: dict[str, SfAssetsError] = field(default_factory=dict)
    patience: float = 0.0
    deletions: Deletions = field(default_factory=Deletions)
    lacking: set[str] = field(default_factory=set)
    described: dict[str, Described] = field(default_factory=dict)
    asked: dict[str, Window] = field(default_factory=dict)

    @property
    def slugs(self) -> set[str]:
        """Objects that there is work for; those that failed are not among them."""
        return (self.orders.keys() | self.deletions.slugs | self.lacking) - self.failed.keys()

    def add(self, slug: str, orders: list[ExtractTask] | SfAssetsError) -> None:
        """Order more windows of an object, or note why it cannot be extracted."""
        if isinstance(orders, SfAssetsError):
            self.failed[slug] = orders
        else:
            self.orders.setdefault(slug, []).extend(orders)

    def join(self, other: "Plan") -> None:
        """Take up what another plan has to do."""
        self.orders |= other.orders
        self.failed |= other.failed
        self.described |= other.described
        self.asked |= other.asked
        self.patience = max(self.patience, other.patience)

    def only(self, slugs: Container[str]) -> "Plan":
        """What there is to do of some objects, once what was proven of all has been kept."""
        deletions = replace(
            self.deletions,
            told={slug: told for slug, told in self.deletions.told.items() if slug in slugs},
            none={},
            sweeps={slug for slug in self.deletions.sweeps if slug in slugs},
        )
        return replace(
            self,
            orders={slug: orders for slug, orders in self.orders.items() if slug in slugs},
            idle={},
            settled={},
            failed={slug: error for slug, error in self.failed.items() if slug in slugs},
            deletions=deletions,
            lacking={slug for slug in self.lacking if slug in slugs},
        )

    def record(self, raw: RawLayer, now: datetime) -> None:
        """Keep what was proven."""
        raw.coverage_log.add(self.idle, self.deletions.none, now, self.settled)

    def costs(
        self, raw: RawLayer, failures: MutableMapping[str, SfAssetsError]
    ) -> dict[str, Estimate]:
        """What the orders are likely to cost, object by object; of some it cannot be said."""
        refs = raw.refs()
        costs: dict[str, Estimate] = {}
        for slug, orders in self.orders.items():
            with isolated(Work.ESTIMATE, slug, failures):
                costs[slug] = estimate(raw, refs.get(slug, []), orders)
        return costs


def plan_tick(org: Org, specs: Iterable[ObjectSpec]) -> Plan:
    """Plan an incremental tick: everything that is not covered yet, as far as it may be read.

    Objects in which nothing has changed are only probed: five to a call. What backfills left for
    want of budget comes last.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    plan = Plan(org.client.now() - org.settings.lag)
    described = _described(org, specs, plan)
    untaken: dict[str, SfAssetsError] = {}
    inventory = present_inventory(org, untaken)
    waiting = still_deferred(org.raw, inventory.refs)
    _place_all(org, plan, described, inventory, waiting)
    if drifted := [
        slug for slug, error in plan.failed.items() if slug in described and is_drift(error)
    ]:
        # The schema has changed since it was described: once more, by what it is now.
        described = _describe_again(org, plan, [described[slug].spec for slug in drifted])
        _place_all(org, plan, described, inventory, waiting)
    windows = [
        (item, window)
        for slug, item in plan.described.items()
        if item.cursor
        for window in waiting.get(slug, ())
    ]
    for slug, orders in tasks_again(org, windows):
        plan.add(slug, orders)
    plan.deletions = look_for_deletions(org, plan.described, inventory, plan.end)
    plan.failed |= plan.deletions.failed
    plan.failed |= {slug: error for slug, error in untaken.items() if slug in plan.described}
    return plan


def _describe_again(org: Org, plan: Plan, specs: Sequence[ObjectSpec]) -> dict[str, Described]:
    """Describe objects anew, as if nothing of them had been planned."""
    described = {}
    for slug, found in describe_objects(org, specs, anew=True).items():
        for planned in (plan.orders, plan.idle, plan.settled, plan.failed, plan.described):
            planned.pop(slug, None)
        if isinstance(found, Described):
            described[slug] = found
        else:
            plan.failed[slug] = found
    plan.described |= described
    return described


def _place_all(
    org: Org,
    plan: Plan,
    described: Mapping[str, Described],
    inventory: Inventory,
    waiting: Mapping[str, Sequence[Window]],
) -> None:
    """Order what of objects is not covered yet and holds something new."""
    refs, covered = inventory.refs, inventory.coverage
    gaps: list[Gap] = []
    for slug, item in described.items():
        with isolated(Work.PLAN, slug, plan.failed, org.ends_all):
            if item.cursor is None:
                mine = refs.get(slug, [])
                last = _last_snapshot(org, mine)
                watermark = covered.get(slug, Coverage()).watermark
                if slug in waiting or _snapshot_due(item, last, watermark, org.client.now()):
                    # Where columns lack, the new one counts even if it says the same.
                    same = last.digest if last and not lacking_fields(item, last) else None
                    plan.orders[slug] = [ExtractTask(item, None, digest=same, held=frozenset(mine))]
                continue
            if back_fill(org.raw, item, refs.get(slug, ())):
                plan.lacking.add(slug)
            gaps += _gaps(org, item, inventory, Coverage(waiting.get(slug, ())), plan.end)
    for gap, told in ask(org, gaps):
        slug = gap.described.spec.slug
        with isolated(Work.PROBE, slug, plan.failed, org.ends_all):
            _place(org, plan, gap, told, refs.get(slug, []))


def plan_backfill(org: Org, specs: Iterable[ObjectSpec], window: Window) -> Plan:
    """Plan to extract a range anew, whatever raw holds of it: one job for each object.

    Args:
        org: The org.
        specs: Which objects; those without a cursor are read whole.
        window: The range; what lies beyond the org's present less the lag is cut off.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    plan = Plan(org.client.now() - org.settings.lag, patience=_BACKFILL_PATIENCE)
    end = min(window.end, plan.end)
    if window.start >= end:
        return plan
    specs = list(specs)
    plan.asked = {spec.slug: Window(window.start, end) for spec in specs}
    try:
        items = _described(org, specs, plan).values()
        asked = [(item, plan.asked[item.spec.slug] if item.cursor else None) for item in items]
        for slug, orders in tasks_again(org, asked):
            plan.add(slug, orders)
    except LimitExceededError as error:
        plan.failed |= {slug: error for slug in plan.asked if slug not in plan.orders}
    return plan


def _described(org: Org, specs: Iterable[ObjectSpec], plan: Plan) -> dict[str, Described]:
    """The objects that can be described; the others are failures of the plan."""
    found = describe_objects(org, specs)
    plan.failed = {slug: item for slug, item in found.items() if isinstance(item, SfAssetsError)}
    described = {slug: item for slug, item in found.items() if isinstance(item, Described)}
    plan.described = described
    for item in described.values():
        for warning in item.query.warnings:
            log.warning("%s: %s", item.info.name, warning)
    return described


def _gaps(
    org: Org, item: Described, inventory: Inventory, waiting: Coverage, end: datetime
) -> list[Gap]:
    """What is to be looked at, the newest first.

    That is what is not covered, begun early enough to see what became visible late, and what was
    not yet compared when it could no longer change.
    """
    slug = item.spec.slug
    covered = inventory.coverage.get(slug, Coverage()) | waiting
    settled = inventory.settled.get(slug, Coverage()) | waiting
    due = settled.gaps(end - org.settings.overlap)
    for gap in covered.gaps(end):
        back = org.settings.overlap
        if _holds_full_hour(gap):
            back = max(back, HOURLY_OVERLAP)
        due.append(gap.widened(back))
    found = []
    for window in Coverage(due).windows[::-1]:
        unsettled = settled.lacks(window)
        begin = unsettled[-1].start if unsettled else window.start
        found.append(gap_of(item, window, begin))
    return found


def _holds_full_hour(window: Window) -> bool:
    hour = window.end.replace(minute=0, second=0, microsecond=0)
    return window.start < hour <= window.end


def _place(
    org: Org, plan: Plan, gap: Gap, told: ProbeAnswer | SalesforceError, refs: list[SliceRef]
) -> None:
    """Order the window of a gap, or find that nothing in it is new.

    Raises:
        SalesforceError: The org told an error that any other question would meet.
    """
    slug = gap.described.spec.slug
    if isinstance(told, SalesforceError):
        raise told
    known = _known(org, gap.described, gap.window, refs)
    held = frozenset(refs)
    order = ExtractTask(gap.described, gap.window, told.rows, _filter(known), held=held)
    # An object read for the first time gets its table, even an empty one.
    if not refs or not told.agrees_with(known):
        plan.add(slug, cut(org, order))
        return
    horizon = plan.end - org.settings.overlap
    small = _comparable(org, gap, order, refs)
    if small is None:
        # Count and newest stamp are the same, which proves little. What its rows say is found out
        # by reading them once more, when none of them can change any more.
        if known.newest is None or datetime.fromisoformat(known.newest) < horizon:
            whole = replace(order, window=Window(gap.unsettled, gap.window.end))
            plan.add(slug, cut(org, whole))
        else:
            plan.idle.setdefault(slug, []).append(gap.window)
    elif says_otherwise(org, small):
        plan.add(slug, cut(org, order))
    else:
        plan.idle.setdefault(slug, []).append(gap.window)
        if small.window and small.window.start < horizon:
            proven = Window(small.window.start, min(small.window.end, horizon))
            plan.settled.setdefault(slug, []).append(proven)


def _comparable(org: Org, gap: Gap, order: ExtractTask, refs: list[SliceRef]) -> ExtractTask | None:
    """The order of those rows whose content is to be compared, if one call is enough for that.

    They are those of the whole window, else of its part that is not settled.
    """
    if fits_a_call(order):
        return order
    window = Window(gap.unsettled, gap.window.end)
    known = _known(org, gap.described, window, refs)
    part = ExtractTask(gap.described, window, known.records, _filter(known))
    return part if fits_a_call(part) else None


def _known(org: Org, item: Described, window: Window, refs: list[SliceRef]) -> StoredVersions:
    near = [ref for ref in refs if window.start > BEGIN and ref.window.end > window.start]
    return stored_versions(org.raw, near, window, item.cursor or "", item.columns)


def _filter(known: StoredVersions) -> Filter | None:
    """Leaves out the rows that raw has; None where it has none that could be compared."""
    return known.new_rows if len(known.digests) else None


def _last_snapshot(org: Org, refs: list[SliceRef]) -> Slice | None:
    snapshots = [ref for ref in refs if ref.kind is SliceKind.SNAPSHOT]
    if not snapshots:
        return None
    (piece,) = org.raw.read([max(snapshots, key=lambda ref: ref.id)])  # by time of reading
    return piece


def _snapshot_due(item: Described, last: Slice | None, watermark: datetime, now: datetime) -> bool:
    """Whether an object without a cursor is read again: the more rows, the less often."""
    if last is None or lacking_fields(item, last):
        return True
    age = next((a for rows, a in _SNAPSHOT_AGES if last.counts.written <= rows), _SNAPSHOT_AGE)
    return now - watermark >= age
