"""Five years of twelve objects on three hundred calls a day, and all of it arrives."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.errors import BudgetExhaustedError
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.planning import split as orders
from sf_assets.pipeline.planning.api_usage import keep_usage
from sf_assets.pipeline.planning.deferred_windows import still_deferred
from sf_assets.pipeline.planning.estimate import days_needed
from sf_assets.pipeline.planning.plan import Plan, plan_backfill, plan_tick
from sf_assets.pipeline.planning.tick_interval import present_interval, reason_to_wait
from sf_assets.pipeline.schema.described import Described, describe_objects
from sf_assets.windows import BEGIN, Coverage, Window
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
FIVE_YEARS = Window(datetime(2021, 11, 20, tzinfo=UTC), NOW)
CALLS_A_DAY, FOR_US = 300, 240
ROWS = 400
OBJECTS = tuple(f"Custom_Object_{n:03}__c" for n in range(1, 13))


@pytest.fixture
def org() -> Iterator[Emulator]:
    """An org of twelve objects and few calls a day; its clock stands still until it is moved."""
    settings = Settings(job_seconds=0.0, daily_api_requests=CALLS_A_DAY)
    clock = Clock(NOW, frozen=True)
    rows = dict.fromkeys(OBJECTS, ROWS)
    with Emulator(
        scale=0.002, seed=5, settings=settings, clock=clock, custom_objects=len(OBJECTS), rows=rows
    ) as emulator:
        emulator.advance(600)
        yield emulator


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A catalogue of the twelve, and pieces so small that an object does not fit into a day."""
    monkeypatch.setattr(orders, "ROWS_A_PAGE", 1)
    monkeypatch.setattr(orders, "_PIECES_A_DAY", 5)
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue(dict.fromkeys(OBJECTS))
    return workspace


class Days:
    """Time passes, and ticks come as often as the budget carries."""

    def __init__(self, org: Emulator, workspace: Workspace) -> None:
        self._org = org
        self._workspace = workspace
        self.ticks = 0

    def check(self) -> None:
        assert self._org.org.limits.requests.used <= FOR_US

    def backfill(self, window: Window) -> Plan:
        org = self._workspace.org()
        plan = plan_backfill(org, org.catalog.select([]), window)
        list(execute(org, plan))
        self.check()
        return plan

    def tick(self) -> bool:
        """A tick; whether there is nothing left to do."""
        org = self._workspace.org()
        specs = org.catalog.select([])
        slugs = {spec.slug for spec in specs}
        pace = present_interval(self._workspace.org().raw, org.settings, len(specs))
        self._org.advance(pace.total_seconds())
        assert not reason_to_wait(org.raw, org.settings, len(specs), slugs, org.client.now())
        self.ticks += 1
        try:
            plan = plan_tick(org, specs)
            done = not plan.orders and not plan.failed
            list(execute(org, plan))
        except BudgetExhaustedError:
            done = False
        finally:
            keep_usage(org.raw, org.client.budget)
        self.check()
        return done

    def until_done(self) -> timedelta:
        begun = self._org.clock.now()
        while not self.tick():
            assert self._org.clock.now() - begun < timedelta(days=30)
        return self._org.clock.now() - begun


def all_equal(org: Emulator, workspace: Workspace) -> bool:
    for name in OBJECTS:
        workspace.load(name.lower())
    found = [d for name in OBJECTS for d in differences(org, workspace, name)]
    assert found == []
    return True


@pytest.mark.more
def test_a_backfill_larger_than_a_days_budget_finishes_by_itself(
    org: Emulator, workspace: Workspace
) -> None:
    days = Days(org, workspace)
    org.org.limits.requests.add(150)  # by another application, which will not come again
    connected = workspace.org()
    plan = plan_backfill(connected, connected.catalog.select([]), Window(BEGIN, NOW))
    costs = plan.costs(connected.raw, {})
    assert sum(cost.rows or 0 for cost in costs.values()) == ROWS * len(OBJECTS)
    needed = days_needed(list(costs.values()), connected.client.budget.look())
    assert needed is not None
    assert needed > 1, "what the plan says before anything is begun"
    days.backfill(Window(BEGIN, NOW))
    committed = sum(map(len, workspace.org().raw.refs().values()))
    assert 0 < committed < sum(map(len, plan.orders.values())), "it stopped half-way"
    took = days.until_done()
    assert timedelta(hours=23) < took < timedelta(days=3)
    assert all_equal(org, workspace)


def test_a_backfill_of_what_raw_holds_is_finished_by_ticks_too(
    org: Emulator, workspace: Workspace
) -> None:
    """Coverage has no gap to show, so a note says what is still to be read anew."""
    days = Days(org, workspace)
    workspace.catalogue(dict.fromkeys(OBJECTS[:3]))
    assert days.until_done() < timedelta(hours=6)
    before = workspace.org().raw.refs()
    org.advance(3600)
    org.org.limits.requests.add(216 - org.org.limits.requests.used)
    days.backfill(FIVE_YEARS)
    raw = workspace.org().raw
    assert still_deferred(raw, raw.refs()), "it stopped half-way"
    assert days.until_done() > timedelta(hours=12)
    raw = workspace.org().raw
    assert still_deferred(raw, raw.refs()) == {}
    assert list(raw.store.list(f"{raw.org_id}/waiting")) == []
    for slug, refs in raw.refs().items():
        anew = Coverage(ref.window for ref in set(refs) - set(before[slug]))
        assert anew.covers(FIVE_YEARS)


@pytest.mark.more
def test_a_year_of_ticks_describes_for_one_call_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(NOW, frozen=True)
    # Else the org's present goes on with our clock, and an hour may be less by what a call takes.
    monkeypatch.setattr(
        "sf_assets.salesforce.clock.Clock.now", lambda _: clock.stamp().replace(tzinfo=UTC)
    )
    settings = Settings(job_seconds=0.0)
    with Emulator(scale=0, settings=settings, clock=clock, custom_objects=60) as emulator:
        workspace = Workspace(tmp_path, emulator.environment)
        names = [f"Custom_Object_{n:03}__c" for n in range(1, 61)]
        workspace.catalogue(dict.fromkeys(names))
        org = workspace.org()
        specs = org.catalog.select([])

        def calls() -> int:
            before = org.client.budget.made
            found = describe_objects(org, specs)
            assert all(isinstance(item, Described) for item in found.values())
            return org.client.budget.made - before

        emulator.advance(3600)  # a change counts for as long as a record may be late
        assert calls() == 3
        assert calls() == 0
        for _ in range(23):
            emulator.advance(3600)
            org = workspace.org()
            assert [calls(), calls()] == [1, 0]
        emulator.advance(3600)
        org = workspace.org()
        assert [calls(), calls()] == [3, 0], "once a day the org tells all of it"
