"""Which objects a tick has work for; the others are recorded as covered."""

import logging
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import ConfigError, ObjectUnavailableError, SfAssetsError, WarehouseError
from sf_assets.pipeline.checks.results import due_checks
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning import backoff, tick_interval
from sf_assets.pipeline.planning.api_usage import keep_usage
from sf_assets.pipeline.planning.backoff import FailedStep, LastingFailure
from sf_assets.pipeline.planning.estimate import fitting
from sf_assets.pipeline.planning.plan import Plan, plan_tick
from sf_assets.pipeline.planning.tick_interval import probed, reason_to_wait
from sf_assets.storage.raw_layer import RawLayer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """What a tick has to do.

    Attributes:
        raw: Objects to read: those that changed, and those that fail. Not those of which the budget
            carries nothing now.
        silver: Objects to merge: the same, and those whose silver lags behind raw.
        checks: Checks of silver that were not run since the last merge, by object.
        aside: Why objects are not read, or not merged, before the time of their next try.
        absent: Objects that the packaged catalogue names and the org does not have, and what it
            says of them.
        recovered: Objects that need nothing now, and of which the last that was told is that they
            could not be read.
        plan: How to read the objects; what it proves of others has been kept.
    """

    raw: list[str]
    silver: list[str]
    checks: Mapping[str, Collection[str]]
    aside: dict[str, str]
    absent: dict[str, str]
    recovered: set[str]
    plan: Plan


def due(
    org: Org,
    specs: Iterable[ObjectSpec],
    *,
    rest: Container[str] = (),
    anyway: bool = False,
) -> Due:
    """Probe objects and record those in which nothing changed.

    Args:
        org: The org.
        specs: Which objects.
        rest: Those of them that are not to be read now.
        anyway: Whether objects are tried that have been set aside, as when they are named.

    Raises:
        BudgetExhaustedError: There is work, and the budget carries none of it.
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    now = datetime.now(UTC)
    slugs = {spec.slug: spec for spec in specs}
    left = {what: {} if anyway else set_aside(org.raw, what, slugs, now) for what in FailedStep}
    unread = set(left[FailedStep.EXTRACT])
    if org.catalog.is_packaged:
        unread |= left[FailedStep.ABSENT].keys()
    asked_of = {s: spec for s, spec in slugs.items() if s not in unread and s not in rest}
    try:
        plan = plan_tick(org, asked_of.values())
    finally:
        keep_usage(org.raw, org.client.budget)
    plan.record(org.raw, org.now())
    absent = {} if anyway else _absent(org, plan)
    ready = {slug for slug, orders in fitting(org.client.budget, plan.orders).items() if orders}
    waiting = plan.orders.keys() - ready
    reads = (plan.failed.keys() | ready | plan.deletions.slugs | plan.lacking) - absent.keys()
    try:
        lagging = behind(org, org.raw)
        backoff.forget(org.raw, FailedStep.MERGE, slugs.keys() - lagging)
        idle = asked_of.keys() - reads - waiting - absent.keys()
        checks = due_checks(
            org, (s for slug, s in slugs.items() if slug not in left[FailedStep.CHECK])
        )
    except WarehouseError as error:  # the warehouse is busy; the next tick will ask again
        log.debug("silver was not looked at: %s", error)
        lagging, idle, checks = set(), set(), {}
    healed = backoff.forget(org.raw, FailedStep.EXTRACT, idle | {backoff.ORG})
    backoff.note(org.raw, FailedStep.ABSENT, absent, asked_of, now)
    silver = (reads | lagging) - left[FailedStep.MERGE].keys()
    if waiting and not reads | silver & slugs.keys():
        raise org.client.budget.refusal(f"the query for {', '.join(sorted(waiting))}")
    told = {slug: f"silver: {note}" for slug, note in left[FailedStep.MERGE].items()}
    return Due(
        raw=[slug for slug in slugs if slug in reads],
        silver=[slug for slug in slugs if slug in silver],
        checks=checks,
        aside=told | {slug: str(note) for slug, note in left[FailedStep.EXTRACT].items()},
        absent=left_out(org, slugs),
        recovered=idle if backoff.ORG in healed else healed,
        plan=plan.only(reads),
    )


def nothing_due(org: Org) -> str | None:
    """Why a tick has nothing to do now, as far as is known without asking the org; else None."""
    try:
        raw = org.stored_raw
    except ConfigError:  # the first tick of all
        return None
    if raw.is_ticking:
        return "the last tick is still at work"
    specs, now = org.catalog.objects.values(), datetime.now(UTC)
    slugs = {spec.slug for spec in specs}
    if why := reason_to_wait(raw, org.settings, probed(specs), slugs, now):
        return why
    if resting(org) == slugs and not any(_lagging(place) & slugs for place in org.places):
        return "it is the time of no object; each was read when it last was"
    return None


def resting(org: Org) -> set[str]:
    """Objects that are not to be read before their time, by lower-cased name."""
    try:
        raw = org.stored_raw
    except ConfigError:  # nothing was ever read
        return set()
    specs = org.catalog.objects.values()
    return tick_interval.resting(raw, org.settings, specs, org.catalog.zone, datetime.now(UTC))


def _lagging(org: Org) -> set[str]:
    """Objects whose silver lags behind raw, as far as that can be looked at now."""
    try:
        return behind(org, org.stored_raw)
    except WarehouseError:
        return set()


def left_out(org: Org, slugs: Container[str]) -> dict[str, str]:
    """Objects of the packaged catalogue that the org did not have when it was asked last, and why.

    Raises:
        StorageError: The storage cannot be read.
    """
    if not org.catalog.is_packaged:
        return {}
    try:
        kept = backoff.lasting_failures(org.stored_raw, FailedStep.ABSENT).items()
    except ConfigError:  # nothing was ever read
        return {}
    return {slug: note.error for slug, note in kept if slug in slugs}


def set_aside(
    raw: RawLayer, what: str, slugs: Container[str], now: datetime
) -> dict[str, LastingFailure]:
    """Those of the objects whose next try is not due yet."""
    kept = backoff.lasting_failures(raw, what).items()
    return {slug: note for slug, note in kept if slug in slugs and note.next_try > now}


def _absent(org: Org, plan: Plan) -> dict[str, SfAssetsError]:
    """Objects that the org does not have, where the packaged catalogue alone asks for them.

    What was ever read is missed.
    """
    if not org.catalog.is_packaged:
        return {}
    read = org.raw.refs()
    return {
        slug: error
        for slug, error in plan.failed.items()
        if isinstance(error, ObjectUnavailableError) and slug not in read
    }
