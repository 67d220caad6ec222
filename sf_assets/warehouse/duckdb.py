"""The DuckDB file that silver and gold live in: one writer at a time, for as short as can be."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import duckdb

from sf_assets.errors import ConfigError, WarehouseError, WarehouseLockedError, WrongOrgError
from sf_assets.warehouse.refusals import refusal

MEMORY_LIMIT = "1GB"
"""Of the engine, unless the URL says otherwise (`?memory_limit=4GB`)."""

_LOCK_SECONDS = 60.0
_LOCKED = "Could not set lock"

_in_this_process: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)
"""DuckDB's own lock keeps other processes out; within one it refuses to open a file twice."""

_OPS = """
CREATE SCHEMA IF NOT EXISTS ops;
CREATE SCHEMA IF NOT EXISTS gold;
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
    bytes BIGINT, seconds DOUBLE, merge VARCHAR
);
CREATE TABLE IF NOT EXISTS ops.histories (
    org_id VARCHAR, object VARCHAR, PRIMARY KEY (org_id, object)
);
CREATE TABLE IF NOT EXISTS ops.failures (
    org_id VARCHAR, object VARCHAR, failed_at TIMESTAMPTZ, error VARCHAR
);
CREATE VIEW IF NOT EXISTS ops.sync_log AS
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
CREATE TABLE IF NOT EXISTS ops.quality (
    checked_at TIMESTAMPTZ, org_id VARCHAR, object VARCHAR, "check" VARCHAR, severity VARCHAR,
    blocking BOOLEAN, passed BOOLEAN, offenders BIGINT, rows BIGINT, ids VARCHAR[], reason VARCHAR
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
CREATE TABLE IF NOT EXISTS ops.gold_late (org_id VARCHAR, name VARCHAR);
"""


class Warehouse:
    """A DuckDB file by URL.

    Args:
        url: `duckdb:///path/to/file`; a bare file name is in the current folder. Query parameters
            are DuckDB settings, such as `?memory_limit=4GB&threads=2`.

    Raises:
        ConfigError: The URL is not of that form.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        path = unquote(parts.path).lstrip("/")
        if parts.scheme != "duckdb" or parts.netloc or not path:
            raise ConfigError(
                f"SF_ASSETS_WAREHOUSE_URL is {url!r}; it must be like duckdb:////path/to/file"
            )
        self.url = url
        self.path = Path("/" + path) if "/" in path else Path.cwd() / path
        self._config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            **dict(parse_qsl(parts.query)),
        }

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file, waiting a while if another program holds it; close it in any case.

        Raises:
            WarehouseLockedError: It stays held.
            WarehouseError: It cannot be opened.
        """
        with _in_this_process[self.path]:
            yield from self._connected(read_only)

    def _connected(self, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._open(read_only)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            if not read_only:
                connection.execute("SET preserve_insertion_order = false")
                connection.execute(_OPS)
            yield connection
        except duckdb.Error as error:
            said = refusal(error, names=known_names(connection))
            raise WarehouseError(
                f"the warehouse {self.path} refused: {said}; "
                "nothing half done was kept, the tables are as they were last committed"
            ) from None
        finally:
            connection.close()

    def _open(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + _LOCK_SECONDS
        pause = 0.05
        while True:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return duckdb.connect(str(self.path), read_only=read_only, config=self._config)
            except duckdb.IOException as error:
                if _LOCKED not in str(error):
                    raise self._unusable(error) from None
                if time.monotonic() > deadline:
                    raise WarehouseLockedError(
                        f"the warehouse {self.path} is held by another program "
                        f"({_holder(str(error))}); close it there and run again, raw is kept"
                    ) from None
                time.sleep(pause)
                pause = min(pause * 2, 1.0)
            except (duckdb.Error, OSError) as error:
                raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> WarehouseError:
        return WarehouseError(
            f"the warehouse {self.path} cannot be opened: {refusal(error)}; check "
            "SF_ASSETS_WAREHOUSE_URL"
        )

    def claim(self, connection: duckdb.DuckDBPyConnection, org_id: str, name: str) -> None:
        """Make sure that the warehouse holds this org's data under this name, or nobody's yet.

        Raises:
            WrongOrgError: It holds another org's.
        """
        row = connection.execute("SELECT org_id FROM ops.orgs WHERE name = ?", [name]).fetchone()
        if row is None:
            connection.execute("INSERT INTO ops.orgs VALUES (?, ?)", [name, org_id])
        elif row[0] != org_id:
            raise WrongOrgError(
                f"the warehouse {self.path} holds the data of org {row[0]}, not of {org_id}; set "
                "another SF_ASSETS_WAREHOUSE_URL or the other org's credentials"
            )


def known_names(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Names of the schemas, tables, columns and functions there are, which errors may tell.

    None when the connection is broken.
    """
    try:
        rows = connection.execute(
            "SELECT unnest([schema_name, table_name, column_name]) FROM duckdb_columns() "
            "UNION SELECT function_name FROM duckdb_functions()"
        ).fetchall()
    except duckdb.Error:
        return set()
    return {name for (name,) in rows}


def _holder(message: str) -> str:
    """Which program has the lock, as far as DuckDB says."""
    _, _, rest = message.partition("Conflicting lock is held in ")
    return rest.partition(". ")[0] or "unknown"


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of it or nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def quoted(*names: str) -> str:
    """Names as SQL identifiers, joined by dots."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def text_literal(text: str) -> str:
    """A text as an SQL literal, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"
