"""Until when an object's deletions are known, and what was not asked for yet."""

from datetime import datetime, timedelta

import polars as pl

from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.described import Described
from sf_assets.storage.manifest import SliceKind
from sf_assets.storage.raw_layer import Inventory
from sf_assets.windows import BEGIN, Coverage, Window

ASKED_EVERY = timedelta(hours=1)
SWEPT_EVERY = timedelta(days=1)
"""Of an object for which `getDeleted` does not serve: it is not replicateable, say."""

REACH = timedelta(days=14)
"""`getDeleted` forgets after 15 to 30 days."""

OVERLAP = timedelta(minutes=10)


def known_until(slug: str, inventory: Inventory) -> datetime | None:
    """Until when all deletions are known; None while nothing was extracted.

    What was deleted before the first reading was never in raw.
    """
    known = inventory.deletions.get(slug, Coverage()).watermark
    return known if known > BEGIN else _first_reading(slug, inventory)


def may_be_listed(item: Described) -> bool:
    """Whether `getDeleted` serves for an object."""
    return item.info.replicateable and not item.query.where


def not_asked_yet(org: Org, item: Described, inventory: Inventory, gone: pl.DataFrame) -> int:
    """How many of the records that are gone were deleted after deletions were last asked for.

    `getDeleted` tells which; where it does not serve, whatever is gone is gone since the last
    sweep, if that is not overdue.

    Args:
        org: The org.
        item: The object.
        inventory: What raw has.
        gone: Frame with the Ids of records that are gone for good.
    """
    since, now = known_until(item.spec.slug, inventory), org.client.now()
    if since is None or since >= now:
        return 0
    if may_be_listed(item) and now - since <= REACH:
        for _, answer in org.client.rest.deleted({item.info.name: Window(since - OVERLAP, now)}):
            if not isinstance(answer, SfAssetsError):
                told = pl.DataFrame({"Id": answer.ids}, {"Id": pl.String})
                return len(gone.join(told, on="Id", how="semi"))
    return len(gone) if now - since <= SWEPT_EVERY + ASKED_EVERY else 0


def _first_reading(slug: str, inventory: Inventory) -> datetime | None:
    refs = inventory.refs.get(slug, [])
    return min((ref.made_at for ref in refs if ref.kind is SliceKind.EXPORT), default=None)
