"""Every version of a record that was ever read, and when it was valid: `<object>_history`.

The view is worked out from `<object>_versions`, in which rows are ordered as versions of a record
are. A patch adds a row there: what it was read to say, beside what the version of that stamp said;
or, where the record is gone for good, the end. What it says follows from all that was read before
it, so slices must be merged in the order of reading; where one comes late, silver is rebuilt.
"""

from collections.abc import Iterable, Sequence

from sf_assets.columns.column import Column
from sf_assets.naming import Names, folded
from sf_assets.sql import quoted
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.warehouse.sql.connection import Connection
from sf_assets.warehouse.sql.stage import replace_rows, scalar
from sf_assets.warehouse.sql.tables import PROVENANCE, Table, declared

_ORDER = "_read_at, _cursor, _patch, _slice"
_NEWEST_FIRST = "_read_at DESC, _cursor DESC, _patch DESC, _slice DESC"
_KEY = "Id, _read_at, _cursor, _patch, _slice"
_IDS = "Id VARCHAR"
_TOUCHED = "temp.touched"


def histories(connection: Connection, org_id: str) -> set[str]:
    """Objects whose history is complete: kept since their first slice."""
    rows = connection.execute("SELECT object FROM ops.histories WHERE org_id = ?", [org_id])
    return {slug for (slug,) in rows}


def must_rebuild(table: Table, org_id: str, slices: Iterable[Slice]) -> bool:
    """Whether the history cannot just be added to: it is not complete, or slices come late.

    Args:
        table: The silver table.
        org_id: Whose slices.
        slices: Those to merge; patches among them that were merged before do not count.
    """
    run = table.connection.execute
    rows = run(
        "SELECT slice, kind FROM ops.slices WHERE org_id = ? AND object = ?", [org_id, table.noted]
    )
    merged = {slice_id for slice_id, _ in rows}
    if not merged:
        return False
    if table.noted not in histories(table.connection, org_id):
        return True
    first = min(((s.read_at, s.id) for s in slices if s.id not in merged), default=None)
    if first is None:
        return False
    # What a compacted slice holds was merged under other names, and is older than its own.
    later = run(
        "SELECT 1 FROM ops.slices WHERE org_id = ? AND object = ? AND kind <> ? "
        "AND (read_at > ? OR (read_at = ? AND slice > ?)) LIMIT 1",
        [org_id, table.noted, SliceKind.COMPACTED, first[0], *first],
    )
    return bool(later)


def scratch(table: Table) -> dict[str, str]:
    """Temporary tables of a merge, with their columns."""
    return {"touched": _IDS, "told": declared(dict(_versions(table).types()) | PROVENANCE)}


def begin(table: Table) -> None:
    """Prepare a merge. The rows of one merge are tidied together, when all of them are there."""
    table.connection.temporary("touched", f"({_IDS})")


def finish(table: Table, org_id: str) -> None:
    """Drop the rows that say what the one before says."""
    run = table.connection.execute
    if table.noted not in histories(table.connection, org_id):
        run("INSERT INTO ops.histories (org_id, object) VALUES (?, ?)", [org_id, table.noted])
    versions = _versions(table)
    spelt = table.connection.capabilities.content
    types = versions.types().items()
    columns = [spelt(quoted(name), kind) for name, kind in types if folded(name) != "_patch"]
    if not columns:
        return
    content = f"hash({', '.join(columns)}, _deleted)"
    before = f"lag({content}) OVER (PARTITION BY Id ORDER BY {_ORDER})"
    touched = f"{versions.name} WHERE Id IN (SELECT Id FROM {_TOUCHED})"
    if row := table.connection.capabilities.row:
        told = f"SELECT {row} AS r, {content} AS said, {before} AS said_before FROM {touched}"
        repeated = f"SELECT r FROM ({told}) WHERE said = said_before"
        run(f"DELETE FROM {versions.name} WHERE {row} IN ({repeated})")
        return
    if scalar(table.connection, f"SELECT count(*) - count(DISTINCT hash({_KEY})) FROM {touched}"):
        _drop_twins(versions, touched, f"{content} IS DISTINCT FROM {before}")
    run(
        f"DELETE FROM {versions.name} WHERE ({_KEY}) IN (SELECT {_KEY} FROM ("
        f"SELECT {_KEY}, {content} AS said, {before} AS said_before FROM {touched}) "
        "WHERE said = said_before)"
    )


