"""What an org refuses of one object is read another way, or is that object's failure alone."""

from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.fault import Fault
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

MORE = pytest.mark.more
OBJECTS = ("Account", "Contact", "Case")


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue(dict.fromkeys(OBJECTS))
    return workspace


@pytest.fixture(params=["rest", "bulk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By REST, as few rows are read; or by Bulk, as many are."""
    if request.param == "bulk":
        monkeypatch.setattr("sf_assets.pipeline.extraction.extract.REST_ROWS", 0)
    return str(request.param)


def fault(org: Emulator, **how: Any) -> None:
    assert org.faults
    org.faults.add(Fault(**how))


def ticked(workspace: Workspace, org: Emulator) -> None:
    """A tick after which everything is equal."""
    for done in workspace.tick().values():
        assert done.error is None, (done.slug, done.error)
    for name in OBJECTS:
        assert differences(org, workspace, name) == []


@pytest.mark.parametrize(
    ("way", "code"),
    [("rest", "QUERY_TIMEOUT"), ("bulk", "OPERATION_TOO_LARGE")],
    indirect=["way"],
)
@pytest.mark.usefixtures("way")
def test_a_question_too_large_is_made_smaller_by_time_and_then_by_id(
    workspace: Workspace, org: Emulator, code: Any
) -> None:
    org.org.restrictions.restrict("Case", most_rows=9, code=code)
    ticked(workspace, org)
    cases = [row[0] for row in workspace.rows("SELECT Id FROM silver.case_live")]
    with org.org.records.transaction(stamp=org.clock.stamp()) as at_one_moment:
        at_one_moment.update("Case", [{"Id": key, "Subject": "all at once"} for key in cases])
    org.advance(600)
    ticked(workspace, org)
    assert len(cases) > 9


@pytest.mark.more
def test_a_question_that_is_too_large_however_small_is_that_objects_failure(
    workspace: Workspace, org: Emulator
) -> None:
    org.org.restrictions.restrict("Case", most_rows=0)
    done = workspace.tick()
    assert done["case"].error is not None
    assert "QUERY_TIMEOUT" in str(done["case"].error)
    assert differences(org, workspace, "Contact") == []


@pytest.mark.parametrize("way", ["rest", "bulk"], indirect=True)
def test_a_place_in_a_result_that_died_with_its_session_is_found_again_from_the_beginning(
    workspace: Workspace, org: Emulator, way: str
) -> None:
    where = "/query/01g" if way == "rest" else "/results"
    with org.org.records.transaction() as creation:
        creation.insert("Case", [{"Subject": f"row {n}"} for n in range(2500)], system=True)
    org.advance(600)
    fault(
        org, path=where, status=400, code="INVALID_QUERY_LOCATOR", message="invalid query locator"
    )
    ticked(workspace, org)
    assert org.faults
    assert org.faults.hits == 1


@pytest.mark.parametrize(
    "how",
    [
        {"status": 400, "code": "MALFORMED_QUERY", "message": "no aggregates here"},
        {"status": 400, "code": "QUERY_TIMEOUT", "message": "too long"},
        pytest.param(
            {"status": 403, "code": "API_DISABLED_FOR_OBJECT", "message": "not this one"},
            marks=MORE,
        ),
        {"status": 414, "body": "<html>too long</html>"},
        pytest.param(
            {"status": 500, "code": "UNKNOWN_EXCEPTION", "message": "something"},
            marks=MORE,
        ),
        {"truncate_after": 40},
    ],
    ids=lambda how: str(how.get("status", "cut JSON")),
)
def test_a_probe_that_fails_costs_one_object_nothing_and_the_others_less(
    workspace: Workspace, org: Emulator, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sf_assets.salesforce.session._LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("sf_assets.salesforce.session._FIRST_PAUSE", 0.01)
    ticked(workspace, org)
    org.advance(300)
    cases = [row[0] for row in workspace.rows("SELECT Id FROM silver.case_live")]
    org.org.records.update("Case", cases[0], {"Subject": "new"})
    org.advance(300)
    fault(org, path="/composite$", request_body="COUNT.*FROM%20Case", times=0, **how)
    fault(org, path="COUNT.*FROM Case", times=0, **how)
    ticked(workspace, org)
    here = workspace.org()
    org.advance(300)
    plan = plan_tick(here, here.catalog.select([]))
    assert plan.failed == {}
    assert plan.orders.keys() <= ({"case"} if how.get("code") == "QUERY_TIMEOUT" else set())


def test_a_query_that_no_address_has_room_for_is_not_sent_as_one(
    tmp_path: Path, org: Emulator
) -> None:
    workspace = Workspace(tmp_path, org.environment)
    names = " AND ".join(f"Name != 'a name that nobody has, number {n}'" for n in range(400))
    columns = "Id, Name, SystemModstamp, IsDeleted"
    (tmp_path / "long.soql").write_text(f"SELECT {columns} FROM Account WHERE {names}")
    workspace.catalogue({"Account": {"soql": "long.soql"}, "Contact": None, "Case": None})
    for _ in range(2):
        for done in workspace.tick().values():
            assert done.error is None, (done.slug, done.error)
        org.advance(300)
    assert workspace.rows("SELECT count(*) FROM silver.account") > [(0,)]
