"""Orders become slices: the jobs of all objects are at work together, each object fails alone."""

import logging
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic

from sf_assets.errors import LimitExceededError, SfAssetsError
from sf_assets.pipeline.estimate import fitting
from sf_assets.pipeline.extract import CancelledError, Extractor, Order
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.plan import Plan
from sf_assets.pipeline.progress import report
from sf_assets.pipeline.told import keep_told
from sf_assets.pipeline.waiting import note_waiting
from sf_assets.storage.slices import Slice
from sf_assets.windows import Coverage, Window

log = logging.getLogger(__name__)

OBJECTS_AT_ONCE = 32
"""Bulk jobs in flight; Salesforce works at them side by side, we mostly wait."""


@dataclass(slots=True)
class Extracted:
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
        """Whether nothing is wrong with it but that the budget is used up; a tick goes on."""
        return isinstance(self.error, LimitExceededError)


def execute(org: Org, plan: Plan) -> Generator[Extracted]:
    """Extract everything that a plan orders.

    Windows found idle are recorded first. Closing the iterator early aborts what is at work. What
    the budget does not carry is not begun; of a backfill, a note is left that it waits.

    Yields:
        Each object, as soon as it is done; first those that failed in planning.
    """
    org.lake.cover(plan.idle, org.client.now())
    org.lake.tidy_coverage(org.client.now())
    try:
        for result in _results(org, plan):
            if result.waits and (asked := plan.asked.get(result.slug)):
                read = Coverage(piece.window for piece in result.slices)
                note_waiting(org.lake, org.client.now(), {result.slug: read.lacks(asked)})
            yield result
    finally:
        keep_told(org.lake, org.client.budget)


def _results(org: Org, plan: Plan) -> Generator[Extracted]:
    for slug, error in plan.failed.items():
        report(slug, "failed")
        yield Extracted(slug, error=error)
    now = fitting(org.client.budget, plan.orders)
    later = {slug for slug, orders in now.items() if len(orders) < len(plan.orders[slug])}
    if not plan.orders:
        return
    extractor = Extractor(org)
    try:
        with ThreadPoolExecutor(min(OBJECTS_AT_ONCE, len(plan.orders)), "object") as pool:
            futures = [
                pool.submit(_extract_object, org, extractor, slug, orders, more=slug in later)
                for slug, orders in now.items()
            ]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                extractor.stop()
                raise
    finally:
        extractor.close()


def _extract_object(
    org: Org, extractor: Extractor, slug: str, orders: Sequence[Order], *, more: bool
) -> Extracted:
    """Extract the windows of one object, one after the other, jobs of ended runs first.

    Args:
        org: The org.
        extractor: Does the work.
        slug: The object.
        orders: Its windows, as far as the budget carries them.
        more: Whether there are others, which must wait.
    """
    result, started = Extracted(slug), monotonic()
    try:
        for draft in org.lake.drafts(slug) if orders else ():
            if piece := extractor.resume(draft, orders[0].described):
                result.slices.append(piece)
        taken_up = list(result.slices)
        for order in orders:
            for rest in _rest(order, taken_up, org.settings.overlap):
                result.slices.append(extractor.extract(rest))
        if more:
            raise org.client.budget.refusal(f"the query for the rest of {slug}")
    except LimitExceededError as error:
        log.warning("%s waits for the budget: %s", slug, error)
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


def _rest(order: Order, taken_up: Sequence[Slice], overlap: timedelta) -> Iterator[Order]:
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
