"""How often a tick comes on a given budget."""

from datetime import UTC, timedelta

import pytest

from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.checks.answers import check_raw
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets.pipeline.planning.tick_interval import (
    LONGEST,
    interval,
    probed,
    probing_calls,
    resting,
)
from sf_assets.salesforce.budget import Standing
from sf_assets.timetable import SHORTEST, parse_times
from sf_assets_tests.conftest import Workspace


@pytest.mark.parametrize(
    ("calls_a_day", "used", "minutes"),
    [(5_000, 0, 30), (15_000, 0, 10), (100_000, 0, 5), (5_000, 2_000, 60), (15_000, 11_000, 120)],
)
def test_two_hundred_objects(calls_a_day: int, used: int, minutes: int) -> None:
    assert probing_calls(200) == 40
    assert interval(40, Standing(used, calls_a_day)) == timedelta(minutes=minutes)


@pytest.mark.parametrize("calls_a_day", [0, 50, 500, 5_000, 15_000, 100_000, 1_000_000])
@pytest.mark.parametrize("objects", [1, 20, 200, 2_000])
def test_probing_stays_within_half_of_what_is_left(calls_a_day: int, objects: int) -> None:
    standing = Standing(calls_a_day // 4, calls_a_day)
    cost = probing_calls(objects)
    found = interval(cost, standing)
    assert SHORTEST <= found <= LONGEST
    assert found % SHORTEST == timedelta()
    if found < LONGEST:
        assert cost * (timedelta(days=1) / found) <= standing.left / 2


def test_an_object_rests_once_it_was_read_at_its_time(own_workspace: Workspace) -> None:
    """By what is covered: a time that was missed is made up for."""
    own_workspace.catalogue({"Account": {"refresh": "at 05:30"}, "Lead": None, "Case": None})
    org = own_workspace.org()
    specs = org.catalog.objects.values()
    own_workspace.run(org, plan_tick(org, org.catalog.select(["Account", "Lead"])))
    read = org.client.now()

    def rests(after: timedelta) -> set[str]:
        return resting(org.stored_raw, org.settings, specs, UTC, read + after)

    following = parse_times("at 05:30").last(read + timedelta(days=1), UTC) - read
    assert rests(timedelta()) == rests(following - timedelta(minutes=1)) == {"account"}
    assert rests(following) == rests(following + timedelta(days=3)) == set()


def test_objects_of_rare_times_leave_the_budget_to_others(own_workspace: Workspace) -> None:
    often = dict.fromkeys(f"Often{n}__c" for n in range(10))
    own_workspace.catalogue(often | {f"R{n}__c": {"refresh": "every hour"} for n in range(24)})
    assert probed(own_workspace.org().catalog.objects.values()) == 12


def test_freshness_is_judged_by_the_times_of_an_object(own_workspace: Workspace) -> None:
    own_workspace.catalogue({"Account": {"refresh": "every 6 hours"}, "Lead": None})
    org = own_workspace.org()
    own_workspace.tick()
    for hours, fresh in ((0.5, {"account", "lead"}), (6.5, {"account"}), (7.5, set())):
        now, failures = org.client.now() + timedelta(hours=hours), dict[str, SfAssetsError]()
        found = check_raw(org.stored_raw, org.catalog.select(()), now, failures, {"freshness"})
        assert {f.slug for f in found if f.name == "freshness" and f.passed} == fresh


def test_an_object_that_was_never_read_is_told_to_be_that(own_workspace: Workspace) -> None:
    own_workspace.catalogue({"Account": None})
    org = own_workspace.org()
    findings = check_raw(org.raw, org.catalog.select(()), org.client.now(), {})
    found = {finding.name: finding for finding in findings}
    for name in ("coverage", "freshness"):
        assert not found[name].passed
        assert found[name].facts["watermark"] == "never read"
    assert "minutes behind" not in found["freshness"].facts
