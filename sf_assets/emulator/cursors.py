"""Open query results: pages that can be asked for again while the result lives.

A result is read from the database only as far as pages were asked for; what was read lies in a
temporary file, so that memory stays small and a page can be repeated.
"""

import re
import threading
from array import array
from collections import OrderedDict
from collections.abc import Generator
from tempfile import TemporaryFile
from typing import Any

from duckdb import DuckDBPyConnection

from sf_assets.emulator.breakage import row_spans
from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.ids import IdSequence
from sf_assets.emulator.rows_sql import LINK, JsonRows
from sf_assets.emulator.soql.plan import Plan, chunk_rows
from sf_assets.emulator.store import Store, quoted

_MOST_OPEN = 100
_PREFIX = "01g"
_MARK = re.compile(f"{LINK}(\\d+)\\|(\\w+){LINK}")


class Cursor:
    """One result.

    Args:
        plan: The query.
        base: Path that begins the records' addresses.
        batch: Rows in a page.
        more_filters: Conditions in addition to the query's own.
        inside: Connection with a transaction whose changes the result shows; then it is read at
            once, because the transaction goes on.
    """

    def __init__(
        self,
        cursors: "Cursors",
        plan: Plan,
        base: str,
        batch: int,
        *,
        more_filters: tuple[str, ...] = (),
        inside: DuckDBPyConnection | None = None,
    ) -> None:
        self.base = base
        self.batch = batch
        self._cursors = cursors
        self._plan = plan
        self._lock = threading.Lock()
        self._is_own = inside is None
        self._connection = inside or cursors.store.cursor()
        if self._is_own:
            self._connection.execute("BEGIN").fetchall()
        self.total = self._count(more_filters)
        self._rows = self._read(more_filters)
        # Closed with the result, which outlives any block.
        self._spool = TemporaryFile(dir=cursors.store.folder)  # noqa: SIM115
        self._ends = array("Q", [0])

    def _count(self, more_filters: tuple[str, ...]) -> int:
        sql = self._plan.count_sql(*more_filters)
        found = self._connection.execute(sql, self._plan.bound(sql)).fetchall()
        return int(found[0][0])

    def _read(self, more_filters: tuple[str, ...]) -> Generator[str, None, None]:
        """The records' texts, from a snapshot that is given up with the last one."""
        table = quoted(self._plan.object_name)
        rows = self._connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
        writer = JsonRows(self.base, self.batch)
        sql = writer.statement(self._plan, chunk_rows(rows), *more_filters)
        if self.total <= self.batch or not self._is_own:
            found = self._connection.execute(sql, self._plan.bound(sql)).fetchall()
            if self._is_own:
                self._connection.close()
            yield from (text for (text,) in found)
            return
        result = self._connection.sql(sql, params=self._plan.bound(sql))
        for batch in result.to_arrow_reader(self.batch):
            yield from batch.column(0).to_pylist()
        self._connection.close()

    def page(self, first: int, repeat_row: int | None = None) -> str:
        """Records from a place on, as JSON texts joined by commas.

        Args:
            first: Number of the first record, from 0.
            repeat_row: A record of the page, from 1, to give in place of the next one too.
        """
        with self._lock:
            wanted = min(first + self.batch, self.total)
            while len(self._ends) <= wanted:
                text = self._linked(next(self._rows)).encode()
                self._spool.seek(self._ends[-1])
                self._spool.write(text + b",")
                self._ends.append(self._ends[-1] + len(text) + 1)
            spans = row_spans(first, wanted, repeat_row)
            return b"".join(self._spooled(*span) for span in spans)[:-1].decode()

    def _spooled(self, first: int, end: int) -> bytes:
        """Records that were read before, each with a comma after it."""
        self._spool.seek(self._ends[first])
        return self._spool.read(self._ends[end] - self._ends[first])

    def _linked(self, text: str) -> str:
        """Addresses in place of the marks where a record has more children than fit."""
        if LINK not in text:
            return text
        subqueries = [o.children for o in self._plan.outputs if o.children is not None]

        def link(match: re.Match[str]) -> str:
            child = subqueries[int(match[1])]
            condition = f"{child.parent_key} = '{match[2]}'"
            locator = self._cursors.open(child, self.base, self.batch, more_filters=(condition,))[0]
            return f'"{self.base}/query/{locator}-{self.batch}"'

        return _MARK.sub(link, text)

    def close(self) -> None:
        """Give up the snapshot and the file."""
        with self._lock:
            self._rows.close()
            if self._is_own:
                self._connection.close()
            self._spool.close()


class Cursors:
    """The open results of the org; the one unused for longest goes when there are too many.

    Args:
        store: Where the records are.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._open: OrderedDict[str, Cursor] = OrderedDict()
        self._ids = IdSequence(_PREFIX)
        self._lock = threading.Lock()

    def open(self, plan: Plan, base: str, batch: int, **more: Any) -> tuple[str, Cursor]:
        """Run a query.

        Args:
            plan: The query.
            base: Path that begins the records' addresses.
            batch: Rows in a page.
            more: Further arguments of `Cursor`.

        Returns:
            The Id by which it is asked for again, and the result.
        """
        cursor = Cursor(self, plan, base, batch, **more)
        with self._lock:
            locator = next(self._ids)
            self._open[locator] = cursor
            oldest = self._open.popitem(last=False)[1] if len(self._open) > _MOST_OPEN else None
        if oldest is not None:
            oldest.close()
        return locator, cursor

    def find(self, locator: str) -> Cursor:
        """The result of that Id.

        Raises:
            ApiError: INVALID_QUERY_LOCATOR.
        """
        with self._lock:
            cursor = self._open.get(locator)
            if cursor is None:
                raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
            self._open.move_to_end(locator)
        return cursor

    def drop(self, locator: str) -> None:
        """Forget a result whose only page was delivered."""
        with self._lock:
            cursor = self._open.pop(locator, None)
        if cursor is not None:
            cursor.close()

    def close(self) -> None:
        """Forget all results."""
        with self._lock:
            cursors = list(self._open.values())
            self._open.clear()
        for cursor in cursors:
            cursor.close()