def _drop_twins(versions: Table, touched: str, news: str) -> None:
    """Drop rows that say nothing new of the records of which two rows have one key."""
    twins = f"SELECT Id FROM {touched} GROUP BY {_KEY} HAVING count(*) > 1"
    versions.connection.temporary(
        "told", f"AS SELECT * FROM {versions.name} WHERE Id IN ({twins}) QUALIFY {news}"
    )
    replace_rows(versions, "temp.told", [*versions.types(), *PROVENANCE])


def stop(table: Table, org_id: str) -> None:
    """Note that from here on the history lacks something; it stays as it is."""
    if table.noted in histories(table.connection, org_id):
        table.connection.execute(
            "DELETE FROM ops.histories WHERE org_id = ? AND object = ?", [org_id, table.noted]
        )


def drop(table: Table) -> None:
    """Remove the history, which is to be built anew."""
    table.connection.execute(f"DROP VIEW IF EXISTS {_name(table)}")
    table.connection.execute(f"DROP TABLE IF EXISTS {_versions(table).name}")


def types(table: Table) -> Names[str]:
    """SQL types of the columns of the versions; empty where there are none yet."""
    return _versions(table).types()


def room(table: Table, columns: Iterable[Column]) -> Table:
    """The table of versions, made if need be, with the columns that the silver table has."""
    versions = _versions(table)
    if not versions.types():
        told = dict(table.types()) | PROVENANCE | {"_patch": "BOOLEAN"}
        table.connection.execute(f"CREATE TABLE {versions.name} ({declared(told)})")
    versions.ensure(list(columns))
    return versions


def make_view(table: Table) -> None:
    """Make `<object>_history`, by the columns that the versions have."""
    if table.connection.capabilities.ddl_in_transaction:  # some replace none that has less
        table.connection.execute(f"DROP VIEW IF EXISTS {_name(table)}")
    table.connection.execute(_view(table, _versions(table)))


def add(table: Table, staged: Table, slices: Sequence[Slice]) -> None:
    """Take up staged versions, all of them, and the ends of the records that snapshots lack.

    Args:
        table: The silver table.
        staged: The table with the rows, before any is dropped.
        slices: Where they come from.
    """
    run = table.connection.execute
    versions = _versions(table)
    spelt = ", ".join(map(quoted, [*staged.types(), *PROVENANCE]))
    run(
        f"INSERT INTO {versions.name} ({spelt}, _patch) "
        f"SELECT {spelt}, false AS _patch FROM {staged.name}"
    )
    run(f"INSERT INTO {_TOUCHED} SELECT Id FROM {staged.name}")
    for piece in sorted(slices, key=lambda piece: (piece.read_at, piece.id)):
        if piece.kind is SliceKind.SNAPSHOT:
            # A slice id is made of a time and hexadecimal digits.
            there = f"SELECT Id FROM {versions.name} WHERE _slice = '{piece.id}' AND NOT _patch"
            end(table, piece, f"Id NOT IN ({there})")


