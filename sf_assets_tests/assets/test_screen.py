"""The screen tells the truth: results stay until they are asked again, and what stops is seen."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from sf_assets.definitions import defs
from sf_assets.emulator.server import Emulator
from sf_assets.expectations import ORG_CHECKS, RAW_CHECKS, SILVER_CHECKS
from sf_assets.salesforce.session import OrgSession
from sf_assets_tests.assets.shared import run_checks
from sf_assets_tests.conftest import Workspace

PASSED = AssetCheckExecutionRecordStatus.SUCCEEDED
FAILED = AssetCheckExecutionRecordStatus.FAILED
START = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"  # few partitions, few events
TICK = f"every_5_minutes_objects_daily_{START.replace('-', '')}"


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
        ) as context:
            return repository.get_schedule_def(name).evaluate_tick(context)

    def launch(self, name: str) -> list[dg.ExecuteInProcessResult]:
        """Evaluate a schedule, and carry out what it requests."""
        schedule = defs().get_repository_def().get_schedule_def(name)
        job = defs().resolve_job_def(schedule.job_name)
        done = []
        for request in self.ask(name).run_requests or ():
            subset = job
            if request.asset_selection is not None or request.asset_check_keys is not None:
                subset = job.get_subset(
                    asset_selection=set(request.asset_selection or ()),
                    asset_check_selection=None
                    if request.asset_check_keys is None
                    else set(request.asset_check_keys),
                )
            done.append(
                subset.execute_in_process(
                    instance=self.instance,
                    partition_key=request.partition_key,
                    tags=request.tags,
                    raise_on_error=False,
                )
            )
        return done

    def tick(self) -> list[dg.ExecuteInProcessResult]:
        """One tick of the schedule."""
        return self.launch(TICK)

    def change(self, statement: str) -> None:
        """Do something to the warehouse that nobody should."""
        with duckdb.connect(str(self.workspace.folder / "warehouse.duckdb")) as connection:
            connection.execute(statement)

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
        assert screen.check("silver/account", "reconciled").id == red.id
        assert screen.check("silver/lead", "reconciled").id == green.id


def test_a_run_answers_every_check_that_it_asks_for(screen: Screen) -> None:
    screen.workspace.catalogue(dict.fromkeys(["Account", "Nope__c"]), start=START)
    (run,) = screen.tick()
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    logs = screen.instance.all_logs(run.run_id, of_type=kind)
    planned = Counter(
        log.get_dagster_event().asset_check_planned_data.asset_check_key for log in logs
    )
    answered = Counter(e.asset_check_key for e in run.get_asset_check_evaluations())
    assert planned == answered
    assert {key.name for key in planned} == RAW_CHECKS.keys() | SILVER_CHECKS.keys()
    assert {key.asset_key.path[1] for key in planned} == {"account", "nope__c"}


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
