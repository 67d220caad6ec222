"""Whether silver's tables are still as merges left them, or other hands have changed them.

Each merge notes the columns of the table that it leaves, in its own transaction. What is noted and
not there was dropped or changed by somebody else; raw has it still. Columns that others added are
theirs, and stay.
"""

from collections.abc import Iterable

import duckdb

from sf_assets.warehouse.history import histories
from sf_assets.warehouse.tables import Table


def note(table: Table, org_id: str) -> None:
    """Note the columns that the table has after a merge, in the merge's transaction."""
    run = table.connection.execute
    columns = [f"{name} {kind}" for name, kind in table.types().items()]
    noted = run(
        "SELECT columns FROM ops.tables WHERE org_id = ? AND object = ?", [org_id, table.slug]
    ).fetchall()
    if noted == [(columns,)]:
        return
    forget(table, org_id)
    if columns:
        run("INSERT INTO ops.tables VALUES (?, ?, ?)", [org_id, table.slug, columns])


def forget(table: Table, org_id: str) -> None:
    """Note nothing of a table that is made anew."""
    table.connection.execute(
        "DELETE FROM ops.tables WHERE org_id = ? AND object = ?", [org_id, table.slug]
    )


def changed(
    connection: duckdb.DuckDBPyConnection, org_id: str, schema: str, slugs: Iterable[str]
) -> dict[str, str]:
    """Say what others have done to the tables of objects.

    Args:
        connection: Open on the warehouse.
        org_id: Whose.
        schema: `silver`, or `silver_<org>`.
        slugs: Lower-cased object names.

    Returns:
        What is lacking, by object; nothing of a table that is as it was.
    """
    there: dict[str, set[str]] = {}
    for table, column, kind in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = ?",
        [schema],
    ).fetchall():
        there.setdefault(table, set()).add(f"{column} {kind}")
    noted = dict(
        connection.execute(
            "SELECT object, columns FROM ops.tables WHERE org_id = ? AND object = ANY(?)",
            [org_id, list(slugs)],
        ).fetchall()
    )
    kept = histories(connection, org_id)
    found = {}
    for slug, columns in noted.items():
        views = ["live", "rejects", *(["versions", "history"] if slug in kept else [])]
        relations = [slug, *(f"{slug}_{view}" for view in views)]
        found[slug] = _lacking(slug, columns or [], relations, there)
    return {slug: what for slug, what in found.items() if what}


def _lacking(
    slug: str, noted: Iterable[str], relations: Iterable[str], there: dict[str, set[str]]
) -> str:
    """What of an object's tables was dropped or changed; empty when nothing was."""
    if gone := [relation for relation in relations if relation not in there]:
        return f"somebody dropped {', '.join(gone)}"
    if lost := sorted(column.partition(" ")[0] for column in set(noted) - there[slug]):
        return f"somebody dropped or changed columns of {slug} ({', '.join(lost)})"
    return ""
