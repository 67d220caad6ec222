"""What checks found, kept in `ops.quality`, and what follows: scores, and a list of what to fix."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import polars as pl

from sf_assets.checks.check import CheckResult, Checks, Latest, Score, Severity
from sf_assets.warehouse.sql.connection import Connection, with_scratch

WEIGHTS = {Severity.WARN: 1, Severity.ERROR: 3}
"""How much a check counts in a score."""

LAST_READINGS = 20
"""Earlier row counts whose median is what is usual."""


class CheckLog:
    """What checks of an org's tables found.

    Args:
        connection: Open on the warehouse.
        org_id: Whose.
    """

    def __init__(self, connection: Connection, org_id: str) -> None:
        self._connection = connection
        self._run = connection.execute
        self._org_id = org_id

    def keep(self, found: Sequence[CheckResult], remedies: Mapping[tuple[str, str], str]) -> None:
        """Keep what checks found, and list what to fix now."""
        if found:
            rows = pl.DataFrame([asdict(one) for one in found], schema_overrides=_KEPT)
            with with_scratch(self._connection, lambda: _SCRATCH):
                self._connection.load("ops.quality", rows)
                self._list_to_fix(remedies)

    def readings(self, slug: str) -> list[int]:
        """Live rows of an object at its last runs of checks, latest first."""
        rows = self._run(
            "SELECT max(rows) FROM ops.quality WHERE org_id = ? AND object = ? "
            f"GROUP BY checked_at ORDER BY checked_at DESC LIMIT {LAST_READINGS}",
            [self._org_id, slug],
        )
        return [count for (count,) in rows]

    def latest(self, checks: Checks) -> dict[tuple[str, str], Latest]:
        """The latest answer to each of the checks; nothing of those that were never asked."""
        objects, names = {slug for slug, _ in checks}, {name for _, name in checks}
        parameters = {"org": self._org_id, "objects": list(objects), "checks": list(names)}
        rows = self._run(_ANSWERS, parameters)
        found = {(slug, name): Latest(*answer) for slug, name, *answer in rows}
        return {check: found[check] for check in checks if check in found}

    def last_run(self) -> dict[tuple[str, str], tuple[datetime, str | None]]:
        """When each check was run last, and what it asked, of all that ever were."""
        query = (
            'SELECT object, "check", checked_at, definition FROM ops.quality WHERE org_id = ? '
            f"{_LAST}"
        )
        rows = self._run(query, [self._org_id])
        return {(slug, name): (at, definition) for slug, name, at, definition in rows}

    def score(self, now: datetime, remedies: Mapping[tuple[str, str], str]) -> list[Score]:
        """Score the org's objects by the latest outcome of each check, and list what to fix."""
        with with_scratch(self._connection, lambda: _SCRATCH):
            return self._score(now, remedies)

    def _score(self, now: datetime, remedies: Mapping[tuple[str, str], str]) -> list[Score]:
        self._list_to_fix(remedies)
        scores = [Score(*row) for row in self._run(_SCORES)]
        history = [{"scored_at": now, "org_id": self._org_id, **asdict(one)} for one in scores]
        if history:
            rows = pl.DataFrame(history, schema_overrides=_SCORED)
            self._connection.load("ops.quality_scores", rows)
        return scores

    def _list_to_fix(self, remedies: Mapping[tuple[str, str], str]) -> None:
        """List checks that do not pass now, of the latest outcomes of those that count."""
        org = {"org": self._org_id}
        counting = [(*check, remedy) for check, remedy in remedies.items()]
        temporary = self._connection.temporary
        temporary("counting", f"({_SCRATCH['counting']})")
        self._connection.load("temp.counting", pl.DataFrame(counting, _COUNTING, orient="row"))
        temporary("latest", f"AS {_LATEST}", org)
        self._run("DELETE FROM ops.to_fix WHERE org_id = ?", [self._org_id])
        self._run(_TO_FIX, org)


_SCRATCH = {
    "counting": 'object VARCHAR, "check" VARCHAR, remedy VARCHAR',
    "latest": """
        org_id VARCHAR, object VARCHAR, "check" VARCHAR, severity VARCHAR, blocking BOOLEAN,
        passed BOOLEAN, offenders BIGINT, rows BIGINT, ids VARCHAR[], reason VARCHAR,
        checked_at TIMESTAMPTZ, remedy VARCHAR, share DOUBLE
    """,
}
"""Temporary tables, with their columns."""

