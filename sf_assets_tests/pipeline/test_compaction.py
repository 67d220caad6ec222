"""Many ticks later: few files, every version still there, and nothing merged twice."""

import itertools
from contextlib import suppress
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.extraction.repair import Repair
from sf_assets.pipeline.load import behind, rebuild
from sf_assets.pipeline.lost_files import lost_files
from sf_assets.pipeline.planning.plan import plan_backfill
from sf_assets.pipeline.reconciliation.reconcile import reconcile
from sf_assets.storage import compaction
from sf_assets.storage.compaction import compact_slices, remove_replaced
from sf_assets.storage.manifest import SliceKind
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.storage.store import Store
from sf_assets.windows import Window
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

FEW = 6
"""So many slices are many here, and ticks come every quarter of an hour: hours are few ticks."""


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sf_assets.storage.compaction.MANY", FEW)


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Account": None})
    return workspace


def busy(workspace: Workspace, org: Emulator, ticks: int) -> None:
    for _ in range(ticks):
        account = workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0]
        org.records.update("Account", account, {"Name": f"name at {org.clock.stamp()}"})
        org.advance(900)
        (done,) = workspace.tick().values()
        assert done.error is None


def versions(raw: RawLayer, slug: str = "account") -> list[tuple[Any, ...]]:
    """Every row that raw holds, with its origin."""
    return sorted(
        row
        for piece in raw.slices(slug)
        for frame in scan(raw.store, piece)
        for row in frame.select("Id", "Name", "SystemModstamp", "_read_at", "_slice").rows()
    )


@pytest.mark.more
def test_a_busy_day_leaves_few_files_and_every_version(workspace: Workspace, org: Emulator) -> None:
    workspace.tick()
    raw = workspace.org().stored_raw
    before: list[tuple[Any, ...]] = []
    for _ in range(2):
        busy(workspace, org, 13)
        now = versions(raw)
        assert set(before) <= set(now)
        before = now
    refs = raw.refs()["account"]
    assert len(refs) <= 20, "of 27, eight of which are recent"
    assert any(ref.kind is SliceKind.COMPACTED for ref in refs)
    assert len({name for _, name, *_ in before if name.startswith("name at ")}) == 26
    now_there = org.clock.stamp().replace(tzinfo=UTC)
    settled = workspace.org().raw.inventory(now_there).settled["account"]
    assert now_there - settled.watermark <= timedelta(minutes=20)
    assert differences(org, workspace, "Account") == []
    assert behind(workspace.org(), raw) == set()
    with workspace.org().reading(raw.org_id) as session:
        assert lost_files(raw, session.slices) == {}
    assert raw.coverage()["account"].gaps(org.clock.stamp().replace(tzinfo=UTC)) == []
    assert workspace.tick() == {}


@pytest.mark.slow
def test_a_rebuild_from_compacted_slices_gives_the_same_table(
    workspace: Workspace, org: Emulator
) -> None:
    workspace.tick()
    busy(workspace, org, 16)
    refs = workspace.org().stored_raw.refs()["account"]
    assert any(ref.kind is SliceKind.COMPACTED for ref in refs)
    before = sorted(workspace.rows("FROM silver.account"), key=str)
    offline = workspace.org()
    rebuild(offline, offline.stored_raw, "account")
    assert sorted(workspace.rows("FROM silver.account"), key=str) == before
    assert behind(offline, offline.stored_raw) <= {"account"}  # what is about to be removed


def test_times_of_reading_go_on_rising_when_what_was_read_last_is_compacted(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a row that is read, compacted and deleted for good within seconds would stay."""
    workspace.tick()
    here = workspace.org()
    raw, now, specs = here.raw, here.client.now(), here.catalog.select([])
    for _ in range(8):  # the org's clock stands still, so each is given a later time than it says
        workspace.run(here, plan_backfill(here, specs, Window(now - timedelta(days=4000), now)))
    monkeypatch.setattr(compaction, "_RECENT", timedelta(0))
    monkeypatch.setattr(compaction, "_GRACE", timedelta(0))
    read = {row[-2] for row in versions(raw)}
    assert max(read) > now
    with raw.working("account", "Account"):
        assert compact_slices(raw, "account", now)
        remove_replaced(raw, "account", now + timedelta(hours=3))
        assert {ref.kind for ref in raw.refs()["account"]} == {SliceKind.COMPACTED}
        assert raw.reading("account", now) > max(read)

    ((key,),) = workspace.rows("SELECT max(Id) FROM silver.account_live")
    org.records.purge("Account", key)
    (found,) = reconcile(here, specs, Repair(here))
    workspace.load("account")
    assert found.kinds == {"gone": 1}
    assert differences(org, workspace, "Account") == []


class Interrupted(Exception):  # noqa: N818 - it is no error of ours
    """The process ends here."""


class Fragile(Store):
    """A storage whose process dies after so many changes."""

    def __init__(self, url: str, changes: int) -> None:
        super().__init__(url)
        self.left = changes

    def _change(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Interrupted

    def put(self, path: str, data: Any) -> None:
        self._change()
        super().put(path, data)

    def delete(self, paths: Any) -> None:
        for path in paths:
            self._change()
            super().delete([path])


@pytest.mark.slow
@pytest.mark.more
def test_compaction_may_be_interrupted_anywhere(
    workspace: Workspace, org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sf_assets.pipeline.extraction.execute.compact_slices", lambda *_: [])
    workspace.tick()
    busy(workspace, org, 16)
    monkeypatch.setattr("sf_assets.pipeline.extraction.execute.compact_slices", compact_slices)
    raw = workspace.org().stored_raw
    rows, covered = versions(raw), raw.coverage()
    for work in (compact_slices, remove_replaced):
        now = org.clock.stamp().replace(tzinfo=UTC)
        for changes in itertools.count():
            fragile = RawLayer(Fragile(raw.store.url, changes), raw.org_id)
            with suppress(Interrupted):
                work(fragile, "account", now)
                break
            assert versions(raw) == rows
            assert raw.coverage() == covered
        assert changes > 3, "it was interrupted"
        assert versions(raw) == rows
        assert raw.coverage() == covered
        org.advance(7200)
    assert len(raw.refs()["account"]) < 12
    assert workspace.load("account").rows == len({row[0] for row in rows})
