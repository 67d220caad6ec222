"""What checks found, kept in `ops.quality`, and what follows: scores, and a list of what to fix."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from datetime import datetime

import duckdb

from sf_assets.checks.check import CheckResult, Checks, Latest, Score, Severity
from sf_assets.warehouse.duckdb.database import transaction

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

    def __init__(self, connection: duckdb.DuckDBPyConnection, org_id: str) -> None:
        self._connection = connection
        self._run = connection.execute
        self._org_id = org_id

    def keep(self, found: Sequence[CheckResult], remedies: Mapping[tuple[str, str], str]) -> None:
        """Keep what checks found, and list what to fix now."""
        if not found:
            return
        marks = ", ".join("?" * len(fields(CheckResult)))
        rows = [[list(v) if isinstance(v, tuple) else v for v in astuple(one)] for one in found]
        with transaction(self._connection):
            self._connection.executemany(f"INSERT INTO ops.quality VALUES ({marks})", rows)
            self._list_to_fix(remedies)

    def readings(self, slug: str) -> list[int]:
        """Live rows of an object at its last runs of checks, latest first."""
        rows = self._run(
            "SELECT any_value(rows) FROM ops.quality WHERE org_id = ? AND object = ? "
            f"GROUP BY checked_at ORDER BY checked_at DESC LIMIT {LAST_READINGS}",
            [self._org_id, slug],
        )
        return [count for (count,) in rows.fetchall()]

    def latest(self, checks: Checks) -> dict[tuple[str, str], Latest]:
        """The latest answer to each of the checks; nothing of those that were never asked."""
        objects, names = {slug for slug, _ in checks}, {name for _, name in checks}
        parameters = {"org": self._org_id, "objects": list(objects), "checks": list(names)}
        rows = self._run(_ANSWERS, parameters).fetchall()
        found = {(slug, name): Latest(*answer) for slug, name, *answer in rows}
        return {check: found[check] for check in checks if check in found}

    def last_run(self) -> dict[tuple[str, str], tuple[datetime, str | None]]:
        """When each check was run last, and what it asked, of all that ever were."""
        query = (
            'SELECT object, "check", max(checked_at), arg_max(definition, checked_at) '
            "FROM ops.quality WHERE org_id = ? GROUP BY ALL"
        )
        rows = self._run(query, [self._org_id]).fetchall()
        return {(slug, name): (at, definition) for slug, name, at, definition in rows}

    def score(self, now: datetime, remedies: Mapping[tuple[str, str], str]) -> list[Score]:
        """Score the org's objects by the latest outcome of each check, and list what to fix."""
        with transaction(self._connection):
            return self._score(now, remedies)

    def _score(self, now: datetime, remedies: Mapping[tuple[str, str], str]) -> list[Score]:
        self._list_to_fix(remedies)
        scores = [Score(*row) for row in self._run(_SCORES).fetchall()]
        history = [[now, self._org_id, *astuple(one)] for one in scores]
        if history:
            self._connection.executemany(
                "INSERT INTO ops.quality_scores VALUES (?, ?, ?, ?, ?, ?, ?)", history
            )
        return scores

    def _list_to_fix(self, remedies: Mapping[tuple[str, str], str]) -> None:
        """List checks that do not pass now, of the latest outcomes of those that count."""
        objects, names = ([check[n] for check in remedies] for n in (0, 1))
        self._run(_COUNTING, [objects, names, list(remedies.values())])
        self._run(_LATEST, {"org": self._org_id})
        self._run("DELETE FROM ops.to_fix WHERE org_id = ?", [self._org_id])
        self._run(_TO_FIX, {"org": self._org_id})


_ANSWERS = """
WITH asked AS (
    SELECT object, "check", arg_max(passed, checked_at) AS passed,
        max(checked_at) AS checked_at, max(checked_at) FILTER (passed) AS passed_at,
        arg_max(offenders, checked_at) AS offenders, arg_max(reason, checked_at) AS reason,
        arg_max(definition, checked_at) AS definition
    FROM ops.quality
    WHERE org_id = $org AND object = ANY($objects) AND "check" = ANY($checks) GROUP BY ALL
)
SELECT object, "check", a.passed, a.checked_at, a.offenders, a.reason, (
    SELECT min(checked_at) FROM ops.quality q
    WHERE q.org_id = $org AND q.object = a.object AND q."check" = a."check"
        AND q.checked_at > coalesce(a.passed_at, '-infinity')
), a.definition FROM asked a
"""

_COUNTING = """
CREATE OR REPLACE TEMP TABLE counting AS
SELECT
    unnest(?::VARCHAR[]) AS object, unnest(?::VARCHAR[]) AS "check", unnest(?::VARCHAR[]) AS remedy
"""

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
