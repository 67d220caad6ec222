"""Patches: what a slice says about rows that other slices brought.

A patch concerns a row by the row's own cursor and read time, never by what was merged before it. So
patches may be merged again, and after rows that came late, with the same result.
"""

from sf_assets.errors import CountMismatchError
from sf_assets.sql import quoted
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.warehouse.duckdb import history
from sf_assets.warehouse.duckdb.prepare import Prepared
from sf_assets.warehouse.duckdb.stage import (
    drop_older,
    fill,
    insert,
    keep_rejects,
    make_stage,
    replace_rows,
)
from sf_assets.warehouse.duckdb.tables import PROVENANCE, TEMPORARY, Table
from sf_assets.warehouse.ledger import Outcome
from sf_assets.warehouse.port import Reader

_OF_THIS_VERSION = "t._cursor = s._cursor AND t._read_at <= s._read_at AND NOT t._deleted"
"""The stamp says that nothing else of the record changed; its columns are not older, either."""


def patch(table: Table, piece: Slice, prepared: Prepared, read: Reader) -> Outcome:
    """Merge a patch into a silver table.

    Args:
        table: The silver table.
        piece: The patch.
        prepared: The table's columns.
        read: Reads a slice.

    Raises:
        CountMismatchError: The slice does not hold the rows that its manifest says.
        duckdb.Error: The warehouse refused.
    """
    if not table.types():
        return Outcome(piece.counts.written, stale=piece.counts.written)
    merge = _delete if piece.kind is SliceKind.DELETIONS else _amend
    return merge(table, piece, prepared, read)


def _delete(table: Table, piece: Slice, _prepared: Prepared, read: Reader) -> Outcome:
    """Mark records as gone for good, unless they were read after that was found out."""
    run = table.connection.execute
    run("CREATE OR REPLACE TEMP TABLE gone (Id VARCHAR)")
    for frame in read(piece):
        insert(table.connection, "gone", frame.select("Id"))
    ((rows, known),) = run(
        f"SELECT count(*), count(t.Id) FILTER (WHERE t._deleted) FROM gone g "
        f"LEFT JOIN {table.name} t USING (Id)"
    ).fetchall()
    if rows != piece.counts.written:
        raise CountMismatchError(
            f"slice {piece.id} of {piece.object} holds {rows} Ids, and its manifest says "
            f"{piece.counts.written}; restore its files, or remove its manifest and run again"
        )
    if table.history:
        history.end(table, piece, "Id IN (SELECT Id FROM temp.gone)")
    ((updated,),) = run(
        f"UPDATE {table.name} t SET _deleted = true FROM gone g "
        "WHERE t.Id = g.Id AND NOT t._deleted AND t._read_at < ?",
        [piece.read_at],
    ).fetchall()
    return Outcome(rows, updated=updated, unchanged=known, stale=rows - updated - known)


def _amend(table: Table, piece: Slice, prepared: Prepared, read: Reader) -> Outcome:
    """Set columns of the rows that are of the very version which was read again."""
    run = table.connection.execute
    actual = prepared.of(piece)
    staged = Table(table.connection, TEMPORARY, "staged")
    make_stage(table, staged, [*actual, *PROVENANCE])
    rows = fill(staged, actual, prepared.tight, piece, read(piece))
    stale = drop_older(staged)
    names = [quoted(n) for n in actual if n not in {"Id", piece.cursor}]
    if table.history:
        history.amend(table, piece, staged, names)
    differs = " OR ".join(f"t.{n} IS DISTINCT FROM s.{n}" for n in names) or "false"
    run(
        f"CREATE OR REPLACE TEMP TABLE amended AS SELECT s.*, {differs} AS differs "
        f"FROM {staged.name} s JOIN {table.name} t ON t.Id = s.Id AND {_OF_THIS_VERSION}"
    )
    rejected = keep_rejects(table, "temp.amended", [n for n in actual if n != "Id"])
    if names:
        run(
            "CREATE OR REPLACE TEMP TABLE renewed AS "
            f"SELECT t.* REPLACE ({', '.join(f's.{n} AS {n}' for n in names)}) "
            f"FROM {table.name} t JOIN temp.amended s USING (Id) WHERE s.differs"
        )
        replace_rows(table, "temp.renewed")
    ((found, updated),) = run(
        "SELECT count(*), count(*) FILTER (WHERE differs) FROM temp.amended"
    ).fetchall()
    unknown = rows - stale - found
    return Outcome(
        rows, updated=updated, unchanged=found - updated, stale=stale + unknown, rejected=rejected
    )
