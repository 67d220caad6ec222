"""The screen tells the truth: results stay until they are asked again, and what stops is seen."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions import freshness_evaluator
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from sf_assets.assets import fresh as assets_fresh
from sf_assets.assets.jobs import IDLE
from sf_assets.checks.builtin import ORG_CHECKS, RAW_CHECKS, SILVER_CHECKS
from sf_assets.definitions import defs
from sf_assets.emulator.server import Emulator
from sf_assets.errors import WarehouseError
from sf_assets.pipeline.load import load
from sf_assets.pipeline.planning.backoff import LastingFailure
from sf_assets.pipeline.status import status
from sf_assets.salesforce.session import OrgSession
from sf_assets_tests.assets.shared import (
    look,
    materialized,
    refresh,
    run_assets,
    run_checks,
    run_job,
)
from sf_assets_tests.conftest import Workspace

PASSED = AssetCheckExecutionRecordStatus.SUCCEEDED
FAILED = AssetCheckExecutionRecordStatus.FAILED
START = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"  # few partitions, few events
TICK = "every_5_minutes_objects"
HOURLY = "fresh_every_hour_objects"
TODAY = f"{datetime.now(UTC):%Y-%m-%d}"


class Screen:
    """What a daemon would do, and what the screen then shows.

    Attributes:
        workspace: The workspace.
        instance: Dagster's, which remembers.
    """

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        self.workspace = workspace
        self.instance = instance

    def ask(self, name: str) -> Any:
        """Evaluate a schedule."""
        repository = defs().get_repository_def()
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=datetime.now(UTC),
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        ) as context:
            return repository.get_schedule_def(name).evaluate_tick(context)

    def launch(self, name: str) -> list[dg.ExecuteInProcessResult]:
        """Evaluate a schedule, and carry out what it requests."""
        schedule = defs().get_repository_def().get_schedule_def(name)
        return [
            run_job(self.instance, schedule.job_name, request.run_config or None)
            for request in self.ask(name).run_requests or ()
        ]

    def tick(self) -> list[dg.ExecuteInProcessResult]:
        """One tick of the schedule: its run, unless that had nothing to tell and is forgotten."""
        return [run for run in self.launch(TICK) if not self.is_idle(run.run_id)]

    def is_idle(self, run_id: str) -> bool:
        """Whether a run of a tick is to be forgotten."""
        run = self.instance.get_run_by_id(run_id)
        assert run
        return IDLE in run.tags

    def change(self, statement: str) -> None:
        """Do something to the warehouse that nobody should."""
        with duckdb.connect(str(self.workspace.folder / "warehouse.duckdb")) as connection:
            connection.execute(statement)

    def shown(self, asset: str) -> str:
        """Status of the last run of an asset, by which its node is coloured."""
        key = dg.AssetKey(asset.split("/"))
        (record,) = self.instance.get_asset_records([key])
        run = self.instance.get_run_by_id(str(record.asset_entry.last_run_id))
        assert run
        return run.status.value

    def check(self, asset: str, name: str) -> Any:
        """The record of a check that the screen shows; None where there is none."""
        key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name)
        storage = self.instance.event_log_storage
        return storage.get_latest_asset_check_execution_by_key([key]).get(key)


@pytest.fixture
def screen(
    own_workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Screen]:
    own_workspace.catalogue(dict.fromkeys(["Account", "Lead"]), start=START)
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path_factory.mktemp("dagster")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield Screen(own_workspace, instance)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Requests that the org was sent, by path and query."""
    found: Counter[str] = Counter()
    send = OrgSession.send

    def counting(self: OrgSession, request: Any, **options: Any) -> Any:
        found[str(request.url)] += 1
        return send(self, request, **options)

    monkeypatch.setattr(OrgSession, "send", counting)
    return found


