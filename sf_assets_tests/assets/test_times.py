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
from sf_assets_tests.conftest import Workspace

START = "2026-10-01"
GROUP = "objects_monthly_20261001"
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


def asked(name: str, at: datetime | None = None) -> tuple[set[str], str]:
    """Names of the objects that a schedule would run, and why it would run nothing."""
    repository = defs().get_repository_def()
    with (
        TemporaryDirectory() as folder,
        dg.DagsterInstance.local_temp(folder) as instance,
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at or datetime.now(UTC),
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        ) as context,
    ):
        told = repository.get_schedule_def(name).evaluate_tick(context)
    keys = [key for request in told.run_requests or () for key in request.asset_selection or ()]
    return {key.path[-1] for key in keys}, told.skip_message or ""


def test_an_object_waits_for_its_time_and_no_other_waits_with_it(
    workspace: Workspace, living_org: Emulator
) -> None:
    rare = {"refresh": EARLIER}
    write(workspace, {"Account": None, "Contact": rare, "Lead": rare})
    tick = f"every_5_minutes_{GROUP}"
    refresh(workspace, "Account", "Contact")
    living_org.records.insert("Account", {"Name": "new"})
    living_org.records.insert("Contact", {"LastName": "new"})
    living_org.advance(1)
    names, _ = asked(tick)
    assert names == {"account", "lead"}, "what was never read is read at once"
    refresh(workspace, "Account", "Lead")
    names, why = asked(tick)
    assert names == set()
    assert why.startswith("nothing has changed; all other objects are covered; ")
    assert why.endswith("; contact waits for its time; lead waits for its time")


def test_where_it_is_the_time_of_no_object_the_org_is_not_asked(
    workspace: Workspace, living_org: Emulator
) -> None:
    write(workspace, {"Account": None}, refresh=EARLIER)
    tick = f"every_5_minutes_{GROUP}"
    workspace.tick()
    living_org.records.insert("Account", {"Name": "new"})
    calls = living_org.org.limits.requests.used
    assert asked(tick) == (set(), "it is the time of no object; each was read when it last was")
    assert living_org.org.limits.requests.used == calls
    (workspace.folder / "warehouse.duckdb").unlink()
    assert asked(tick)[0] == {"account"}, "silver lags"


def test_derived_fields_are_read_again_at_the_time_of_each_object(workspace: Workspace) -> None:
    write(
        workspace,
        {"Account": None, "Lead": {"derived": "0 22 * * *"}},
        derived="at 04:30",
        timezone="Europe/Berlin",
    )
    name, berlin = f"derived_{GROUP}", ZoneInfo("Europe/Berlin")
    found = schedule(name)
    assert (found.cron_schedule, found.execution_timezone) == (
        ["0 22 * * *", "30 4 * * *"],
        "Europe/Berlin",
    )
    assert asked(name, datetime(2026, 11, 20, 4, 30, tzinfo=berlin))[0] == {"account"}
    assert asked(name, datetime(2026, 11, 20, 22, tzinfo=berlin))[0] == {"lead"}
    assert asked(name, datetime(2026, 11, 20, 12, tzinfo=berlin))[1] != ""


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
