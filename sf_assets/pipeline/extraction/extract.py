"""One extraction: a window of one object becomes one slice, by Bulk or by REST."""

import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event
from urllib.parse import quote

from sf_assets.errors import (
    BulkRefusedError,
    CountMismatchError,
    LimitExceededError,
    LoginError,
    OrgUnreachableError,
    PageBrokenError,
    SalesforceError,
    StorageError,
)
from sf_assets.naming import folded
from sf_assets.pipeline.extraction.download import Download, Filter, PageRead
from sf_assets.pipeline.extraction.duplicate_ids import Seen
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.progress import report
from sf_assets.pipeline.schema.described import Described
from sf_assets.pipeline.schema.stored_describes import number_room
from sf_assets.salesforce.budget import counted, counting
from sf_assets.salesforce.bulk import Deadlines, Job
from sf_assets.salesforce.responses import is_cursor_lost, is_too_large, understood
from sf_assets.salesforce.rest import ROWS_A_PAGE, SOQL_BYTES
from sf_assets.salesforce.rest_arrow import to_batch
from sf_assets.storage.manifest import Counts, Slice, SliceKind, SliceRef, new_slice_id
from sf_assets.storage.parquet_writer import Layout, most_digits, unit_of, write_page
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.windows import BEGIN, OLDEST, Window

log = logging.getLogger(__name__)

REST_ROWS = 10_000
"""Up to so many rows a window costs fewer calls by REST than by Bulk, which takes five or more."""

PAGES_AT_ONCE = max(2, min(4, os.cpu_count() or 2))
"""Result pages read at the same time, for all objects together: what bounds the memory."""

_BEGINNINGS = 3
"""So often a query is begun whose place in the result the org forgets."""

_SHORTEST = timedelta(hours=1)
"""Windows that an org finds too large are halved down to this; then cut by Id."""

_SAMPLES = (ROWS_A_PAGE, 200, 20, 2)
"""Ids to look at when a range of them is cut; fewer where those are too many."""

_WORTH_RESUMING = (OrgUnreachableError, LoginError, LimitExceededError)


class CancelledError(BaseException):
    """The run was told to stop."""


@dataclass(frozen=True, slots=True)
class ExtractTask:
    """What to extract.

    Attributes:
        described: The object and its query.
        window: The window of the cursor; None for a full snapshot.
        rows: How many rows to expect, or None when that is not known.
        unknown: Leaves out rows that raw has already; None to write all.
        digest: Of the last snapshot: one that is the same need not be kept; None to keep any.
        held: The slices that these two speak of. Where raw has others by the time of the reading,
            they say nothing: what was read in between may have come and gone again.
        kind: What the slice will hold, where it is of a window.
        ids: Only these records, whatever their cursor; empty for all of the window.
        whole: Whether it has to be one slice.
    """

    described: Described
    window: Window | None
    rows: int | None = None
    unknown: Filter | None = None
    digest: str | None = None
    held: frozenset[SliceRef] = frozenset()
    kind: SliceKind = SliceKind.EXPORT
    ids: tuple[str, ...] = ()
    whole: bool = False

    @property
    def soql(self) -> str:
        """The query of this window, or of these records."""
        if self.ids:
            return self.described.query.of_records(self.ids)
        return self.described.query.over(self.described.cursor, self.window)

    @property
    def by_rest(self) -> bool:
        """Whether it is few rows, and the query short enough, for REST."""
        few = self.rows is not None and self.rows <= REST_ROWS
        return few and len(quote(self.soql)) <= SOQL_BYTES

    @property
    def halves(self) -> tuple["ExtractTask", ...]:
        """Orders that ask for less, the newer first; none where it cannot be cut by time."""
        if self.whole or self.window is None or self.kind is not SliceKind.EXPORT:
            return ()
        start, end = max(self.window.start, OLDEST), self.window.end
        if end - start <= _SHORTEST:
            return ()
        middle = (start + (end - start) / 2).replace(microsecond=0)
        windows = (Window(middle, end), Window(self.window.start, middle))
        return tuple(replace(self, window=window) for window in windows)


