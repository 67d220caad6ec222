"""History end to end: what the org said at each moment, tick by tick and from raw alone."""

import itertools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.extraction.formula_drift import plan_derived
from sf_assets.pipeline.load import behind, rebuild
from sf_assets_tests.conftest import Workspace

HISTORY = (
    "SELECT Id, Name, Formula_Parent__c, IsDeleted, valid_from, valid_to "
    "FROM silver.showcase__c_history ORDER BY Id, valid_from"
)


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Showcase__c": {"history": True}, "Account": None})
    workspace.tick()
    org.advance(60)
    return workspace


def live(org: Emulator, workspace: Workspace) -> tuple[datetime, list[tuple[Any, ...]]]:
    """The org's present, and what silver says in it."""
    workspace.tick()
    query = "SELECT Id, Name, Formula_Parent__c FROM silver.showcase__c_live ORDER BY Id"
    return org.clock.now(), workspace.rows(query)


def go_on(org: Emulator, workspace: Workspace) -> list[tuple[datetime, list[tuple[Any, ...]]]]:
    """Change, delete and derive; what silver said between the steps."""
    records = org.org.records
    moments = [live(org, workspace)]
    one, two = (
        row[0]
        for row in workspace.rows(
            "SELECT Id FROM silver.showcase__c_live WHERE Account__c IS NOT NULL "
            "ORDER BY Id LIMIT 2"
        )
    )
    ((parent,),) = workspace.rows(f"SELECT Account__c FROM silver.showcase__c WHERE Id = '{one}'")
    steps: list[Callable[[], object]] = [
        lambda: records.update("Showcase__c", one, {"Name": "first change"}),
        lambda: records.update("Account", parent, {"Name": "renamed parent"}),
        lambda: records.delete("Showcase__c", two),
        lambda: records.undelete("Showcase__c", two),
        lambda: records.update("Showcase__c", one, {"Name": "second change"}),
    ]
    for step in steps:
        org.advance(60)
        step()
        org.advance(60)
        workspace.tick()
        connected = workspace.org()
        with plan_derived(connected, connected.catalog.select([]), everything=True) as plan:
            workspace.run(connected, plan)
        org.advance(60)
        moments.append(live(org, workspace))
    return moments


def test_each_moment_can_be_asked_for_and_raw_alone_gives_the_same(
    workspace: Workspace, org: Emulator
) -> None:
    moments = go_on(org, workspace)
    shown = [rows for _, rows in moments]
    assert all(a != b for a, b in itertools.pairwise(shown)), "each step shows"
    for moment, rows in moments:
        at = f"TIMESTAMPTZ '{moment.isoformat()}'"
        found = workspace.rows(
            "SELECT Id, Name, Formula_Parent__c FROM silver.showcase__c_history "
            f"WHERE NOT IsDeleted AND valid_from <= {at} "
            f"AND (valid_to > {at} OR valid_to IS NULL) ORDER BY Id"
        )
        assert found == rows
    before = workspace.rows(HISTORY)
    workspace.lose_warehouse()
    offline = workspace.org()
    rebuild(offline, offline.stored_raw, "showcase__c")
    assert workspace.rows(HISTORY) == before


def test_turned_on_later_it_is_built_from_raw_with_the_next_tick(
    workspace: Workspace, org: Emulator
) -> None:
    go_on(org, workspace)
    before = workspace.rows(HISTORY)
    workspace.catalogue({"Showcase__c": None, "Account": None})
    org.advance(60)
    record = before[0][0]
    org.org.records.update("Showcase__c", record, {"Name": "while it was off"})
    org.advance(60)
    workspace.tick()
    assert workspace.rows(HISTORY) == before, "nothing is dropped, and it has stopped"
    workspace.catalogue({"Showcase__c": {"history": True}, "Account": None})
    connected = workspace.org()
    assert behind(connected, connected.stored_raw) == {"showcase__c"}
    workspace.load("showcase__c")
    assert ("while it was off", None) in {(row[1], row[5]) for row in workspace.rows(HISTORY)}
    assert len(workspace.rows(HISTORY)) == len(before) + 1
    assert behind(connected, connected.stored_raw) == set()
