"""Text rows of a slice, typed, into a table of the warehouse that has room for them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import polars as pl
import pyarrow as pa

from sf_assets.columns.cast import cast
from sf_assets.columns.column import NUMBERS, Column
from sf_assets.columns.decimals import digits
from sf_assets.errors import CountMismatchError
from sf_assets.sql import quoted
from sf_assets.storage.manifest import Slice
from sf_assets.warehouse.sql import tables
from sf_assets.warehouse.sql.connection import Connection
from sf_assets.warehouse.sql.tables import PROVENANCE, Table, declared

VERSION = ("_read_at", "_cursor", "_slice")
"""What versions of a record are ordered by: the greatest is the newest.

Of two readings the later tells more of the present, whatever the stamps: a server whose clock is
behind gives a later version an older one. A record that changed while it was read comes twice in
one reading; there the stamps decide.
"""

_NAMED = pl.col("Id").is_not_null()
_MANY_REJECTS = 50_000


def make_rejects(connection: Connection, name: str) -> None:
    """Make a temporary table of rejects, empty."""
    connection.temporary(name, f"({tables.REJECTS})")


def make_stage(table: Table, staged: Table, names: Sequence[str]) -> None:
    """Make a temporary table for rows on their way into a table, with some of its columns."""
    types = table.types()
    told = {name: types[name] for name in names if name in types}
    staged.connection.temporary(staged.slug, f"({declared(told | PROVENANCE)})")


def fill(
    into: Table,
    columns: Mapping[str, Column],
    tight: Collection[str],
    piece: Slice,
    batches: Iterable[pl.DataFrame],
    *,
    rejects: str,
) -> int:
    """Type a slice's rows into a table; another takes the rest.

    Args:
        into: The table that takes the rows.
        columns: The columns by name, as they are in that table.
        tight: Those that have no room for all of the slice's numbers.
        piece: The slice.
        batches: Its rows: text columns, with `_read_at` and `_slice` beside them.
        rejects: The table of values that cannot be typed, as SQL writes it.

    Returns:
        How many rows there were.

    Raises:
        CountMismatchError: Not as many as the slice's manifest says, or numbers with more digits.
    """
    longest = into.connection.capabilities.longest_text
    stream = _Stream(iter(batches), columns, tight, piece, longest)
    while (heap := stream.heap) is not None:
        into.connection.load(into.name, stream.open(heap))
        if stream.error:
            raise stream.error
        if stream.rejects:
            into.connection.load(rejects, pl.concat(stream.rejects))
            stream.rejects = []
    if stream.count != piece.counts.written:
        raise CountMismatchError(
            f"slice {piece.id} of {piece.object} holds {stream.count} rows, and its manifest says "
            f"{piece.counts.written}; restore its files, or backfill {piece.window}"
        )
    return stream.count


class _Stream:
    """The rows of a slice on their way: typed while the engine takes those before.

    Attributes:
        heap: The next rows, still text; None when there are no more.
        count: Rows that have passed.
        rejects: Values that could not be typed, to be inserted when the stream is closed.
        error: What went wrong while it was open; an engine would tell it as an error of its own.
    """

    def __init__(
        self,
        heaps: Iterator[pl.DataFrame],
        columns: Mapping[str, Column],
        tight: Collection[str],
        piece: Slice,
        longest: int | None,
    ) -> None:
        self._longest = longest
        self._heaps = heaps
        self._columns = columns
        self._tight = tight
        self._piece = piece
        self._cursor = piece.cursor
        self._nul = any(part.nul for part in piece.parts)
        self.heap: pl.DataFrame | None = next(heaps, None)
        self.count = 0
        self.rejects: list[pl.DataFrame] = []
        self.error: Exception | None = None

    def open(self, heap: pl.DataFrame) -> pa.RecordBatchReader:
        """The heap and what comes after it, until there are many rejects."""
        first = self._typed(heap)
        return pa.RecordBatchReader.from_batches(first.schema, self._batches(first))

    def _batches(self, first: pa.Table) -> Iterator[pa.RecordBatch]:
        yield from first.to_batches()
        try:
            while self.heap is not None and sum(map(len, self.rejects)) <= _MANY_REJECTS:
                yield from self._typed(self.heap).cast(first.schema).to_batches()
        except Exception as error:  # noqa: BLE001 (raised again by `fill`)
            self.error = error

    def _typed(self, heap: pl.DataFrame) -> pa.Table:
        """Type a heap, and take up the next."""
        texts = heap.select(*self._columns, "_read_at", "_slice")
        if self._nul:
            texts = texts.with_columns(pl.col(pl.String).str.replace_all("\x00", "", literal=True))
        self.count += len(texts)
        columns = self._columns.values()
        rows, lost = cast(texts.filter(_NAMED), columns, self._tight, self._longest)
        self._refuse_numbers(lost)
        self.rejects += [some for some in (lost, _nameless(texts)) if len(some)]
        cursor = pl.col(self._cursor) if self._cursor else pl.lit(None, pl.Datetime("us", "UTC"))
        rows = rows.with_columns(
            cursor.fill_null(pl.col("_read_at")).alias("_cursor"),
            pl.lit(value=False).alias("_deleted"),
        )
        self.heap = next(self._heaps, None)
        return rows.to_arrow(compat_level=pl.CompatLevel.newest())

    def _refuse_numbers(self, lost: pl.DataFrame) -> None:
        """Refuse to take numbers for none that only find no room.

        Raises:
            CountMismatchError: There is one: it has more digits than the manifest says.
        """
        for (name,), texts in lost.group_by("column"):
            column = self._columns[str(name)]
            if column.kind not in NUMBERS or column.name in self._tight:
                continue
            if not column.fits(*digits(texts["text"], column.integers, column.scale)):
                raise CountMismatchError(
                    f"slice {self._piece.id} of {self._piece.object} holds numbers of "
                    f"{column.name} with more digits than its manifest says; restore its files, "
                    f"or backfill {self._piece.window}"
                )


def _nameless(texts: pl.DataFrame) -> pl.DataFrame:
    """The rows without an Id, as rejects: they are nobody's, and no other waits for them."""
    return texts.filter(~_NAMED).select(
        "Id",
        pl.lit("Id").alias("column"),
        pl.lit(None, pl.String).alias("text"),
        pl.lit("a record without an Id").alias("reason"),
        "_slice",
    )


