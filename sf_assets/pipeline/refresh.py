"""What `refresh` and `backfill` do for an org: objects, then gold, then the scores."""

from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import (
    ConfigError,
    HeldError,
    LeftOutError,
    LimitExceededError,
    SfAssetsError,
    WarehouseError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from sf_assets.failures import Work, isolated
from sf_assets.naming import Layer
from sf_assets.pipeline.checks.results import score_facts, standing_errors
from sf_assets.pipeline.events import (
    Checked,
    Deferred,
    Event,
    Failed,
    LeftOut,
    Orphaned,
    Reason,
    Scored,
    Standing,
    TableBuilt,
)
from sf_assets.pipeline.extraction.formula_drift import plan_derived
from sf_assets.pipeline.fan_out import told, with_others
from sf_assets.pipeline.gold.build import build_gold
from sf_assets.pipeline.gold.due import GoldState, GoldStatus, gold_due, unanswered_gates
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.orphans import orphans
from sf_assets.pipeline.planning.due import due, left_out
from sf_assets.pipeline.planning.plan import Plan, plan_backfill
from sf_assets.pipeline.publish import publish
from sf_assets.pipeline.run import Reading, Request, run
from sf_assets.pipeline.scheduled import answer, loading_checks, tick_request
from sf_assets.warehouse.gold_sql import GoldTable
from sf_assets.windows import ALWAYS, BEGIN, Grain, Window, utc_day


def refresh(org: Org, names: Collection[str] = ()) -> Generator[Event]:
    """One incremental tick, then the gold tables that are due.

    Args:
        org: The org.
        names: Which objects; all of them when none is named. Those named are tried even if they
            have been set aside.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    specs = {spec.slug: spec for spec in org.catalog.select(names)}
    events = _refresh_objects(org, specs, anyway=bool(names))
    yield from _and_gold(org, specs, with_others(org, specs, events, anyway=bool(names)))


def _refresh_objects(
    org: Org, specs: Mapping[str, ObjectSpec], *, anyway: bool
) -> Generator[Event]:
    try:
        found = due(org, specs.values(), anyway=anyway)
    except LimitExceededError as error:
        for slug in specs:
            yield Deferred(org.name, Layer.RAW, slug, Reason.BUDGET, error)
        return
    for slug, why in found.aside.items():
        advice = f"{why}; `sf-assets refresh --object {specs[slug].name}` tries it now"
        yield Failed(org.name, Layer.RAW, slug, SfAssetsError(advice), news=False)
    for slug, why in found.absent.items():
        yield LeftOut(org.name, Layer.RAW, slug, f"{slug} is left out: {why}")
    yield from run(org, tick_request(specs, found))


def backfill(org: Org, names: Collection[str], first: date, last: date) -> Generator[Event]:
    """Extract a range of days anew, merge it, and build the gold tables that are due.

    Args:
        org: The org.
        names: Which objects; all of them when none is named.
        first: First UTC day.
        last: Last UTC day, which is included.

    Raises:
        ConfigError: The range lies before an object's first partition.
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    yield from _read(
        org,
        names,
        Reading.BACKFILL,
        lambda specs: nullcontext(plan_days(org, specs, first, last)),
    )


def refresh_derived(org: Org, names: Collection[str] = ()) -> Generator[Event]:
    """Read derived fields of all rows again, and build the gold tables that are due.

    Args:
        org: The org.
        names: Which objects; all of them when none is named.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    yield from _read(
        org, names, Reading.DERIVED, lambda specs: plan_derived(org, specs, everything=True)
    )


def plan_days(org: Org, specs: Iterable[ObjectSpec], first: date, last: date) -> Plan:
    """Plan to extract a range of days anew, each object from where its partitions begin.

    Args:
        org: The org.
        specs: Which objects.
        first: First UTC day.
        last: Last UTC day, which is included.

    Raises:
        ConfigError: The range lies before an object's first partition.
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    alike: dict[Window, list[ObjectSpec]] = {}
    for spec in specs:
        alike.setdefault(_window(spec, first, last), []).append(spec)
    whole = Plan(org.now())
    for window, some in alike.items():
        whole.join(plan_backfill(org, some, window))
    return whole


def _window(spec: ObjectSpec, first: date, last: date) -> Window:
    if spec.grain is Grain.NONE:
        return ALWAYS
    if last < spec.start:
        raise ConfigError(
            f"the partitions of {spec.name} begin on {spec.start}, and the first holds "
            "everything before; name a range that touches it"
        )
    start = BEGIN if first <= spec.start else utc_day(first)
    return Window(start, utc_day(last + timedelta(days=1)))


def _read(
    org: Org,
    names: Collection[str],
    reading: Reading,
    plan: Callable[[Iterable[ObjectSpec]], AbstractContextManager[Plan]],
) -> Iterator[Event]:
    """Read objects for a reason; not those that a refresh found absent, unless they are named."""
    specs = {spec.slug: spec for spec in org.catalog.select(names)}
    absent = {} if names else left_out(org, specs)
    for slug, why in absent.items():
        yield LeftOut(org.name, Layer.RAW, slug, f"{slug} is left out: {why}")
    there = {slug: spec for slug, spec in specs.items() if slug not in absent}
    request = Request(
        reading,
        lambda: plan(there.values()),
        there,
        there,
        there,
        loading_checks(there, there, there),
    )
    yield from _and_gold(org, there, with_others(org, there, run(org, request), anyway=True))


def _and_gold(
    org: Org, specs: Mapping[str, ObjectSpec], events: Iterable[Event]
) -> Iterator[Event]:
    """Events of a run of objects, and what follows in each warehouse: gold, scores, the copy.

    Raises:
        SfAssetsError: The run raised it, or the only warehouse refuses. Of several, each fails
            alone.
    """
    asked: dict[str, set[tuple[str, str]]] = defaultdict(set)
    places, failed = org.places, None
    try:
        for event in events:
            if isinstance(event, Checked):
                asked[event.place] |= _asked(event)
            yield event
    except SfAssetsError as error:
        places, failed = org.places[1:], error
    for place in places:
        alone = not org.places[1:]
        yield from told(place, _gold(place, specs, asked[place.place], alone=alone))
    if failed:
        raise failed


def _gold(
    org: Org, specs: Mapping[str, ObjectSpec], asked: set[tuple[str, str]], *, alone: bool
) -> Iterator[Event]:
    """Gold and the scores in one warehouse. Where another program holds it, all of that waits.

    Args:
        org: The org with that warehouse.
        specs: The objects that the run was for.
        asked: Which checks of its silver were answered, by object and name.
        alone: Whether there is no other.
    """
    try:
        for event in _answer_gates(org):
            asked |= _asked(event)
            yield event
        for (slug, check), (_, answer) in standing_errors(org, specs.values()).items():
            if (slug, check) not in asked:
                yield Standing(org.name, slug, check, answer)
        yield from _build_due(org)
        if tables := orphans(org):
            yield Orphaned(org.name, tables)
        if asked:
            yield Scored(org.name, score_facts(org, org.stored_raw))
    except WarehouseLockedError as error:
        yield Deferred(org.name, Layer.GOLD, org.gold, Reason.LOCKED, error)
    except WarehouseError as error:
        if alone:
            raise
        yield Failed(org.name, Layer.GOLD, org.gold, error)
    yield from publish(org)


def _asked(event: Event) -> set[tuple[str, str]]:
    """Which check of silver an event answers, by object and name."""
    if isinstance(event, Checked) and event.layer is Layer.SILVER:
        return {(event.finding.slug, event.finding.name)}
    return set()


def follow(org: Org) -> Iterator[Event]:
    """What follows in a warehouse of which silver was changed: gold that is due."""
    yield from _answer_gates(org)
    yield from _build_due(org)


def _answer_gates(org: Org) -> Iterator[Event]:
    """Ask blocking checks that were not asked of what silver holds now."""
    gates = unanswered_gates(org)
    wanted: dict[str, set[str]] = {}
    for gate in gates:
        wanted.setdefault(gate.slug, set()).add(gate.check)
    if wanted:
        yield from answer(org, wanted)


def _build_due(org: Org) -> Iterator[Event]:
    """Build the gold tables that are due, each after those that it reads."""
    refused: dict[str, SfAssetsError] = {}
    tables = gold_tables(org.catalog, refused, org.warehouse.engine)
    for name, why in refused.items():
        yield Failed(org.name, Layer.GOLD, name, why)
    found: dict[str, GoldStatus] = {}
    for table in tables:
        failed: dict[str, SfAssetsError] = {}
        with isolated(Work.BUILD, table.name, failed, _is_away):
            found = found or {one.name: one for one in gold_due(org, tables, datetime.now(UTC))}
            status = found[table.name]
            if status.state is GoldState.HELD:
                held = HeldError(status.why or "held")
                yield Failed(org.name, Layer.GOLD, table.name, held)
            elif status.state is GoldState.LEFT_OUT:
                yield LeftOut(org.name, Layer.GOLD, table.name, status.why or "left out")
            elif status.state is GoldState.DUE:
                found = {}  # what reads it is another matter once it is built
                yield _built(org, table, status)
        for error in failed.values():
            yield Failed(org.name, Layer.GOLD, table.name, error)


def _built(org: Org, table: GoldTable, status: GoldStatus) -> Event:
    try:
        built = build_gold(org, org.stored_raw, table, status.days)
    except LeftOutError as error:
        return LeftOut(org.name, Layer.GOLD, table.name, str(error))
    return TableBuilt(org.name, table.name, built)


def _is_away(error: SfAssetsError) -> bool:
    """Whether the warehouse cannot be had, so that no table can be built."""
    return isinstance(error, WarehouseLockedError | WarehouseUnreachableError)
