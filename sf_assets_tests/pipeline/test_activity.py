"""How objects change is asked of the org, and told honestly where it does not say."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.naming import ONLY
from sf_assets.pipeline.discovery.activity import Activity
from sf_assets.pipeline.discovery.discover import Discovery, catalog_from_orgs
from sf_assets.salesforce.client import Client, connect
from sf_assets.settings import load_credentials
from sf_assets.windows import Grain

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
DAY = 86_400.0


@pytest.fixture
def org() -> Iterator[Emulator]:
    """Accounts of September, October and November; one of the last is deleted."""
    clock = Clock(datetime(2026, 9, 20, 9, tzinfo=UTC), frozen=True)
    settings = Settings(job_seconds=0.0)
    with Emulator(schema=standard_schema(), settings=settings, clock=clock) as org:
        for count in (1, 3, 2):
            made = [org.records.insert("Account", {"Name": "A"}) for _ in range(count)]
            org.advance(((NOW - org.clock.now()).total_seconds() / 2) // DAY * DAY)
        org.records.delete("Account", made[0])
        org.advance((NOW - org.clock.now()).total_seconds())
        yield org


def discovered(org: Emulator, *names: str) -> tuple[Client, Discovery]:
    client = connect(load_credentials(org.environment))
    return client, catalog_from_orgs({ONLY: client}, names, ())


def activity(org: Emulator) -> Activity:
    _, found = discovered(org, "Account")
    return found.objects["Account"].activity


def test_records_are_counted_by_the_month_of_their_last_change(org: Emulator) -> None:
    found = activity(org)
    assert found.records == 6, "the deleted one is exported, too"
    assert sum(found.months.values()) == 6
    assert found.months[date(2026, 9, 1)] == 1
    assert found.lately == max(found.months[date(2026, 10, 1)], found.months[date(2026, 11, 1)])
    assert found.problem == ""


def test_an_object_without_records_is_asked_once(org: Emulator) -> None:
    client, _ = discovered(org, "Lead")
    calls = client.budget.made
    client, found = discovered(org, "Lead")
    assert found.objects["Lead"].activity == Activity(records=0, lately=0)
    assert calls == client.budget.made <= 4


def test_an_object_that_knows_no_aggregates_is_counted_without(org: Emulator) -> None:
    org.org.restrictions.restrict("Account", aggregates=False)
    found = activity(org)
    assert (found.months, found.too_many) == ({}, False)
    _, discovery = discovered(org, "Account")
    if found.records is None:
        assert "not counted" in discovery.objects["Account"].reason
    assert found.problem in discovery.objects["Account"].reason
    assert found.problem.split(":")[0] in discovery.text


def test_an_object_of_too_many_records_is_asked_about_the_last_month(org: Emulator) -> None:
    org.org.restrictions.restrict("Account", most_rows=5)
    found = activity(org)
    assert (found.records, found.too_many) == (None, False)
    assert found.lately in (2, 3, 4, 5)
    org.org.restrictions.restrict("Account", most_rows=1)
    _, discovery = discovered(org, "Account")
    account = discovery.objects["Account"]
    assert (account.activity.lately, account.activity.too_many) == (None, True)
    assert account.partitioning.grain is Grain.DAILY
    assert "QUERY_TIMEOUT" in account.reason
