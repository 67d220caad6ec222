"""The asset that shows how the org's schema changes, and what makes it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from sf_assets.definitions import defs
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.schema.described import describe_objects
from sf_assets_tests.conftest import Workspace

KEY = dg.AssetKey(["raw", "describe"])


@pytest.fixture
def workspace(own_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose settings are the process's, as a code location's are."""
    own_workspace.catalogue({"Account": None, "Lead": None})
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    return own_workspace


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def describe(workspace: Workspace) -> None:
    org = workspace.org()
    describe_objects(org, org.catalog.select([]), anew=True)


def asked(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """What the sensor asks for."""
    found = defs()
    sensor = found.resolve_sensor_def("schema_of_raw")
    with dg.build_sensor_context(
        instance=instance, definitions=found, resources=found.resources
    ) as context:
        return list(sensor.evaluate_tick(context).run_requests or [])


def shown(instance: dg.DagsterInstance) -> dict[str, Any]:
    job = defs().resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, asset_selection=[KEY])
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def test_a_change_of_the_schema_is_shown_once_it_was_noticed(
    workspace: Workspace, living_org: Emulator, instance: dg.DagsterInstance
) -> None:
    assert asked(instance) == []
    describe(workspace)
    (first,) = asked(instance)
    assert first.asset_selection == [KEY], "the list of runs shows what it is of"
    describe(workspace)
    assert [request.run_key for request in asked(instance)] == [first.run_key]
    living_org.admin.add_field("Account", "Tier__c", {"type": "string", "length": 40})
    living_org.admin.hide_field("Lead", "Rating")
    living_org.advance(1)
    describe(workspace)
    assert [request.run_key for request in asked(instance)] != [first.run_key]
    facts = shown(instance)
    assert "| Account | Tier__c | added |  | string |" in facts["changes"]
    assert "| Lead | Rating | gone | picklist |  |" in facts["changes"]
    assert "| Lead |  | added |  |  |" in facts["changes"]
    latest = {name: facts[f"latest/{name}"] for name in ("fields added", "fields gone", "objects")}
    assert latest == {"fields added": 1, "fields gone": 1, "objects": 0}
