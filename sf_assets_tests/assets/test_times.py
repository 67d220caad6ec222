"""When things run is what the catalogue says, for the file and for single objects."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from sf_assets.definitions import defs
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets_tests.assets.shared import materialized, run_job, tick
from sf_assets_tests.conftest import Workspace

START = "2026-10-01"
TICK = "every_5_minutes_objects"
DERIVED = "derived_objects"
NOW = datetime.now(UTC)
EARLIER = f"at {NOW - timedelta(hours=2):%H:%M}"
"""A time that was today, or yesterday."""


@pytest.fixture
def workspace(tmp_path: Path, living_org: Emulator, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    found = Workspace(tmp_path, living_org.environment)
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    return found


def write(workspace: Workspace, objects: Mapping[str, Any], **more: Any) -> None:
    workspace.catalogue(objects, start=START, grain="monthly", **more)


def refresh(workspace: Workspace, *names: str) -> None:
    """Read some objects."""
    org = workspace.org()
    workspace.run(org, plan_tick(org, org.catalog.select(names)))


def schedule(name: str) -> dg.ScheduleDefinition:
    return defs().get_repository_def().get_schedule_def(name)


def asked(name: str, at: datetime | None = None, instance: dg.DagsterInstance | None = None) -> Any:
    """What a schedule asks for, of an instance that has run nothing unless another is given."""
    repository = defs().get_repository_def()
    with (
        TemporaryDirectory() as folder,
        dg.DagsterInstance.local_temp(folder) as empty,
        dg.build_schedule_context(
            instance=instance or empty,
            scheduled_execution_time=at or datetime.now(UTC),
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        ) as context,
    ):
        return repository.get_schedule_def(name).evaluate_tick(context)


def reread(at: datetime) -> list[str]:
    """Objects whose derived fields are read again at a time."""
    (request,) = asked(DERIVED, at).run_requests
    objects: list[str] = request.run_config["ops"][f"{DERIVED}_step"]["config"]["objects"]
    return objects


def test_an_object_waits_for_its_time_and_no_other_waits_with_it(
    workspace: Workspace, living_org: Emulator, instance: dg.DagsterInstance
) -> None:
    rare = {"refresh": EARLIER}
    write(workspace, {"Account": None, "Contact": rare, "Lead": rare})
    refresh(workspace, "Account", "Contact")
    assert run_job(instance, "fresh_objects").success, "what is there by now is told"
    living_org.records.insert("Account", {"Name": "new"})
    living_org.records.insert("Contact", {"LastName": "new"})
    living_org.advance(1)
    assert asked(TICK).run_requests
    read = {name for name in materialized(tick(instance)) if name.startswith("raw/")}
    assert read == {"raw/account", "raw/lead"}, "what was never read is read at once"
    living_org.advance(1)
    assert materialized(tick(instance)) == set()


def test_where_it_is_the_time_of_no_object_nothing_runs(
    workspace: Workspace, living_org: Emulator, instance: dg.DagsterInstance
) -> None:
    write(workspace, {"Account": None}, refresh=EARLIER)
    workspace.tick()
    assert run_job(instance, "fresh_objects").success, "what is there by now is told"
    living_org.records.insert("Account", {"Name": "new"})
    why = "it is the time of no object; each was read when it last was"
    assert asked(TICK).skip_message == why
    workspace.lose_warehouse()
    assert asked(TICK).run_requests, "silver lags"
    assert materialized(tick(instance)) == {"silver/account"}
    assert asked(TICK).skip_message == why


def test_a_tick_waits_for_one_that_is_alive_and_for_no_other(
    workspace: Workspace, living_org: Emulator, tmp_path: Path
) -> None:
    write(workspace, {"Account": None})
    workspace.tick()
    living_org.records.insert("Account", {"Name": "new"})
    living_org.advance(1)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        assert run_job(instance, "fresh_objects").success, "what is there by now is told"
        job = defs().resolve_job_def("tick_objects")
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert asked(TICK, instance=instance).run_requests, "nothing says that its process lives"
        with workspace.org().stored_raw.ticking():
            assert asked(TICK, instance=instance).skip_message == "the last tick is still at work"
            assert materialized(tick(instance)) == set(), "nor do two work that are launched"
        assert materialized(tick(instance)) == {"raw/account", "silver/account"}


def test_the_run_of_a_tick_whose_process_died_is_ended(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(workspace, {"Account": None})
    workspace.tick()
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        job = defs().resolve_job_def("tick_objects")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)

        def status() -> str:
            asked(TICK, instance=instance)
            found = instance.get_run_by_id(run.run_id)
            return found.status.value if found else "?"

        assert status() == "STARTED", "it may only have begun"
        monkeypatch.setattr("sf_assets.assets.dead_runs.BELIEVED", timedelta())
        with workspace.org().stored_raw.ticking():
            assert status() == "STARTED", "its process lives"
        assert status() == "FAILURE"


def test_derived_fields_are_read_again_at_the_time_of_each_object(workspace: Workspace) -> None:
    write(
        workspace,
        {"Account": None, "Lead": {"derived": "0 22 * * *"}},
        derived="at 04:30",
        timezone="Europe/Berlin",
    )
    berlin = ZoneInfo("Europe/Berlin")
    found = schedule(DERIVED)
    assert (found.cron_schedule, found.execution_timezone) == (
        ["0 22 * * *", "30 4 * * *"],
        "Europe/Berlin",
    )
    assert reread(datetime(2026, 11, 20, 4, 30, tzinfo=berlin)) == ["Account"]
    assert reread(datetime(2026, 11, 20, 22, tzinfo=berlin)) == ["Lead"]
    assert asked(DERIVED, datetime(2026, 11, 20, 12, tzinfo=berlin)).skip_message


def test_all_checks_are_asked_at_the_time_of_the_file(workspace: Workspace) -> None:
    write(workspace, {"Account": None})
    assert (
        schedule("daily_checks").cron_schedule,
        schedule("daily_checks").execution_timezone,
    ) == (
        "0 6 * * *",
        "UTC",
    )
    write(workspace, {"Account": None}, daily_checks="at 07:15", timezone="Asia/Tokyo")
    assert (
        schedule("daily_checks").cron_schedule,
        schedule("daily_checks").execution_timezone,
    ) == (
        "15 7 * * *",
        "Asia/Tokyo",
    )
