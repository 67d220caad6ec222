"""Whether silver's tables are still as merges left them, or other hands have changed them.

Each merge notes the columns of the table that it leaves, and how the fields in it were treated, in
its own transaction. What is noted and not there was dropped or changed by somebody else; raw has it
still. Columns that others added are theirs, and stay.
"""

from collections.abc import Iterable, Mapping

from sf_assets.naming import Names
from sf_assets.warehouse.sql.connection import Connection
from sf_assets.warehouse.sql.history import histories
from sf_assets.warehouse.sql.tables import Table


def note(table: Table, org_id: str, treated: Mapping[str, str], *, new: bool) -> None:
    """Note what the table has after a merge, in the merge's transaction.

    Args:
        table: The table.
        org_id: Whose.
        treated: How each field of what is merged was treated.
        new: Whether the table was just made. How all that is in it was treated is known of tables
            alone of which it was noted from the first merge on.
    """
    run = table.connection.execute
    columns = _spelt(table.connection.types(table.schema, table.slug))
    rows = run(
        "SELECT columns, treated FROM ops.tables WHERE org_id = ? AND object = ?",
        [org_id, table.noted],
    )
    before = rows[0][1] if rows else None
    known = treatments(before) if before is not None else Names[str]()
    told = Names([*known.items(), *treated.items()])
    now = None if before is None and not new else [f"{path} {how}" for path, how in told.items()]
    if rows == [(columns, now)]:
        return
    forget(table, org_id)
    if columns:
        run(
            "INSERT INTO ops.tables (org_id, object, columns, treated) VALUES (?, ?, ?, ?)",
            [org_id, table.noted, columns, now],
        )


def treatments(noted: Iterable[str]) -> Names[str]:
    """How fields were treated, by what is noted."""
    return Names((path, how) for path, _, how in (entry.partition(" ") for entry in noted))


def treated(connection: Connection, org_id: str) -> dict[str, Names[str] | None]:
    """How fields of tables were treated, by what `ops` calls these; None where it is not known."""
    rows = connection.execute("SELECT object, treated FROM ops.tables WHERE org_id = ?", [org_id])
    return {name: None if noted is None else treatments(noted) for name, noted in rows}


def forget(table: Table, org_id: str) -> None:
    """Note nothing of a table that is made anew."""
    table.connection.execute(
        "DELETE FROM ops.tables WHERE org_id = ? AND object = ?", [org_id, table.noted]
    )


def changed(
    connection: Connection, org_id: str, schemas: Mapping[str, str], name: str | None = None
) -> dict[str, str]:
    """Say what others have done to the tables of objects.

    Args:
        connection: Open on the warehouse, outside a transaction.
        org_id: Whose.
        schemas: The schemas of its tables, by how `ops` begins what it calls those.
        name: What `ops` calls the one table to look at; None for all.

    Returns:
        What is lacking, by what `ops` calls the table; nothing of one that is as it was.
    """
    noted = dict(
        connection.execute(
            "SELECT object, columns FROM ops.tables "
            "WHERE org_id = ? AND object = coalesce(?, object)",
            [org_id, name],
        )
    )
    kept = histories(connection, org_id)
    there = {}
    if name is None:
        there = {home: connection.relations(schema) for home, schema in schemas.items()}
    found = {}
    for one, columns in noted.items():
        home, _, slug = one.rpartition(".")
        views = ["live", "rejects", *(["versions", "history"] if one in kept else [])]
        relations = [slug, *(f"{slug}_{view}" for view in views)]
        known = there.get(home, {})
        if name is not None:
            # Far cheaper in a large warehouse than the list of all.
            asked = {relation: connection.types(schemas[home], relation) for relation in relations}
            known = {relation: types for relation, types in asked.items() if types}
        found[one] = _lacking(slug, columns or [], relations, known)
    return {one: what for one, what in found.items() if what}


def _spelt(types: Mapping[str, str]) -> list[str]:
    """Columns with their types, as they are noted."""
    return [f"{name} {kind}" for name, kind in types.items()]


def _lacking(
    slug: str,
    noted: Iterable[str],
    relations: Iterable[str],
    there: Mapping[str, Mapping[str, str]],
) -> str:
    """What of an object's tables was dropped or changed; empty when nothing was."""
    if gone := [relation for relation in relations if relation not in there]:
        return f"somebody dropped {', '.join(gone)}"
    changed = set(noted).difference(_spelt(there[slug]))
    if lost := sorted(column.partition(" ")[0] for column in changed):
        return f"somebody dropped or changed columns of {slug} ({', '.join(lost)})"
    return ""
