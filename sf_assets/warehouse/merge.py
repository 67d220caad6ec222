"""Slices into a silver table: typed, the newest version of each record kept, in one transaction."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import groupby

import duckdb
import polars as pl

from sf_assets.errors import CountMismatchError
from sf_assets.storage.slices import Kind, Slice
from sf_assets.warehouse.columns import Column
from sf_assets.warehouse.duckdb import quoted
from sf_assets.warehouse.stage import REJECTS, fill, make_rejects
from sf_assets.warehouse.tables import PROVENANCE, TEMPORARY, Table
from sf_assets.windows import compact

Reader = Callable[[Slice], Iterable[pl.DataFrame]]
"""Reads a slice's rows: text columns, with `_read_at` and `_slice` beside them."""

_ROWS_AT_ONCE = 5_000_000
_VERSION = ("_cursor", "_read_at", "_slice")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The ledger of a merge: rows of the slices, and what became of them.

    Attributes:
        rows_in: Rows in the slices.
        inserted: Records that silver had not.
        updated: Records that changed.
        unchanged: Versions that say what silver says.
        stale: Versions older than what silver has, or than another one in the same merge.
        rejected: Values that could not be typed.
    """

    rows_in: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    rejected: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.rows_in} rows in: {self.inserted} inserted, {self.updated} updated, "
            f"{self.unchanged} unchanged, {self.stale} stale; {self.rejected} values rejected"
        )

    @property
    def agrees(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows_in == self.inserted + self.updated + self.unchanged + self.stale


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of it or nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def merged_slices(
    connection: duckdb.DuckDBPyConnection, org_id: str, slugs: Iterable[str]
) -> dict[str, set[str]]:
    """Ids of the slices that silver has taken up, by object."""
    rows = connection.execute(
        "SELECT object, list(slice) FROM ops.slices "
        "WHERE org_id = ? AND object = ANY(?) GROUP BY object",
        [org_id, list(slugs)],
    ).fetchall()
    return {slug: set(ids) for slug, ids in rows}


def merge(
    table: Table, slices: Sequence[Slice], columns: Mapping[str, Column], read: Reader
) -> Iterator[Outcome]:
    """Merge slices of one object, oldest reading first; each yield is one committed transaction.

    Args:
        table: The silver table.
        slices: Slices not yet merged.
        columns: Columns of the object as described; those a slice does not have stay as they are.
        read: Reads a slice.

    Raises:
        CountMismatchError: A slice does not hold the rows that its manifest says.
        duckdb.Error: The warehouse refused; what was committed before stays.
    """
    for batch in _batches(sorted(slices, key=lambda s: (s.read_at, s.id))):
        with transaction(table.connection):
            outcome = _merge_alike(table, batch, columns, read)
        yield outcome


def rebuild(
    table: Table, org_id: str, slices: Sequence[Slice], columns: Mapping[str, Column], read: Reader
) -> Outcome:
    """Make the table anew from slices, in one transaction: the old one stays if this fails.

    Args:
        table: The silver table, which may be there or not.
        org_id: Whose slices.
        slices: All slices of the object.
        columns: Columns of the object as described.
        read: Reads a slice.

    Raises:
        CountMismatchError: A slice does not hold the rows that its manifest says.
        duckdb.Error: The warehouse refused.
    """
    total = Outcome()
    with transaction(table.connection):
        table.drop()
        table.connection.execute(
            "DELETE FROM ops.slices WHERE org_id = ? AND object = ?", [org_id, table.slug]
        )
        for batch in _batches(sorted(slices, key=lambda s: (s.read_at, s.id))):
            total += _merge_alike(table, batch, columns, read)
    return total


def _batches(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Runs of slices with the same columns, none of too many rows."""
    for _, alike in groupby(slices, key=lambda s: sorted(s.columns)):
        batch: list[Slice] = []
        for piece in alike:
            if batch and sum(s.counts.written for s in [*batch, piece]) > _ROWS_AT_ONCE:
                yield batch
                batch = []
            batch.append(piece)
        yield batch


def _merge_alike(
    table: Table, slices: Sequence[Slice], columns: Mapping[str, Column], read: Reader
) -> Outcome:
    started = time.monotonic()
    actual = table.ensure([columns[name] for name in slices[0].columns if name in columns])
    first_load = table.is_empty()
    staged = table if first_load else Table(table.connection, TEMPORARY, "staged")
    names = [*actual, *PROVENANCE]
    _make_stage(table, staged, names)
    room = [table] if first_load else [table, staged]
    rows_in = sum(fill(staged, room, actual, piece, read(piece)) for piece in slices)
    stale = _drop_older(staged)
    if first_load:
        outcome = Outcome(rows_in, inserted=rows_in - stale, stale=stale)
        winners = table.name
    else:
        outcome = Outcome(rows_in, stale=stale) + _apply(table, names)
        winners = (
            "(SELECT s.* FROM temp.staged s JOIN temp.verdicts USING (Id) WHERE what <> 'stale')"
        )
    outcome += Outcome(rejected=_keep_rejects(table, winners, list(actual)))
    for piece in slices:
        if piece.kind is Kind.SNAPSHOT:
            _mark_missing(table, piece)
    table.make_view()
    _record(table, slices, outcome, time.monotonic() - started)
    return outcome


def _make_stage(table: Table, staged: Table, names: Sequence[str]) -> None:
    """Temporary tables for rows and rejects; rows of a first load go straight into the table."""
    run = table.connection.execute
    make_rejects(table.connection)
    if staged is not table:
        spelt = ", ".join(map(quoted, names))
        run(f"CREATE OR REPLACE TEMP TABLE staged AS SELECT {spelt} FROM {table.name} LIMIT 0")


