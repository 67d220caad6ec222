"""What `ops` knows of gold tables: by what each was built last, and builds that came to nothing."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import duckdb

from sf_assets.storage.manifest import SliceKind

SHORTEST = timedelta(seconds=30)
LONGEST = timedelta(hours=1)
"""Pauses after a build that came to nothing: twice as long after each."""


@dataclass(frozen=True, slots=True)
class Build:
    """The last build of a gold table.

    Attributes:
        sql_hash: Of the query that it was built by.
        sources: What was newest then of all that it reads, as `versions` tells; of a daily table
            also by `gold.<table>/<source>` what the gold tables were built of that it reads.
        built_at: When.
        rows: Rows of the table; None where it was left out.
        days: Days that were built by this query; empty for a table that is not daily.
        left_out: Why there was nothing to build, though nothing is wrong.
    """

    sql_hash: str
    sources: Mapping[str, str]
    built_at: datetime
    rows: int | None
    days: frozenset[date] = frozenset()
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Builds in a row, or askings of a check, that came to nothing so far.

    Attributes:
        of: What was tried: the hash of a query, or the merge that a check was to be asked of.
        tries: How many times.
        since: When first.
        tried_at: When last.
        error: What was said then; None where the run is at work, or broke off.
    """

    of: str
    tries: int
    since: datetime
    tried_at: datetime
    error: str | None

    @property
    def next_try(self) -> datetime:
        """When it may be tried again by itself."""
        doublings = min(self.tries - 1, 10)  # beyond the longest pause
        pause = timedelta(seconds=SHORTEST.total_seconds() * 2**doublings)
        return self.tried_at + min(pause, LONGEST)


def versions(connection: duckdb.DuckDBPyConnection, org_id: str) -> dict[str, str]:
    """What is newest of everything that a gold table may read.

    Returns:
        By `silver.<object>` the merge that was committed last, by `raw.<object>` the slice that was
        taken up last, and by `gold.<table>` when it was built last. Told by the order in which the
        warehouse committed them, so that no clock that goes back hides any.
    """
    patches = [kind.value for kind in SliceKind if kind.patches]
    rows = connection.execute(
        "SELECT 'silver.' || object, arg_max(merge, rowid) FROM ops.merges WHERE org_id = $org "
        "GROUP BY object UNION ALL "
        "SELECT 'raw.' || object, arg_max(slice, rowid) FROM ops.slices WHERE org_id = $org "
        "AND merge IS NOT NULL AND NOT list_contains($patches, kind) GROUP BY object UNION ALL "
        "SELECT 'gold.' || name, built_at::VARCHAR FROM ops.gold_builds WHERE org_id = $org",
        {"org": org_id, "patches": patches},
    ).fetchall()
    return dict(rows)


def late_rows(
    connection: duckdb.DuckDBPyConnection, org_id: str, noted: Mapping[str, Mapping[str, str]]
) -> dict[str, date]:
    """Tell of gold tables on which day of the cursor the oldest version lies that is new to them.

    A slice that took the place of others brings none, nor does a patch. Where the day is not known,
    as of slices that an earlier release merged, it is the first there is.

    Args:
        connection: Open on the warehouse.
        org_id: Whose.
        noted: By table what was newest of its sources when it was built, as `Build` has it.

    Returns:
        By table; those for which nothing was merged since are left out.
    """
    rows = [
        (table, *source.split(".", 1), version)
        for table, sources in noted.items()
        for source, version in ((key.rpartition("/")[2], v) for key, v in sources.items())
        if source.startswith(("silver.", "raw."))
    ]
    query = """
        WITH noted AS (
            SELECT unnest($tables) AS name, unnest($layers) AS layer, unnest($objects) AS object,
                unnest($versions) AS version
        ),
        merges AS (SELECT object, merge, rowid AS place FROM ops.merges WHERE org_id = $org),
        slices AS (
            SELECT object, slice, rows, coalesce(min_cursor, DATE '0001-01-01')::DATE AS day, place
            FROM ops.slices JOIN merges USING (object, merge)
            WHERE org_id = $org AND NOT list_contains($patches, kind)
        ),
        seen AS (
            SELECT n.name, n.object, coalesce(max(m.place), max(s.place), -1) AS place
            FROM noted n
            LEFT JOIN merges m ON layer = 'silver' AND m.object = n.object AND merge = version
            LEFT JOIN slices s ON layer = 'raw' AND s.object = n.object AND slice = version
            GROUP BY n.name, n.object, layer
        )
        SELECT name, min(day) FROM seen JOIN slices USING (object)
        WHERE slices.place > seen.place AND rows > 0 GROUP BY name
    """
    names = ("tables", "layers", "objects", "versions")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    if not columns:
        return {}
    patches = [kind.value for kind in SliceKind if kind.patches]
    parameters = {name: list(values) for name, values in columns.items()}
    found = connection.execute(query, parameters | {"org": org_id, "patches": patches})
    return dict(found.fetchall())


