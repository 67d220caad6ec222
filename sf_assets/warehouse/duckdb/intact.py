"""Whether silver's tables are still as merges left them, or other hands have changed them.

Each merge notes the columns of the table that it leaves, in its own transaction. What is noted and
not there was dropped or changed by somebody else; raw has it still. Columns that others added are
theirs, and stay.
"""

from collections.abc import Iterable, Mapping

import duckdb

from sf_assets.sql import quoted
from sf_assets.warehouse.duckdb.history import histories
from sf_assets.warehouse.duckdb.tables import Table


def note(table: Table, org_id: str) -> None:
    """Note the columns that the table has after a merge, in the merge's transaction."""
    run = table.connection.execute
    # A statement that is refused would end the transaction: there is none where a patch came first.
    there = run(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = ? AND table_name = ?",
        [table.schema, table.slug],
    ).fetchone()
    columns = _columns(table.connection, table.schema, table.slug) if there else None
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
    connection: duckdb.DuckDBPyConnection, org_id: str, schema: str, slug: str | None = None
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
        ).fetchall()
    )
    kept = histories(connection, org_id)
    there = _all_columns(connection, schema) if slug is None else {}
    found = {}
    for name, columns in noted.items():
        views = ["live", "rejects", *(["versions", "history"] if name in kept else [])]
        relations = [name, *(f"{name}_{view}" for view in views)]
        if slug is not None:
            asked = {relation: _columns(connection, schema, relation) for relation in relations}
            there = {relation: had for relation, had in asked.items() if had is not None}
        found[name] = _lacking(name, columns or [], relations, there)
    return {name: what for name, what in found.items() if what}


def _all_columns(connection: duckdb.DuckDBPyConnection, schema: str) -> dict[str, list[str]]:
    """Columns of all tables and views of a schema, with their types."""
    there: dict[str, list[str]] = {}
    for table, column, kind in connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = ?",
        [schema],
    ).fetchall():
        there.setdefault(table, []).append(f"{column} {kind}")
    return there


def _columns(connection: duckdb.DuckDBPyConnection, schema: str, relation: str) -> list[str] | None:
    """Columns of one table or view, with their types; None when it is not there.

    Far cheaper in a large warehouse than the list of all.
    """
    try:
        result = connection.execute(f"SELECT * FROM {quoted(schema, relation)} LIMIT 0")
    except (duckdb.CatalogException, duckdb.BinderException):
        return None
    return [f"{column[0]} {column[1]}" for column in result.description or ()]


def _lacking(
    slug: str, noted: Iterable[str], relations: Iterable[str], there: Mapping[str, Iterable[str]]
) -> str:
    """What of an object's tables was dropped or changed; empty when nothing was."""
    if gone := [relation for relation in relations if relation not in there]:
        return f"somebody dropped {', '.join(gone)}"
    if lost := sorted(column.partition(" ")[0] for column in set(noted).difference(there[slug])):
        return f"somebody dropped or changed columns of {slug} ({', '.join(lost)})"
    return ""
