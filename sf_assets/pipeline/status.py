"""Where every object stands: what raw covers, what silver holds, what is left of the budget."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.checks.results import standing_errors
from sf_assets.pipeline.lost_files import lost_files
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.api_usage import keep_usage
from sf_assets.pipeline.planning.backoff import ORG, FailedStep, at, lasting_failures
from sf_assets.pipeline.planning.tick_interval import present_interval, probed
from sf_assets.salesforce.budget import Standing
from sf_assets.storage.raw_layer import Inventory, RawLayer
from sf_assets.warehouse.port import Session
from sf_assets.windows import BEGIN, Coverage


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """One object.

    Attributes:
        slug: Lower-cased object name.
        watermark: End of the unbroken coverage; None when there is none.
        behind_seconds: Age of the watermark, by our clock; None likewise.
        slices: Slices in raw.
        unmerged: Those that silver has not taken up.
        rows: Live rows of silver; None when there is no table.
        failing: Since when and why it cannot be read, or merged, and when that is tried again; why
            it is left out; what raw lacks of what silver was made of; or which checks that are
            errors do not pass; else None.
        error: Why it cannot be said; None when it can.
    """

    slug: str
    watermark: datetime | None = None
    behind_seconds: int | None = None
    slices: int = 0
    unmerged: int = 0
    rows: int | None = None
    failing: str | None = None
    error: SfAssetsError | None = None


def status(org: Org, specs: Iterable[ObjectSpec]) -> list[ObjectStatus]:
    """Say where objects stand, from raw and the warehouse alone.

    Raises:
        SfAssetsError: The storage or the warehouse cannot be read.
    """
    raw = org.stored_raw
    specs = list(specs)
    inventory = raw.inventory()
    failing = _unpassed(org, specs) | _failing(raw, org.place)
    found: list[ObjectStatus] = []
    failed: dict[str, SfAssetsError] = {}
    there = org.warehouse.exists()
    with org.reading(raw.org_id) if there else nullcontext() as session:
        if session:
            failing = _lacking(raw, inventory, session) | failing
        for spec in specs:
            with isolated(Work.STATUS, spec.slug, failed):
                one = _status(inventory, spec.slug, session)
                found.append(replace(one, failing=failing.get(spec.slug) or failing.get(ORG)))
            if error := failed.get(spec.slug):
                found.append(ObjectStatus(spec.slug, error=error))
    return found


def _failing(raw: RawLayer, place: str) -> dict[str, str]:
    """What there is to say of objects that fail, and of the org, by lower-cased name."""
    of_warehouse = {FailedStep.MERGE, FailedStep.CHECK}
    failing = {
        step: lasting_failures(raw, at(step, place) if step in of_warehouse else step)
        for step in FailedStep
    }
    return (
        {slug: f"left out: {note.error}" for slug, note in failing[FailedStep.ABSENT].items()}
        | {slug: f"checks: {note}" for slug, note in failing[FailedStep.CHECK].items()}
        | {slug: f"silver: {note}" for slug, note in failing[FailedStep.MERGE].items()}
        | {slug: str(note) for slug, note in failing[FailedStep.EXTRACT].items()}
    )


def _unpassed(org: Org, specs: Sequence[ObjectSpec]) -> dict[str, str]:
    """Which checks that are errors did not pass when they were asked last, by object."""
    told: dict[str, list[str]] = {}
    for (slug, name), (check, answer) in standing_errors(org, specs).items():
        since = f" since {answer.since:%Y-%m-%d %H:%M} UTC" if answer.since else ""
        told.setdefault(slug, []).append(f"{name} does not pass{since}: {check.remedy}")
    return {slug: f"check {'; '.join(some)}" for slug, some in told.items()}


def _lacking(raw: RawLayer, inventory: Inventory, session: Session) -> dict[str, str]:
    """What raw lacks of what silver was made of, by lower-cased object name."""
    with session.explained():
        tables = {slug for slug in session.silver.tables() if slug not in inventory.refs}
        missing = session.slices.missing(inventory.refs)
        files = lost_files(raw, session.slices)
    older = "as after the storage was restored from an older copy, or another one was set"
    return (
        dict.fromkeys(tables, f"silver: raw has no slice of it, {older}")
        | {slug: str(error) for slug, error in files.items()}
        | {
            slug: f"silver: raw does not list {len(found)} slices that it was made of, {older}; "
            f"`sf-assets refresh --object {slug}` says what to do"
            for slug, found in missing.items()
        }
    )


def _status(inventory: Inventory, slug: str, session: Session | None) -> ObjectStatus:
    watermark = inventory.coverage.get(slug, Coverage()).watermark
    ids = {ref.id for ref in inventory.refs.get(slug, [])}
    rows, merged = None, set[str]()
    if session:
        with session.explained():
            rows = session.silver.rows(slug) if slug in session.silver else None
            merged = session.slices.merged(slug, ids)
    known = watermark > BEGIN
    return ObjectStatus(
        slug=slug,
        watermark=watermark if known else None,
        behind_seconds=max(0, round((datetime.now(UTC) - watermark).total_seconds()))
        if known
        else None,
        slices=len(ids),
        unmerged=len(ids - merged),
        rows=rows,
    )


def budget(org: Org) -> dict[str, Standing] | SfAssetsError:
    """How the org's limits that exports use stand, by name; asking is one call."""
    try:
        return org.client.budget.look()
    except SfAssetsError as error:
        return error


def tick_minutes(org: Org) -> int:
    """Minutes between two ticks of the schedule, by what the org last told of its calls."""
    if org.is_connected:
        keep_usage(org.stored_raw, org.client.budget)
    specs = org.catalog.objects.values()
    pace = present_interval(org.stored_raw, org.settings, probed(specs))
    return max(pace, min(spec.refresh.pause for spec in specs)) // timedelta(minutes=1)
