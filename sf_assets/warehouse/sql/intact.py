"""Whether silver's tables are still as merges left them, or other hands have changed them.

Each merge notes the columns of the table that it leaves, in its own transaction. What is noted and
not there was dropped or changed by somebody else; raw has it still. Columns that others added are
theirs, and stay.
"""

from collections.abc import Iterable, Mapping

from sf_assets.warehouse.sql.connection import Connection
from sf_assets.warehouse.sql.history import histories
from sf_assets.warehouse.sql.tables import Table


def note(table: Table, org_id: str) -> None:
    """Note the columns that the table has after a merge, in the merge's transaction."""
    run = table.connection.execute
    columns = _spelt(table.connection.types(table.schema, table.slug))
    noted = run(
        "SELECT columns FROM ops.tables WHERE org_id = ? AND object = ?", [org_id, table.slug]
    )
    if noted == [(columns,)]:
        return
    forget(table, org_id)
    if columns:
        run(
            "INSERT INTO ops.tables (org_id, object, columns) VALUES (?, ?, ?)",
            [org_id, table.slug, columns],
        )


def forget(table: Table, org_id: str) -> None:
    """Note nothing of a table that is made anew."""
    table.connection.execute(
        "DELETE FROM ops.tables WHERE org_id = ? AND object = ?", [org_id, table.slug]
    )


def changed(
    connection: Connection, org_id: str, schema: str, slug: str | None = None
) -> dict[str, str]:
    """Say what others have done to the tables of objects.

    Args:
        connection: Open on the warehouse, outside a transaction.
        org_id: Whose.
        schema: `silver`, or `silver_<org>`.
        slug: Lower-cased name of the one object to look at; None for all.

    Returns:
        What is lacking, by object; nothing of a table that is as it was.
    """
    noted = dict(
        connection.execute(
            "SELECT object, columns FROM ops.tables "
            "WHERE org_id = ? AND object = coalesce(?, object)",
            [org_id, slug],
        )
    )
    kept = histories(connection, org_id)
    there = connection.relations(schema) if slug is None else {}
    found = {}
    for name, columns in noted.items():
        views = ["live", "rejects", *(["versions", "history"] if name in kept else [])]
        relations = [name, *(f"{name}_{view}" for view in views)]
        if slug is not None:
            # Far cheaper in a large warehouse than the list of all.
            asked = {relation: connection.types(schema, relation) for relation in relations}
            there = {relation: types for relation, types in asked.items() if types}
        found[name] = _lacking(name, columns or [], relations, there)
    return {name: what for name, what in found.items() if what}


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
