"""Patches: what a slice says about rows that other slices brought.

A patch concerns a row by the row's own cursor and read time, never by what was merged before it. So
patches may be merged again, and after rows that came late, with the same result.
"""

from sf_assets.errors import CountMismatchError
from sf_assets.naming import folded
from sf_assets.sql import quoted
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.warehouse.ledger import Outcome
from sf_assets.warehouse.sql import history
from sf_assets.warehouse.sql.prepare import Prepared
from sf_assets.warehouse.sql.stage import keep_rejects, replace_rows
from sf_assets.warehouse.sql.staged import Staged
from sf_assets.warehouse.sql.tables import PROVENANCE, Table

_OF_THIS_VERSION = "t._cursor = s._cursor AND t._read_at <= s._read_at AND NOT t._deleted"
"""The stamp says that nothing else of the record changed; its columns are not older, either."""


def patch(table: Table, piece: Slice, prepared: Prepared, staged: Staged) -> Outcome:
    """Merge a patch into a silver table.

    Args:
        table: The silver table.
        piece: The patch.
        prepared: The table's columns.
        staged: Its rows.

    Raises:
        CountMismatchError: The slice does not hold the rows that its manifest says.
        Exception: The engine's own, where it refuses.
    """
    if not table.types():
        return Outcome(staged.rows, stale=staged.rows)
    if piece.kind is SliceKind.DELETIONS:
        return _delete(table, piece, staged)
    return _amend(table, piece, prepared, staged)


def _delete(table: Table, piece: Slice, staged: Staged) -> Outcome:
    """Mark records as gone for good, unless they were read after that was found out."""
    run, gone = table.connection.execute, staged.table.name
    ((rows, known),) = run(
        f"SELECT count(*), count(t.Id) FILTER (WHERE t._deleted) FROM {gone} g "
        f"LEFT JOIN {table.name} t ON t.Id = g.Id"
    )
    if rows != piece.counts.written:
        raise CountMismatchError(
            f"slice {piece.id} of {piece.object} holds {rows} Ids, and its manifest says "
            f"{piece.counts.written}; restore its files, or remove its manifest and run again"
        )
    if table.history:
        history.end(table, piece, f"Id IN (SELECT Id FROM {gone})")
    ((updated,),) = run(
        f"UPDATE {table.name} SET _deleted = true WHERE Id IN (SELECT Id FROM {gone}) "
        "AND NOT _deleted AND _read_at < ?",
        [piece.read_at],
    )
    return Outcome(rows, updated=updated, unchanged=known, stale=rows - updated - known)


def _amend(table: Table, piece: Slice, prepared: Prepared, staged: Staged) -> Outcome:
    """Set columns of the rows that are of the very version which was read again."""
    actual = prepared.of(piece)
    newest, stale = staged.newest()
    rows = newest.table.name
    reread = [n for n in actual if n not in {"Id", piece.cursor}]
    names = [quoted(n) for n in reread]
    if table.history:
        history.amend(table, piece, newest.table, names)
    contents = table.contents(reread)
    differs = " OR ".join(f"{old} IS DISTINCT FROM {new}" for new, old in contents) or "false"
    table.connection.temporary(
        "amended",
        f"AS SELECT s.*, {differs} AS differs "
        f"FROM {rows} s JOIN {table.name} t ON t.Id = s.Id AND {_OF_THIS_VERSION}",
    )
    columns = [name for name in actual if name != "Id"]
    rejected = keep_rejects(table, staged.rejects, "temp.amended", columns)
    if names:
        every = [*table.types(), *PROVENANCE]
        told = set(map(folded, names))
        sides = (f"{'s' if quoted(folded(n)) in told else 't'}.{quoted(n)}" for n in every)
        table.connection.temporary(
            "renewed",
            f"AS SELECT {', '.join(sides)} "
            f"FROM {table.name} t JOIN temp.amended s ON s.Id = t.Id WHERE s.differs",
        )
        replace_rows(table, "temp.renewed", every)
    ((found, updated),) = table.connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE differs) FROM temp.amended"
    )
    unknown = staged.rows - stale - found
    return Outcome(
        staged.rows,
        updated=updated,
        unchanged=found - updated,
        stale=stale + unknown,
        rejected=rejected,
    )