def test_a_result_stays_until_it_is_asked_again(screen: Screen, living_org: Emulator) -> None:
    screen.tick()
    screen.change("DELETE FROM silver.account WHERE Id = (SELECT min(Id) FROM silver.account)")
    living_org.advance(1)
    run_checks(screen.instance, ("silver/account", "reconciled"), ("silver/lead", "reconciled"))
    red, green = (screen.check(f"silver/{name}", "reconciled") for name in ("account", "lead"))
    assert (red.status, green.status) == (FAILED, PASSED)
    for objects in (["Account", "Lead"], ["Account", "Lead", "Nope__c"]):
        screen.workspace.catalogue(dict.fromkeys(objects), start=START)
        living_org.org.records.insert("Account", {"Name": "new"})
        living_org.org.records.insert("Lead", {"LastName": "new", "Company": "new"})
        living_org.advance(2)
        (run,) = screen.tick()
        assert run.success == ("Nope__c" not in objects), "another object fails"
        assert screen.check("silver/account", "ids").run_id == run.run_id
        assert screen.check("silver/lead", "ids").status == PASSED
        for name, before in (("account", red), ("lead", green)):
            shown = screen.check(f"silver/{name}", "reconciled")
            assert shown.status == before.status
            assert asyncio.run(
                shown.targets_latest_materialization(LoadingContextForTest(screen.instance))
            ), "else it is shown as not evaluated"
            asked = shown.evaluation.metadata["asked"].value
            assert asked == before.create_timestamp, "and says when it was found"


def test_a_run_plans_what_it_answers_and_answers_it_once(screen: Screen) -> None:
    screen.workspace.catalogue(dict.fromkeys(["Account", "Nope__c"]), start=START)
    planned, answered = checks_of(screen, *screen.tick())
    assert not planned, "nobody knows yet what there is to do"
    assert {key.name for key in answered} == RAW_CHECKS.keys() | SILVER_CHECKS.keys()
    assert {key.asset_key.path[1] for key in answered} == {"account", "nope__c"}
    assert set(answered.values()) == {1}
    keys = [dg.AssetKey([layer, n]) for layer in ("raw", "silver") for n in ("account", "nope__c")]
    planned, again = checks_of(screen, run_assets(screen.instance, keys, TODAY))
    assert planned == again == answered


def checks_of(
    screen: Screen, run: dg.ExecuteInProcessResult
) -> tuple[Counter[dg.AssetCheckKey], Counter[dg.AssetCheckKey]]:
    """Checks that a run planned, and those that it answered."""
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    logs = screen.instance.all_logs(run.run_id, of_type=kind)
    planned = Counter(
        log.get_dagster_event().asset_check_planned_data.asset_check_key for log in logs
    )
    return planned, Counter(e.asset_check_key for e in run.get_asset_check_evaluations())


def test_a_check_costs_what_it_asks_about(screen: Screen, sent: Counter[str]) -> None:
    screen.tick()
    sent.clear()
    run_checks(screen.instance, *(("silver/account", name) for name in SILVER_CHECKS))
    run_checks(screen.instance, *(("raw/account", name) for name in RAW_CHECKS))
    assert not sent, "what is asked of the tables costs no call"
    for name in ORG_CHECKS:
        run_checks(screen.instance, ("silver/account", name))
    assert any("FROM+Account" in url or "FROM%20Account" in url for url in sent)
    assert not [url for url in sent if "Lead" in url]
    assert screen.check("silver/lead", "reconciled") is None


def age_notes(workspace: Workspace, hours: float) -> None:
    """As if what fails had been failing for hours, and had just been tried."""
    for path in (workspace.folder / "raw").rglob("aside/*/*.json"):
        note = LastingFailure.model_validate_json(path.read_text())
        since = note.since - timedelta(hours=hours)
        path.write_text(note.model_copy(update={"since": since}).model_dump_json())


def test_an_object_that_keeps_failing_is_set_aside_and_told_once(
    screen: Screen, living_org: Emulator
) -> None:
    screen.tick()
    living_org.admin.hide_object("Lead")
    living_org.advance(1)
    (first,) = screen.tick()
    assert not first.success, "it is news"
    assert (screen.shown("raw/lead"), screen.shown("raw/account")) == ("FAILURE", "SUCCESS")
    assert screen.check("raw/lead", "freshness").status == FAILED
    assert screen.check("raw/account", "freshness").status == PASSED
    (second,) = screen.tick()
    assert second.success, "it was told; what fails in passing is tried at each tick"
    facts = screen.check("raw/lead", "freshness").evaluation.metadata
    assert "Lead" in str(facts["error"].value)
    age_notes(screen.workspace, hours=2)
    assert screen.tick() == [], "set aside for an hour"
    living_org.org.records.insert("Account", {"Name": "new"})
    living_org.advance(2)
    (third,) = screen.tick()
    assert third.success, "the ticks of the others are green"
    assert materialized(third) == {"raw/account", "silver/account"}
    home = screen.workspace.org()
    (account, lead) = status(home, home.catalog.select([]))
    assert account.failing is None
    assert lead.failing is not None
    assert "set aside until" in lead.failing
    assert "--object Lead" in refresh().errors["lead"]
    living_org.admin.show_object("Lead")
    living_org.advance(1)
    assert refresh("Lead").errors == {}, "what is named is tried now"
    assert not list((screen.workspace.folder / "raw").rglob("aside/*/*.json"))
    run_checks(screen.instance, ("raw/lead", "freshness"))
    assert screen.check("raw/lead", "freshness").status == PASSED


