"""What checks found, as it is kept, and what follows: scores."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sf_assets.declared_checks import Severity

Checks = Collection[tuple[str, str]]
"""Checks as (lower-cased object name, check name)."""


@dataclass(frozen=True, slots=True)
class CheckResult:
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
    definition: str
    """What was asked, by digest; empty for built-in checks, whose names say it."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest answer to a check.

    Attributes:
        passed: Whether it passed.
        checked_at: When it was asked.
        offenders: Rows that offend; None when it is asked of the table, or could not be asked.
        reason: Why it could not be asked; empty when it could, or nothing of that was kept.
        since: When it first did not pass since it last did; None where it passes.
        definition: What was asked, by digest; None where an earlier release asked.
    """

    passed: bool
    checked_at: datetime
    offenders: int | None
    reason: str | None
    since: datetime | None
    definition: str | None


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