def _drop_older(staged: Table) -> int:
    """Leave one version of each record in the stage, the newest; how many others there were."""
    run = staged.connection.execute
    if not _scalar(staged, f"SELECT count(*) - count(DISTINCT Id) FROM {staged.name}"):
        return 0
    order = ", ".join(f"{column} DESC" for column in _VERSION)
    ranked = f"SELECT rowid AS r, row_number() OVER (PARTITION BY Id ORDER BY {order}) AS rank"
    older = f"SELECT r FROM ({ranked} FROM {staged.name}) WHERE rank > 1"
    row = run(f"DELETE FROM {staged.name} WHERE rowid IN ({older})").fetchone()
    return int(row[0]) if row else 0


def _apply(table: Table, names: Sequence[str]) -> Outcome:
    """Merge the stage into the table by what the versions of each record say."""
    run = table.connection.execute
    _judge(table, [name for name in names if name not in PROVENANCE])
    changed = "SELECT s.* FROM temp.staged s JOIN temp.verdicts v USING (Id) WHERE v.what IN"
    spelt = [quoted(name) for name in names]
    run(
        f"MERGE INTO {table.name} t USING ({changed} ('inserted', 'updated')) s ON t.Id = s.Id "
        f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{n} = s.{n}' for n in spelt)} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(spelt)}) "
        f"VALUES ({', '.join(f's.{n}' for n in spelt)})"
    )
    run(
        f"UPDATE {table.name} t SET {', '.join(f'{n} = s.{n}' for n in PROVENANCE)} "
        f"FROM ({changed} ('unchanged')) s WHERE t.Id = s.Id"
    )
    counts = dict(run("SELECT what, count(*) FROM temp.verdicts GROUP BY 1").fetchall())
    return Outcome(**counts)


def _judge(table: Table, names: Sequence[str]) -> None:
    """Decide for each staged record whether it is inserted, updated, unchanged or stale.

    Contents are compared only where the cursor is the same, or says nothing because the object has
    none: then the version may be one that silver has read before.
    """
    run = table.connection.execute
    version = ", ".join(f"{{0}}.{column}" for column in _VERSION)
    run(
        "CREATE OR REPLACE TEMP TABLE verdicts AS SELECT s.Id, CASE "
        "WHEN t.Id IS NULL THEN 'inserted' "
        f"WHEN ({version.format('t')}) > ({version.format('s')}) THEN 'stale' "
        "WHEN t._cursor = s._cursor OR s._cursor = s._read_at THEN 'same' "
        f"ELSE 'updated' END AS what FROM temp.staged s LEFT JOIN {table.name} t USING (Id)"
    )
    if _scalar(table, "SELECT count(*) FROM temp.verdicts WHERE what = 'same'"):
        equal = " AND ".join(f"s.{n} IS NOT DISTINCT FROM t.{n}" for n in map(quoted, names))
        run(
            "UPDATE temp.verdicts v SET what = CASE WHEN same.equal THEN 'unchanged' "
            f"ELSE 'updated' END FROM (SELECT s.Id, NOT t._deleted AND {equal} AS equal "
            f"FROM temp.staged s JOIN {table.name} t USING (Id) JOIN temp.verdicts USING (Id) "
            "WHERE what = 'same') same WHERE v.Id = same.Id"
        )


def _keep_rejects(table: Table, winners: str, columns: Sequence[str]) -> int:
    """Replace the rejects of the records that were merged; how many values were rejected."""
    run = table.connection.execute
    if not _scalar(table, f"SELECT count(*) FROM {table.rejects}") + _scalar(
        table, f"SELECT count(*) FROM {REJECTS}"
    ):
        return 0
    run(
        f'DELETE FROM {table.rejects} WHERE Id IN (SELECT Id FROM {winners}) AND "column" = ANY(?)',
        [list(columns)],
    )
    row = run(
        f"INSERT INTO {table.rejects} SELECT r.* FROM {REJECTS} r "
        f"SEMI JOIN {winners} w ON r.Id = w.Id AND r._slice = w._slice"
    ).fetchone()
    return int(row[0]) if row else 0


def _mark_missing(table: Table, snapshot: Slice) -> None:
    """Mark the records that a full snapshot no longer has."""
    table.connection.execute(
        f"UPDATE {table.name} SET _deleted = true WHERE _read_at < ? AND NOT _deleted",
        [snapshot.read_at],
    )


def _record(table: Table, slices: Sequence[Slice], outcome: Outcome, seconds: float) -> None:
    """Note in the same transaction which slices silver now has, and the merge's ledger."""
    if not outcome.agrees:
        raise CountMismatchError(
            f"the merge of {slices[0].object} does not add up ({outcome}); nothing of it was kept"
        )
    merge_id = uuid.uuid4().hex[:12]
    rows = pl.DataFrame(
        [
            {
                "org_id": s.org_id,
                "object": table.slug,
                "slice": s.id,
                "kind": s.kind,
                "window_start": compact(s.start),
                "window_end": compact(s.end),
                "read_at": s.read_at,
                "source": s.source,
                "job_id": s.job_id,
                "rows": s.counts.written,
                "merge": merge_id,
            }
            for s in slices
        ]
    )
    run = table.connection.execute
    table.connection.register("batch", rows.to_arrow())
    run("INSERT INTO ops.slices BY NAME FROM batch")
    table.connection.unregister("batch")
    run(
        "INSERT INTO ops.merges VALUES (?, ?, ?, now(), ?, ?, ?, ?, ?, ?, ?)",
        [slices[0].org_id, table.slug, merge_id, seconds, *astuple(outcome)],
    )


def _scalar(table: Table, query: str) -> int:
    row = table.connection.execute(query).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
