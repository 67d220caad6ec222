"""The result pages of one Bulk job, read side by side, each becoming files of its own."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import dataclass
from threading import Event

import pyarrow as pa

from sf_assets.errors import PageBrokenError
from sf_assets.pipeline.extraction.duplicate_ids import Seen
from sf_assets.pipeline.progress import report
from sf_assets.salesforce.bulk import BulkApi, Job, Page
from sf_assets.salesforce.csv import BLOCKS, RecordTooLongError, read_csv
from sf_assets.salesforce.session import pauses
from sf_assets.storage.parquet_writer import Layout, Written, write_page
from sf_assets.storage.store import Store

log = logging.getLogger(__name__)

Filter = Callable[[pa.Table], pa.Table]
"""Leaves out the rows that raw has already."""


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page read: the rows that were announced, and what they became."""

    announced: int
    written: Written


@dataclass(frozen=True, slots=True)
class Download:
    """Everything that reading a job's pages takes.

    Attributes:
        bulk: Where the job is.
        job: The complete job.
        store: Where the files go.
        layout: How they are laid out.
        slug: The object, for progress.
        fields: Fields selected.
        columns: What to call them.
        unknown: Leaves out rows that raw has already; None to write all.
        seen: The Ids that come.
        pause: Waits for some seconds; raises when the run is told to stop.
    """

    bulk: BulkApi
    job: Job
    store: Store
    layout: Layout
    slug: str
    fields: Sequence[str]
    columns: Sequence[str]
    unknown: Filter | None
    seen: Seen
    pause: Callable[[float], None]

    def run(self, pool: Executor) -> list[PageRead]:
        """Read all pages.

        Args:
            pool: Threads for the pages, shared with other jobs.

        Raises:
            PageBrokenError: A page stays broken however often it is fetched.
        """
        locators = self.bulk.locators(self.job)
        futures: deque[Future[PageRead]] = deque()
        numbers = itertools.count()
        asked: set[str | None] = set()
        over = Event()

        def submit(locator: str | None) -> None:
            if over.is_set():  # a page failed while the one before this was read
                return
            if locator in asked:
                raise PageBrokenError(
                    f"a result page of Bulk job {self.job.id} names one that was read as the next"
                )
            asked.add(locator)
            follow = submit if locators is None else None
            context = copy_context()  # in which calls are counted for the slice
            page = pool.submit(context.run, self._page, next(numbers), locator, follow)
            futures.append(page)

        for locator in [None] if locators is None else locators:
            submit(locator)
        pages: list[PageRead] = []
        try:
            while futures:
                pages.append(futures.popleft().result())
                read = sum(page.written.rows for page in pages)
                report(self.slug, "reading", read, self.job.rows)
        finally:
            over.set()
            for future in list(futures):
                future.cancel()
        return pages

    def _page(
        self, number: int, locator: str | None, follow: Callable[[str], None] | None
    ) -> PageRead:
        """Fetch one page until it is whole; nothing of a broken one counts."""
        waits, blocks = pauses(), iter(BLOCKS)
        block = next(blocks)
        while True:
            try:
                with self.bulk.open_page(self.job, locator, chained=follow is not None) as page:
                    if follow and page.following:
                        follow(page.following)
                        follow = _ignore
                    ids = self.seen.page()
                    rows = self._live(read_csv(page.body, self.fields, self.columns, block))
                    written = write_page(
                        self.store, self.layout, number, rows, self.unknown, see=ids.see
                    )
                    read = self._whole(page, written)
                    ids.close()
                    return read
            except RecordTooLongError:
                larger = next(blocks, None)
                if larger is None:
                    raise
                block = larger
            except PageBrokenError as error:
                pause = next(waits, None)
                if pause is None:
                    raise
                log.info("%s: page %d is fetched again: %s", self.slug, number, error)
                self.pause(pause)

    def _whole(self, page: Page, written: Written) -> PageRead:
        announced = written.rows if page.rows is None else page.rows
        if announced != written.rows:
            raise PageBrokenError(
                f"a result page of Bulk job {self.job.id} announced {announced} rows and held "
                f"{written.rows}"
            )
        return PageRead(announced, written)

    def _live(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, as long as the run is not told to stop."""
        for batch in batches:
            self.pause(0)
            yield batch


def _ignore(_: str) -> None:
    """The next page was asked for at an earlier attempt."""
