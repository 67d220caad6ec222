"""Derived fields: what drifts without a stamp is measured, read again and merged."""

import tempfile
from pathlib import Path

import pytest

from sf_assets.checks.check import Finding
from sf_assets.emulator.server import Emulator
from sf_assets.errors import StorageError
from sf_assets.pipeline.extraction.execute import Extraction
from sf_assets.pipeline.extraction.formula_drift import check_derived, plan_derived
from sf_assets.pipeline.load import rebuild
from sf_assets.storage.manifest import SliceKind
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import derived_differences, differences

OBJECTS = ("Account", "Campaign", "CampaignMember", "Contact", "Showcase__c", "OpportunityLineItem")


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue(dict.fromkeys(OBJECTS))
    workspace.tick()
    org.advance(300)
    return workspace


def drift_apart(org: Emulator, workspace: Workspace) -> None:
    """Rename accounts and contacts, so that fields of other objects say something else."""
    for name, change in (("Account", {"Name": "renamed"}), ("Contact", {"LastName": "renamed"})):
        for (record,) in workspace.rows(f"SELECT Id FROM silver.{name}_live ORDER BY Id LIMIT 40"):
            org.org.records.update(name, record, change)
    org.advance(60)
    workspace.tick()


def reread_all(workspace: Workspace, *, everything: bool = True) -> dict[str, Extraction]:
    org = workspace.org()
    with plan_derived(org, org.catalog.select([]), everything=everything) as plan:
        found = workspace.run(org, plan)
    assert {slug: e.error for slug, e in found.items() if e.error} == {}
    return found


def checked(workspace: Workspace) -> dict[str, Finding]:
    org = workspace.org()
    return {f.slug: f for f in check_derived(org, org.catalog.select([]))}


def all_differences(org: Emulator, workspace: Workspace) -> list[str]:
    return [
        found
        for name in OBJECTS
        for compare in (differences, derived_differences)
        for found in compare(org, workspace, name)
    ]


def test_what_drifted_is_told_read_again_and_equal(workspace: Workspace, org: Emulator) -> None:
    before = {slug: f.passed for slug, f in checked(workspace).items()}
    assert before == dict.fromkeys((name.lower() for name in OBJECTS), True)
    drift_apart(org, workspace)
    assert all_differences(org, workspace) != []
    found = checked(workspace)
    assert {slug for slug, f in found.items() if not f.passed} == {"campaignmember", "showcase__c"}
    facts = found["showcase__c"].facts
    assert 0 < float(facts["Formula_Parent__c, share"]) <= 1
    assert not any("renamed" in str(value) for value in facts.values())

    done = reread_all(workspace)
    assert {slug for slug, e in done.items() if e.slices} == {"campaignmember", "showcase__c"}
    (piece,) = done["showcase__c"].slices
    assert piece.kind is SliceKind.FIELDS
    assert piece.counts.agree
    assert 0 < piece.counts.written < piece.counts.parsed
    assert all_differences(org, workspace) == []
    assert all(f.passed for f in checked(workspace).values())


def test_no_room_for_temporary_files_is_said_in_one_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null")
    with pytest.raises(StorageError, match=r"cannot be made \(.*\); make room in .*TMPDIR"):
        checked(workspace)
    with pytest.raises(StorageError, match="TMPDIR"):
        reread_all(workspace)


def test_nothing_differs_nothing_is_kept(workspace: Workspace) -> None:
    org = workspace.org()
    before = org.raw.refs()
    assert all(not extracted.slices for extracted in reread_all(workspace).values())
    assert org.raw.refs() == before


@pytest.mark.more
def test_by_bulk_it_is_the_same(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift_apart(org, workspace)
    monkeypatch.setattr("sf_assets.pipeline.extraction.extract.REST_ROWS", -1)
    (piece,) = reread_all(workspace)["campaignmember"].slices
    assert piece.source == "bulk"
    assert all_differences(org, workspace) == []


def test_what_another_run_reads_after_silver_was_set_aside_is_not_lost(
    workspace: Workspace, org: Emulator
) -> None:
    (item, parent, name) = workspace.rows(
        "SELECT m.Id, c.Id, c.Name FROM silver.campaignmember_live m "
        "JOIN silver.contact_live c ON c.Id = m.ContactId ORDER BY 1 LIMIT 1"
    )[0]
    here = workspace.org()
    with plan_derived(here, here.catalog.select([]), everything=True) as plan:
        org.org.records.set("Contact", parent, {"LastName": "for a while"})
        reread_all(workspace)  # another run
        told = workspace.rows(f"SELECT Name FROM silver.campaignmember WHERE Id = '{item}'")
        assert told != [(name,)]
        org.org.records.set("Contact", parent, {"LastName": str(name).rpartition(" ")[2]})
        workspace.run(here, plan)
    assert derived_differences(org, workspace, "CampaignMember") == []


def test_only_what_drifted_is_read_unless_its_day_has_come(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift_apart(org, workspace)
    monkeypatch.setattr(
        "sf_assets.pipeline.extraction.formula_drift._due", lambda slug, _: slug == "campaign"
    )
    done = reread_all(workspace, everything=False)
    assert set(done) == {"campaign", "campaignmember", "showcase__c"}
    assert all_differences(org, workspace) == []


def test_a_sample_of_all_objects_costs_a_few_calls(workspace: Workspace) -> None:
    org = workspace.org()
    org.client.rest.limits()
    before = org.client.budget.made
    list(check_derived(org, org.catalog.select([])))
    assert org.client.budget.made - before <= 2


def test_raw_alone_gives_the_same_rows(workspace: Workspace, org: Emulator) -> None:
    drift_apart(org, workspace)
    reread_all(workspace)
    names = dict(workspace.columns("silver.showcase__c")).keys() - {"_slice", "_read_at"}
    columns = ", ".join(f'"{name}"' for name in sorted(names))
    query = f"SELECT {columns} FROM silver.showcase__c ORDER BY Id"
    before = workspace.rows(query)
    workspace.lose_warehouse()
    offline = workspace.org()
    for name in OBJECTS:
        rebuild(offline, offline.stored_raw, name.lower())
    assert workspace.rows(query) == before
    assert all_differences(org, workspace) == []


def test_a_row_that_changed_meanwhile_is_left_to_the_tick(
    workspace: Workspace, org: Emulator
) -> None:
    drift_apart(org, workspace)
    changed = workspace.rows("SELECT Id FROM silver.showcase__c_live ORDER BY Id LIMIT 1")[0][0]
    org.org.records.update("Showcase__c", changed, {"Text__c": "newer"})
    org.advance(60)
    reread_all(workspace)
    assert all(changed not in d for d in derived_differences(org, workspace, "Campaign"))
    workspace.tick()
    assert all_differences(org, workspace) == []
