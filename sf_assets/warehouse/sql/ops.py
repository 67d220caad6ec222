"""The schema `ops`: what the project notes in the warehouse, brought up to what this release needs.

What is lacking is seen by looking, not by trusting a number: a warehouse of any earlier release,
and one in which somebody dropped a table of ours, gets the tables and columns that it has not.
Only what must be worked out of older notes is a migration, done once, in order.
"""

from datetime import UTC, datetime
from hashlib import sha256

from sf_assets.errors import ConfigError, WrongOrgError
from sf_assets.naming import ONLY
from sf_assets.storage.manifest import SliceKind
from sf_assets.warehouse.sql.connection import Cause, Connection

_TABLES = {
    "schema_version": "version INTEGER, schema VARCHAR, made_at TIMESTAMPTZ",
    "orgs": "name VARCHAR, org_id VARCHAR, since TIMESTAMPTZ",
    "merges": """
        org_id VARCHAR, object VARCHAR, merge VARCHAR, merged_at TIMESTAMPTZ, seconds DOUBLE,
        rows_in BIGINT, inserted BIGINT, updated BIGINT, unchanged BIGINT, stale BIGINT,
        rejected BIGINT, place BIGINT
    """,
    "slices": """
        org_id VARCHAR, object VARCHAR, slice VARCHAR, kind VARCHAR, window_start VARCHAR,
        window_end VARCHAR, read_at TIMESTAMPTZ, source VARCHAR, job_id VARCHAR, rows BIGINT,
        rows_org BIGINT, rows_pages BIGINT, rows_parsed BIGINT, rows_known BIGINT, calls BIGINT,
        bytes BIGINT, seconds DOUBLE, merge VARCHAR, manifest_bytes BIGINT, min_cursor TIMESTAMPTZ,
        rows_removed BIGINT
    """,
    "replaced": "org_id VARCHAR, object VARCHAR, slice VARCHAR, replaced_by VARCHAR",
    "tables": "org_id VARCHAR, object VARCHAR, columns VARCHAR[], treated VARCHAR[]",
    "rebuilt": "org_id VARCHAR, object VARCHAR, silver VARCHAR, history BOOLEAN",
    "united": "relation VARCHAR, definition VARCHAR",
    "histories": "org_id VARCHAR, object VARCHAR",
    "leftovers": "since TIMESTAMPTZ",
    "forgotten": "org_id VARCHAR, object VARCHAR, digest VARCHAR",
    "failures": "org_id VARCHAR, object VARCHAR, failed_at TIMESTAMPTZ, error VARCHAR",
    "quality": """
        checked_at TIMESTAMPTZ, org_id VARCHAR, object VARCHAR, "check" VARCHAR, severity VARCHAR,
        blocking BOOLEAN, passed BOOLEAN, offenders BIGINT, rows BIGINT, ids VARCHAR[],
        reason VARCHAR, definition VARCHAR
    """,
    "quality_scores": """
        scored_at TIMESTAMPTZ, org_id VARCHAR, object VARCHAR, score DOUBLE, checks BIGINT,
        failed BIGINT, rows BIGINT
    """,
    "to_fix": """
        org_id VARCHAR, place BIGINT, object VARCHAR, "check" VARCHAR, severity VARCHAR,
        blocking BOOLEAN, offenders BIGINT, rows BIGINT, share DOUBLE, ids VARCHAR[],
        first_seen TIMESTAMPTZ, checked_at TIMESTAMPTZ, what_to_do VARCHAR
    """,
    "gold_builds": """
        org_id VARCHAR, name VARCHAR, sql_hash VARCHAR, sources VARCHAR, built_at TIMESTAMPTZ,
        rows BIGINT, days DATE[], left_out VARCHAR
    """,
    "gold_attempts": """
        org_id VARCHAR, name VARCHAR, of VARCHAR, tries INTEGER, since TIMESTAMPTZ,
        tried_at TIMESTAMPTZ, error VARCHAR
    """,
}

_OF_TABLES = (
    "merges", "slices", "replaced", "tables", "histories", "forgotten", "gold_builds",
    "gold_attempts",
)  # fmt: skip
"""What is noted of an org's tables as they are, rather than of what happened."""

_SYNC_LOG = """
SELECT
    s.org_id, s.object, coalesce(m.merged_at, s.read_at) AS at, s.slice, s.kind, s.window_start,
    s.window_end, s.read_at, s.source, s.job_id, s.rows_org, s.rows_pages, s.rows_parsed,
    s.rows_known, s.rows AS rows_written, s.calls, s.bytes, s.seconds, s.merge,
    m.rows_in AS merge_rows_in, m.inserted AS merge_inserted, m.updated AS merge_updated,
    m.unchanged AS merge_unchanged, m.stale AS merge_stale, m.rejected AS merge_rejected,
    m.seconds AS merge_seconds, NULL::VARCHAR AS error, coalesce(s.rows_removed, 0) AS rows_removed
FROM ops.slices s LEFT JOIN ops.merges m
    ON m.org_id = s.org_id AND m.object = s.object AND m.merge = s.merge
UNION ALL
SELECT
    org_id, object, failed_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, error, NULL
FROM ops.failures
"""

_COVERING = ", ".join(f"'{kind}'" for kind in SliceKind if not kind.patches)

