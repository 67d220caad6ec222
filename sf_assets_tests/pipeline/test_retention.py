"""What raw keeps no longer: old versions, and nothing that the last days are made of."""

import itertools
from contextlib import suppress
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.extraction.formula_drift import plan_derived
from sf_assets.pipeline.load import behind, rebuild
from sf_assets.pipeline.lost_files import lost_files
from sf_assets.pipeline.retention import expire
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.storage.store import Store
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

TABLE = "SELECT * FROM silver.showcase__c ORDER BY Id"
HISTORY = "SELECT * FROM silver.showcase__c_history WHERE valid_to IS NULL OR valid_to > '{}'"


class Interrupted(BaseException):
    """The process ends here."""


class Fragile(Store):
    """A storage whose process dies after so many changes."""

    def __init__(self, url: str, changes: int) -> None:
        super().__init__(url)
        self.left = changes

    def _change(self, path: str) -> None:
        self.left -= "/locks/" not in path
        if self.left < 0:
            raise Interrupted

    def put(self, path: str, data: Any) -> None:
        self._change(path)
        super().put(path, data)

    def delete(self, paths: Any) -> None:
        for path in paths:
            self._change(path)
            super().delete([path])


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Showcase__c": {"history": True}})
    return workspace


def versions(raw: RawLayer) -> list[tuple[Any, ...]]:
    return [
        row
        for piece in raw.slices("showcase__c")
        if not piece.kind.patches
        for frame in scan(raw.store, piece)
        for row in frame.select("Id", "_read_at", "Name").rows()
    ]


def rows(workspace: Workspace, query: str) -> list[str]:
    return sorted(map(repr, workspace.rows(query)))


@pytest.mark.slow
def test_raw_keeps_the_present_and_every_state_of_the_last_days(
    workspace: Workspace, org: Emulator
) -> None:
    records = org.org.records
    workspace.tick()
    one, two, three = (
        row[0]
        for row in workspace.rows("SELECT Id FROM silver.showcase__c_live ORDER BY Id LIMIT 3")
    )
    org.admin.add_field("Showcase__c", "Old__c", {"type": "string", "length": 40}, "zq7 kept")
    for hour in range(0, 72, 12):
        org.advance(12 * 3600)
        records.update("Showcase__c", one, {"Name": f"zq7 at {hour}"})
        if hour == 24:
            records.delete("Showcase__c", two)
            records.purge("Showcase__c", three)
            here = workspace.org()
            with plan_derived(here, here.catalog.select([]), everything=True) as plan:
                workspace.run(here, plan)
        if hour == 36:
            org.admin.delete_field("Showcase__c", "Old__c")
        org.advance(60)
        workspace.tick()
    raw, now = workspace.org().stored_raw, org.clock.stamp().replace(tzinfo=UTC)
    until = now - timedelta(days=1)
    table, history = rows(workspace, TABLE), rows(workspace, HISTORY.format(until))
    before = versions(raw)
    (spec,) = workspace.org().catalog.select([])
    assert expire(raw, spec, now) is None
    assert versions(raw) == before, "nothing says that it is to be removed"

    spec = spec.model_copy(update={"retention_days": 1})
    for changes in itertools.count():
        fragile = RawLayer(Fragile(raw.store.url, changes), raw.org_id)
        with suppress(Interrupted):
            assert expire(fragile, spec, now) is None
            break
        if changes % 3 == 1:
            rebuild(workspace.org(), raw, "showcase__c")
            assert rows(workspace, TABLE) == table
    assert changes > 1, "it was interrupted"
    kept = versions(raw)
    old = [name for key, read, name in kept if key == one and read < until]
    assert len(old) < len([1 for key, read, _ in before if key == one and read < until])
    assert [v for v in before if v[1] >= until] == [v for v in kept if v[1] >= until]
    assert {v[0] for v in before} == {v[0] for v in kept}
    assert expire(raw, spec, now + timedelta(hours=1)) is None
    assert versions(raw) == kept

    rebuild(workspace.org(), raw, "showcase__c")
    assert rows(workspace, TABLE) == table
    assert [r for r in rows(workspace, HISTORY.format(until)) if "zq7 at" in r] == [
        r for r in history if "zq7 at" in r
    ]
    assert differences(org, workspace, "Showcase__c") == []
    assert behind(workspace.org(), raw) == set()
    with workspace.org().reading(raw.org_id) as session:
        assert lost_files(raw, session.slices) == {}
    assert workspace.tick() == {}


def test_silver_takes_note_of_what_raw_keeps_no_longer(workspace: Workspace, org: Emulator) -> None:
    workspace.catalogue({"Showcase__c": None}, retention_days=1)
    workspace.tick()
    ((key,),) = workspace.rows("SELECT min(Id) FROM silver.showcase__c_live")
    for name in ("first", "second", "third"):
        org.advance(2 * 86_400)
        org.org.records.update("Showcase__c", key, {"Name": name})
        org.advance(60)
        workspace.tick()
    raw = workspace.org().stored_raw
    names = [name for record, _, name in versions(raw) if record == key]
    assert sorted(names) == ["second", "third"], "what was valid a day ago, and what is now"
    assert behind(workspace.org(), raw) <= {"showcase__c"}
    workspace.load("showcase__c")
    assert behind(workspace.org(), raw) == set()
    removed = workspace.rows("SELECT sum(rows_removed) FROM ops.sync_log")
    assert removed == [(2,)]
    assert differences(org, workspace, "Showcase__c") == []