class Extractor:
    """Extracts orders, several at a time if asked from several threads.

    Args:
        org: The org.
        deadlines: How long jobs may take.
        raw: Where slices go; None for the org's own raw layer.
    """

    def __init__(
        self, org: Org, deadlines: Deadlines | None = None, raw: RawLayer | None = None
    ) -> None:
        self._org = org
        self._client = org.client
        self._raw = raw or org.raw
        self._deadlines = deadlines or Deadlines()
        self._pages = ThreadPoolExecutor(PAGES_AT_ONCE, "page")
        self._stopped = Event()

    def stop(self) -> None:
        """Make all extractions end soon with `CancelledError`, their jobs aborted."""
        self._stopped.set()

    def close(self) -> None:
        """Wait for what is at work."""
        self._pages.shutdown()

    def extract(self, order: ExtractTask) -> Slice | None:
        """Read a window and commit it as a slice.

        Returns:
            The slice; None for a snapshot that is the same as the one before, and for fields read
            again that say nothing new: those are not kept.

        Raises:
            SalesforceError: The org refused or failed; what can be resumed is in the journal.
            CountMismatchError: Rows were lost or doubled on the way; nothing is committed.
            PageBrokenError: A page stays broken, or came twice; nothing is committed.
            StorageError: The storage refused.
            CancelledError: `stop` was called.
        """
        order = self._as_raw_is(order)
        with counting():
            for beginnings in itertools.count(1):
                try:
                    return self._attempt(order)
                except SalesforceError as error:
                    if is_too_large(error) and not order.halves and not order.ids:
                        return self._by_id(order, error)
                    if not is_cursor_lost(error) or beginnings == _BEGINNINGS:
                        raise
                    log.info("%s: the query begins again: %s", order.described.spec.name, error)
        raise AssertionError  # the loop has no other end

    def _as_raw_is(self, order: ExtractTask) -> ExtractTask:
        """The order, to be written whole where raw has other slices than those that it knows of."""
        if order.unknown is None and order.digest is None:
            return order
        slug = order.described.spec.slug
        if order.held.issuperset(self._raw.refs(slug).get(slug, ())):
            return order
        return replace(order, unknown=None, digest=None)

    def _attempt(self, order: ExtractTask) -> Slice | None:
        if order.by_rest:
            return self._by_rest(order)
        try:
            draft, job = self._begin(order)
        except BulkRefusedError as refusal:
            log.info("%s goes by REST: %s", order.described.spec.name, refusal)
            return self._by_rest(order)
        return self._finish(draft, job, order)

    def _begin(self, order: ExtractTask) -> tuple[Slice, Job]:
        """Start a Bulk job, and note in the journal that it is ours."""
        read_at = self._reading(order)
        job = self._client.bulk.create(order.soql)
        draft = self._draft(order, read_at, "bulk", job.id)
        try:
            self._raw.note(draft)
        except StorageError:
            self._discard(draft)  # nobody would know of the job
            raise
        return draft, job

    def settle(self, described: Described) -> Iterator[Slice]:
        """Take up or discard what earlier runs left in the journal of an object.

        To be called with the object's lock held, before anything of it is read: so that readings of
        one object never overlap, and their order is known.

        Yields:
            The slices that came of it.
        """
        for draft in self._raw.drafts(described.spec.slug):
            if piece := self.resume(draft, described):
                yield piece

    def _reading(self, order: ExtractTask) -> datetime:
        return self._raw.reading(order.described.spec.slug, self._client.now())

    def resume(self, draft: Slice, described: Described) -> Slice | None:
        """Take up the Bulk job of a run that ended early.

        Returns:
            The slice; None when that run had committed it, the job is gone, or the query is another
            by now.
        """
        if draft.ref in self._raw.refs(draft.object.lower()).get(draft.object.lower(), ()):
            # Written again, its files would not be those of its manifest.
            self._discard(draft, ended=True)
            return None
        window = None if draft.kind is SliceKind.SNAPSHOT else draft.window
        known = set(map(folded, described.query.fields))
        if draft.kind is SliceKind.FIELDS and known.issuperset(map(folded, draft.fields)):
            described = replace(described, query=described.query.only(draft.fields))
        order = ExtractTask(described, window, kind=draft.kind)
        with counting():
            job = self._alive(draft) if draft.soql == order.soql else None
            if job is None:
                self._discard(draft)
                return None
            log.info("%s: Bulk job %s of an earlier run is taken up", draft.object, job.id)
            return self._finish(draft, job, order)

    def _alive(self, draft: Slice) -> Job | None:
        try:
            return self._client.bulk.get(draft.job_id or "")
        except SalesforceError as error:
            if error.not_found:
                return None
            raise

    def _by_rest(self, order: ExtractTask) -> Slice | None:
        draft = self._draft(order, self._reading(order), "rest")
        with Seen() as seen:
            total, pages = self._pages_of(order.soql, draft, order, seen)
            return self._commit(draft, total, pages, order, seen)

    def _pages_of(
        self, soql: str, draft: Slice, order: ExtractTask, seen: Seen, first: int = 0
    ) -> tuple[int, list[PageRead]]:
        """Read a query by REST: the rows that are announced, and the pages, numbered on."""
        layout = self._layout(draft)
        columns, stamps = order.described.columns, order.described.stamps
        total, pages = 0, list[PageRead]()
        for number, answer in enumerate(self._client.rest.pages(soql), first):
            self._check()
            with understood("a query"):
                total = total or int(answer["totalSize"])
                batch = to_batch(answer["records"], draft.fields, columns, stamps)
            ids = seen.page()
            written = write_page(
                self._raw.store, layout, number, [batch], order.unknown, see=ids.see
            )
            ids.close()
            pages.append(PageRead(batch.num_rows, written))
            report(order.described.spec.slug, "reading", batch.num_rows, total)
        return total, pages

    def _by_id(self, order: ExtractTask, refusal: SalesforceError) -> Slice | None:
        """Read an order that cannot be cut by time in ranges of Ids, each as small as is needed."""
        query, cursor = order.described.query, order.described.cursor
        draft = self._draft(order, self._reading(order), "rest")
        total, pages = 0, list[PageRead]()
        ranges = self._split(order, "", "", refusal)
        with Seen() as seen:
            while ranges:
                low, high = ranges.pop()
                before = seen.pages
                soql = query.within(low, high).over(cursor, order.window)
                try:
                    rows, read = self._pages_of(soql, draft, order, seen, len(pages))
                except SalesforceError as error:
                    if not is_too_large(error):
                        raise
                    seen.forget(before)
                    ranges += self._split(order, low, high, error)
                else:
                    total, pages = total + rows, pages + read
            return self._commit(draft, total, pages, order, seen)

    def _split(
        self, order: ExtractTask, low: str, high: str, refusal: SalesforceError
    ) -> list[tuple[str, str]]:
        """Two ranges in place of one, cut at the middle of some Ids in it.

        Raises:
            SalesforceError: That which says that the range is too large, where it holds one row, or
                the org does not even tell some of its Ids.
        """
        query = order.described.query.only(("Id",)).within(low, high)
        soql = query.over(order.described.cursor, order.window)
        for limit in _SAMPLES:
            try:
                answer = next(self._client.rest.pages(f"{soql} LIMIT {limit}"))
            except SalesforceError as error:
                if not is_too_large(error):
                    raise
                continue
            ids = sorted({str(row["Id"]) for row in answer["records"]})
            if len(ids) > 1:
                middle = ids[len(ids) // 2]
                return [(middle, high), (low, middle)]
        raise refusal

    def _finish(self, draft: Slice, job: Job, order: ExtractTask) -> Slice | None:
        """Wait for a job, read its pages, commit the slice, remove the job."""
        slug = order.described.spec.slug
        bulk = self._client.bulk
        try:
            job = bulk.wait(
                job, self._deadlines, self._pause, lambda j: report(slug, "waiting", j.rows)
            )
            with Seen() as seen:
                pages = self._download(job, draft, order, seen)
                piece = self._commit(draft, job.rows, pages, order, seen)
        except _WORTH_RESUMING:
            raise
        except BaseException:
            self._discard(draft)
            raise
        self._discard(draft, ended=True)
        return piece

    def _download(self, job: Job, draft: Slice, order: ExtractTask, seen: Seen) -> list[PageRead]:
        download = Download(
            bulk=self._client.bulk,
            job=job,
            store=self._raw.store,
            layout=self._layout(draft),
            slug=order.described.spec.slug,
            fields=draft.fields,
            columns=draft.columns,
            unknown=order.unknown,
            seen=seen,
            pause=self._pause,
        )
        return download.run(self._pages)

    def _draft(
        self, order: ExtractTask, read_at: datetime, source: str, job_id: str | None = None
    ) -> Slice:
        """The slice to be; nothing in it was read before `read_at`, or seconds before."""
        described = order.described
        # The time of a reading orders it, and may be ahead of the org's.
        window = order.window or Window(BEGIN, min(read_at, self._client.now()))
        return Slice(
            org_id=self._client.org_id,
            object=described.info.name,
            id=new_slice_id(read_at),
            kind=order.kind if order.window else SliceKind.SNAPSHOT,
            start=window.start,
            end=window.end,
            read_at=read_at,
            source=source,
            job_id=job_id,
            soql=order.soql,
            cursor=described.cursor if order.window else None,
            fields=described.query.fields,
        )

    def _layout(self, draft: Slice) -> Layout:
        return Layout(
            folder=self._raw.raw_folder(draft.object.lower()),
            slice_id=draft.id,
            cursor=draft.cursor,
            unit=unit_of(draft.window),
            label=f"{draft.read_at:%Y-%m-%d}",
            numbers=number_room(self._raw, draft.object.lower(), draft.fields),
        )

    def _commit(
        self, draft: Slice, total: int, pages: Sequence[PageRead], order: ExtractTask, seen: Seen
    ) -> Slice | None:
        """Hold the counts against each other and make the slice exist."""
        written = [page.written for page in pages]
        counts = Counts(
            org=total,
            pages=sum(page.announced for page in pages),
            parsed=sum(w.rows for w in written),
            known=sum(w.known for w in written),
            written=sum(part.rows for w in written for part in w.parts),
        )
        if not counts.agree:
            raise CountMismatchError(
                f"{draft.object}, {draft.window}: the counts do not agree ({counts}; job "
                f"{draft.job_id or 'none, by REST'}); nothing is committed, run again"
            )
        try:
            seen.check()
        except PageBrokenError as error:  # the counts agree all the same
            raise PageBrokenError(
                f"{draft.object}, {draft.window}: {error}, so one came in place of another (job "
                f"{draft.job_id or 'none, by REST'}); nothing is committed, run again"
            ) from None
        seconds = max(0.0, (self._client.now() - draft.read_at).total_seconds())
        digest = None if draft.cursor else f"{sum(w.digest for w in written):x}"
        if digest is not None and digest == order.digest:
            self._raw.store.delete([part.path for w in written for part in w.parts])
            proven = {draft.object.lower(): [draft.window]}
            self._raw.coverage_log.add(proven, {}, draft.read_at)
            return None
        if draft.kind is SliceKind.FIELDS and order.unknown and not counts.written:
            return None  # without a filter, that there was nothing to read is worth knowing
        piece = draft.model_copy(
            update={
                "counts": counts,
                "calls": counted(),
                "seconds": seconds,
                "digest": digest,
                "min_cursor": min((w.min_cursor for w in written if w.min_cursor), default=None),
                "max_cursor": max((w.max_cursor for w in written if w.max_cursor), default=None),
                "parts": tuple(part for w in written for part in w.parts),
                "digits": most_digits(w.digits for w in written),
            }
        )
        self._check()
        self._raw.commit(piece)
        if self._raw is self._org.raw:  # others are thrown away
            log.info("%s: %d rows of %s are in raw", piece.object, counts.written, piece.window)
        return piece

    def _discard(self, draft: Slice, *, ended: bool = False) -> None:
        """Be done with a slice, committed or given up: no job stays, and nothing is taken up."""
        if draft.job_id:
            try:
                if not ended:
                    self._client.bulk.abort(draft.job_id)
                self._client.bulk.delete(draft.job_id)
            except SalesforceError as error:
                log.info("%s: Bulk job %s stays behind: %s", draft.object, draft.job_id, error)
        self._raw.forget(draft)

    def _pause(self, seconds: float) -> None:
        self._stopped.wait(seconds)
        self._check()

    def _check(self) -> None:
        if self._stopped.is_set():
            raise CancelledError