def merged(
    connection: duckdb.DuckDBPyConnection, org_id: str, slugs: Collection[str]
) -> dict[str, datetime]:
    """When something was merged last into each of the objects' tables."""
    query = (
        "SELECT object, max(merged_at) FROM ops.merges WHERE org_id = ? AND object = ANY(?) "
        "GROUP BY object"
    )
    return dict(connection.execute(query, [org_id, list(slugs)]).fetchall())


def builds(connection: duckdb.DuckDBPyConnection, org_id: str) -> dict[str, Build]:
    """The last build of each table; not those that an earlier release noted without their query."""
    query = (
        "SELECT name, sql_hash, sources, built_at, rows, days, left_out FROM ops.gold_builds "
        "WHERE org_id = ? AND sql_hash IS NOT NULL"
    )
    return {
        name: Build(sql, json.loads(sources), at, rows, frozenset(days or ()), left_out)
        for name, sql, sources, at, rows, days, left_out in connection.execute(
            query, [org_id]
        ).fetchall()
    }


def note_build(connection: duckdb.DuckDBPyConnection, org_id: str, name: str, build: Build) -> None:
    """Note that a table is built, or left out; what was tried before is forgotten."""
    for table in ("gold_builds", "gold_attempts"):
        connection.execute(f"DELETE FROM ops.{table} WHERE org_id = ? AND name = ?", [org_id, name])
    connection.execute(
        "INSERT INTO ops.gold_builds (org_id, name, sql_hash, sources, built_at, rows, days, "
        "left_out) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            org_id, name, build.sql_hash, json.dumps(build.sources, sort_keys=True),
            build.built_at, build.rows, sorted(build.days), build.left_out,
        ],
    )  # fmt: skip


def attempts(connection: duckdb.DuckDBPyConnection, org_id: str) -> dict[str, Attempt]:
    """What was tried and came to nothing so far, by name."""
    query = "SELECT name, of, tries, since, tried_at, error FROM ops.gold_attempts WHERE org_id = ?"
    rows = connection.execute(query, [org_id]).fetchall()
    return {name: Attempt(*attempt) for name, *attempt in rows}


def note_attempt(  # noqa: PLR0917 (read like a row)
    connection: duckdb.DuckDBPyConnection,
    org_id: str,
    name: str,
    of: str,
    now: datetime,
    error: str | None = None,
) -> None:
    """Note that something is tried, or with an error what came of it.

    Args:
        connection: Open for writing.
        org_id: Whose.
        name: A gold table, or `<object>.<check>`.
        of: What is tried; tries of something else before do not count.
        now: When.
        error: Why it came to nothing; None where it is about to be tried.
    """
    before = attempts(connection, org_id).get(name)
    again = before if before and before.of == of else None
    tries = again.tries if again else 0
    if error is None or not again:
        tries += 1
    connection.execute(
        "DELETE FROM ops.gold_attempts WHERE org_id = ? AND name = ?", [org_id, name]
    )
    connection.execute(
        "INSERT INTO ops.gold_attempts (org_id, name, of, tries, since, tried_at, error) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [org_id, name, of, tries, again.since if again else now, now, error],
    )