def end(table: Table, piece: Slice, gone: str) -> None:
    """Note that records are gone for good, unless they were read after that was found out.

    Args:
        table: The silver table.
        piece: The slice that says so.
        gone: Condition on their Ids.
    """
    versions = _versions(table)
    if not versions.types():
        return
    _forget(versions, piece)
    table.connection.execute(
        f"INSERT INTO {versions.name} (Id, _cursor, _read_at, _slice, _deleted, _patch) "
        "SELECT Id, _cursor, $read_at, $slice, true, true "
        f"FROM ({_newest(versions)} WHERE _read_at <= $read_at {_FIRST}) n "
        f"WHERE NOT _deleted AND (_patch OR _read_at < $read_at) AND {gone}",
        {"read_at": piece.read_at, "slice": piece.id},
    )
    _touch(versions, piece)


def amend(table: Table, piece: Slice, staged: Table, names: Sequence[str]) -> None:
    """Note what columns said when they were read again.

    Args:
        table: The silver table.
        piece: The patch.
        staged: The table with its rows.
        names: The columns, as SQL writes them.
    """
    versions = _versions(table)
    _forget(versions, piece)
    every = [*map(quoted, versions.types()), *PROVENANCE]  # `_patch` is among the first
    told = {folded(name): f"s.{name}" for name in (*names, "_read_at", "_slice")}
    told['"_patch"'] = "true"
    spelt = ", ".join(told.get(folded(name), f"v.{name}") for name in every)
    table.connection.execute(
        f"INSERT INTO {versions.name} ({', '.join(every)}) SELECT {spelt} FROM {staged.name} s "
        f"JOIN ({_newest(versions)} WHERE Id IN (SELECT Id FROM {staged.name}) "
        f"AND _read_at <= $read_at {_FIRST}) v "
        "ON v.Id = s.Id AND v._cursor = s._cursor AND NOT v._deleted",
        {"read_at": piece.read_at},
    )
    _touch(versions, piece)


_FIRST = f"QUALIFY row_number() OVER (PARTITION BY Id ORDER BY {_NEWEST_FIRST}) = 1"


def _newest(versions: Table) -> str:
    return f"SELECT * FROM {versions.name}"


def _forget(versions: Table, piece: Slice) -> None:
    """Remove what a patch said that is merged again."""
    versions.connection.execute(
        f"DELETE FROM {versions.name} WHERE _slice = ? AND _patch", [piece.id]
    )


def _touch(versions: Table, piece: Slice) -> None:
    versions.connection.execute(
        f"INSERT INTO {_TOUCHED} SELECT Id FROM {versions.name} WHERE _slice = ? AND _patch",
        [piece.id],
    )


def _versions(table: Table) -> Table:
    return Table(table.connection, table.schema, f"{table.slug}_versions")


def _name(table: Table) -> str:
    return quoted(table.schema, f"{table.slug}_history")


def _view(table: Table, versions: Table) -> str:
    """The statement that makes the view.

    A version is valid from its cursor. One whose cursor is no later than that of a version read
    before it, and an end, is valid from when it was read; all at the latest when the next begins.
    """
    own = [name for name in PROVENANCE if name != "_deleted"]
    fields = [quoted(name) for name in versions.types() if folded(name) != "_patch"]
    told = ", ".join([*fields, "valid_from", "valid_to", *own])
    mine = f"PARTITION BY Id ORDER BY {_ORDER}"
    return (
        f"CREATE OR REPLACE VIEW {_name(table)} AS WITH seen AS ("
        f"SELECT *, CASE WHEN _patch OR _cursor <= max(_cursor) OVER ({mine} ROWS BETWEEN "
        "UNBOUNDED PRECEDING AND 1 PRECEDING) THEN _read_at ELSE _cursor END AS _from "
        f"FROM {versions.name}), begun AS ("
        f"SELECT *, least(_from, min(_from) OVER ({mine} ROWS BETWEEN 1 FOLLOWING AND "
        "UNBOUNDED FOLLOWING)) AS valid_from FROM seen), ended AS ("
        f"SELECT *, lead(valid_from) OVER ({mine}) AS valid_to FROM begun) "
        f"SELECT {told} FROM ended "
        "WHERE NOT _deleted AND (valid_to IS NULL OR valid_from < valid_to)"
    )
