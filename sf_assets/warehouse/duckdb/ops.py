"""The schema `ops`: what the project notes in the warehouse, brought up to what this release needs.

What is lacking is seen by looking, not by trusting a number: a warehouse of any earlier release,
and one in which somebody dropped a table of ours, gets the tables and columns that it has not.
Only what must be worked out of older notes is a migration, done once, in order.
"""

from datetime import UTC, datetime
from functools import cache
from hashlib import sha256

import duckdb

from sf_assets.errors import ConfigError
from sf_assets.naming import ONLY
from sf_assets.storage.manifest import SliceKind

_TABLES = """
CREATE SCHEMA IF NOT EXISTS ops;
CREATE SCHEMA IF NOT EXISTS gold;
CREATE TABLE IF NOT EXISTS ops.schema_version (
    version INTEGER, schema VARCHAR, made_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS ops.orgs (name VARCHAR PRIMARY KEY, org_id VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS ops.merges (
    org_id VARCHAR, object VARCHAR, merge VARCHAR, merged_at TIMESTAMPTZ, seconds DOUBLE,
    rows_in BIGINT, inserted BIGINT, updated BIGINT, unchanged BIGINT, stale BIGINT,
    rejected BIGINT
);
CREATE TABLE IF NOT EXISTS ops.slices (
    org_id VARCHAR, object VARCHAR, slice VARCHAR, kind VARCHAR, window_start VARCHAR,
    window_end VARCHAR, read_at TIMESTAMPTZ, source VARCHAR, job_id VARCHAR, rows BIGINT,
    rows_org BIGINT, rows_pages BIGINT, rows_parsed BIGINT, rows_known BIGINT, calls BIGINT,
    bytes BIGINT, seconds DOUBLE, merge VARCHAR, manifest_bytes BIGINT,
    min_cursor TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS ops.replaced (
    org_id VARCHAR, object VARCHAR, slice VARCHAR, replaced_by VARCHAR
);
CREATE TABLE IF NOT EXISTS ops.tables (org_id VARCHAR, object VARCHAR, columns VARCHAR[]);
CREATE TABLE IF NOT EXISTS ops.histories (
    org_id VARCHAR, object VARCHAR, PRIMARY KEY (org_id, object)
);
CREATE TABLE IF NOT EXISTS ops.failures (
    org_id VARCHAR, object VARCHAR, failed_at TIMESTAMPTZ, error VARCHAR
);
CREATE TABLE IF NOT EXISTS ops.quality (
    checked_at TIMESTAMPTZ, org_id VARCHAR, object VARCHAR, "check" VARCHAR, severity VARCHAR,
    blocking BOOLEAN, passed BOOLEAN, offenders BIGINT, rows BIGINT, ids VARCHAR[], reason VARCHAR,
    definition VARCHAR
);
CREATE TABLE IF NOT EXISTS ops.quality_scores (
    scored_at TIMESTAMPTZ, org_id VARCHAR, object VARCHAR, score DOUBLE, checks BIGINT,
    failed BIGINT, rows BIGINT
);
CREATE TABLE IF NOT EXISTS ops.to_fix (
    org_id VARCHAR, place BIGINT, object VARCHAR, "check" VARCHAR, severity VARCHAR,
    blocking BOOLEAN, offenders BIGINT, rows BIGINT, share DOUBLE, ids VARCHAR[],
    first_seen TIMESTAMPTZ, checked_at TIMESTAMPTZ, what_to_do VARCHAR
);
CREATE TABLE IF NOT EXISTS ops.gold_builds (
    org_id VARCHAR, name VARCHAR, sql_hash VARCHAR, sources VARCHAR, built_at TIMESTAMPTZ,
    rows BIGINT, days DATE[], left_out VARCHAR
);
CREATE TABLE IF NOT EXISTS ops.gold_attempts (
    org_id VARCHAR, name VARCHAR, of VARCHAR, tries INTEGER, since TIMESTAMPTZ,
    tried_at TIMESTAMPTZ, error VARCHAR
);
"""

_VIEWS = """
CREATE OR REPLACE VIEW ops.sync_log AS
SELECT
    s.org_id, s.object, coalesce(m.merged_at, s.read_at) AS at, s.slice, s.kind, s.window_start,
    s.window_end, s.read_at, s.source, s.job_id, s.rows_org, s.rows_pages, s.rows_parsed,
    s.rows_known, s.rows AS rows_written, s.calls, s.bytes, s.seconds, s.merge,
    m.rows_in AS merge_rows_in, m.inserted AS merge_inserted, m.updated AS merge_updated,
    m.unchanged AS merge_unchanged, m.stale AS merge_stale, m.rejected AS merge_rejected,
    m.seconds AS merge_seconds, NULL::VARCHAR AS error
FROM ops.slices s LEFT JOIN ops.merges m USING (org_id, object, merge)
UNION ALL BY NAME
SELECT org_id, object, failed_at AS at, error FROM ops.failures;
"""

