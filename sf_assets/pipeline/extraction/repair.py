"""What a comparison found is put right: records are read again, deletions become slices."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import quote

import polars as pl
import pyarrow as pa

from sf_assets.comparison.keys import (
    AHEAD,
    BACK,
    CHANGED,
    GONE,
    MISSING,
    OUTDATED,
    PURGED,
    Comparison,
)
from sf_assets.errors import CountMismatchError, SuspiciousDeletionsError
from sf_assets.pipeline.extraction.extract import Extractor, ExtractTask
from sf_assets.pipeline.extraction.id_scan import IDS_A_QUERY
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.described import Described
from sf_assets.salesforce.rest import SOQL_BYTES
from sf_assets.storage.manifest import Counts, Slice, SliceKind, new_slice_id
from sf_assets.storage.parquet_writer import DAY, Layout, write_page
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.windows import BEGIN, Coverage, Window, utc_day

log = logging.getLogger(__name__)

_ONE_BY_ONE = 8_000
"""More records than these are read again by the days of their cursors."""

_FEWEST_IDS, _IDS_A_JOB = 50, 3_000
_SUSPICIOUS_COUNT, _SUSPICIOUS_SHARE = 100, 0.1
_DAY = timedelta(days=1)


@dataclass(slots=True)
class Repair:
    """Puts an object right. A remedy for `reconcile`.

    Attributes:
        org: The org.
        reread: Whether to read records again of which silver has another version than the org, or
            only to record deletions.
        accept: Whether to believe that a suspicious share of the records is gone.
    """

    org: Org
    reread: bool = True
    accept: bool = False

    def __call__(self, item: Described, judged: Comparison, began: datetime) -> list[Slice]:
        """Commit slices with what is amiss; silver is to be loaded afterwards.

        To be called with the object's lock held since before the org was read.

        Raises:
            SuspiciousDeletionsError: More seems to be gone than is believed.
            BusyError: The lock was lost to another run.
            SalesforceError: The org refuses.
        """
        made = list(self.record_gone(item, judged, began))
        if self.reread:
            made += self._read_again(item, judged)
        return made

    def record_gone(self, item: Described, judged: Comparison, began: datetime) -> Iterator[Slice]:
        """Commit the deletions that were found, unless there are suspiciously many."""
        counts = judged.counts()
        gone, live = counts.get(GONE, 0), sum(counts.values()) - counts.get(PURGED, 0)
        if not self.accept and gone > _SUSPICIOUS_COUNT and gone > live * _SUSPICIOUS_SHARE:
            raise SuspiciousDeletionsError(
                f"{gone} of {live} records of {item.info.name} seem to be gone from org "
                f"{self.org.client.org_id}; nothing was marked. If the user lost a permission, "
                "give it back; if they were deleted, run `sf-assets reconcile --repair "
                f"--accept-deletions --object {item.info.name}`"
            )
        if gone + counts.get(PURGED, 0):
            slug, raw = item.spec.slug, self.org.raw
            # Each slice speaks for time that no other does: if it is lost, that is noticed.
            known = Window(BEGIN, present_at(self.org, began))
            last, *before = deletion_windows(raw, slug).lacks(known) or [known]
            yield commit_deletions(self.org, item, judged.ids((GONE, PURGED)), last, began)
            raw.coverage_log.add({}, {slug: before} if before else {}, began)

    def _read_again(self, item: Described, judged: Comparison) -> Iterator[Slice]:
        kinds = (MISSING, OUTDATED, AHEAD, CHANGED, BACK)
        counts = judged.counts()
        if item.cursor is None or not any(counts.get(kind) for kind in kinds):
            return
        if sum(counts.get(kind, 0) for kind in kinds) <= _ONE_BY_ONE:
            yield from read_by_id(self.org, item, judged.ids(kinds))
        else:
            yield from extracted(self.org, _by_days(item, judged.ids(kinds)))


def read_by_id(org: Org, item: Described, frames: Iterable[pl.DataFrame]) -> Iterator[Slice]:
    """Read records again, one by one. To be called with the object's lock held.

    Args:
        org: The org.
        item: The object.
        frames: Ids of records, and their `org_cursor`.
    """
    yield from extracted(org, tasks_by_id(item, frames))


def extracted(
    org: Org, orders: Iterable[ExtractTask], raw: RawLayer | None = None
) -> Iterator[Slice]:
    """Carry out orders, one after another.

    Args:
        org: The org.
        orders: What is to be read.
        raw: Where it goes; the org's own raw layer if it is None, with the objects' locks held.
    """
    extractor = Extractor(org, raw=raw)
    try:
        for order in orders:
            if piece := extractor.extract(order):
                yield piece
    finally:
        extractor.close()


def present_at(org: Org, began: datetime) -> datetime:
    """When a reading began by the org's time; its own, which orders readings, may be ahead."""
    return min(began, org.client.now())


