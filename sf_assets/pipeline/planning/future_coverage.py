"""Coverage that lies in the org's future cannot be true: it is noticed and taken back.

It comes of a clock that was ahead when a window was cut. Nothing that happens until then would be
read. When the window was really read is not known, so nothing that it says of time is believed;
its rows stay, and what it claimed is read again.
"""

import logging
from collections.abc import Iterator, MutableMapping
from datetime import datetime, timedelta

from sf_assets.errors import BusyError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.org import Org
from sf_assets.salesforce.clock import TOLERANCE
from sf_assets.storage.locks import locked
from sf_assets.storage.manifest import SliceKind
from sf_assets.storage.raw_layer import Inventory
from sf_assets.windows import BEGIN, Window

log = logging.getLogger(__name__)

_NO_TIME = Window(BEGIN, BEGIN + timedelta(seconds=1))
"""A window in which nothing has ever happened."""


def present_inventory(org: Org, failures: MutableMapping[str, SfAssetsError]) -> Inventory:
    """What raw holds, rid of what it claims to know of the org's future.

    Args:
        org: The org.
        failures: Gets objects of which that could not be taken back.

    Raises:
        SfAssetsError: The org's time is not known, or the storage refuses.
    """
    now = org.client.now()
    inventory = org.raw.inventory(now)
    limit = now + TOLERANCE
    if not (slugs := sorted(set(_ahead(inventory, limit)))):
        return inventory
    log.warning(
        "raw claims to know what happens in %s after %s UTC, the org's present: a clock was ahead "
        "when that was written; it is taken back, and those windows are read again",
        ", ".join(slugs),
        f"{now:%Y-%m-%d %H:%M:%S}",
    )
    for slug in slugs:
        with isolated(Work.TAKE_BACK, slug, failures):
            _take_back(org, inventory, slug, limit)
    org.raw.coverage_log.forget_after(limit, now)
    return org.raw.inventory(now)


def _ahead(inventory: Inventory, limit: datetime) -> Iterator[str]:
    for known in (inventory.coverage, inventory.deletions):
        for slug, covered in known.items():
            if covered.windows and covered.windows[-1].end > limit:
                yield slug


def _take_back(org: Org, inventory: Inventory, slug: str, limit: datetime) -> None:
    refs = [
        ref
        for ref in inventory.refs.get(slug, ())
        if ref.window.end > limit and (ref.kind.covers or ref.kind is SliceKind.DELETIONS)
    ]
    if not refs:
        return
    try:
        with locked(org.raw.store, org.raw.lock_folder(slug), slug):
            for piece in org.raw.read(refs):
                org.raw.amend(piece, _NO_TIME)
    except BusyError as error:  # the next tick will do it
        log.info("%s: %s", slug, error)
