"""Orders become slices: the jobs of all objects are at work together, each object fails alone."""

import logging
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from time import monotonic

from sf_assets.errors import SalesforceError, SfAssetsError
from sf_assets.pipeline.deletions import Deletions, record_told, sweep
from sf_assets.pipeline.describes import Described
from sf_assets.pipeline.extract import CancelledError, Extractor, Order
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.plan import Plan
from sf_assets.pipeline.progress import report
from sf_assets.pipeline.schema import back_fill, without_lost_fields
from sf_assets.storage.compaction import compact_slices
from sf_assets.storage.locks import locked
from sf_assets.storage.slices import Slice
from sf_assets.windows import Coverage

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


def execute(org: Org, plan: Plan) -> Generator[Extracted]:
    """Extract everything that a plan orders.

    Windows found idle are recorded first. Closing the iterator early aborts what is at work.

    Yields:
        Each object, as soon as it is done; first those that failed in planning.
    """
    org.lake.proofs.add(plan.idle, plan.deletions.none, org.client.now())
    org.lake.proofs.tidy(org.client.now())
    for slug, error in plan.failed.items():
        report(slug, "failed")
        yield Extracted(slug, error=error)
    if not plan.slugs:
        return
    extractor = Extractor(org)
    try:
        with ThreadPoolExecutor(min(OBJECTS_AT_ONCE, len(plan.slugs)), "object") as pool:
            futures = [
                pool.submit(_extract_object, org, extractor, slug, plan) for slug in plan.slugs
            ]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                extractor.stop()
                raise
    finally:
        extractor.close()


def _extract_object(org: Org, extractor: Extractor, slug: str, plan: Plan) -> Extracted:
    """Extract the windows of one object, one after the other, and look for what was deleted."""
    result, started = Extracted(slug), monotonic()
    item = plan.described[slug]
    try:
        with locked(org.lake.store, org.lake.lock_folder(slug), item.info.name, plan.patience):
            for piece in _pieces(org, extractor, item, plan.orders.get(slug, ())):
                result.slices.append(piece)
            for piece in _deletions(org, item, plan.deletions):
                result.slices.append(piece)
            compact_slices(org.lake, slug, org.client.now())
    except SfAssetsError as error:
        log.warning("%s failed: %s", slug, error)
        report(slug, "failed")
        result.error = error
    except CancelledError:
        report(slug, "failed")
    result.seconds = monotonic() - started
    return result


def _pieces(
    org: Org, extractor: Extractor, item: Described, orders: Sequence[Order]
) -> Iterator[Slice]:
    """The slices of an object's orders as they are committed, jobs of ended runs first.

    What rows in raw lack of the columns comes before the rows that have it.
    """
    taken_up = []
    for draft in org.lake.drafts(item.spec.slug):
        if piece := extractor.resume(draft, item):
            taken_up += [piece.window] if piece.kind.covers else []
            yield piece
    done = Coverage(taken_up)
    refs = org.lake.refs(item.spec.slug).get(item.spec.slug, [])
    back = back_fill(org.lake, item, refs)
    for order in [back, *orders] if back else orders:
        if order is not back and order.window is not None and done.covers(order.window):
            continue
        if piece := _extract(org, extractor, order):
            yield piece


def _extract(org: Org, extractor: Extractor, order: Order) -> Slice | None:
    """Extract an order; without the fields that are gone since the object was described."""
    try:
        return extractor.extract(order)
    except SalesforceError as error:
        return extractor.extract(without_lost_fields(org, order, error))


def _deletions(org: Org, item: Described, deletions: Deletions) -> Iterator[Slice]:
    """Slices that say which records are gone for good."""
    slug = item.spec.slug
    if slug in deletions.sweeps:
        yield from sweep(org, item)
    elif slug in deletions.told and (piece := record_told(org, item, *deletions.told[slug])):
        yield piece
