"""What raw holds into each of an org's warehouses, by the progress that each has, alone.

An org is asked once, whatever the number of its warehouses: which rows are read is decided by raw,
and where silver has to say something (which derived fields are out of date) by the first one that
can be read. Silver is made of slices alone, so all warehouses that have merged the same slices hold
the same rows. One that is away lacks nothing but time: it merges what raw has by then.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import ConfigError, SfAssetsError, WarehouseError
from sf_assets.naming import Layer, placed
from sf_assets.pipeline.checks.results import due_checks
from sf_assets.pipeline.events import Event, Failed, ObjectExtracted
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.backoff import FailedStep, at, forget
from sf_assets.pipeline.planning.due import set_aside
from sf_assets.pipeline.planning.plan import Plan
from sf_assets.pipeline.run import Reading, Request, run

log = logging.getLogger(__name__)


def with_others(
    org: Org,
    specs: Mapping[str, ObjectSpec],
    events: Iterable[Event],
    *,
    anyway: bool = False,
    quiet: bool = False,
) -> Iterator[Event]:
    """Events of a run of objects, and then of what the other warehouses merge.

    Args:
        org: The org, with its first warehouse.
        specs: Which objects, by lower-cased name.
        events: The run, which is carried out here, with the first warehouse.
        anyway: Whether objects are merged that have been set aside, as when they are named.
        quiet: Whether those that have been set aside are only in the log.

    Raises:
        SfAssetsError: The run raised it; the others have merged what raw holds all the same.
    """
    read: set[str] = set()
    failed: SfAssetsError | None = None
    try:
        for event in events:
            if isinstance(event, ObjectExtracted):
                read.add(event.extraction.slug)
            yield event
    except SfAssetsError as error:
        failed = error
    for place in org.places[1:]:
        events = _merged(place, specs, read, anyway=anyway, quiet=quiet)
        yield from told(place, events)
    if failed:
        raise failed


def told(org: Org, events: Iterable[Event]) -> Iterator[Event]:
    """Events of what is done in one of an org's warehouses, which they name."""
    for event in events:
        yield replace(event, place=org.place)


def _merged(
    org: Org,
    specs: Mapping[str, ObjectSpec],
    read: Collection[str],
    *,
    anyway: bool,
    quiet: bool,
) -> Iterator[Event]:
    """Merge and check what a warehouse lacks; where that cannot be seen, what was read just now."""
    now = datetime.now(UTC)
    try:
        raw = org.stored_raw
    except ConfigError:  # nothing was ever read
        return
    merge, check = (at(step, org.place) for step in (FailedStep.MERGE, FailedStep.CHECK))
    aside = {} if anyway else set_aside(raw, merge, specs, now)
    unasked = {} if anyway else set_aside(raw, check, specs, now)
    try:
        lacking = behind(org, raw)
        forget(raw, merge, specs.keys() - lacking)
        checks = due_checks(org, (s for slug, s in specs.items() if slug not in unasked))
    except WarehouseError:  # it is away: what is tried below says so
        lacking, checks = set(read), {}
    for slug, why in aside.items():
        log.info("%s: %s", placed(org.place, slug), why)
        if not quiet:
            yield Failed(org.name, Layer.SILVER, slug, SfAssetsError(str(why)), news=False)
    silver = [slug for slug in specs if slug in lacking and slug not in aside]
    wanted = {slug: set(names) for slug, names in checks.items()}
    for slug in silver:
        wanted[slug] = wanted.get(slug, set()) | specs[slug].silver_checks.keys()
    yield from run(org, Request(Reading.TICK, _nothing, specs, silver=silver, checks=wanted))


def _nothing() -> AbstractContextManager[Plan]:
    return nullcontext(Plan(datetime.now(UTC)))
