"""Deletions for good reach silver by ticks alone, and nothing else is ever marked."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sf_assets.emulator.fault import Fault
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.extraction import deletions as deletions_module
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.load import rebuild
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

OBJECTS = ("Account", "Contact", "Case", "OpportunityHistory")
HOUR, DAY = 3600, 86_400


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue(dict.fromkeys(OBJECTS))
    workspace.tick()
    org.advance(60)
    return workspace


def filtered(tmp_path: Path, org: Emulator) -> Workspace:
    """A workspace with some of the cases: what leaves a filter, `getDeleted` does not tell."""
    workspace = Workspace(tmp_path / "filtered", org.environment)
    workspace.folder.mkdir()
    (workspace.folder / "case.soql").write_text(
        "SELECT Id, Subject, Priority, SystemModstamp, IsDeleted FROM Case WHERE Priority != 'Low'"
    )
    workspace.catalogue({"Case": {"soql": "case.soql"}})
    workspace.tick()
    return workspace


def ticked(workspace: Workspace, org: Emulator) -> None:
    """A tick after which everything is equal."""
    for done in workspace.tick().values():
        assert done.error is None, done.slug
    for name in OBJECTS:
        assert differences(org, workspace, name) == []


def calls_of_a_tick(workspace: Workspace) -> int:
    here = workspace.org()
    before = here.client.budget.made
    plan_tick(here, here.catalog.select([]))
    return here.client.budget.made - before


def test_a_hard_deletion_is_found_within_the_hour(workspace: Workspace, org: Emulator) -> None:
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    org.records.delete("Case", case)
    org.records.purge("Case", case)
    org.advance(HOUR + 60)
    ticked(workspace, org)
    kinds = dict(workspace.rows("SELECT kind, count(*) FROM ops.slices GROUP BY 1"))
    assert kinds["deletions"] == 1
    org.advance(HOUR + 60)
    assert workspace.tick() == {}


def test_what_lies_in_the_recycle_bin_is_no_hard_deletion(
    workspace: Workspace, org: Emulator
) -> None:
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    org.records.delete("Case", case)
    org.advance(HOUR + 60)
    ticked(workspace, org)
    org.records.undelete("Case", case)
    org.advance(HOUR + 60)
    ticked(workspace, org)
    assert workspace.rows("SELECT count(*) FROM silver.case WHERE _deleted") == [(0,)]


def test_deletions_are_asked_once_an_hour_for_many_objects_at_once(
    workspace: Workspace, org: Emulator
) -> None:
    idle = calls_of_a_tick(workspace)
    org.advance(HOUR + 60)
    assert calls_of_a_tick(workspace) == idle + 2  # describes are asked for once an hour, too
    workspace.tick()
    assert calls_of_a_tick(workspace) <= idle


def test_an_object_that_is_not_replicateable_is_swept_once_a_day(
    workspace: Workspace, org: Emulator
) -> None:
    gone = workspace.rows("SELECT min(Id) FROM silver.opportunityhistory")[0][0]
    org.records.purge("OpportunityHistory", gone)
    org.advance(DAY + HOUR)
    ticked(workspace, org)
    assert workspace.rows("SELECT Id FROM silver.opportunityhistory WHERE _deleted") == [(gone,)]
    org.advance(HOUR)
    assert "opportunityhistory" not in workspace.tick()


def test_an_outage_beyond_the_reach_of_get_deleted_is_made_good_by_a_sweep(
    workspace: Workspace, org: Emulator
) -> None:
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    org.records.delete("Case", case)
    org.records.purge("Case", case)
    org.advance(40 * DAY)
    ticked(workspace, org)
    org.advance(2 * HOUR)
    assert "case" not in workspace.tick()


def test_a_refusal_that_lasts_is_answered_by_one_sweep_a_day(
    workspace: Workspace, org: Emulator
) -> None:
    assert org.faults
    refusal = Fault(status=400, code="INVALID_REPLICATION_DATE", message="not yet", times=0)
    org.faults.add(replace(refusal, path="/composite$", request_body="/deleted"))
    org.faults.add(replace(refusal, path="/deleted"))
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    org.records.purge("Case", case)
    sweeps = 0
    for _ in range(9):
        org.advance(3 * HOUR)
        here = workspace.org()
        plan = plan_tick(here, here.catalog.select([]))
        sweeps += "case" in plan.deletions.sweeps
        workspace.run(here, plan)
    assert sweeps == 1
    assert workspace.rows("SELECT Id FROM silver.case WHERE _deleted") == [(case,)]


def test_a_merge_and_a_cascade_reach_silver(workspace: Workspace, org: Emulator) -> None:
    account = workspace.rows(
        "SELECT AccountId FROM silver.contact_live WHERE AccountId IS NOT NULL LIMIT 1"
    )[0][0]
    org.records.delete("Account", account)
    org.advance(60)
    ticked(workspace, org)
    orphans = f"SELECT count(*) FROM silver.contact_live WHERE AccountId = '{account}'"
    theirs = org.store.rows(
        f"SELECT count(*) FROM Contact WHERE AccountId = '{account}' AND NOT IsDeleted"
    )
    assert workspace.rows(orphans) == theirs


def test_a_busy_object_whose_first_slices_were_compacted_is_still_swept(
    tmp_path: Path, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sf_assets.storage.compaction.MANY", 2)
    workspace = filtered(tmp_path, org)
    case, other = (row[0] for row in workspace.rows("SELECT Id FROM silver.case_live LIMIT 2"))
    org.records.purge("Case", case)
    for hours in range(7):
        org.advance(4 * HOUR)
        org.records.update("Case", other, {"Subject": f"after {hours}"})
        org.advance(60)
        workspace.tick()
    assert workspace.rows("SELECT Id FROM silver.case WHERE _deleted") == [(case,)]


def test_rows_that_leave_a_filter_are_noticed_by_the_sweep(tmp_path: Path, org: Emulator) -> None:
    workspace = filtered(tmp_path, org)
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    org.advance(60)
    org.records.update("Case", case, {"Priority": "Low"})
    org.advance(DAY + HOUR)
    workspace.tick()
    assert workspace.rows("SELECT Id FROM silver.case WHERE _deleted") == [(case,)]
    org.records.update("Case", case, {"Priority": "High"})
    org.advance(HOUR)
    workspace.tick()
    assert workspace.rows("SELECT Id FROM silver.case WHERE _deleted") == []


def read_without_merging(workspace: Workspace) -> None:
    """A tick that is killed, or finds the warehouse locked, after its manifests."""
    here = workspace.org()
    for done in execute(here, plan_tick(here, here.catalog.select([]))):
        assert done.error is None, done.slug


@pytest.mark.parametrize("way", ["told", "swept"])
def test_what_is_purged_between_raw_and_merge_is_found(
    workspace: Workspace, org: Emulator, way: str
) -> None:
    name = "Case" if way == "told" else "OpportunityHistory"
    fresh = [org.records.insert(name, dict(_NEW[name])) for _ in range(5)]
    org.advance(60)
    read_without_merging(workspace)
    for key in fresh:
        org.records.purge(name, key)
    org.advance(HOUR + 60 if way == "told" else DAY + HOUR)
    read_without_merging(workspace)  # nor is any table asked now
    ticked(workspace, org)
    assert workspace.rows(
        f"SELECT count(*) FROM silver.{name}_live WHERE Id IN {tuple(fresh)}"
    ) == [(0,)]


_NEW = {"Case": {"Subject": "short-lived"}, "OpportunityHistory": {"StageName": "short-lived"}}


def test_deletions_need_no_warehouse_and_every_warehouse_ends_the_same(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.lose_warehouse()
    case = org.store.rows('SELECT min(Id) FROM "Case" WHERE NOT IsDeleted')[0][0]
    org.records.purge("Case", case)
    org.advance(DAY + HOUR)
    read_without_merging(workspace)
    assert not (workspace.folder / "warehouse.duckdb").exists()
    for name in OBJECTS:
        workspace.load(name.lower())
        assert differences(org, workspace, name) == []


@pytest.mark.parametrize("hours", [2, 30])
def test_a_deletions_manifest_that_is_lost_is_found_again(
    workspace: Workspace, org: Emulator, hours: int
) -> None:
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    gone = workspace.rows("SELECT min(Id) FROM silver.opportunityhistory")[0][0]
    org.records.purge("Case", case)
    org.records.purge("OpportunityHistory", gone)
    org.advance(DAY + HOUR)
    ticked(workspace, org)
    org.advance(hours * HOUR)  # others have noted since then that nothing more is gone
    ticked(workspace, org)
    lost = list((workspace.folder / "raw").rglob("*_deletions_*.json"))
    assert {path.parent.name for path in lost} == {"case", "opportunityhistory"}
    for path in lost:
        path.unlink()
    org.advance(DAY + HOUR)
    ticked(workspace, org)
    offline = workspace.org()
    for name in OBJECTS:
        rebuild(offline, offline.stored_raw, name.lower())
        assert differences(org, workspace, name) == []


def test_a_deletion_under_a_stamp_that_no_window_reaches_is_told(
    workspace: Workspace, org: Emulator
) -> None:
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    org.advance(49 * 60)  # to half past: the next tick holds no full hour
    ticked(workspace, org)
    org.advance(60)
    held = org.records.hold(None, org.clock.now() - timedelta(minutes=56))
    held.delete("Case", case)
    held.commit()
    org.advance(600)
    ticked(workspace, org)
    assert workspace.rows(f"SELECT IsDeleted FROM silver.case WHERE Id = '{case}'") == [(True,)]
    kinds = dict(workspace.rows("SELECT kind, count(*) FROM ops.slices GROUP BY 1"))
    assert kinds["records"] == 1


def test_many_soft_deletions_cost_no_sweep_and_what_is_purged_among_them_is_found(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions_module, "ASKED_SINGLY", 2)
    monkeypatch.setattr(deletions_module, "sweep", None)
    ids = [row[0] for row in workspace.rows("SELECT Id FROM silver.case_live ORDER BY Id LIMIT 6")]
    for case in ids[:4]:
        org.records.delete("Case", case)
    for case in ids[4:]:
        org.records.purge("Case", case)
    org.advance(HOUR + 60)
    ticked(workspace, org)
    assert workspace.rows("SELECT count(*) FROM silver.case WHERE _deleted") == [(2,)]