MIGRATIONS = (
    # Which columns silver's tables have: from here on, merges note it.
    f"""
    INSERT INTO ops.tables (org_id, object, columns)
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
    # In which order merges were committed: before, it was where their rows lie.
    "UPDATE ops.merges SET place = rowid WHERE place IS NULL",
)
"""What older notes must be worked into, in the order of the releases; each is done once.

The first four are of times when all warehouses were DuckDB's.
"""


def is_current(connection: Connection) -> bool:
    """Whether everything is there that this release notes.

    Asked by a query that names it all: the list of all columns is long in a large warehouse. Nor is
    it run, but looked at.

    Args:
        connection: Open, outside a transaction, which a query that fails would end.
    """
    everything = " UNION ALL ".join(
        f"(SELECT 1 FROM (SELECT {', '.join(_columns(table))} FROM ops.{table}) q LIMIT 0)"
        for table in _TABLES
    )
    try:
        connection.shape(f"{everything} UNION ALL (SELECT 1 FROM ops.sync_log LIMIT 0)")
    except connection.error as error:
        if connection.cause(error) is Cause.DATA:
            raise
        return False
    return _version(connection) == (len(MIGRATIONS), _fingerprint())


def bring_up(connection: Connection) -> None:
    """Make the tables, columns and views that are lacking, and do the migrations that are due.

    Args:
        connection: Open for writing, inside a transaction.

    Raises:
        ConfigError: A newer release has written the warehouse.
    """
    run = connection.execute
    run("CREATE SCHEMA IF NOT EXISTS ops")
    run("CREATE SCHEMA IF NOT EXISTS gold")
    there = connection.relations("ops")
    for table, columns in _TABLES.items():
        if table not in there:
            run(f"CREATE TABLE ops.{table} ({columns})")
            continue
        for column, declared in _columns(table).items():
            if column.strip('"') not in there[table]:
                run(f"ALTER TABLE ops.{table} ADD COLUMN {declared}")
    run("DROP VIEW IF EXISTS ops.sync_log")
    run(f"CREATE VIEW ops.sync_log AS {_SYNC_LOG}")
    done = _version(connection)[0] if there else len(MIGRATIONS)
    if done > len(MIGRATIONS):
        raise ConfigError(
            f"the warehouse was written by a newer release of sf_assets (its schema is {done}, "
            f"this one knows {len(MIGRATIONS)}); install that one, or set another "
            "SF_ASSETS_WAREHOUSE_URL"
        )
    for migration in MIGRATIONS[done:]:
        run(migration)
    run("DELETE FROM ops.schema_version")
    run(
        "INSERT INTO ops.schema_version (version, schema, made_at) VALUES (?, ?, ?)",
        [len(MIGRATIONS), _fingerprint(), datetime.now(UTC)],
    )


def is_claimed(connection: Connection, org_id: str, name: str) -> bool:
    """Whether what is noted of an org is of the tables that go by a name, or nothing is noted."""
    names = _names(connection, org_id)
    return not names or names[0] == name


def note_leftovers(connection: Connection) -> None:
    """Note that what files have of rows removed by now must not stay in them."""
    connection.execute("INSERT INTO ops.leftovers (since) VALUES (?)", [datetime.now(UTC)])


def has_leftovers(connection: Connection) -> bool:
    """Whether files may have something of rows that were removed for good."""
    return bool(connection.execute("SELECT 1 FROM ops.leftovers LIMIT 1"))


def claim(connection: Connection, org_id: str, name: str, where: str) -> None:
    """Note whose data a warehouse holds under a name.

    Where the catalogue calls the org otherwise than before, its tables are others, and nothing is
    in them, or what was there when it was last called so: it is forgotten what was merged and
    built, and all of it is merged anew.

    Args:
        connection: Open for writing.
        org_id: Whose.
        name: What the catalogue calls the org.
        where: The warehouse, for people.

    Raises:
        WrongOrgError: It holds another org's.
    """
    owners = connection.execute("SELECT org_id FROM ops.orgs WHERE name = ?", [name])
    if owners and owners != [(org_id,)]:
        raise WrongOrgError(
            f"the warehouse {where} holds the data of org {owners[0][0]}, not of {org_id}; "
            "set another SF_ASSETS_WAREHOUSE_URL or the other org's credentials"
        )
    if owners and is_claimed(connection, org_id, name):
        return
    with connection.transaction():
        if _names(connection, org_id):
            for table in _OF_TABLES:
                connection.execute(f"DELETE FROM ops.{table} WHERE org_id = ?", [org_id])
        note = (
            "UPDATE ops.orgs SET since = $3 WHERE name = $1 AND org_id = $2"
            if owners
            else "INSERT INTO ops.orgs (name, org_id, since) VALUES ($1, $2, $3)"
        )
        connection.execute(note, [name, org_id, datetime.now(UTC)])


def _names(connection: Connection, org_id: str) -> list[str]:
    """What the org was called, the present name first."""
    rows = connection.execute(
        "SELECT name FROM ops.orgs WHERE org_id = ? ORDER BY since DESC NULLS LAST, name", [org_id]
    )
    return [name for (name,) in rows]


def _version(connection: Connection) -> tuple[int, str]:
    rows = connection.execute("SELECT version, schema FROM ops.schema_version")
    return (rows[0][0], rows[0][1]) if rows else (0, "")


def _fingerprint() -> str:
    return sha256(f"{_TABLES}{_SYNC_LOG}".encode()).hexdigest()[:16]


def _columns(table: str) -> dict[str, str]:
    """Columns of a table as SQL declares them, by their names as it writes them."""
    declared = (" ".join(column.split()) for column in _TABLES[table].split(","))
    return {column.partition(" ")[0]: column for column in declared}
