"""The org against silver: what differs is found, named and put right, and nothing else is."""

from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.errors import SuspiciousDeletionsError
from sf_assets.pipeline.extraction import repair as repair_module
from sf_assets.pipeline.extraction.repair import Repair
from sf_assets.pipeline.load import load, rebuild
from sf_assets.pipeline.reconciliation import content as content_module
from sf_assets.pipeline.reconciliation import reconcile as reconcile_module
from sf_assets.pipeline.reconciliation.reconcile import (
    Reconciled,
    check_reconciled,
    reconcile,
)
from sf_assets.windows import BEGIN, Window
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

MORE = pytest.mark.more


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue(dict.fromkeys(["Account", "Contact", "Case", "OpportunityHistory"]))
    workspace.tick()
    org.advance(60)
    return workspace


def compared(workspace: Workspace, name: str = "Account", **remedy: Any) -> Reconciled:
    here = workspace.org()
    everything = remedy.pop("everything", False)
    repair = Repair(here, **remedy) if remedy else None
    (found,) = reconcile(here, here.catalog.select([name]), repair, everything=everything)
    if remedy:
        load(here, here.raw, name.lower())
    return found


def spoil(workspace: Workspace, statement: str) -> None:
    workspace.change(statement)


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
    rebuild(offline, offline.stored_raw, "contact")
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


@pytest.mark.parametrize(
    "way",
    [
        "asked singly",
        pytest.param("by another census", marks=MORE),
        "read again by days",
    ],
)
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
    rebuild(offline, offline.stored_raw, "account")
    assert compared(workspace).replayed == 0
    assert compared(workspace).equal


def test_an_object_that_cannot_be_compared_says_why(workspace: Workspace) -> None:
    workspace.catalogue(dict.fromkeys(["Account", "Nope__c", "Lead"]))
    here = workspace.org()
    found = {r.slug: r for r in reconcile(here, here.catalog.select([]))}
    assert found["account"].equal
    assert "Nope__c" in str(found["nope__c"].error)
    assert "run `sf-assets refresh`" in str(found["lead"].error)


@pytest.mark.parametrize("everything", [False, True])
def test_other_content_under_the_same_stamp_is_found_and_the_orgs_wins(
    workspace: Workspace, org: Emulator, everything: bool
) -> None:
    ids = [row[0] for row in workspace.rows("SELECT Id FROM silver.account_live LIMIT 3")]
    for account in ids:
        stamp = org.store.rows(f"SELECT SystemModstamp FROM Account WHERE Id = '{account}'")[0][0]
        held = org.records.hold(None, stamp.replace(tzinfo=UTC))
        held.update("Account", account, {"Name": "late", "AnnualRevenue": 12.5})
        held.commit()
    found = compared(workspace, everything=everything)
    assert found.kinds == {"changed": 3}
    assert not found.equal
    assert found.compared is not None
    assert found.compared.changed.items() >= {"Name": 3, "AnnualRevenue": 3}.items()
    assert found.compared.records == found.compared.of
    assert compared(workspace, "Contact", everything=everything).equal
    compared(workspace, reread=True)
    assert compared(workspace, everything=everything).equal
    offline = workspace.org()
    rebuild(offline, offline.stored_raw, "account")
    assert differences(org, workspace, "Account") == []


def test_of_a_large_object_a_sample_is_compared_and_that_is_said(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_module, "SAMPLE", 4)
    found = compared(workspace, "Contact")
    assert found.compared is not None
    assert 2 <= found.compared.records <= 4 < found.compared.of
    whole = compared(workspace, "Contact", everything=True)
    assert whole.compared is not None
    assert whole.compared.records == found.compared.of


def test_a_derived_field_that_drifts_is_no_difference_of_data(workspace: Workspace) -> None:
    spoil(workspace, "UPDATE silver.contact SET Name = 'another' WHERE Id IN (SELECT min(Id) "
          "FROM silver.contact_live)")  # fmt: skip
    found = compared(workspace, "Contact")
    assert found.equal, found
    assert found.compared is not None
    assert found.compared.derived == {"Name": 1}


def test_what_says_something_of_the_user_who_asks_is_not_compared_and_that_is_said(
    workspace: Workspace,
) -> None:
    spoil(workspace, "UPDATE silver.account SET LastViewedDate = now()")
    found = compared(workspace)
    assert found.equal, found
    assert found.compared is not None
    assert found.compared.omitted == ("LastViewedDate", "LastReferencedDate")


def test_a_record_whose_present_version_has_an_older_stamp_is_read_again(
    workspace: Workspace, org: Emulator
) -> None:
    account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]
    org.advance(7200)
    org.records.update("Account", account, {"Name": "second"})
    org.advance(60)
    workspace.tick()
    org.advance(7200)
    workspace.tick()
    held = org.records.hold(None, org.clock.now() - timedelta(hours=3))
    held.update("Account", account, {"Name": "third"})
    held.commit()
    assert compared(workspace).kinds == {"ahead": 1}
    compared(workspace, reread=True)
    assert compared(workspace).equal
    offline = workspace.org()
    rebuild(offline, offline.stored_raw, "account")
    assert differences(org, workspace, "Account") == []


def test_a_watermark_that_stands_still_is_no_success(workspace: Workspace, org: Emulator) -> None:
    assert compared(workspace).equal
    org.advance(4 * 3600)
    found = compared(workspace)
    assert not found.equal
    assert "was read only up to" in found.standing
    workspace.tick()
    assert compared(workspace).equal


def test_what_is_gone_since_deletions_were_asked_for_fails_no_check(
    workspace: Workspace, org: Emulator
) -> None:
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    history = workspace.rows("SELECT min(Id) FROM silver.opportunityhistory_live")[0][0]
    org.advance(600)
    org.records.purge("Case", case)
    org.records.purge("OpportunityHistory", history)
    org.advance(600)
    here = workspace.org()
    specs = here.catalog.select(["Case", "OpportunityHistory"])
    for finding in check_reconciled(here, specs):
        assert finding.passed
        assert finding.facts["gone, not asked for yet"] == 1
    found = compared(workspace, "Case")
    assert (found.kinds, found.unasked, found.equal) == ({"gone": 1}, 1, False)
    # One that was missed although deletions were asked for since then is another matter.
    org.advance(1200)
    here.raw.coverage_log.add({}, {"case": [Window(BEGIN, org.clock.now())]}, org.clock.now())
    org.advance(60)
    (finding,) = check_reconciled(here, here.catalog.select(["Case"]))
    assert not finding.passed
    assert finding.severe
