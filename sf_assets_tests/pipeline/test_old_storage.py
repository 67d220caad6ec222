"""A storage and a warehouse that an earlier release made are read on, with nothing made anew.

The archive in sf_assets_tests/data was made by the release before `ops.gold_builds` told by what a
table was built: two refreshes of the org below, with a change and a deletion between.
"""

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sf_assets.cli.report import Report, carry_out
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.refresh import refresh
from sf_assets_tests.conftest import FAST, Workspace
from sf_assets_tests.equality import differences

pytestmark = pytest.mark.duckdb

ARCHIVE = Path(__file__).parents[1] / "data" / "before_gold_builds.tar.xz"
OBJECTS = ("Account", "Contact", "Lead")


@pytest.fixture
def org() -> Iterator[Emulator]:
    """The org that the archive was read from, as it was left."""
    clock = Clock(datetime(2026, 11, 20, 9, tzinfo=UTC), frozen=True)
    with Emulator(scale=0.01, seed=23, settings=FAST, clock=clock) as org:
        org.advance(60)
        yield org


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "lake").rename(tmp_path / "raw")
    workspace = Workspace(tmp_path, org.environment)
    contacts = workspace.rows("SELECT Id FROM silver.contact_live ORDER BY Id LIMIT 1")
    org.records.update("Contact", contacts[0][0], {"LastName": "Changed"})
    (gone,) = workspace.rows("SELECT Id FROM silver.lead WHERE IsDeleted")
    org.records.delete("Lead", gone[0])
    org.advance(3600)
    return workspace


def refreshed(workspace: Workspace) -> Report:
    return carry_out([workspace.org()], refresh)


def test_it_is_migrated_and_read_on_without_a_rebuild(org: Emulator, workspace: Workspace) -> None:
    noted = "SELECT COLUMNS(lambda c: c <> 'place') FROM ops.merges ORDER BY ALL"  # which is new
    merges = workspace.rows(noted)
    history = workspace.rows("SELECT count(*) FROM silver.contact_history")

    report = refreshed(workspace)

    assert report.errors == {}
    assert workspace.rows(noted) == merges
    assert [table for schema, table in report.materialized if schema == "gold"] == ["accounts"], (
        "it was not noted by which query it was built"
    )
    assert refreshed(workspace).materialized == {}, "there is nothing to do any more"

    (account,) = workspace.rows("SELECT min(Id) FROM silver.account_live")
    (contact,) = workspace.rows("SELECT max(Id) FROM silver.contact_live")
    org.records.update("Account", account[0], {"Name": "new"})
    org.records.update("Contact", contact[0], {"LastName": "new"})
    org.advance(60)
    assert refreshed(workspace).errors == {}
    assert len(workspace.rows("FROM ops.merges")) == len(merges) + 2
    assert workspace.rows("SELECT count(*) FROM silver.contact_history") == [(history[0][0] + 1,)]
    for name in OBJECTS:
        assert differences(org, workspace, name) == []
