"""What checks found, kept in `ops.quality`, and what follows: scores, and a list of what to fix."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

import duckdb

from sf_assets.declared_checks import Severity

WEIGHTS = {Severity.WARN: 1, Severity.ERROR: 3}
"""How much a check counts in a score."""

LAST_READINGS = 20
"""Earlier row counts whose median is what is usual."""

Checks = Collection[tuple[str, str]]
"""Checks as (lower-cased object name, check name)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One row of `ops.quality`: one check at one time; columns in the table's order."""

    checked_at: datetime
    org_id: str
    object: str
    check: str
    severity: Severity
    blocking: bool
    passed: bool
    offenders: int | None
    rows: int
    ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest answer to a check.

    Attributes:
        passed: Whether it passed.
        checked_at: When it was asked.
        offenders: Rows that offend; None when it is asked of the table, or could not be asked.
        reason: Why it could not be asked; empty when it could, or nothing of that was kept.
        since: When it first did not pass since it last did; None where it passes.
    """

    passed: bool
    checked_at: datetime
    offenders: int | None
    reason: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Score:
    """How good an object's rows are by its latest checks, from 0 to 100.

    A check's share is the share of live rows that do not offend; of a check that is asked of the
    table as a whole, or that could not be asked, it is all or nothing. An object's score is the
    mean of its checks' shares, in which an `error` weighs three times as much as a `warn`. The
    overall score is the plain mean of the objects' scores: a small object counts like a large one.

    Attributes:
        object: Lower-cased name; None for all objects together.
        score: The score.
        checks: How many checks it rests on.
        failed: How many of them did not pass.
        rows: Live rows.
    """

    object: str | None
    score: float
    checks: int
    failed: int
    rows: int


def keep(connection: duckdb.DuckDBPyConnection, found: Sequence[Kept]) -> None:
    """Add the outcome of checks to `ops.quality`."""
    marks = ", ".join("?" * len(Kept.__dataclass_fields__))
    rows = [[list(v) if isinstance(v, tuple) else v for v in astuple(one)] for one in found]
    connection.executemany(f"INSERT INTO ops.quality VALUES ({marks})", rows)


def readings(
    connection: duckdb.DuckDBPyConnection, org_id: str, slugs: Collection[str]
) -> dict[str, list[int]]:
    """Live rows of objects at their last runs of checks, latest first."""
    rows = _ask(
        connection,
        f"SELECT object, list(rows ORDER BY checked_at DESC)[:{LAST_READINGS}] FROM ("
        "SELECT object, checked_at, any_value(rows) AS rows FROM ops.quality "
        "WHERE org_id = ? AND object = ANY(?) GROUP BY ALL) GROUP BY object",
        [org_id, list(slugs)],
    )
    return dict(rows)


def latest(
    connection: duckdb.DuckDBPyConnection, org_id: str, checks: Checks
) -> dict[tuple[str, str], Latest]:
    """The latest answer to each of the checks; nothing of those that were never asked."""
    query = """
    WITH asked AS (
        SELECT object, "check", arg_max(passed, checked_at) AS passed,
            max(checked_at) AS checked_at, max(checked_at) FILTER (passed) AS passed_at,
            arg_max(offenders, checked_at) AS offenders, arg_max(reason, checked_at) AS reason
        FROM ops.quality
        WHERE org_id = $org AND object = ANY($objects) AND "check" = ANY($checks) GROUP BY ALL
    )
    SELECT object, "check", a.passed, a.checked_at, a.offenders, a.reason, (
        SELECT min(checked_at) FROM ops.quality q
        WHERE q.org_id = $org AND q.object = a.object AND q."check" = a."check"
            AND q.checked_at > coalesce(a.passed_at, '-infinity')
    ) FROM asked a
    """
    objects, names = {slug for slug, _ in checks}, {name for _, name in checks}
    parameters = {"org": org_id, "objects": list(objects), "checks": list(names)}
    rows = connection.execute(query, parameters).fetchall()
    found = {(slug, name): Latest(*answer) for slug, name, *answer in rows}
    return {check: found[check] for check in checks if check in found}


def asked(connection: duckdb.DuckDBPyConnection, org_id: str) -> set[tuple[str, str]]:
    """All checks that were ever asked."""
    query = 'SELECT DISTINCT object, "check" FROM ops.quality WHERE org_id = ?'
    return set(_ask(connection, query, [org_id]))


def _ask(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]) -> list[Any]:
    """Rows; none in a warehouse that was last written before there was such a table."""
    with suppress(duckdb.CatalogException):
        return connection.execute(query, parameters).fetchall()
    return []


def score(
    connection: duckdb.DuckDBPyConnection,
    org_id: str,
    now: datetime,
    remedies: Mapping[tuple[str, str], str],
) -> list[Score]:
    """Score an org's objects by the latest outcome of each check, and list what to fix.

    Args:
        connection: Open for writing, inside a transaction.
        org_id: Whose.
        now: When.
        remedies: What to do about the offenders of each check that counts; others, which are no
            longer declared, do not count.

    Returns:
        The scores, overall first; none where nothing was checked yet.
    """
    run = connection.execute
    run('CREATE OR REPLACE TEMP TABLE counting (object VARCHAR, "check" VARCHAR, remedy VARCHAR)')
    wanted = [[*check, remedy] for check, remedy in remedies.items()]
    connection.executemany("INSERT INTO counting VALUES (?, ?, ?)", wanted)
    run(_LATEST, {"org": org_id})
    scores = [Score(*row) for row in run(_SCORES).fetchall()]
    history = [[now, org_id, *astuple(one)] for one in scores]
    if history:
        connection.executemany(
            "INSERT INTO ops.quality_scores VALUES (?, ?, ?, ?, ?, ?, ?)", history
        )
    run("DELETE FROM ops.to_fix WHERE org_id = ?", [org_id])
    run(_TO_FIX, {"org": org_id})
    return scores


_LATEST = """
CREATE OR REPLACE TEMP TABLE latest AS
SELECT q.*, c.remedy,
    CASE WHEN passed THEN 0.0 WHEN coalesce(offenders, 0) = 0 OR rows = 0 THEN 1.0
         ELSE least(offenders / rows, 1.0) END AS share
