"""The org's schema changes between runs and within one; silver says what the org says."""

import logging
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from sf_assets.checks.builtin import Schema
from sf_assets.checks.check import Finding
from sf_assets.emulator.server import Emulator
from sf_assets.errors import OrgUnreachableError
from sf_assets.naming import Names
from sf_assets.pipeline.checks.answers import check_silver
from sf_assets.pipeline.extraction.extract import Extractor, ExtractTask
from sf_assets.pipeline.load import rebuild
from sf_assets.pipeline.planning.plan import plan_backfill, plan_tick
from sf_assets.schema_diff import diff
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.windows import ALWAYS
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

HOUR = 3700
TEXT = {"type": "string", "length": 40}
NUMBER = {"type": "double", "precision": 18, "scale": 2}
LIST = {"type": "multipicklist", "length": 255, "values": ["A", "B"], "precision": 4}
PICKLIST = {"type": "picklist", "length": 255, "values": ["A", "B"]}


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Account": None, "Case": None})
    workspace.tick()
    org.advance(HOUR)
    return workspace


def first_id(workspace: Workspace, slug: str = "account") -> str:
    return str(workspace.rows(f"SELECT min(Id) FROM silver.{slug}_live")[0][0])


def kinds(workspace: Workspace, slug: str = "account") -> list[str]:
    """What kinds of slices an object has, in no order of time."""
    return sorted(str(piece.kind) for piece in workspace.org().stored_raw.slices(slug))


def pieces_of(workspace: Workspace, kind: SliceKind) -> list[Slice]:
    return [p for p in workspace.org().stored_raw.slices("account") if p.kind is kind]


def all_equal(org: Emulator, workspace: Workspace) -> bool:
    assert [d for name in ("Account", "Case") for d in differences(org, workspace, name)] == []
    return True


def idle_calls(workspace: Workspace) -> int:
    """What a tick costs in which nothing is to be done."""
    connected = workspace.org()
    connected.client.rest.limits()
    before = connected.client.budget.made
    plan = plan_tick(connected, connected.catalog.select([]))
    assert not plan.slugs
    assert not plan.failed
    return connected.client.budget.made - before


def schema_check(workspace: Workspace, slug: str = "account") -> Finding:
    here = workspace.org()
    (found,) = check_silver(here, here.stored_raw, {slug: [Schema()]}, {})
    assert "client" not in here.__dict__, "a check asks the org nothing"
    return found


