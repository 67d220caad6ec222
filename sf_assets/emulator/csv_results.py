"""Results of Bulk queries: written once as CSV, then only read.

The database makes the text of each row; the bytes of an Arrow string column are then the very
bytes of the file, and its offsets say where rows end. The places of the row ends lie in a second
file, so that any range of rows can be sent without reading what is before it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from sf_assets.emulator.breakage import row_spans
from sf_assets.emulator.rows_sql import csv_statement
from sf_assets.emulator.soql.plan import Plan, chunk_order, chunk_rows
from sf_assets.emulator.store import Store, quoted

# Rows of 131,072 characters must not make batches of gigabytes.
_BATCH_ROWS = 8192
_CHUNK = 1 << 20
# How far the database may compute ahead of the file; more keeps all cores busy.
_READ_AHEAD = "32MB"
# Below this size one sorted statement is cheaper than one for each range of Ids.
_SMALL_TABLE = 50_000
_WORD = np.dtype("<u8")


@dataclass(frozen=True)
class CsvFormat:
    """What stands between values and after rows."""

    delimiter: str = ","
    line_end: str = "\n"


@dataclass(frozen=True)
class CsvResult:
    """The rows of a finished query.

    Attributes:
        header: The first line of every page.
        path: File with all rows, one after the other.
        rows: Their number.
        size: Bytes in the file.
    """

    header: bytes
    path: Path
    rows: int
    size: int

    def page(
        self, first: int, count: int, repeat_row: int | None = None
    ) -> tuple[int, int, Iterator[bytes]]:
        """Some rows, with the header before them.

        Args:
            first: Number of the first row, from 0.
            count: Most rows to send.
            repeat_row: A row of the page, from 1, to send in place of the next one too.

        Returns:
            Number of rows, size in bytes, and the bytes in chunks.
        """
        end = min(first + count, self.rows)
        spans = row_spans(first, end, repeat_row)
        places = [(self._end_of(start), self._end_of(stop)) for start, stop in spans]
        size = len(self.header) + sum(stop - start for start, stop in places)
        return end - first, size, self._chunks(places)

    def delete(self) -> None:
        """Remove the files; a page that is being sent is still sent."""
        self.path.unlink(missing_ok=True)
        index_path(self.path).unlink(missing_ok=True)

    def _end_of(self, row: int) -> int:
        """Bytes before a row."""
        if row == 0:
            return 0
        with index_path(self.path).open("rb") as index:
            index.seek((row - 1) * _WORD.itemsize)
            return int.from_bytes(index.read(_WORD.itemsize), "little")

    def _chunks(self, places: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        # Opened at once: the job may be deleted before the first chunk is asked for.
        file = self.path.open("rb")

        def read() -> Iterator[bytes]:
            with file:
                before = self.header
                for start, end in places:
                    file.seek(start)
                    for place in range(start, max(end, start + 1), _CHUNK):
                        yield before + file.read(min(end - place, _CHUNK))
                        before = b""

        return read()


def index_path(path: Path) -> Path:
    """Where the row ends of a result are."""
    return path.with_suffix(".rows")


def header_line(plan: Plan, form: CsvFormat) -> bytes:
    """The quoted names of the columns: `"Id","Account.Name"`."""
    names = [".".join(output.path).replace('"', '""') for output in plan.outputs]
    return (form.delimiter.join(f'"{name}"' for name in names) + form.line_end).encode()


def render(
    store: Store, plan: Plan, form: CsvFormat, path: Path, progress: Callable[[int], bool]
) -> CsvResult:
    """Run a query against a snapshot of the org and write its rows.

    Args:
        store: The records.
        plan: The query.
        form: How to write it.
        path: File to write.
        progress: Told the number of rows so far; returns False to stop early.

    Raises:
        duckdb.Error: The query failed while it ran.
        OSError: The file cannot be written.
    """
    rows = 0
    size = 0
    with (
        store.cursor() as connection,
        path.open("wb") as file,
        index_path(path).open("wb") as index,
    ):
        connection.execute(f"SET streaming_buffer_size = '{_READ_AHEAD}'").fetchall()
        connection.execute("BEGIN").fetchall()
        for column in _columns(connection, plan, form):
            ends = _write(column, file)
            (ends + size).astype(_WORD).tofile(index)
            rows += len(column)
            size += int(ends[-1]) if len(ends) else 0
            if not progress(rows):
                break
    return CsvResult(header_line(plan, form), path, rows, size)


def _columns(connection: Any, plan: Plan, form: CsvFormat) -> Iterator[pa.Array]:
    """Finished rows in batches; large tables are read by ranges of Ids, out of order."""
    table = quoted(plan.object_name)
    table_rows = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    size = chunk_rows(table_rows)
    row_id = f"{plan.scope.root.alias}.rowid"
    filters: list[tuple[str, ...]] = [()]
    is_stored = plan.scope.sobject.generated is None
    if plan.chunked and is_stored and table_rows > _SMALL_TABLE:
        # Rows that were deleted for good leave gaps in the numbers.
        last = connection.execute(f"SELECT max(rowid) FROM {table}").fetchall()[0][0]
        filters = [
            (f"{row_id} >= {number * size}", f"{row_id} < {(number + 1) * size}")
            for number in chunk_order(0 if last is None else last // size + 1)
        ]
    for chunk in filters:
        sql = csv_statement(plan, form.delimiter, form.line_end, size, *chunk)
        result = connection.sql(sql, params=plan.bound(sql))
        for batch in result.to_arrow_reader(_BATCH_ROWS):
            yield batch.column(0)


def _write(column: pa.StringArray, file: BinaryIO) -> Any:
    """Append the bytes of a string column to a file; where each value ended, counted from 0."""
    if pa.types.is_large_string(column.type):
        kind: Any = np.int64
    elif pa.types.is_string(column.type):
        kind = np.int32
    else:
        raise TypeError(f"not a string column: {column.type}")
    _, offsets, data = column.buffers()
    places = np.frombuffer(offsets, dtype=kind)[column.offset : column.offset + len(column) + 1]
    if data is not None:
        file.write(memoryview(data)[int(places[0]) : int(places[-1])])
    return (places[1:] - places[0]).astype(np.int64)
