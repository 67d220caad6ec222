"""The org against silver: what differs is found, named and put right, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.errors import SuspiciousDeletionsError
from sf_assets.pipeline import reconcile as reconcile_module
from sf_assets.pipeline import repair as repair_module
from sf_assets.pipeline.load import load, rebuild
from sf_assets.pipeline.reconcile import Reconciled, reconcile
from sf_assets.pipeline.repair import Repair
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue(dict.fromkeys(["Account", "Contact", "Case", "OpportunityHistory"]))
    workspace.tick()
    org.advance(60)
    return workspace


def compared(workspace: Workspace, name: str = "Account", **remedy: Any) -> Reconciled:
    here = workspace.org()
    repair = Repair(here, **remedy) if remedy else None
    (found,) = reconcile(here, here.catalog.select([name]), repair)
    if remedy:
        load(here, here.lake, name.lower())
    return found


def spoil(workspace: Workspace, statement: str) -> None:
    import duckdb

    with duckdb.connect(str(workspace.folder / "warehouse.duckdb")) as connection:
        connection.execute(statement)


def test_both_sides_are_equal_and_what_changes_meanwhile_is_no_difference(
    workspace: Workspace, org: Emulator
) -> None:
    ids = [row[0] for row in workspace.rows("SELECT Id FROM silver.account_live LIMIT 2")]
    org.records.update("Account", ids[0], {"Name": "since then"})
    org.records.insert("Account", {"Name": "new since then"})
    for name in ("Account", "Contact", "OpportunityHistory"):
        found = compared(workspace, name)
        assert found.error is None
        assert found.equal
        assert found.differences == []
        assert found.org == found.silver > 0


def test_a_record_that_silver_lacks_is_named_and_read_again(
    workspace: Workspace, org: Emulator
) -> None:
    lost, day = workspace.rows("SELECT Id, _cursor::DATE FROM silver.account LIMIT 1")[0]
    spoil(workspace, f"DELETE FROM silver.account WHERE Id = '{lost}'")
    found = compared(workspace)
    assert (found.kinds, found.examples) == ({"missing": 1}, [lost])
    assert [(d.day, d.org - d.silver) for d in found.differences] == [(day, 1)]
    compared(workspace, reread=True)
    assert compared(workspace).equal
    assert differences(org, workspace, "Account") == []


def test_a_version_that_was_missed_within_a_day_shows_in_the_digest(
    workspace: Workspace, org: Emulator
) -> None:
    old = workspace.rows("SELECT Id FROM silver.account_live LIMIT 1")[0][0]
    spoil(
        workspace,
        "UPDATE silver.account SET _cursor = _cursor - INTERVAL 1 SECOND, "
        f"SystemModstamp = SystemModstamp - INTERVAL 1 SECOND, Name = 'old' WHERE Id = '{old}'",
    )
    found = compared(workspace)
    assert found.kinds == {"outdated": 1}
    assert not any(day.digests_equal for day in found.differences)
    compared(workspace, reread=True)
    assert differences(org, workspace, "Account") == []


def test_a_record_that_is_gone_for_good_is_marked_and_stays_so_after_a_rebuild(
    workspace: Workspace, org: Emulator
) -> None:
    contact = workspace.rows("SELECT min(Id) FROM silver.contact_live")[0][0]
    org.records.purge("Contact", contact)
    found = compared(workspace, "Contact")
    assert (found.kinds, found.examples) == ({"gone": 1}, [contact])
    compared(workspace, "Contact", reread=True)
    assert compared(workspace, "Contact").equal
    offline = workspace.org()
    rebuild(offline, offline.kept_lake, "contact")
    assert differences(org, workspace, "Contact") == []
    live = f"SELECT count(*) FROM silver.contact_live WHERE Id = '{contact}'"
    assert workspace.rows(live) == [(0,)]


def test_a_deleted_record_that_is_purged_is_no_difference(
    workspace: Workspace, org: Emulator
) -> None:
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    org.records.delete("Case", case)
    org.advance(60)
    workspace.tick()
    org.advance(60)
    org.records.purge("Case", case)
    found = compared(workspace, "Case")
    assert found.equal
    assert found.kinds == {"purged": 1}
    compared(workspace, "Case", reread=True)
    assert compared(workspace, "Case").kinds == {}


def test_a_record_wrongly_held_for_gone_comes_back(workspace: Workspace, org: Emulator) -> None:
    spoil(workspace, "UPDATE silver.account SET _deleted = true WHERE Id IN (SELECT min(Id) "
          "FROM silver.account)")  # fmt: skip
    assert compared(workspace).kinds == {"back": 1}
    compared(workspace, reread=True)
    assert compared(workspace).equal
    assert differences(org, workspace, "Account") == []


def test_a_lost_permission_deletes_nothing(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair_module, "_SUSPICIOUS_COUNT", 2)
    # What a user may not see any more is answered as if it were not there.
    ids = [r[0] for r in workspace.rows("SELECT Id FROM silver.contact_live ORDER BY Id LIMIT 10")]
    for contact in ids:
        org.records.purge("Contact", contact)
    found = compared(workspace, "Contact", reread=True)
    assert isinstance(found.error, SuspiciousDeletionsError)
    assert "--accept-deletions" in str(found.error)
    marked = workspace.rows("SELECT count(*) FROM silver.contact WHERE _deleted")
    assert marked == [(0,)]
    compared(workspace, "Contact", accept=True)
    assert compared(workspace, "Contact").equal


@pytest.mark.parametrize("way", ["asked singly", "by another census", "read again by days"])
def test_many_differences_cost_few_calls(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way != "asked singly":
        monkeypatch.setattr(reconcile_module, "ASKED_SINGLY", 3)
    if way == "read again by days":
        monkeypatch.setattr(repair_module, "_ONE_BY_ONE", 3)
    spoil(workspace, "DELETE FROM silver.contact WHERE hash(Id) % 3 = 0")
    before = compared(workspace, "Contact")
    assert before.kinds["missing"] == before.org - before.silver > 3
    compared(workspace, "Contact", reread=True)
    assert compared(workspace, "Contact").equal
    assert differences(org, workspace, "Contact") == []


def test_silver_that_is_not_what_raw_says_is_told_and_rebuilt(workspace: Workspace) -> None:
    assert compared(workspace).replayed == 0
    spoil(workspace, "UPDATE silver.account SET _deleted = true WHERE Id IN (SELECT min(Id) "
          "FROM silver.account)")  # fmt: skip
    assert compared(workspace).replayed == 1
    offline = workspace.org()
    rebuild(offline, offline.kept_lake, "account")
    assert compared(workspace).replayed == 0
    assert compared(workspace).equal


def test_an_object_that_cannot_be_compared_says_why(workspace: Workspace) -> None:
    workspace.catalogue(dict.fromkeys(["Account", "Nope__c", "Lead"]))
    here = workspace.org()
    found = {r.slug: r for r in reconcile(here, here.catalog.select([]))}
    assert found["account"].equal
    assert "Nope__c" in str(found["nope__c"].error)
    assert "run `sf-assets refresh`" in str(found["lead"].error)