def test_a_new_field_is_filled_once_for_all_rows(
    workspace: Workspace, org: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sf_assets")
    account = first_id(workspace)
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    org.admin.add_field("Account", "Score__c", NUMBER, 1.5)
    org.org.records.update("Account", account, {"Tier__c": "silver"})
    org.advance(60)
    workspace.tick()
    assert kinds(workspace) == ["export", "export", "fields"]
    assert caplog.messages.count("Account: Tier__c, Score__c to be filled in older rows") == 1
    (fill,) = pieces_of(workspace, SliceKind.FIELDS)
    assert fill.fields == ("Id", "SystemModstamp", "Tier__c", "Score__c")
    found = dict(workspace.rows("SELECT Tier__c, count(*) FROM silver.account GROUP BY 1"))
    assert found["silver"] == 1
    assert None not in found
    assert all_equal(org, workspace)
    org.advance(2 * HOUR)  # beyond the overlap, in which what changed is compared at a call's cost
    assert workspace.tick() == {}
    for _ in range(2):
        org.advance(300)
        assert idle_calls(workspace) == 1
        assert workspace.tick() == {}
    org.advance(HOUR)
    org.org.records.update("Account", account, {"Tier__c": "gold"})
    org.advance(60)
    workspace.tick()
    assert kinds(workspace).count("fields") == 1
    assert all_equal(org, workspace)


def test_a_new_field_is_filled_where_no_record_is_touched(
    workspace: Workspace, org: Emulator
) -> None:
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    workspace.tick()
    assert kinds(workspace) == ["export", "fields"]
    assert all_equal(org, workspace)
    org.advance(HOUR)
    assert workspace.tick() == {}


def test_rows_that_change_while_the_field_is_filled_are_right(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first_id(workspace)
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    extract = Extractor.extract

    def meanwhile(self: Extractor, order: ExtractTask) -> Slice | None:
        piece = extract(self, order)
        if order.kind is SliceKind.FIELDS:
            org.advance(1)
            org.org.records.update("Account", account, {"Tier__c": "lead"})
            org.org.records.insert("Account", {"Name": "new", "Tier__c": "bronze"})
            org.advance(1)
        return piece

    monkeypatch.setattr(Extractor, "extract", meanwhile)
    workspace.tick()
    org.advance(60)
    workspace.tick()
    assert kinds(workspace).count("fields") == 1
    assert all_equal(org, workspace)


@pytest.mark.parametrize("before", [True, False], ids=["before the commit", "after it"])
def test_a_crash_while_a_field_is_filled_ends_in_the_same_tables(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    org.org.records.update("Account", first_id(workspace), {"Tier__c": "silver"})
    org.advance(60)
    with monkeypatch.context() as patch:
        extract = Extractor.extract

        def crash(self: Extractor, order: ExtractTask) -> Slice | None:
            if order.kind is SliceKind.FIELDS and not before:
                extract(self, order)
            raise OrgUnreachableError("the network is down")

        patch.setattr(Extractor, "extract", crash)
        assert workspace.tick()["account"].error
    org.advance(60)
    workspace.tick()
    assert kinds(workspace).count("fields") == 1
    assert all_equal(org, workspace)
    workspace.load("account")
    # By name: where an engine makes room for digits by another column, that is the last one.
    columns = sorted(name.lower() for name, _ in workspace.columns("silver.account"))
    query = f"SELECT {', '.join(columns)} FROM silver.account"
    tables = sorted(workspace.rows(query), key=str)
    here = workspace.org()
    rebuild(here, here.stored_raw, "account")
    assert sorted(workspace.rows(query), key=str) == tables
    assert sorted(name.lower() for name, _ in workspace.columns("silver.account")) == columns


def test_a_backfill_by_hand_does_not_hide_what_older_rows_lack(
    workspace: Workspace, org: Emulator
) -> None:
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    here = workspace.org()
    window = next(iter(plan_tick(here, here.catalog.select(["Case"])).idle.values()))[0]
    workspace.run(here, plan_backfill(here, here.catalog.select(["Account"]), window))
    workspace.tick()
    assert all_equal(org, workspace)


def test_a_fill_that_finds_no_record_is_not_tried_again(
    workspace: Workspace, org: Emulator
) -> None:
    org.admin.hide_rows("Account")
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    org.advance(HOUR)
    workspace.tick()
    assert kinds(workspace).count("fields") == 1
    org.advance(300)
    here = workspace.org()
    assert plan_tick(here, here.catalog.select([])).lacking == set()


def test_a_catalogue_that_names_its_fields_gets_no_others(
    workspace: Workspace, org: Emulator
) -> None:
    named: dict[str, Any] = {"Account": {"fields": ["Name"]}, "Case": None}
    workspace.catalogue(named)
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    org.advance(HOUR)
    assert "account" not in workspace.tick()
    named["Account"]["fields"] = ["Name", "Tier__c"]
    workspace.catalogue(named)
    workspace.tick()
    (fill,) = pieces_of(workspace, SliceKind.FIELDS)
    assert fill.fields == ("Id", "SystemModstamp", "Tier__c")
    assert workspace.rows("SELECT DISTINCT Tier__c FROM silver.account") == [("gold",)]


def test_nothing_is_filled_at_a_first_load(tmp_path: Path, org: Emulator) -> None:
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Account": None})
    workspace.tick()
    org.advance(HOUR)
    assert workspace.tick() == {}
    assert kinds(workspace) == ["export"]


def test_a_hidden_field_keeps_its_values_and_is_named(workspace: Workspace, org: Emulator) -> None:
    account = first_id(workspace)
    value = f"SELECT Rating FROM silver.account WHERE Id = '{account}'"
    org.org.records.update("Account", account, {"Rating": "Hot"})
    org.advance(60)
    workspace.tick()
    assert schema_check(workspace).passed
    org.admin.hide_field("Account", "Rating")
    org.advance(HOUR)
    org.org.records.update("Account", account, {"Rating": "Cold", "Name": "renamed"})
    org.advance(60)
    workspace.tick()
    assert workspace.rows(value) == [("Hot",)]
    found = schema_check(workspace)
    assert (found.passed, found.severe) == (False, False)
    since = f"not visible to {org.org.user.username} since 2026-11-20 17:"
    facts = Names(found.facts.items())
    assert len(facts) == 1
    assert str(facts["Rating"]).startswith(since)
    org.advance(300)
    assert workspace.tick() == {}
    org.admin.show_field("Account", "Rating")
    org.advance(HOUR)
    workspace.tick()
    assert workspace.rows(value) == [("Cold",)]
    assert schema_check(workspace).passed
    assert all_equal(org, workspace)
    for _ in range(2):
        org.advance(300)
        assert workspace.tick() == {}


def test_a_deleted_field_made_anew_has_the_new_values(workspace: Workspace, org: Emulator) -> None:
    org.admin.add_field("Account", "Tier__c", TEXT, "gold")
    org.advance(HOUR)
    workspace.tick()
    org.admin.delete_field("Account", "Tier__c")
    org.advance(HOUR)
    workspace.tick()
    assert workspace.rows("SELECT DISTINCT Tier__c FROM silver.account") == [("gold",)]
    org.admin.add_field("Account", "Tier__c", NUMBER, 7.25)
    org.advance(HOUR)
    workspace.tick()
    assert all_equal(org, workspace)


@pytest.mark.parametrize("planned", [False, True], ids=["after describe", "after the plan"])
def test_a_field_that_vanishes_before_the_query_loses_no_run(
    workspace: Workspace, org: Emulator, planned: bool
) -> None:
    org.org.records.update("Account", first_id(workspace), {"Name": "renamed"})
    org.advance(60)
    here = workspace.org()
    plan = plan_tick(here, here.catalog.select([]))
    org.admin.delete_field("Account", "Rating")
    done = workspace.run(here, plan) if planned else workspace.tick()
    assert done["account"].error is None
    assert all_equal(org, workspace)
    assert not schema_check(workspace).passed


def test_a_bulk_job_that_meets_a_deleted_field_is_asked_again(
    workspace: Workspace, org: Emulator
) -> None:
    here = workspace.org()
    plan = plan_backfill(here, here.catalog.select(["Account"]), ALWAYS)
    org.admin.delete_field("Account", "Rating")
    done = workspace.run(here, plan)
    assert done["account"].error is None
    assert "Rating" not in done["account"].slices[-1].fields
    assert all_equal(org, workspace)


def test_a_cursor_that_vanishes_before_the_probe_gives_way_to_the_next(
    workspace: Workspace, org: Emulator
) -> None:
    org.org.records.update("Account", first_id(workspace), {"Name": "renamed"})
    org.advance(60)
    here = workspace.org()
    plan_tick(here, here.catalog.select([]))
    org.admin.hide_field("Account", "SystemModstamp")
    assert workspace.tick()["account"].error is None
    assert pieces_of(workspace, SliceKind.EXPORT)[-1].cursor == "LastModifiedDate"
    assert all_equal(org, workspace)


def test_an_object_that_loses_all_its_cursors_is_read_whole(
    workspace: Workspace, org: Emulator
) -> None:
    org.org.records.update("Case", first_id(workspace, "case"), {"Subject": "changed"})
    org.advance(60)
    for field in ("SystemModstamp", "LastModifiedDate"):
        org.admin.hide_field("Case", field)
    assert workspace.tick()["case"].slices[0].kind is SliceKind.SNAPSHOT
    assert all_equal(org, workspace)
    org.advance(HOUR)
    org.admin.add_field("Case", "Tier__c", TEXT, "gold")
    org.advance(HOUR)
    workspace.tick()
    assert kinds(workspace, "case") == ["export", "snapshot", "snapshot"]
    assert all_equal(org, workspace)
    org.admin.change_field("Case", "Tier__c", LIST)
    org.advance(HOUR)
    workspace.tick()
    assert all_equal(org, workspace)


@pytest.mark.parametrize(
    ("was", "value", "becomes"),
    [
        (TEXT, "12.50", NUMBER),
        pytest.param(NUMBER, 7.5, TEXT, marks=pytest.mark.more),
        (TEXT, "A", PICKLIST),
        pytest.param(PICKLIST, "A", LIST, marks=pytest.mark.more),
        pytest.param(LIST, "A;B", TEXT, marks=pytest.mark.more),
        (TEXT, "A;B", LIST),
        pytest.param({"type": "int", "digits": 8}, 5, NUMBER, marks=pytest.mark.more),
        ({"type": "date"}, "2026-01-31", {"type": "datetime"}),
    ],
    ids=lambda v: v["type"] if isinstance(v, dict) else None,
)
def test_a_field_of_another_type_is_typed_anew(
    workspace: Workspace, org: Emulator, was: dict[str, Any], value: Any, becomes: dict[str, Any]
) -> None:
    org.admin.add_field("Account", "Kind__c", was, value)
    org.advance(HOUR)
    workspace.tick()
    assert all_equal(org, workspace)
    org.admin.change_field("Account", "Kind__c", becomes)
    org.advance(HOUR)
    workspace.tick()
    assert all_equal(org, workspace)
    assert workspace.rows("SELECT count(*) FROM silver.account_rejects") == [(0,)]
    for _ in range(2):
        org.advance(300)
        assert workspace.tick() == {}
    here = workspace.org()
    rebuild(here, here.stored_raw, "account")
    assert all_equal(org, workspace)


def test_text_that_is_no_number_goes_to_rejects_until_it_is_read_again(
    workspace: Workspace, org: Emulator
) -> None:
    org.admin.add_field("Account", "Kind__c", TEXT, "n/a")
    org.advance(HOUR)
    workspace.tick()
    org.admin.change_field("Account", "Kind__c", NUMBER)
    org.advance(HOUR)
    workspace.tick()
    # The org itself could not keep those values: so they are null there, and no rejects here.
    assert workspace.rows("SELECT count(*) FROM silver.account_rejects") == [(0,)]
    assert all_equal(org, workspace)


def test_an_object_that_is_gone_fails_alone_and_catches_up_when_it_is_back(
    workspace: Workspace, org: Emulator
) -> None:
    before = workspace.rows("SELECT count(*) FROM silver.case")
    org.admin.hide_object("Case")
    org.org.records.update("Account", first_id(workspace), {"Name": "renamed"})
    org.advance(60)
    done = workspace.tick()
    error = str(done["case"].error)
    assert "Case" in error
    assert org.org.user.username in error
    assert done["account"].error is None
    assert workspace.rows("SELECT count(*) FROM silver.case") == before
    assert "not visible to" in str(schema_check(workspace, "case").facts["Case"])
    org.org.records.update("Case", first_id(workspace, "case"), {"Subject": "meanwhile"})
    org.advance(HOUR)
    workspace.tick()
    org.admin.show_object("Case")
    org.advance(60)
    assert workspace.tick()["case"].error is None
    assert schema_check(workspace, "case").passed
    assert kinds(workspace, "case").count("fields") == 0
    assert all_equal(org, workspace)


def test_an_object_that_appears_later_just_starts_to_work(tmp_path: Path, org: Emulator) -> None:
    org.admin.hide_object("Lead")
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Account": None, "Lead": None})
    assert workspace.tick()["lead"].error
    org.admin.show_object("Lead")
    org.advance(60)
    assert workspace.tick()["lead"].error is None
    assert differences(org, workspace, "Lead") == []


def test_describes_are_kept_when_they_change_and_only_then(
    workspace: Workspace, org: Emulator
) -> None:
    org.advance(HOUR)
    workspace.tick()
    org.admin.add_field("Account", "Tier__c", TEXT)
    org.admin.hide_object("Case")
    org.advance(HOUR)
    workspace.tick()
    (_, first), (at, second) = workspace.org().stored_raw.describes.history()
    assert sorted(first) == sorted(second) == ["account", "case"]
    assert at == org.clock.stamp().replace(tzinfo=UTC)
    told = [(c.object, c.field, c.what) for c in diff(first, second)]
    assert told == [("Account", "Tier__c", "added"), ("Case", "", "gone")]
