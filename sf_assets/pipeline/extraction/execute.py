"""Orders become slices: the jobs of all objects are at work together, each object fails alone."""

import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http import HTTPStatus
from time import monotonic

from sf_assets.errors import (
    BusyError,
    JobFailedError,
    LimitExceededError,
    SalesforceError,
    SfAssetsError,
)
from sf_assets.failures import Work, attributed, isolated
from sf_assets.pipeline.extraction.deletions import Deletions, record_listed, sweep
from sf_assets.pipeline.extraction.extract import CancelledError, Extractor, ExtractTask
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.api_usage import keep_usage
from sf_assets.pipeline.planning.deferred_windows import note_deferred
from sf_assets.pipeline.planning.estimate import fitting
from sf_assets.pipeline.planning.plan import Plan
from sf_assets.pipeline.progress import report
from sf_assets.pipeline.retention import expire
from sf_assets.pipeline.schema.described import Described
from sf_assets.pipeline.schema.schema_drift import back_fill, without_lost_fields
from sf_assets.salesforce.responses import is_too_large
from sf_assets.storage.compaction import compact_slices
from sf_assets.storage.manifest import Slice
from sf_assets.windows import Coverage, Window

log = logging.getLogger(__name__)

OBJECTS_AT_ONCE = 32
"""Bulk jobs in flight; Salesforce works at them side by side, we mostly wait."""

_SPELL = 0.5
"""Seconds. A signal that the system hands to another thread, as that which cancels a run may be,
is acted upon only when the main thread runs Python again."""


@dataclass(slots=True)
class Extraction:
    """What became of one object.

    Attributes:
        slug: Lower-cased object name.
        slices: Slices committed, also when a later window failed.
        error: Why it failed; None when all of it is in raw.
        seconds: How long it took.
    """

    slug: str
    slices: list[Slice] = field(default_factory=list)
    error: SfAssetsError | None = None
    seconds: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether nothing is wrong but that the budget or another run has it wait."""
        return isinstance(self.error, LimitExceededError | BusyError)


def execute(org: Org, plan: Plan) -> Generator[Extraction]:
    """Extract everything that a plan orders.

    Windows found idle are recorded first. Closing the iterator early aborts what is at work. What
    the budget does not carry is not begun; of a backfill, a note is left that it waits.

    Yields:
        Each object, as soon as it is done; first those that failed in planning.
    """
    plan.record(org.raw, org.client.now())
    org.raw.coverage_log.tidy(org.client.now())
    try:
        for result in _results(org, plan):
            failed: dict[str, SfAssetsError] = {}
            with isolated(Work.NOTE_WAITING, result.slug, failed):
                if result.waits and (asked := plan.asked.get(result.slug)):
                    read = Coverage(piece.window for piece in result.slices)
                    note_deferred(org.raw, org.client.now(), {result.slug: read.lacks(asked)})
            result.error = failed.get(result.slug, result.error)
            _name_file(org, result)
            yield result
        for spec in org.catalog.objects.values():
            if error := expire(org.raw, spec, org.client.now()):
                log.warning("%s", error)
    finally:
        keep_usage(org.raw, org.client.budget)


def _name_file(org: Org, result: Extraction) -> None:
    """Have an error that the org found in a query of one's own tell which file has it."""
    error, (spec,) = result.error, org.catalog.select([result.slug])
    asked = isinstance(error, JobFailedError) or (
        isinstance(error, SalesforceError) and error.status == HTTPStatus.BAD_REQUEST
    )
    if error and asked and spec.soql:
        error.args = (f"{spec.soql}: {error}", *error.args[1:])


def _results(org: Org, plan: Plan) -> Generator[Extraction]:
    for slug, error in plan.failed.items():
        report(slug, "failed")
        yield Extraction(slug, error=error)
    if not plan.slugs:
        return
    now = fitting(org.client.budget, plan.orders)
    extractor = Extractor(org)
    try:
        with ThreadPoolExecutor(min(OBJECTS_AT_ONCE, len(plan.slugs)), "object") as pool:
            futures = [
                pool.submit(_extract_object, org, extractor, plan, slug, now.get(slug, []))
                for slug in plan.slugs
            ]
            try:
                yield from _as_completed(futures)
            except BaseException:
                extractor.stop()
                raise
    finally:
        extractor.close()


