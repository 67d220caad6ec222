"""Orders become slices: the jobs of all objects are at work together, each object fails alone."""

import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from time import monotonic

from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.extract import CancelledError, Extractor, Order
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.plan import Plan
from sf_assets.pipeline.progress import report
from sf_assets.storage.slices import Slice
from sf_assets.windows import Coverage

log = logging.getLogger(__name__)

OBJECTS_AT_ONCE = 32
"""Bulk jobs in flight; Salesforce works at them side by side, we mostly wait."""

_SPELL = 0.5
"""Seconds. A signal that the system hands to another thread, as that which cancels a run may be,
is acted upon only when the main thread runs Python again."""


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


def execute(org: Org, plan: Plan) -> Generator[Extracted]:
    """Extract everything that a plan orders.

    Windows found idle are recorded first. Closing the iterator early aborts what is at work.

    Yields:
        Each object, as soon as it is done; first those that failed in planning.
    """
    org.lake.cover(plan.idle, org.client.now())
    org.lake.tidy_coverage(org.client.now())
    for slug, error in plan.failed.items():
        report(slug, "failed")
        yield Extracted(slug, error=error)
    if not plan.orders:
        return
    extractor = Extractor(org)
    try:
        with ThreadPoolExecutor(min(OBJECTS_AT_ONCE, len(plan.orders)), "object") as pool:
            futures = [
                pool.submit(_extract_object, org, extractor, slug, orders)
                for slug, orders in plan.orders.items()
            ]
            try:
                yield from _as_completed(futures)
            except BaseException:
                extractor.stop()
                raise
    finally:
        extractor.close()


def _as_completed(futures: Iterable[Future[Extracted]]) -> Iterator[Extracted]:
    """Results in the order in which they come, waited for in short spells."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, _SPELL, FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _extract_object(
    org: Org, extractor: Extractor, slug: str, orders: Sequence[Order]
) -> Extracted:
    """Extract the windows of one object, one after the other, jobs of ended runs first."""
    result, started = Extracted(slug), monotonic()
    try:
        for draft in org.lake.drafts(slug):
            if piece := extractor.resume(draft, orders[0].described):
                result.slices.append(piece)
        taken_up = Coverage(piece.window for piece in result.slices)
        for order in orders:
            if order.window is None or not taken_up.covers(order.window):
                result.slices.append(extractor.extract(order))
    except SfAssetsError as error:
        log.warning("%s failed: %s", slug, error)
        report(slug, "failed")
        result.error = error
    except CancelledError:
        report(slug, "failed")
    result.seconds = monotonic() - started
    return result
