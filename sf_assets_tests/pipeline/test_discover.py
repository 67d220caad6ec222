"""What of an org can be read: found out by asking, told where it cannot, never dropped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sf_assets.emulator.fault import Fault
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.naming import ONLY
from sf_assets.pipeline.discovery.discover import Discovery, catalog_from_orgs
from sf_assets.pipeline.doctor import Diagnosis, examine
from sf_assets_tests.conftest import Workspace

NEEDS_FILTER = {
    "status": 400,
    "code": "MALFORMED_QUERY",
    "message": "Implementation restriction: Contact requires a filter by a single Id",
}
CHOSEN = ("Account", "Contact", "Lead")


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """An org that answers one question a call, so that each can be made to fail."""
    settings = Settings(job_seconds=0.0, faults=True)
    with Emulator(schema=standard_schema(), settings=settings) as org:
        yield org


@pytest.fixture
def org(running: Emulator) -> Iterator[Emulator]:
    assert running.faults is not None
    running.faults.add(Fault(path="/composite", times=0, status=404, code="NOT_FOUND"))
    yield running
    running.faults.clear()


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    found = Workspace(tmp_path, org.environment)
    found.catalogue(dict.fromkeys(CHOSEN))
    return found


def hit(org: Emulator, path: str, **how: object) -> None:
    assert org.faults is not None
    org.faults.add(Fault(**{"path": path, "times": 0, **how}))  # type: ignore[arg-type]


def discovered(workspace: Workspace) -> tuple[Discovery, list[str]]:
    found = catalog_from_orgs({ONLY: workspace.org().client}, CHOSEN, ())
    return found, list(yaml.safe_load(found.text)["objects"])


def examined(workspace: Workspace) -> dict[str, Diagnosis]:
    return {one.what: one for one in examine(workspace.org())}


def test_an_object_that_refuses_to_be_read_is_left_out_with_the_reason(
    org: Emulator, workspace: Workspace
) -> None:
    """A describe says that it is queryable, and a fresh catalogue was red on the first day."""
    hit(org, "q=SELECT .* FROM Contact", **NEEDS_FILTER)
    found, listed = discovered(workspace)
    assert listed == ["Account", "Lead"]
    assert "requires a filter" in found.left_out["Contact"]
    assert "#: Contact is not in it: the org refuses" in found.text
    assert not found.unknown


def test_what_a_few_partitions_cost_is_told_as_people_would(workspace: Workspace) -> None:
    text = discovered(workspace)[0].text
    assert "takes it less than a minute." in text


def test_an_object_whose_describe_failed_is_told(org: Emulator, workspace: Workspace) -> None:
    hit(org, "sobjects/Lead/describe", status=400, code="UNKNOWN_EXCEPTION", message="ErrorId 1")
    found, listed = discovered(workspace)
    assert listed == ["Account", "Contact"]
    assert "its describe failed" in found.unknown["Lead"]
    assert "#: Lead is not in it: its describe failed" in found.text


def test_an_object_that_gave_no_answer_in_time_is_not_known(
    org: Emulator, workspace: Workspace
) -> None:
    hit(org, "q=SELECT .* FROM Lead", status=400, code="QUERY_TIMEOUT", message="too long")
    found, _ = discovered(workspace)
    assert "QUERY_TIMEOUT" in found.unknown["Lead"]
    assert not found.left_out


def test_the_doctor_finds_what_a_refresh_cannot_read(org: Emulator, workspace: Workspace) -> None:
    assert all(one.ok for one in examined(workspace).values())
    hit(org, "q=SELECT .* FROM Contact", **NEEDS_FILTER)
    found = examined(workspace)
    assert {what for what, one in found.items() if not one.ok} == {"Contact"}
    assert "requires a filter" in found["Contact"].detail
    assert "take Contact out of the catalogue" in found["Contact"].detail


def test_a_user_who_may_not_be_told_who_they_are_is_logged_in_all_the_same(
    org: Emulator, workspace: Workspace
) -> None:
    hit(org, "/userinfo", status=403, code="INSUFFICIENT_ACCESS", message="no")
    assert examined(workspace)["login"].ok


def test_a_login_that_fails_is_the_only_thing_the_doctor_finds_wrong(workspace: Workspace) -> None:
    """The storage is empty then, and that is no fault of its own."""
    workspace.env["SALESFORCE_CLIENT_SECRET"] = "wrong"
    found = examined(workspace)
    assert {what: one.ok for what, one in found.items()} == {
        "login": False,
        "storage": True,
        "warehouse": True,
    }
    assert "SALESFORCE_CLIENT_SECRET" in found["login"].detail