def test_silver_that_keeps_failing_keeps_no_object_from_being_read(
    screen: Screen, living_org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(org: Any, raw: Any, slug: str) -> Any:
        if slug == "lead":
            raise WarehouseError("no")
        return load(org, raw, slug)

    def change() -> None:
        for name in ("Account", "Lead"):
            values = {"Name": "new"} if name == "Account" else {"LastName": "n", "Company": "c"}
            living_org.org.records.insert(name, values)
        living_org.advance(2)

    screen.tick()
    monkeypatch.setattr("sf_assets.pipeline.run.load", refuse)
    change()
    (first,) = screen.tick()
    assert not first.success, "it is news"
    age_notes(screen.workspace, hours=2)
    assert screen.tick() == [], "all is read, and the merge is set aside"
    change()
    (second,) = screen.tick()
    assert second.success
    assert materialized(second) == {"raw/account", "silver/account", "raw/lead"}
    assert screen.check("raw/lead", "freshness").status == PASSED
    home = screen.workspace.org()
    (_, lead) = status(home, home.catalog.select([]))
    assert "silver: set aside until" in str(lead.failing)
    assert lead.unmerged == 2
    monkeypatch.undo()
    for name, value in screen.workspace.env.items():
        monkeypatch.setenv(name, value)
    age_notes(screen.workspace, hours=-2)  # its next try is due
    (third,) = screen.tick()
    assert materialized(third) == {"silver/lead"}
    assert not list((screen.workspace.folder / "raw").rglob("aside/*/*.json"))


def test_an_object_that_the_org_does_not_have_turns_nothing_red(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the packaged catalogue that names it, which nobody wrote for this org."""
    screen.workspace.catalogue(dict.fromkeys(["Account", "Nope__c"]), start=START)
    monkeypatch.setattr("sf_assets.catalog.PACKAGED", screen.workspace.folder / "catalog.yaml")
    (run,) = screen.tick()
    assert run.success
    (again,) = screen.launch("derived_objects")
    assert again.success
    with caplog.at_level(logging.INFO, "sf_assets"):
        assert screen.tick() == []
    assert "nope__c is left out: " in caplog.text
    assert refresh("Nope__c").errors.keys() == {"nope__c"}, "it was named"


@pytest.mark.parametrize(
    ("failing", "pause"), [(0, 0), (9, 0), (10, 5), (60, 30), (600, 300), (6000, 360)]
)
def test_pauses_grow(failing: int, pause: int) -> None:
    now = datetime.now(UTC)
    note = LastingFailure(since=now - timedelta(minutes=failing), tried=now, error="no")
    assert note.next_try - now == timedelta(minutes=pause)


def state(screen: Screen, name: str, later: timedelta, monkeypatch: pytest.MonkeyPatch) -> str:
    """What Dagster's daemon says of an asset's freshness policy, some time from now."""
    node = defs().resolve_asset_graph().get(dg.AssetKey(name.split("/")))
    moment = (datetime.now(UTC) + later).timestamp()
    monkeypatch.setattr(freshness_evaluator, "get_current_timestamp", lambda: moment)
    evaluator = freshness_evaluator.TimeWindowFreshnessPolicyEvaluator()
    context = LoadingContextForTest(screen.instance)
    return asyncio.run(evaluator.evaluate_freshness(context, node)).value


def rows(screen: Screen, name: str) -> Any:
    """Rows of a table as its asset's latest event says."""
    event = screen.instance.get_latest_materialization_event(dg.AssetKey(name.split("/")))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization.metadata["dagster/row_count"].value


def test_what_is_idle_is_fresh_and_costs_an_event_an_hour(
    screen: Screen, living_org: Emulator, monkeypatch: pytest.MonkeyPatch, sent: Counter[str]
) -> None:
    (screen.workspace.folder / "gold").mkdir()
    query = "SELECT count(*) AS n FROM silver.lead"
    (screen.workspace.folder / "gold" / "leads.sql").write_text(query)
    screen.workspace.catalogue(dict.fromkeys(["Account", "Lead"]), start=START, gold="gold")
    screen.tick()
    living_org.advance(1)
    assert not screen.tick()
    sent.clear()
    (soon,) = screen.launch(HOURLY)
    assert not soon.get_asset_materialization_events(), "these have events of their own"
    monkeypatch.setattr(assets_fresh, "_RAW_EVERY", timedelta(0))
    monkeypatch.setattr(assets_fresh, "_SILVER_EVERY", timedelta(0))
    before = rows(screen, "silver/lead")
    assert look(screen.instance)
    (run,) = screen.launch(HOURLY)
    assert run.success
    assert not sent, "nothing is asked of the org"
    assert materialized(run) == {"raw/account", "silver/account", "raw/lead", "silver/lead"}
    assert rows(screen, "silver/lead") == before
    shown = screen.check("silver/lead", "ids")
    assert (shown.status, shown.run_id) == (PASSED, run.run_id), "its checks are shown on"
    assert state(screen, "silver/lead", timedelta(minutes=90), monkeypatch) == "PASS"
    assert state(screen, "raw/lead", timedelta(minutes=130), monkeypatch) == "WARN"
    assert not look(screen.instance), "nothing has changed"


def test_an_org_that_is_away_turns_the_screen_red(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen.tick()
    url = screen.workspace.env["SALESFORCE_LOGIN_URL"]
    monkeypatch.setenv("SALESFORCE_LOGIN_URL", "http://127.0.0.1:9")
    (red,) = screen.tick()
    assert not red.success
    for name in ("account", "lead"):
        found = screen.check(f"raw/{name}", "freshness")
        assert found.status == FAILED, "whether or not a run touches the object"
        assert "nothing answers" in str(found.evaluation.metadata["error"].value)
        assert screen.check(f"silver/{name}", "ids").status == PASSED, "not asked, not hidden"
    assert screen.tick() == [], "it was told"
    monkeypatch.setattr(assets_fresh, "_RAW_EVERY", timedelta(0))
    monkeypatch.setattr(assets_fresh, "_SILVER_EVERY", timedelta(0))
    (hour,) = screen.launch(HOURLY)
    assert not hour.get_asset_materialization_events(), "nothing is said to be up to date"
    assert state(screen, "raw/lead", timedelta(hours=3), monkeypatch) == "FAIL"
    assert state(screen, "silver/lead", timedelta(hours=9), monkeypatch) == "FAIL"
    monkeypatch.setenv("SALESFORCE_LOGIN_URL", url)
    (well,) = screen.tick()
    assert not materialized(well), "nothing changed meanwhile"
    for name in ("account", "lead"):
        assert screen.check(f"raw/{name}", "freshness").status == PASSED
    assert screen.tick() == [], "idle, and well, which was told"
    (hour,) = screen.launch(HOURLY)
    assert hour.get_asset_materialization_events()


def test_an_object_that_is_well_again_is_told_so_though_it_is_idle(
    screen: Screen, living_org: Emulator
) -> None:
    screen.tick()
    living_org.admin.hide_object("Lead")
    living_org.advance(1)
    screen.tick()
    assert screen.check("raw/lead", "freshness").status == FAILED
    living_org.admin.show_object("Lead")
    living_org.advance(1)
    (well,) = screen.tick()
    assert well.success
    assert screen.check("raw/lead", "freshness").status == PASSED
    assert screen.tick() == []


def test_fields_that_cannot_be_read_again_fail_in_one_message(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen.tick()
    monkeypatch.setenv("SALESFORCE_LOGIN_URL", "http://127.0.0.1:9")
    run = run_job(screen.instance, "derived_objects")
    (failed,) = [e for e in run.all_events if e.is_step_failure]
    assert failed.step_failure_data.user_failure_data, "a failure of ours, not an exception"
    assert "nothing answers" in (failed.step_failure_data.user_failure_data.description or "")


def test_files_of_raw_that_are_gone_are_told_within_the_hour(screen: Screen) -> None:
    screen.tick()
    next(screen.workspace.folder.glob("raw/*/raw/lead/*/*.parquet")).unlink()
    (run,) = screen.launch(HOURLY)
    assert not run.success
    (failure,) = [event for event in run.all_events if event.is_step_failure]
    reason = failure.step_failure_data.user_failure_data
    assert reason is not None
    assert set(reason.metadata) == {"lead"}
    assert "lacks files" in str(reason.metadata["lead"].value)