_COUNTING = dict.fromkeys(("object", "check", "remedy"), pl.String())
_STAMP = pl.Datetime("us", "UTC")
_KEPT = {
    "checked_at": _STAMP,
    "offenders": pl.Int64(),
    "ids": pl.List(pl.String()),
    **dict.fromkeys(("reason", "definition"), pl.String()),
}
_SCORED = {"scored_at": _STAMP, "object": pl.String()}
"""Types of what may be null or empty in all rows."""

_LAST = 'QUALIFY row_number() OVER (PARTITION BY object, "check" ORDER BY checked_at DESC) = 1'

_ANSWERS = f"""
WITH last AS (
    SELECT object, "check", passed, checked_at, offenders, reason, definition FROM ops.quality
    WHERE org_id = $org AND object = ANY($objects) AND "check" = ANY($checks) {_LAST}
), good AS (
    SELECT object, "check", max(checked_at) AS passed_at FROM ops.quality
    WHERE org_id = $org AND passed GROUP BY object, "check"
), streak AS (
    SELECT q.object, q."check", min(q.checked_at) AS since
    FROM ops.quality q LEFT JOIN good g ON g.object = q.object AND g."check" = q."check"
    WHERE q.org_id = $org AND (g.passed_at IS NULL OR q.checked_at > g.passed_at)
    GROUP BY q.object, q."check"
)
SELECT object, "check", passed, checked_at, offenders, reason, since, definition
FROM last LEFT JOIN streak USING (object, "check")
"""

_LATEST = f"""
SELECT q.org_id, object, "check", severity, blocking, passed, offenders, rows, ids, reason,
    checked_at, remedy,
    CASE WHEN passed THEN 0.0 WHEN coalesce(offenders, 0) = 0 OR rows = 0 THEN 1.0
         ELSE least(offenders::DOUBLE / rows, 1.0) END::DOUBLE AS share
FROM ops.quality q JOIN temp.counting c USING (object, "check")
WHERE org_id = $org {_LAST}
"""

_SCORES = f"""
WITH weighed AS (
    SELECT object, share, passed, rows, checked_at, CASE severity
        WHEN 'error' THEN {WEIGHTS[Severity.ERROR]} ELSE {WEIGHTS[Severity.WARN]} END AS weight
    FROM temp.latest
), newest AS (
    SELECT object, rows FROM weighed
    QUALIFY row_number() OVER (PARTITION BY object ORDER BY checked_at DESC) = 1
), by_object AS (
    SELECT object, 100 * sum((1 - share) * weight) / sum(weight) AS score,
        count(*)::BIGINT AS checks, count(*) FILTER (NOT passed)::BIGINT AS failed
    FROM weighed GROUP BY object
)
SELECT object, score, checks, failed, rows FROM (
    SELECT NULL::VARCHAR AS object, avg(score) AS score, sum(checks)::BIGINT AS checks,
        sum(failed)::BIGINT AS failed, sum(rows)::BIGINT AS rows
    FROM by_object JOIN newest USING (object) HAVING count(*) > 0
    UNION ALL SELECT object, score, checks, failed, rows FROM by_object JOIN newest USING (object)
) s ORDER BY object NULLS FIRST
"""

# First seen: the first failure since it last passed.
_TO_FIX = """
INSERT INTO ops.to_fix (
    org_id, place, object, "check", severity, blocking, offenders, rows, share, ids, first_seen,
    checked_at, what_to_do
)
WITH good AS (
    SELECT object, "check", max(checked_at) AS passed_at FROM ops.quality
    WHERE org_id = $org AND passed GROUP BY object, "check"
), streak AS (
    SELECT q.object, q."check", min(q.checked_at) AS first_seen
    FROM ops.quality q LEFT JOIN good g ON g.object = q.object AND g."check" = q."check"
    WHERE q.org_id = $org AND (g.passed_at IS NULL OR q.checked_at > g.passed_at)
    GROUP BY q.object, q."check"
)
SELECT org_id, row_number() OVER (
        ORDER BY blocking DESC, severity = 'error' DESC, share DESC, object, "check"
    ) AS place,
    object, "check", severity, blocking, offenders, rows, share, ids, first_seen, checked_at,
    coalesce(nullif(reason, ''), remedy)
FROM temp.latest JOIN streak USING (object, "check")
WHERE NOT passed
ORDER BY place
"""
