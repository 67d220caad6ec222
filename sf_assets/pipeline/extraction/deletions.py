"""Deletions for good: asked of the org by `getDeleted` while that reaches back far enough.

What `getDeleted` tells is only a hint: it lists what lies in the recycle bin, too. A record is held
for gone when the org no longer has it under its Id.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from sf_assets.comparison.keys import RAW
from sf_assets.errors import SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.extraction.deletion_coverage import (
    ASKED_EVERY,
    OVERLAP,
    REACH,
    SWEPT_EVERY,
    known_until,
    may_be_listed,
)
from sf_assets.pipeline.extraction.id_scan import ask_again
from sf_assets.pipeline.extraction.repair import (
    Repair,
    commit_deletions,
    deletion_windows,
    present_at,
    read_by_id,
)
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.reconciliation.reconcile import ASKED_SINGLY, compared, cut
from sf_assets.pipeline.reconciliation.replay import newest_among
from sf_assets.pipeline.schema.described import Described
from sf_assets.storage.manifest import Slice
from sf_assets.storage.raw_layer import Inventory
from sf_assets.windows import BEGIN, Coverage, Window

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Deletions:
    """What a tick has to find out about deletions.

    Attributes:
        told: Ids that the org lists as deleted, with the window that was asked for, by object.
        none: Windows in which the org lists no deletion.
        sweeps: Objects of which all Ids must be looked at.
        failed: Objects of which it could not be found out what to ask, and why.
    """

    told: dict[str, tuple[Window, Sequence[str]]] = field(default_factory=dict)
    none: dict[str, list[Window]] = field(default_factory=dict)
    sweeps: set[str] = field(default_factory=set)
    failed: dict[str, SfAssetsError] = field(default_factory=dict)

    @property
    def slugs(self) -> set[str]:
        """Objects that there is work for."""
        return self.told.keys() | self.sweeps


def look_for_deletions(
    org: Org, items: Mapping[str, Described], inventory: Inventory, end: datetime
) -> Deletions:
    """Ask which records were deleted since that was last known; 25 objects to a call, hourly.

    Args:
        org: The org.
        items: The objects; those without a cursor are read whole anyway.
        inventory: What raw has.
        end: Where windows end.
    """
    found = Deletions()
    asked: dict[str, Window] = {}
    overdue: set[str] = set()
    for slug, item in items.items():
        with isolated(Work.ASK_DELETED, slug, found.failed):
            since = known_until(slug, inventory)
            if item.cursor is None or since is None:
                continue
            age = end - since
            ahead = age < -ASKED_EVERY  # told by a clock that was ahead, so not known at all
            if age >= SWEPT_EVERY or ahead:
                overdue.add(slug)
            if may_be_listed(item) and age <= REACH and not ahead:
                if age >= ASKED_EVERY:
                    asked[slug] = Window(since - OVERLAP, end)
            else:
                found.sweeps |= {slug} & overdue
    names = {items[slug].info.name: slug for slug in asked}
    windows = {name: asked[slug] for name, slug in names.items()}
    for name, answer in org.client.rest.deleted(windows):
        slug = names[name]
        with isolated(Work.ASK_DELETED, slug, found.failed):
            if isinstance(answer, SfAssetsError):
                log.info("%s: deletions are not told: %s", name, answer)
                found.sweeps |= {slug} & overdue  # the others may be told yet
            elif answer.covered > asked[slug].start:
                window = Window(_begin(slug, inventory, asked[slug]), answer.covered)
                if answer.ids:
                    found.told[slug] = (window, answer.ids)
                else:
                    found.none[slug] = [window]
    return found


def record_listed(
    org: Org, item: Described, window: Window, answer: Sequence[str]
) -> Iterator[Slice]:
    """Find out which of the records that the org lists as deleted are gone for good.

    The org is asked for all of them, whatever any table says: a table may lack what raw has. Of
    many only those are asked for that do not lie in the recycle bin by raw: whether one of those
    was purged since is no difference. If they are still many, all Ids are looked at, which costs
    fewer calls. Those that the org still has are
    read where raw does not hold that very version, as when a slow clock stamped the deletion. To be
    called with the object's lock held.

    Yields:
        The slices that say so, if any do.
    """
    asked = pl.DataFrame({"Id": answer}, {"Id": pl.String}).unique()
    if len(asked) > ASKED_SINGLY:
        low = max(window.start, window.end - REACH)
        refs = org.raw.refs(item.spec.slug).get(item.spec.slug, [])
        known = newest_among(org.raw, refs, low, asked).filter(pl.col("binned"))
        asked = asked.join(known, on="Id", how="anti")
    if len(asked) > ASKED_SINGLY:
        yield from sweep(org, item)
        return
    ids = asked["Id"].to_list()
    there = pl.concat([asked.clear(), *ask_again(org, item, cut(ids))], how="diagonal")
    gone = asked.join(there, on="Id", how="anti")
    if len(there):
        yield from _read_unlike(org, item, there)
    if len(gone):
        found_at = org.raw.reading(item.spec.slug, org.client.now())
        yield commit_deletions(org, item, [gone], window, found_at)
    else:
        _note_known(org, item, window)


def _read_unlike(org: Org, item: Described, there: pl.DataFrame) -> Iterator[Slice]:
    """Read records again of which raw's newest version is not that which the org has."""
    slug = item.spec.slug
    low = there["cursor"].min()
    assert isinstance(low, datetime)  # noqa: S101 (for the type checker)
    refs = org.raw.refs(slug).get(slug, [])
    unlike = there.join(newest_among(org.raw, refs, low, there), on=there.columns, how="anti")
    if len(unlike):
        frame = unlike.rename({"cursor": "org_cursor"})
        yield from read_by_id(org, item, [frame])


def sweep(org: Org, item: Described) -> list[Slice]:
    """Look at all Ids of an object, and record those that are gone.

    They are held against the newest versions that raw has, so no table need be there. To be called
    with the object's lock held.

    Raises:
        SuspiciousDeletionsError: More seems to be gone than is believed.
        SalesforceError: The org refuses.
    """
    with compared(org, item, None, RAW) as (judged, began, _):
        made = list(Repair(org).record_gone(item, judged, began))
    if not made:
        _note_known(org, item, Window(BEGIN, present_at(org, began)))
    return made


def _note_known(org: Org, item: Described, window: Window) -> None:
    """Note that all deletions of a window are known.

    Of the time that slices speak for nothing is noted: one that is lost is to be found again.
    """
    slug = item.spec.slug
    if unknown := deletion_windows(org.raw, slug).lacks(window):
        org.raw.coverage_log.add({}, {slug: unknown}, org.client.now())


def _begin(slug: str, inventory: Inventory, asked: Window) -> datetime:
    """Where the window of an answer begins: the first one says of all the time before, too."""
    known = inventory.deletions.get(slug, Coverage())
    return asked.start if known.watermark > BEGIN else BEGIN
