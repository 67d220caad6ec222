"""Increments: what changes in the org changes in silver, and nothing else is read again."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sf_assets.emulator.fault import Fault
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.extraction import extract
from sf_assets.pipeline.extraction.extract import Extractor
from sf_assets.pipeline.load import rebuild
from sf_assets.pipeline.planning import dedupe
from sf_assets.pipeline.planning.dedupe import stored_versions
from sf_assets.pipeline.planning.plan import plan_backfill, plan_tick
from sf_assets.windows import BEGIN, Window, utc_day
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

OBJECTS = ("Account", "Contact", "Opportunity", "Case")


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue(dict.fromkeys(OBJECTS))
    return workspace


def all_equal(org: Emulator, workspace: Workspace) -> bool:
    found = [d for name in OBJECTS for d in differences(org, workspace, name)]
    assert found == []
    return True


def test_a_second_tick_finds_nothing_to_do(workspace: Workspace, org: Emulator) -> None:
    workspace.tick()
    org.advance(300)
    assert workspace.tick() == {}
    assert all_equal(org, workspace)


def test_an_idle_object_costs_a_fifth_of_a_call(workspace: Workspace, org: Emulator) -> None:
    workspace.catalogue(dict.fromkeys([*OBJECTS, "Lead"]))
    workspace.tick()
    org.advance(300)
    connected = workspace.org()
    connected.client.rest.limits()
    before = connected.client.budget.made
    plan = plan_tick(connected, connected.catalog.select([]))
    assert sorted(plan.idle) == sorted(name.lower() for name in [*OBJECTS, "Lead"])
    assert connected.client.budget.made - before == 1


def test_only_what_changed_is_read(workspace: Workspace, org: Emulator) -> None:
    workspace.tick()
    org.advance(300)
    account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]
    org.org.records.update("Account", account, {"Name": "NA"})
    org.advance(300)
    done = workspace.tick()
    assert {slug: e.slices[0].counts.written for slug, e in done.items()} == {"account": 1}
    assert workspace.rows(f"SELECT Name FROM silver.account WHERE Id = '{account}'") == [("NA",)]
    assert all_equal(org, workspace)


def test_a_deleted_record_leaves_the_live_view_and_an_undeleted_one_comes_back(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.tick()
    case = workspace.rows("SELECT min(Id) FROM silver.case_live")[0][0]
    live = f"SELECT count(*) FROM silver.case_live WHERE Id = '{case}'"
    org.advance(60)
    org.org.records.delete("Case", case)
    org.advance(60)
    workspace.tick()
    assert workspace.rows(live) == [(0,)]
    org.org.records.undelete("Case", case)
    org.advance(60)
    workspace.tick()
    assert workspace.rows(live) == [(1,)]
    assert all_equal(org, workspace)


def test_rows_read_again_in_the_overlap_are_not_written_again(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.tick()
    org.advance(60)
    first = org.org.records.insert("Account", {"Name": "first"})
    org.advance(60)
    workspace.tick()
    org.org.records.insert("Account", {"Name": "second"})
    org.advance(60)
    (account,) = workspace.tick().values()
    counts = account.slices[0].counts
    assert counts.parsed >= 2, f"{first} lies within the overlap and is read again"
    assert (counts.written, counts.known) == (1, counts.parsed - 1)
    assert all_equal(org, workspace)


def test_a_late_commit_within_the_overlap_is_found(workspace: Workspace, org: Emulator) -> None:
    workspace.tick()
    org.advance(60)
    with org.org.records.transaction(stamp=org.clock.stamp()) as late:
        late.insert("Account", [{"Name": "stamped early"}], system=True)
        org.advance(240)
        workspace.tick()
    org.advance(60)
    workspace.tick()
    found = workspace.rows("SELECT count(*) FROM silver.account WHERE Name = 'stamped early'")
    assert found == [(1,)]
    assert all_equal(org, workspace)


def test_a_commit_that_is_late_in_a_busy_window_is_read_once_it_can_no_longer_change(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.catalogue({"Account": None})
    records = org.org.records
    with records.transaction() as creation:
        creation.insert("Account", [{"Name": f"row {n}"} for n in range(3000)], system=True)
    workspace.tick()
    org.advance(1800)
    workspace.tick()
    ids = [row[0] for row in workspace.rows("SELECT Id FROM silver.account WHERE Name ~ '^row'")]
    with records.transaction(stamp=org.clock.stamp()) as mass_update:
        mass_update.update("Account", [{"Id": key, "Rating": "Hot"} for key in ids])
    with records.transaction(stamp=org.clock.stamp()) as late:  # as many rows, the same stamp
        late.update("Account", [{"Id": key, "Rating": "Cold"} for key in ids[:8]])
        org.advance(60)
        read = [tick_reads(workspace)]  # its update is not visible yet
        org.advance(390)
    for _ in range(6):
        read.append(tick_reads(workspace))
        org.advance(300)
    assert [rows for rows in read if rows] == [3000, 3000]  # when it changed, and once more
    assert workspace.rows("SELECT count(*) FROM silver.account WHERE Rating = 'Cold'") >= [(8,)]
    assert differences(org, workspace, "Account") == []


def tick_reads(workspace: Workspace) -> int:
    """Rows that the slices of a tick read."""
    return sum(piece.counts.parsed for done in workspace.tick().values() for piece in done.slices)


def test_a_version_of_the_same_second_is_not_lost(workspace: Workspace, org: Emulator) -> None:
    workspace.tick()
    org.advance(60)
    stamp = org.clock.stamp()
    account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]
    org.org.records.update("Account", account, {"Name": "one"})
    org.advance(1)
    workspace.tick()
    with org.org.records.transaction(stamp=stamp) as second:
        second.update("Account", [{"Id": account, "Name": "two"}])
    org.advance(60)
    workspace.tick()
    assert workspace.rows(f"SELECT Name FROM silver.account WHERE Id = '{account}'") == [("two",)]
    assert all_equal(org, workspace)


def test_a_version_that_comes_back_within_the_same_second_is_not_lost(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.tick()
    org.advance(60)
    stamp = org.clock.stamp()
    account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]
    for name in ("one", "two", "one"):
        with org.org.records.transaction(stamp=stamp) as change:
            change.update("Account", [{"Id": account, "Name": name}])
        org.advance(1)
        workspace.tick()
        assert all_equal(org, workspace)


def test_what_another_run_reads_between_plan_and_reading_is_not_lost(
    workspace: Workspace, org: Emulator
) -> None:
    """A row that the plan knew is news again, where raw has another version of it by now."""
    workspace.catalogue({"Account": None})
    workspace.tick()
    org.advance(60)
    stamp = org.clock.stamp()
    account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]

    def rename(name: str) -> None:
        with org.org.records.transaction(stamp=stamp) as change:
            change.update("Account", [{"Id": account, "Name": name}])
        org.advance(1)

    rename("one")
    workspace.tick()
    org.org.records.insert("Account", {"Name": "so that there is something to read"})
    org.advance(1)
    here = workspace.org()
    plan = plan_tick(here, here.catalog.select([]))
    rename("two")
    workspace.tick()  # another run
    rename("one")
    workspace.run(here, plan)
    assert workspace.rows(f"SELECT Name FROM silver.account WHERE Id = '{account}'") == [("one",)]
    assert differences(org, workspace, "Account") == []


def test_the_same_of_an_object_that_is_read_whole(workspace: Workspace, org: Emulator) -> None:
    workspace.catalogue({"Account": None})
    for field in ("SystemModstamp", "LastModifiedDate"):
        org.admin.hide_field("Account", field)
    workspace.tick()
    account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]
    org.org.records.set("Account", account, {"Site": "one"})
    workspace.tick()
    here = workspace.org()
    plan = plan_tick(here, here.catalog.select([]))
    org.org.records.set("Account", account, {"Site": "two"})
    workspace.tick()  # another run
    org.org.records.set("Account", account, {"Site": "one"})
    workspace.run(here, plan)
    assert workspace.rows(f"SELECT Site FROM silver.account WHERE Id = '{account}'") == [("one",)]


def test_a_row_in_place_of_another_proves_nothing(workspace: Workspace, org: Emulator) -> None:
    """Neither that no row has changed under its stamp, nor that a record is gone."""
    workspace.catalogue({"Account": None})
    workspace.tick()
    org.advance(60)
    first, second = (row[0] for row in workspace.rows("FROM silver.account LIMIT 2")[:2])
    stamp = org.clock.stamp()
    assert org.faults
    for name in ("one", "two"):
        with org.org.records.transaction(stamp=stamp) as change:
            rows = [{"Id": first, "Name": "one"}, {"Id": second, "Name": name}]
            change.update("Account", rows)
        org.advance(1)
        if name == "two":  # the comparison by content gets the first row twice
            org.faults.add(Fault(path="queryAll.*Rating", repeat_row=1))
        workspace.tick()
    assert org.faults.hits
    assert differences(org, workspace, "Account") == []


def test_many_versions_are_counted_in_portions_and_nothing_is_left_out(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.tick()
    here = workspace.org()
    raw, window = here.raw, Window(BEGIN, org.clock.stamp())
    (piece,) = raw.slices("contact")
    asked = (raw, raw.refs()["contact"], window, "SystemModstamp", piece.columns)
    few = stored_versions(*asked)
    monkeypatch.setattr(dedupe, "MANY", 7)
    many = stored_versions(*asked)
    assert (many.records, many.newest) == (few.records, few.newest)
    assert (len(few.digests), len(many.digests)) == (few.records, 0)
    org.advance(60)
    contact = workspace.rows("SELECT min(Id) FROM silver.contact_live")[0][0]
    org.org.records.update("Contact", contact, {"Department": "changed"})
    org.advance(60)
    workspace.tick()
    assert all_equal(org, workspace)


def test_an_object_whose_probe_is_always_too_large_is_read_in_short_windows(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.catalogue({"Account": None})
    workspace.tick()
    assert org.faults
    late = Fault(status=400, code="QUERY_TIMEOUT", message="too long", times=0)
    org.faults.add(replace(late, path="/queryAll", request_body="^$"))
    for minute in range(7):
        org.advance(300)
        (account,) = workspace.tick().values()
        (piece,) = account.slices
        assert account.error is None
        longest = timedelta(minutes=5) + workspace.org().settings.overlap
        hourly = piece.end.replace(minute=0, second=0) > piece.end - timedelta(minutes=5)
        assert piece.end - piece.start <= (timedelta(minutes=65) if hourly else longest), minute
        assert piece.calls <= 8
    assert differences(org, workspace, "Account") == []


def test_a_recent_backfill_and_a_refresh_end_with_every_row(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.catalogue(dict.fromkeys(OBJECTS), start="2026-10-01")
    with org.org.records.transaction(stamp=datetime(2001, 3, 14, tzinfo=UTC)) as old:
        old.insert("Account", [{"Name": "from 2001"}], system=True)
    here = workspace.org()
    window = Window(utc_day(date(2026, 11, 10)), utc_day(date(2026, 11, 21)))
    workspace.run(here, plan_backfill(here, here.catalog.select([]), window))
    before = workspace.rows("SELECT count(*) FROM silver.account")[0][0]
    workspace.tick()
    assert all_equal(org, workspace)
    oldest, count = workspace.rows("SELECT min(_cursor), count(*) FROM silver.account")[0]
    assert oldest.year == 2001
    assert count > before


def test_a_rebuild_from_raw_alone_gives_the_same_tables(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.tick()
    for step in range(3):
        org.advance(60)
        account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]
        org.org.records.update("Account", account, {"Name": f"step {step}"})
        workspace.tick()
    tables = [f"silver.{name.lower()}" for name in OBJECTS]
    before = {
        t: (workspace.columns(t), sorted(workspace.rows(f"FROM {t}"), key=str)) for t in tables
    }
    workspace.lose_warehouse()
    offline = workspace.org()
    for name in OBJECTS:
        rebuild(offline, offline.stored_raw, name.lower())
    after = {
        t: (workspace.columns(t), sorted(workspace.rows(f"FROM {t}"), key=str)) for t in tables
    }
    assert after == before
    assert "client" not in offline.__dict__, "the org was asked"


def test_a_slice_stays_as_it_is_when_the_run_ended_right_after_its_commit(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.catalogue({"Account": None})
    with monkeypatch.context() as ended:
        ended.setattr(extract, "REST_ROWS", -1)
        ended.setattr(Extractor, "_discard", lambda *_, **__: None)
        workspace.tick()
    raw = workspace.org().stored_raw
    (draft,), (ref,) = raw.drafts("account"), raw.refs()["account"]
    assert draft.ref == ref
    files = {entry.path: entry.modified for entry in raw.store.list(f"{raw.org_id}/raw")}
    org.records.insert("Account", {"Name": "later"})
    org.advance(60)
    (done,) = workspace.tick().values()
    assert done.error is None
    assert raw.drafts("account") == []
    after = {entry.path: entry.modified for entry in raw.store.list(f"{raw.org_id}/raw")}
    assert files.items() <= after.items()
    assert (
        workspace.org()
        .client.session.get(f"{org.url}/services/data/v66.0/jobs/query")
        .json()["records"]
        == []
    )


def test_an_outage_of_one_object_is_caught_up_alone(workspace: Workspace, org: Emulator) -> None:
    workspace.tick()
    for _ in range(3):
        org.advance(86_400)
        org.org.records.insert("Account", {"Name": "busy"})
        org.org.records.insert("Contact", {"LastName": "quiet"})
        here = workspace.org()
        workspace.run(
            here, plan_tick(here, here.catalog.select(["Contact", "Opportunity", "Case"]))
        )
    org.advance(60)
    window = workspace.tick()["account"].slices[0].window
    assert timedelta(days=3) < window.end - window.start < timedelta(days=3, hours=2)
    assert all_equal(org, workspace)