FROM ops.quality q JOIN counting c USING (object, "check")
WHERE org_id = $org
QUALIFY row_number() OVER (PARTITION BY object, "check" ORDER BY checked_at DESC) = 1
"""

_SCORES = f"""
WITH weighed AS (
    SELECT *, CASE severity WHEN 'error' THEN {WEIGHTS[Severity.ERROR]}
                            ELSE {WEIGHTS[Severity.WARN]} END AS weight
    FROM latest
), by_object AS (
    SELECT object, 100 * sum((1 - share) * weight) / sum(weight) AS score, count(*) AS checks,
        count(*) FILTER (NOT passed) AS failed, arg_max(rows, checked_at) AS rows
    FROM weighed GROUP BY object
)
SELECT NULL, avg(score), sum(checks)::BIGINT, sum(failed)::BIGINT, sum(rows)::BIGINT
FROM by_object HAVING count(*) > 0
UNION ALL (SELECT * FROM by_object ORDER BY object)
"""

# First seen: the first failure since it last passed.
_TO_FIX = """
INSERT INTO ops.to_fix
WITH since AS (
    SELECT object, "check", coalesce(max(checked_at) FILTER (passed), '-infinity') AS passed_at
    FROM ops.quality WHERE org_id = $org GROUP BY ALL
), streak AS (
    SELECT object, "check", min(checked_at) AS first_seen
    FROM ops.quality q JOIN since s USING (object, "check")
    WHERE org_id = $org AND q.checked_at > s.passed_at GROUP BY ALL
)
SELECT org_id, row_number() OVER (
        ORDER BY blocking DESC, severity = 'error' DESC, share DESC, object, "check"
    ) AS place,
    object, "check", severity, blocking, offenders, rows, share, ids, first_seen, checked_at,
    coalesce(nullif(reason, ''), remedy)
FROM latest JOIN streak USING (object, "check")
WHERE NOT passed
ORDER BY place
"""