def _as_completed(futures: Iterable[Future[Extraction]]) -> Iterator[Extraction]:
    """Results in the order in which they come, waited for in short spells."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, _SPELL, FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _extract_object(
    org: Org, extractor: Extractor, plan: Plan, slug: str, orders: Sequence[ExtractTask]
) -> Extraction:
    """Extract windows of one object, one after the other, and look for what was deleted.

    Args:
        org: The org.
        extractor: Does the work.
        plan: The plan.
        slug: The object.
        orders: Those of its windows that the budget carries.
    """
    result, started = Extraction(slug), monotonic()
    try:
        item = plan.described[slug]
        with attributed(Work.EXTRACT, slug), org.raw.working(slug, item.info.name, plan.patience):
            for piece in _pieces(org, extractor, item, orders):
                result.slices.append(piece)
            for piece in _deletions(org, item, plan.deletions):
                result.slices.append(piece)
            compact_slices(org.raw, slug, org.client.now())
        if len(orders) < len(plan.orders.get(slug, ())):
            raise org.client.budget.refusal(f"the query for the rest of {slug}")
    except (LimitExceededError, BusyError) as error:
        log.warning("%s waits: %s", slug, error)
        report(slug, "failed")
        result.error = error
    except SfAssetsError as error:
        log.warning("%s failed: %s", slug, error)
        report(slug, "failed")
        result.error = error
    except CancelledError:
        report(slug, "failed")
    result.seconds = monotonic() - started
    return result


def _pieces(
    org: Org, extractor: Extractor, item: Described, orders: Sequence[ExtractTask]
) -> Iterator[Slice]:
    """The slices of an object's orders as they are committed, jobs of ended runs first.

    What rows in raw lack of the columns comes before the rows that have it.
    """
    taken_up = []
    for settled in extractor.settle(item):
        taken_up += [settled] if settled.kind.covers else []
        yield settled
    refs = org.raw.refs(item.spec.slug).get(item.spec.slug, [])
    back = back_fill(org.raw, item, refs)
    if back:
        _, _, *names = back.described.query.fields  # after Id and cursor
        log.info("%s: %s to be filled in older rows", item.spec.name, ", ".join(names))
        yield from _extract(org, extractor, back)
    for order in orders:
        for rest in _rest(order, taken_up, org.settings.overlap):
            yield from _extract(org, extractor, rest)


def _extract(org: Org, extractor: Extractor, order: ExtractTask) -> Iterator[Slice]:
    """Extract an order: in smaller ones where the org finds it too large.

    Fields that are gone since the object was described are left out.
    """
    try:
        piece = extractor.extract(order)
    except SalesforceError as error:
        if is_too_large(error) and order.halves:
            log.info("%s is read in halves: %s", order.described.spec.name, error)
            others = order.halves
        else:
            others = (without_lost_fields(org, order, error),)
        for other in others:
            yield from _extract(org, extractor, other)
    else:
        if piece:
            yield piece


def _deletions(org: Org, item: Described, deletions: Deletions) -> Iterator[Slice]:
    """Slices that say which records are gone for good."""
    slug = item.spec.slug
    if slug in deletions.sweeps:
        yield from sweep(org, item)
    elif slug in deletions.told:
        yield from record_listed(org, item, *deletions.told[slug])


def _rest(
    order: ExtractTask, taken_up: Sequence[Slice], overlap: timedelta
) -> Iterator[ExtractTask]:
    """What of an order the slices taken up leave to be read, each part with its overlap."""
    covered = Coverage(piece.window for piece in taken_up)
    if order.window is None or not any(order.window.overlaps(w) for w in covered.windows):
        yield order
        return
    had = sum(p.counts.org for p in taken_up if order.window.overlaps(p.window))
    rows = None if order.rows is None else max(0, order.rows - had)
    for part in covered.lacks(order.window):
        start = max(order.window.start, part.widened(overlap).start)
        yield replace(order, window=Window(start, part.end), rows=rows)
