"""When gold tables were built, kept in `ops.gold_builds`, and when what they read was merged."""

from collections.abc import Collection
from datetime import datetime

import duckdb


def note_build(
    connection: duckdb.DuckDBPyConnection, org_id: str, name: str, rows: int, now: datetime
) -> None:
    """Note that a table is built."""
    connection.execute("DELETE FROM ops.gold_builds WHERE org_id = ? AND name = ?", [org_id, name])
    connection.execute("INSERT INTO ops.gold_builds VALUES (?, ?, ?, ?)", [org_id, name, now, rows])


def built(connection: duckdb.DuckDBPyConnection, org_id: str) -> dict[str, tuple[datetime, int]]:
    """When each table was built last, and its rows then."""
    query = "SELECT name, built_at, rows FROM ops.gold_builds WHERE org_id = ?"
    return {name: (at, rows) for name, at, rows in connection.execute(query, [org_id]).fetchall()}


def merged(
    connection: duckdb.DuckDBPyConnection, org_id: str, slugs: Collection[str]
) -> dict[str, datetime]:
    """When something was merged last into each of the objects' tables."""
    query = (
        "SELECT object, max(merged_at) FROM ops.merges WHERE org_id = ? AND object = ANY(?) "
        "GROUP BY object"
    )
    return dict(connection.execute(query, [org_id, list(slugs)]).fetchall())
