"""Day after day: a busy object's files stay few, and so does what each tick has to list."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.year import PASSES, first_record, leave_slice
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.server import Emulator
from sf_assets.storage.compaction import MANY, compact_slices
from sf_assets.windows import Window
from sf_assets_tests.conftest import FAST, Workspace

TICKS = 150


@pytest.mark.slow
def test_files_and_listings_stay_bounded_over_many_ticks(tmp_path: Path) -> None:
    clock = Clock(datetime(2026, 1, 1, tzinfo=UTC), frozen=True)
    with Emulator(scale=0.01, seed=11, settings=FAST, clock=clock) as org:
        org.advance(600)
        workspace = Workspace(tmp_path, org.environment)
        workspace.catalogue({"Account": None})
        workspace.tick()
        raw = workspace.org().stored_raw
    (like,) = raw.slices("account")
    record, end, most = first_record(raw, like), like.end, 0
    for _ in range(TICKS):
        window = Window(end, end + PASSES)
        leave_slice(raw, like, record, window, 1)
        compact_slices(raw, "account", window.end)
        raw.coverage_log.tidy(window.end)
        end = window.end
        most = max(most, len(raw.inventory().refs["account"]))
    assert most <= 4 * MANY
    assert len(list(raw.store.list(raw.raw_folder("account")))) <= 5 * MANY
    assert raw.coverage()["account"].gaps(end) == []
    rows = sum(piece.counts.written for piece in raw.slices("account"))
    assert rows == like.counts.written + TICKS