def drop_older(staged: Table) -> int:
    """Leave one version of each record in the stage, the newest; how many others there were."""
    if not _repeated(staged):
        return 0
    version = ", ".join(VERSION)
    order = ", ".join(f"{column} DESC" for column in VERSION)
    if row := staged.connection.capabilities.row:
        place = f"row_number() OVER (PARTITION BY Id ORDER BY {order}) AS place"
        older = f"SELECT r FROM (SELECT {row} AS r, {place} FROM {staged.name}) WHERE place > 1"
        return scalar(staged.connection, f"DELETE FROM {staged.name} WHERE {row} IN ({older})")
    ranked = f"SELECT Id, {version}, rank() OVER (PARTITION BY Id ORDER BY {order}) AS place"
    older = f"SELECT Id, {version} FROM ({ranked} FROM {staged.name}) WHERE place > 1"
    delete = f"DELETE FROM {staged.name} WHERE (Id, {version}) IN ({older})"
    return scalar(staged.connection, delete) + _drop_twins(staged)


def _repeated(staged: Table) -> int:
    """How many rows are of a record that another row is of, too."""
    # Where the hashes differ the Ids do, and they take half the memory and time.
    return scalar(
        staged.connection, f"SELECT count(*) - count(DISTINCT hash(Id)) FROM {staged.name}"
    )


def _drop_twins(staged: Table) -> int:
    """Leave one of the rows that came twice in a slice, with one stamp; how many others there were.

    Not all engines can name a row but by what it holds.
    """
    if not _repeated(staged):
        return 0
    staged.connection.temporary(
        "newest",
        f"AS SELECT * FROM {staged.name} WHERE Id IN (SELECT Id FROM {staged.name} GROUP BY Id "
        "HAVING count(*) > 1) QUALIFY row_number() OVER (PARTITION BY Id ORDER BY _slice) = 1",
    )
    deleted, inserted = replace_rows(staged, "temp.newest", [*staged.types(), *PROVENANCE])
    return deleted - inserted


def replace_rows(table: Table, rows: str, names: Iterable[str]) -> tuple[int, int]:
    """Put rows in the place of those with the same Ids, or beside the others.

    They are deleted and inserted, not updated in place: DuckDB keeps updates in memory until they
    are committed, and rewrites every row group that one of them is in. Nor are the old rows named
    by `rowid`: done several times in one transaction, that damaged rows which it had inserted
    itself (DuckDB 2.0.0, half a million rows and more; 2.0.1 does so no longer).

    Args:
        table: The table.
        rows: A query in parentheses, or another table: whole rows.
        names: Their columns.

    Returns:
        How many rows were deleted, and how many inserted.
    """
    delete = f"DELETE FROM {table.name} WHERE Id IN (SELECT Id FROM {rows} w)"
    return scalar(table.connection, delete), insert_rows(table, rows, names)


def insert_rows(table: Table, rows: str, names: Iterable[str]) -> int:
    """Put rows beside those that a table has; how many, and arguments as of `replace_rows`."""
    spelt = ", ".join(map(quoted, names))
    insert = f"INSERT INTO {table.name} ({spelt}) SELECT {spelt} FROM {rows} w"
    return scalar(table.connection, insert)


def keep_rejects(table: Table, rejects: str, winners: str, columns: Sequence[str]) -> int:
    """Replace the rejects of the records that were merged; how many values were rejected.

    Args:
        table: The silver table.
        rejects: The table of rejects that came with the rows, as SQL writes it.
        winners: The rows that were merged: a query in parentheses, or a table.
        columns: Columns that came.
    """
    run = table.connection.execute
    if not scalar(table.connection, f"SELECT count(*) FROM {table.rejects}") + scalar(
        table.connection, f"SELECT count(*) FROM {rejects}"
    ):
        return 0
    run(
        f"DELETE FROM {table.rejects} WHERE Id IN (SELECT Id FROM {winners} w) "
        'AND "column" = ANY(CAST(? AS VARCHAR[]))',
        [list(columns)],
    )
    nameless = f"SELECT * FROM {rejects} WHERE Id IS NULL"
    run(
        f"DELETE FROM {table.rejects} WHERE Id IS NULL "
        f"AND _slice IN (SELECT _slice FROM ({nameless}))"
    )
    return scalar(
        table.connection,
        f"INSERT INTO {table.rejects} SELECT r.* FROM {rejects} r WHERE EXISTS (SELECT 1 "
        f"FROM {winners} w WHERE r.Id = w.Id AND r._slice = w._slice) UNION ALL {nameless}",
    )


def scalar(connection: Connection, query: str) -> int:
    """The one number that a query answers with; 0 for none."""
    ((value,),) = connection.execute(query)
    return int(value or 0)
