"""What is kept of checks: apart for each org; the latest outcomes count, withdrawn ones do not."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sf_assets.checks.check import CheckResult, Severity
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.duckdb.database import Database
from sf_assets.warehouse.sql.check_log import LAST_READINGS, CheckLog

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
UK, US = "00D0000000000UK", "00D0000000000US"


Log = Callable[[str], CheckLog]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[DuckDBConnection]:
    with Database(f"duckdb:///{tmp_path}/w.duckdb").connect() as connection:
        yield connection


@pytest.fixture
def log(connection: DuckDBConnection) -> Log:
    """What is kept of an org."""
    return lambda org: CheckLog(connection, org)


def kept(  # noqa: PLR0917 (read like a row)
    org: str, name: str, check: str, offenders: int | None, rows: int = 100, hours: int = 0,
    severity: Severity = Severity.WARN, *, passed: bool | None = None,
) -> CheckResult:  # fmt: skip
    return CheckResult(
        NOW + timedelta(hours=hours), org, name, check, severity, blocking=False,
        passed=not offenders if passed is None else passed, offenders=offenders, rows=rows,
        ids=("001",) if offenders else (), reason="", definition="",
    )  # fmt: skip


REMEDIES = {("account", "a"): "do a", ("account", "b"): "do b", ("lead", "c"): "do c"}


def test_orgs_are_kept_apart(connection: DuckDBConnection, log: Log) -> None:
    log(UK).keep([kept(UK, "account", "a", 50), kept(US, "account", "a", 10, rows=1000)], REMEDIES)
    (uk, _), (us, _) = (log(org).score(NOW, REMEDIES) for org in (UK, US))
    assert (uk.score, us.score) == (50.0, 99.0)
    listed = connection.execute("SELECT org_id, offenders, place FROM ops.to_fix ORDER BY 1")
    assert listed == [(UK, 50, 1), (US, 10, 1)]
    assert log(UK).readings("account") == [100]
    assert log(US).readings("account") == [1000]
    assert log(US).readings("lead") == []


def test_a_score_weighs_the_latest_outcomes_by_severity(
    connection: DuckDBConnection, log: Log
) -> None:
    log(UK).keep(
        [
            kept(UK, "account", "a", 100, severity=Severity.ERROR),
            kept(UK, "account", "a", 20, hours=1, severity=Severity.ERROR),
            kept(UK, "account", "b", None, hours=1, passed=False),
            kept(UK, "account", "withdrawn", 100, hours=1),
            kept(UK, "lead", "c", 0, rows=7),
        ],
        REMEDIES,
    )
    overall, account, lead = log(UK).score(NOW, REMEDIES)
    assert account.score == pytest.approx(100 * (3 * 0.8 + 1 * 0) / 4)
    assert lead.score == 100
    assert overall.score == pytest.approx((account.score + lead.score) / 2)
    assert (overall.object, overall.checks, overall.failed, overall.rows) == (None, 3, 2, 107)
    assert (account.checks, account.failed, account.rows) == (2, 2, 100)
    history = connection.execute("SELECT count(*) FROM ops.quality_scores")[0]
    assert history == (3,)


def test_a_table_without_rows_and_an_org_without_checks_can_be_scored(log: Log) -> None:
    assert log(UK).score(NOW, REMEDIES) == []
    log(UK).keep([kept(UK, "lead", "c", 0, rows=0)], REMEDIES)
    assert [one.score for one in log(UK).score(NOW, REMEDIES)] == [100.0, 100.0]


def test_more_offending_values_than_rows_are_all_of_the_rows(log: Log) -> None:
    log(UK).keep([kept(UK, "lead", "c", 30, rows=10)], REMEDIES)
    assert [one.score for one in log(UK).score(NOW, REMEDIES)] == [0.0, 0.0]


def test_first_seen_is_since_it_last_passed(connection: DuckDBConnection, log: Log) -> None:
    log(UK).keep([kept(UK, "lead", "c", n, hours=h) for h, n in enumerate((4, 0, 5, 6))], REMEDIES)
    log(UK).score(NOW, REMEDIES)
    row = connection.execute("SELECT first_seen, checked_at, what_to_do FROM ops.to_fix")[0]
    assert row == (NOW + timedelta(hours=2), NOW + timedelta(hours=3), "do c")


def test_readings_are_the_last_ones_and_one_for_each_run(log: Log) -> None:
    hours = range(LAST_READINGS + 5)
    log(UK).keep(
        [kept(UK, "lead", name, 0, rows=hour, hours=hour) for hour in hours for name in "cd"],
        REMEDIES,
    )
    assert log(UK).readings("lead") == list(reversed(hours))[:LAST_READINGS]


def test_the_latest_answer_counts_and_tells_since_when(log: Log) -> None:
    log(UK).keep(
        [
            kept(UK, "account", "a", 5), kept(UK, "account", "a", 0, hours=1),
            kept(UK, "account", "b", 9), kept(UK, "account", "b", 0, hours=1),
            kept(UK, "account", "b", 5, hours=2), kept(UK, "account", "b", 7, hours=3),
            kept(UK, "lead", "a", 1), kept(US, "lead", "c", 0),
        ],
        REMEDIES,
    )  # fmt: skip
    found = log(UK).latest(REMEDIES)
    assert found.keys() == {("account", "a"), ("account", "b")}, "none that was never asked"
    assert (found["account", "a"].passed, found["account", "a"].since) == (True, None)
    failing = found["account", "b"]
    assert (failing.passed, failing.offenders) == (False, 7)
    assert (failing.since, failing.checked_at) == (
        NOW + timedelta(hours=2), NOW + timedelta(hours=3),
    )  # fmt: skip
