"""What is done for the objects of an org by itself: ticks, and fields read again."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext

from sf_assets.catalog import ObjectSpec
from sf_assets.checks.builtin import RAW_CHECKS
from sf_assets.errors import BusyError, LimitExceededError, SfAssetsError
from sf_assets.pipeline.events import Event
from sf_assets.pipeline.extraction.formula_drift import plan_derived
from sf_assets.pipeline.fan_out import with_others
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.backoff import ORG, FailedStep, lasting_failures
from sf_assets.pipeline.planning.due import Due, due, left_out, resting
from sf_assets.pipeline.planning.plan import Plan
from sf_assets.pipeline.run import Reading, Request, run

log = logging.getLogger(__name__)


def tick(org: Org) -> Iterator[Event]:
    """Read, load and check what changed since the last tick; the log says what waits, and why.

    An org that cannot be reached fails once, with the checks that say how old all is; later ticks
    only try again. Where another tick is at work this one does nothing.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(org.raw.ticking())
        except BusyError as error:
            log.info("another tick is at work: %s", error)
            return
        except SfAssetsError as error:
            events = _not_reached(org, error)
        else:
            events = _tick(org)
        yield from with_others(org, _specs(org), events, quiet=True)


def _tick(org: Org) -> Iterator[Event]:
    specs = _specs(org)
    try:
        rest = resting(org)
        found = due(org, specs.values(), rest=rest)
    except LimitExceededError as error:
        log.info("waits for the budget: %s", error)
        return
    except SfAssetsError as error:
        yield from _not_reached(org, error)
        return
    for slug, why in found.aside.items():
        log.info("%s: %s", slug, why)
    for slug, why in found.absent.items():
        log.info("%s is left out: %s", slug, why)
    for slug in sorted(rest):
        log.info("%s waits for its time", slug)
    yield from run(org, tick_request(specs, found))


def tick_request(specs: Mapping[str, ObjectSpec], found: Due) -> Request:
    """What a run is to do for a tick that found work for some objects."""
    checks = loading_checks(specs, [*found.raw, *found.recovered], found.silver)
    for slug, due_ones in found.checks.items():
        checks[slug] = checks.get(slug, set()) | set(due_ones)
    plan = found.plan
    return Request(Reading.TICK, lambda: nullcontext(plan), specs, found.raw, found.silver, checks)


def reread(org: Org, names: Collection[str] = (), *, everything: bool = False) -> Iterator[Event]:
    """Read fields that change without a stamp again, and load them; no check is asked.

    Args:
        org: The org.
        names: Which objects; all that the org has when none is named.
        everything: Whether all rows are read, and not only where a sample shows it is needed.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    specs = {spec.slug: spec for spec in org.catalog.select(names)}
    absent = left_out(org, specs)
    there = {slug: spec for slug, spec in specs.items() if slug not in absent}

    def plan() -> AbstractContextManager[Plan]:
        return plan_derived(org, there.values(), everything=everything)

    events = run(org, Request(Reading.DERIVED, plan, there, there, there))
    return with_others(org, there, events)


def answer(org: Org, checks: Mapping[str, Collection[str]]) -> Iterator[Event]:
    """Answer checks, by object, and nothing else."""

    def plan() -> AbstractContextManager[Plan]:
        return nullcontext(Plan(org.now()))

    return run(org, Request(Reading.TICK, plan, _specs(org), checks=checks))


def loading_checks(
    specs: Mapping[str, ObjectSpec], raw: Iterable[str], silver: Iterable[str]
) -> dict[str, set[str]]:
    """The checks, by object, that concern what is read and what is loaded, and cost no call."""
    wanted = {slug: set(RAW_CHECKS) for slug in raw}
    for slug in silver:
        wanted[slug] = wanted.get(slug, set()) | specs[slug].silver_checks.keys()
    return wanted


def _specs(org: Org) -> dict[str, ObjectSpec]:
    return {spec.slug: spec for spec in org.catalog.objects.values()}


def _not_reached(org: Org, error: SfAssetsError) -> Iterator[Event]:
    """What a tick tells of an org or storage that it cannot work with."""
    if _told(org):
        log.warning("was told, and is tried by each tick: %s", error)
    else:
        yield from run(org, _away(_specs(org), error))


def _told(org: Org) -> bool:
    """Whether a run has told that the org cannot be reached."""
    try:
        return ORG in lasting_failures(org.stored_raw, FailedStep.EXTRACT)
    except SfAssetsError:
        return False


def _away(specs: Mapping[str, ObjectSpec], error: SfAssetsError) -> Request:
    """A tick that fails, because the org cannot be reached; its checks say how old all is."""

    def plan() -> AbstractContextManager[Plan]:
        raise error

    return Request(Reading.TICK, plan, specs, specs, checks=dict.fromkeys(specs, RAW_CHECKS))
