"""Patches: what a slice says about rows that other slices brought.

A patch concerns a row by the row's own cursor and read time, never by what was merged before it. So
patches may be merged again, and after rows that came late, with the same result.
"""

from sf_assets.errors import CountMismatchError
from sf_assets.naming import folded
from sf_assets.sql import quoted
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.warehouse.ledger import Outcome
from sf_assets.warehouse.port import Reader
from sf_assets.warehouse.sql import history
from sf_assets.warehouse.sql.connection import TEMPORARY
from sf_assets.warehouse.sql.prepare import Prepared
from sf_assets.warehouse.sql.stage import (
    drop_older,
    fill,
    keep_rejects,
    make_stage,
    replace_rows,
)
from sf_assets.warehouse.sql.tables import PROVENANCE, Table

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
        Exception: The engine's own, where it refuses.
    """
    if not table.types():
        return Outcome(piece.counts.written, stale=piece.counts.written)
    merge = _delete if piece.kind is SliceKind.DELETIONS else _amend
    return merge(table, piece, prepared, read)


def _delete(table: Table, piece: Slice, _prepared: Prepared, read: Reader) -> Outcome:
    """Mark records as gone for good, unless they were read after that was found out."""
    run = table.connection.execute
    table.connection.temporary("gone", "(Id VARCHAR)")
    for frame in read(piece):
        table.connection.load("temp.gone", frame.select("Id"))
    ((rows, known),) = run(
        "SELECT count(*), count(t.Id) FILTER (WHERE t._deleted) FROM temp.gone g "
        f"LEFT JOIN {table.name} t ON t.Id = g.Id"
    )
    if rows != piece.counts.written:
        raise CountMismatchError(
            f"slice {piece.id} of {piece.object} holds {rows} Ids, and its manifest says "
            f"{piece.counts.written}; restore its files, or remove its manifest and run again"
        )
    if table.history:
        history.end(table, piece, "Id IN (SELECT Id FROM temp.gone)")
    ((updated,),) = run(
        f"UPDATE {table.name} t SET _deleted = true FROM temp.gone g "
        "WHERE t.Id = g.Id AND NOT t._deleted AND t._read_at < ?",
        [piece.read_at],
    )
    return Outcome(rows, updated=updated, unchanged=known, stale=rows - updated - known)


def _amend(table: Table, piece: Slice, prepared: Prepared, read: Reader) -> Outcome:
    """Set columns of the rows that are of the very version which was read again."""
    actual = prepared.of(piece)
    staged = Table(table.connection, TEMPORARY, "staged")
    make_stage(table, staged, [*actual, *PROVENANCE])
    rows = fill(staged, actual, prepared.tight, piece, read(piece))
    stale = drop_older(staged)
    names = [quoted(n) for n in actual if n not in {"Id", piece.cursor}]
    if table.history:
        history.amend(table, piece, staged, names)
    differs = " OR ".join(f"t.{n} IS DISTINCT FROM s.{n}" for n in names) or "false"
    table.connection.temporary(
        "amended",
        f"AS SELECT s.*, {differs} AS differs "
        f"FROM {staged.name} s JOIN {table.name} t ON t.Id = s.Id AND {_OF_THIS_VERSION}",
    )
    rejected = keep_rejects(table, "temp.amended", [n for n in actual if n != "Id"])
    if names:
        every = [*table.types(), *PROVENANCE]
        reread = set(map(folded, names))
        sides = (f"{'s' if quoted(folded(n)) in reread else 't'}.{quoted(n)}" for n in every)
        table.connection.temporary(
            "renewed",
            f"AS SELECT {', '.join(sides)} "
            f"FROM {table.name} t JOIN temp.amended s ON s.Id = t.Id WHERE s.differs",
        )
        replace_rows(table, "temp.renewed", every)
    ((found, updated),) = table.connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE differs) FROM temp.amended"
    )
    unknown = rows - stale - found
    return Outcome(
        rows, updated=updated, unchanged=found - updated, stale=stale + unknown, rejected=rejected
    )