_COVERING = ", ".join(f"'{kind}'" for kind in SliceKind if not kind.patches)

MIGRATIONS = (
    # Which columns silver's tables have: from here on, merges note it.
    f"""
    INSERT INTO ops.tables
    SELECT s.org_id, s.object,
        list(c.column_name || ' ' || c.data_type ORDER BY c.column_index)
            FILTER (c.column_name IS NOT NULL)
    FROM (SELECT DISTINCT org_id, object FROM ops.slices WHERE kind IN ({_COVERING})) s
    JOIN ops.orgs o USING (org_id)
    LEFT JOIN duckdb_columns() c ON c.database_name = current_database()
        AND c.schema_name = if(o.name = '{ONLY}', 'silver', 'silver_' || o.name)
        AND c.table_name = s.object
    GROUP BY ALL
    """,
    # Whose place compacted slices took: it was not noted which, so it may be that of any.
    f"""
    INSERT INTO ops.replaced
    SELECT org_id, object, slice, '' FROM ops.slices
    WHERE kind IN ({_COVERING}) AND (org_id, object) IN (
        SELECT (org_id, object) FROM ops.slices WHERE kind = '{SliceKind.COMPACTED}'
    )
    """,
    # Which gold is late follows from `ops.gold_builds`; what that says no query of is built anew.
    "DROP TABLE IF EXISTS ops.gold_late",
)
"""What older notes must be worked into, in the order of the releases; each is done once."""


def is_current(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether everything is there that this release notes.

    Asked by a query that names it all: the list of all columns is long in a large warehouse.

    Args:
        connection: Open, outside a transaction, which a query that fails would end.
    """
    try:
        connection.execute(_everything()).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        return False
    return _version(connection) == (len(MIGRATIONS), _fingerprint())


@cache
def _everything() -> str:
    """A query of every table and column, and no row."""
    tables: dict[str, list[str]] = {}
    for table, column in _wanted():
        tables.setdefault(table, []).append(f'"{column}"')
    rows = (
        f"(SELECT 1 FROM (SELECT {', '.join(columns)} FROM ops.{table}) LIMIT 0)"
        for table, columns in tables.items()
    )
    return " UNION ALL ".join(rows)


def bring_up(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables, columns and views that are lacking, and do the migrations that are due.

    Args:
        connection: Open for writing, inside a transaction.

    Raises:
        ConfigError: A newer release has written the warehouse.
    """
    connection.execute(_TABLES)
    there = _shape(connection)
    for (table, column), kind in _wanted().items():
        if (table, column) not in there and table != "sync_log":
            connection.execute(f'ALTER TABLE ops.{table} ADD COLUMN "{column}" {kind}')
    connection.execute(_VIEWS)
    done, _ = _version(connection)
    if done > len(MIGRATIONS):
        raise ConfigError(
            f"the warehouse was written by a newer release of sf_assets (its schema is {done}, "
            f"this one knows {len(MIGRATIONS)}); install that one, or set another "
            "SF_ASSETS_WAREHOUSE_URL"
        )
    for migration in MIGRATIONS[done:]:
        connection.execute(migration)
    connection.execute("DELETE FROM ops.schema_version")
    connection.execute(
        "INSERT INTO ops.schema_version VALUES (?, ?, ?)",
        [len(MIGRATIONS), _fingerprint(), datetime.now(UTC)],
    )


def _version(connection: duckdb.DuckDBPyConnection) -> tuple[int, str]:
    # To the end: a result that is not fetched whole keeps others from being registered.
    rows = connection.execute("SELECT version, schema FROM ops.schema_version").fetchall()
    return (rows[0][0], rows[0][1]) if rows else (0, "")


def _fingerprint() -> str:
    return sha256((_TABLES + _VIEWS).encode()).hexdigest()[:16]


def _shape(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], str]:
    """Types of the columns of all tables and views, by table and column."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = 'ops'"
    ).fetchall()
    return {(table, column): kind for table, column, kind in rows}


@cache
def _wanted() -> dict[tuple[str, str], str]:
    """What there should be; the engine itself is asked."""
    with duckdb.connect() as connection:
        connection.execute(_TABLES + _VIEWS)
        return _shape(connection)