def deletion_windows(raw: RawLayer, slug: str) -> Coverage:
    """Windows of time in which all deletions of an object are known by slices."""
    refs = raw.refs(slug).get(slug, [])
    return Coverage(ref.window for ref in refs if ref.kind is SliceKind.DELETIONS)


def commit_deletions(
    org: Org, item: Described, ids: Iterable[pl.DataFrame], window: Window, began: datetime
) -> Slice:
    """Commit a slice with the Ids of records that are gone for good.

    Args:
        org: The org.
        item: The object.
        ids: Frames with a column Id.
        window: Time in which all deletions are known by it.
        began: The time of the reading that missed them, as `RawLayer.reading` gives it.
    """
    raw, slug = org.raw, item.spec.slug
    slice_id = new_slice_id(began)
    layout = Layout(raw.raw_folder(slug), slice_id, None, DAY, f"{began:%Y-%m-%d}")
    schema = pa.schema({"Id": pa.string()})
    named = (raw.without_forgotten(slug, frame["Id"]) for frame in ids)
    batches = (pa.RecordBatch.from_pydict({"Id": some}, schema) for some in named)
    written = write_page(raw.store, layout, 0, batches)
    rows = sum(part.rows for part in written.parts)
    if rows != written.rows:
        raise CountMismatchError(
            f"{written.rows} deletions of {slug} became {rows} rows; run again"
        )
    piece = Slice(
        org_id=raw.org_id,
        object=item.info.name,
        id=slice_id,
        kind=SliceKind.DELETIONS,
        start=window.start,
        end=window.end,
        read_at=began,
        source="comparison",
        soql=item.query.only(("Id",)).over(None, None),
        fields=("Id",),
        counts=Counts(org=rows, pages=rows, parsed=rows, written=rows),
        parts=tuple(written.parts),
    )
    raw.commit(piece)
    log.warning("%s: %d records are gone for good", item.info.name, rows)
    return piece


def tasks_by_id(item: Described, frames: Iterable[pl.DataFrame]) -> Iterator[ExtractTask]:
    """Orders for records one by one; the window says where their cursors lie."""
    at_once = _ids_at_once(item)
    for frame in frames:
        for batch in frame.iter_slices(at_once):
            ids = tuple(batch["Id"])
            days = batch["org_cursor"].dt.date()
            low, high = days.min(), days.max()
            if isinstance(low, date) and isinstance(high, date):
                window = Window(utc_day(low), utc_day(high) + _DAY)
                yield ExtractTask(item, window, len(ids), kind=SliceKind.RECORDS, ids=ids)


def _ids_at_once(item: Described) -> int:
    """Ids that fit into an address with all the fields, else those that a Bulk query takes."""
    room = SOQL_BYTES - len(quote(item.query.of_records([""])))
    fitting = room // len(quote(f"'{'0' * 18}', "))
    return min(fitting, IDS_A_QUERY) if fitting >= _FEWEST_IDS else _IDS_A_JOB


def _by_days(item: Described, frames: Iterable[pl.DataFrame]) -> Iterator[ExtractTask]:
    """Orders for the days that records' cursors lie in, days in a row together."""
    days = {day for frame in frames for day in frame["org_cursor"].dt.date().unique().to_list()}
    windows: list[Window] = []
    for day in sorted(days):
        start = utc_day(day)
        if windows and windows[-1].end == start:
            windows[-1] = Window(windows[-1].start, start + _DAY)
        else:
            windows.append(Window(start, start + _DAY))
    for window in windows:
        yield ExtractTask(item, window, kind=SliceKind.RECORDS)
