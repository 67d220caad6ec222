"""Slices into a silver table: typed, the newest version of each record kept, in one transaction."""

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from functools import partial
from itertools import groupby

from sf_assets.columns.column import Column
from sf_assets.errors import CountMismatchError
from sf_assets.naming import folded
from sf_assets.sql import quoted
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.warehouse.ledger import Outcome
from sf_assets.warehouse.port import Reader
from sf_assets.warehouse.sql import beside, history, intact, ops
from sf_assets.warehouse.sql.connection import changing_tables, with_scratch
from sf_assets.warehouse.sql.patch import patch
from sf_assets.warehouse.sql.prepare import Prepared, prepare
from sf_assets.warehouse.sql.slice_log import SliceLog
from sf_assets.warehouse.sql.stage import VERSION, insert_rows, keep_rejects, replace_rows
from sf_assets.warehouse.sql.staged import Staged, staged
from sf_assets.warehouse.sql.tables import PROVENANCE, Table, declared
from sf_assets.warehouse.sql.tables import REJECTS as REJECTED

_ROWS_AT_ONCE = 5_000_000

_VERDICTS = "Id VARCHAR, what VARCHAR"


def merge(
    table: Table,
    slices: Sequence[Slice],
    columns: Mapping[str, Column],
    read: Reader,
    *,
    notes: Mapping[str, str] | None = None,
) -> Iterator[Outcome]:
    """Merge slices of one object, oldest reading first; each yield is one committed transaction.

    Versions come first, patches last: what a patch changes it tells by cursor and read time of each
    row, so it does not matter whether it was merged before, and a row that came late is patched.
    Where the history is kept all of it is one transaction, and no slice may come late.

    Args:
        table: The silver table.
        slices: Slices not yet merged, and patches that may concern their rows.
        columns: Columns of the object as described; those a slice does not have stay as they are.
        read: Reads a slice.
        notes: How each field of the slices was treated.

    Raises:
        CountMismatchError: A slice does not hold the rows that its manifest says.
        Exception: The engine's own, where it refuses; what was committed before stays.
    """
    batches = list(_batches(slices))
    for some in [batches] if table.history and batches else [[batch] for batch in batches]:
        org_id = slices[0].org_id
        with changing_tables(table.connection):
            prepared = prepare(table, _flat(some), columns, read)
            intact.note(table, org_id, notes or {}, new=prepared.new)
        rows = staged(table, some, prepared, read)
        with with_scratch(table.connection, partial(_scratch, table)):
            outcome = _merge_batches(table, org_id, some, prepared, rows)
        yield outcome


def rebuild(
    table: Table,
    org_id: str,
    slices: Sequence[Slice],
    columns: Mapping[str, Column],
    read: Reader,
    *,
    notes: Mapping[str, str] | None = None,
) -> Outcome:
    """Make the table anew from slices, in one transaction: the old one stays if this fails.

    Args:
        table: The silver table, which may be there or not.
        org_id: Whose slices.
        slices: All slices of the object.
        columns: Columns of the object as described.
        read: Reads a slice.
        notes: How each field of the slices was treated.

    Raises:
        CountMismatchError: A slice does not hold the rows that its manifest says.
        Exception: The engine's own, where it refuses.
    """
    batches = list(_batches(slices))
    if not table.connection.capabilities.ddl_in_transaction:
        with beside.empty_place(table, org_id) as new:
            prepared = prepare(new, _flat(batches), columns, read)
            rows = staged(new, batches, prepared, read)
            with with_scratch(new.connection, partial(_scratch, new)):
                otherwise = _forget(table, org_id, notes or {})
                intact.note(new, org_id, notes or {}, new=True)
                outcome = _merge_batches(new, org_id, batches, prepared, rows)
                beside.note(table, org_id, versions=table.history or otherwise)
        return outcome
    with table.connection.transaction():
        table.drop()
        if _forget(table, org_id, notes or {}) or table.history:
            history.drop(table)  # also where it is kept no more, and has what is hidden by now
        prepared = prepare(table, _flat(batches), columns, read)
        intact.note(table, org_id, notes or {}, new=prepared.new)
        rows = staged(table, batches, prepared, read)
        return _merge_batches(table, org_id, batches, prepared, rows)


def _forget(table: Table, org_id: str, notes: Mapping[str, str]) -> bool:
    """Note nothing of what a table that is made anew was made of.

    Returns:
        Whether it had what is to be treated otherwise from now on, which must not stay in files,
        nor in the history.
    """
    before: Mapping[str, str] = intact.treated(table.connection, org_id).get(table.noted) or {}
    otherwise = any(notes.get(path) != how for path, how in before.items())
    if otherwise:
        ops.note_leftovers(table.connection)
    SliceLog(table.connection, org_id).forget(table.noted)
    intact.forget(table, org_id)
    return otherwise


def _scratch(table: Table) -> dict[str, str]:
    """Temporary tables of merges into a table, with their columns."""
    rows = declared(dict(table.types()) | PROVENANCE)
    return {
        "staged_rejects": REJECTED,
        **dict.fromkeys(("staged", "newest", "renewed"), rows),
        **dict.fromkeys(("candidates", "verdicts"), _VERDICTS),
        "gone": "Id VARCHAR",
        "amended": f"{rows}, differs BOOLEAN",
        **(history.scratch(table) if table.history else {}),
    }


def _batches(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Runs of slices with the same columns, none of too many rows; patches alone, and last."""
    ordered = sorted(slices, key=lambda s: (s.kind.patches, s.read_at, s.id))
    for _, alike in groupby(ordered, key=lambda s: (s.kind.patches and s.id, sorted(s.columns))):
        batch: list[Slice] = []
        for piece in alike:
            if batch and sum(s.counts.written for s in [*batch, piece]) > _ROWS_AT_ONCE:
                yield batch
                batch = []
            batch.append(piece)
        yield batch


def _flat(batches: Iterable[list[Slice]]) -> list[Slice]:
    return [piece for batch in batches for piece in batch]


def _merge_batches(
    table: Table,
    org_id: str,
    batches: Iterable[list[Slice]],
    prepared: Prepared,
    rows: Iterable[Staged],
) -> Outcome:
    total = Outcome()
    if table.history:
        history.begin(table)
    for batch, mine in zip(batches, rows, strict=True):
        total += _merge_batch(table, batch, prepared, mine)
    if table.history:
        history.finish(table, org_id)
    else:
        history.stop(table, org_id)
    return total


def _merge_batch(
    table: Table, slices: Sequence[Slice], prepared: Prepared, rows: Staged
) -> Outcome:
    started = time.monotonic()
    if slices[0].kind.patches:
        outcome = patch(table, slices[0], prepared, rows)
    else:
        outcome = _merge_versions(table, slices, prepared, rows)
    _record(table, slices, outcome, rows.seconds + time.monotonic() - started)
    return outcome


def _merge_versions(
    table: Table, slices: Sequence[Slice], prepared: Prepared, rows: Staged
) -> Outcome:
    actual = prepared.of(slices[0])
    names = [*actual, *PROVENANCE]
    if table.history:
        history.add(table, rows.table, slices)
    newest, older = rows.newest()
    stale = older + newest.nameless
    loaded_first = not table.connection.capabilities.load_in_transaction
    if newest.table is table or (loaded_first and table.is_empty()):
        if loaded_first:
            insert_rows(table, newest.table.name, names)
        outcome = Outcome(rows.rows, inserted=rows.rows - stale, stale=stale)
        winners = table.name
    else:
        winners = _winners(newest.table)
        outcome = Outcome(rows.rows, stale=stale) + _apply(table, newest.table, winners, names)
    outcome += Outcome(rejected=keep_rejects(table, newest.rejects, winners, list(actual)))
    for piece in slices:
        if piece.kind is SliceKind.SNAPSHOT:
            _mark_missing(table, piece)
    return outcome


def _winners(staged: Table) -> str:
    """Rows of the stage that are newer than the table's, or the same."""
    told = f"{staged.name} s JOIN temp.verdicts USING (Id)"
    return f"(SELECT s.* FROM {told} WHERE what <> 'stale')"


def _apply(table: Table, staged: Table, winners: str, names: Sequence[str]) -> Outcome:
    """Put the new rows of the stage in the place of the old, as was decided for each record."""
    _judge(table, staged, [name for name in names if name not in PROVENANCE])
    rows = winners
    brought = set(map(folded, names))
    if kept := [f"t.{quoted(n)}" for n in table.types() if folded(n) not in brought]:
        rows = "temp.renewed"
        table.connection.temporary(
            "renewed",
            f"AS SELECT {', '.join([*(f's.{quoted(n)}' for n in names), *kept])} "
            f"FROM {winners} s LEFT JOIN {table.name} t ON t.Id = s.Id",
        )
    replace_rows(table, rows, [*table.types(), *PROVENANCE])
    query = "SELECT what, count(*) FROM temp.verdicts GROUP BY what"
    return Outcome(**dict(table.connection.execute(query)))


def _judge(table: Table, staged: Table, names: Sequence[str]) -> None:
    """Decide for each staged record whether it is inserted, updated, unchanged or stale.

    Contents are compared only where the cursor is the same, or says nothing because the object has
    none: then the version may be one that silver has read before.
    """
    temporary = table.connection.temporary
    version = ", ".join(f"{{0}}.{column}" for column in VERSION)
    contents = table.contents(names)
    equal = " AND ".join(f"{new} IS NOT DISTINCT FROM {old}" for new, old in contents)
    temporary(
        "candidates",
        "AS SELECT s.Id, CASE "
        "WHEN t.Id IS NULL THEN 'inserted' "
        f"WHEN ({version.format('t')}) > ({version.format('s')}) THEN 'stale' "
        "WHEN t._cursor = s._cursor OR s._cursor = s._read_at THEN 'same' "
        f"ELSE 'updated' END AS what FROM {staged.name} s LEFT JOIN {table.name} t ON t.Id = s.Id",
    )
    # A table of its own: to update millions of rows of the first, beyond the memory that DuckDB
    # may have, takes many minutes.
    temporary(
        "verdicts",
        "AS SELECT Id, what FROM temp.candidates WHERE what <> 'same' UNION ALL "
        f"SELECT c.Id, if(NOT t._deleted AND {equal}, 'unchanged', 'updated') "
        f"FROM temp.candidates c JOIN {staged.name} s USING (Id) JOIN {table.name} t USING (Id) "
        "WHERE c.what = 'same'",
    )
    temporary("candidates", f"({_VERDICTS})")  # gives its room back


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
    SliceLog(table.connection, slices[0].org_id).note(table.noted, slices, merge_id)
    table.connection.execute(
        "INSERT INTO ops.merges (org_id, object, merge, merged_at, seconds, rows_in, inserted, "
        "updated, unchanged, stale, rejected, place) SELECT $1, $2, $3, now(), $4, $5, $6, $7, "
        "$8, $9, $10, coalesce(max(place), 0) + 1 FROM ops.merges "
        "WHERE org_id = $1 AND object = $2",
        [slices[0].org_id, table.noted, merge_id, seconds, *astuple(outcome)],
    )
