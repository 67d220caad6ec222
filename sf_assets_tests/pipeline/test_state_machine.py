"""Anything in any order: whatever users, transactions, ticks, outages and repairs do, silver holds.

Hypothesis chooses what happens. What it finds it tells as a program of a few lines, and as the
`@reproduce_failure` that runs it again. To look longer than the suite does:

    STATE_MACHINE_EXAMPLES=200 python -m pytest sf_assets_tests/pipeline/test_state_machine.py
"""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.records import Held
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.extraction.repair import Repair
from sf_assets.pipeline.load import behind, rebuild
from sf_assets.pipeline.planning.plan import plan_backfill, plan_tick
from sf_assets.pipeline.reconciliation.reconcile import reconcile
from sf_assets.storage.compaction import compact_slices
from sf_assets.windows import BEGIN, Coverage, Window, utc_day
from sf_assets_tests.conftest import FAST, Workspace
from sf_assets_tests.equality import differences, versions_in_silver, versions_of_org

OBJECT = "Custom_Object_001__c"
SLUG = OBJECT.lower()
OVERLAP = 600
SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86_400

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "4"))

which = st.integers(0, 5)
names = st.sampled_from("abc")


class Machine(RuleBasedStateMachine):
    """An org whose clock is ours, and a workspace on it.

    Attributes:
        seen: Every version of every record that was ever visible in the org.
        changed: The org's time of the last change, or of the last late commit.
        purged: Whether records were removed for good since silver was last equal.
        emptied: Records that were removed from the recycle bin. Silver may go on holding them for
            deleted: `getDeleted` does not tell when the bin is emptied.
    """

    @initialize(lag=st.sampled_from([0, 300]))
    def begin(self, lag: int) -> None:
        self.lag = lag
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock(datetime(2026, 11, 20, 23, 30, tzinfo=UTC), frozen=True)
        self.org = Emulator(schema=standard_schema(1), settings=FAST, clock=self.clock)
        self.org.start()
        self.workspace = Workspace(Path(self.folder.name), self.org.environment)
        self.workspace.env["SF_ASSETS_LAG_SECONDS"] = str(lag)
        self.workspace.catalogue({OBJECT: None})
        self.held: list[tuple[Held, str | None]] = []
        self.seen: set[tuple[object, ...]] = set()
        self.changed = self.now
        self.purged = False
        self.emptied: set[str] = set()
        self.watermark = BEGIN
        self.insert("a")

    def teardown(self) -> None:
        if "folder" in self.__dict__:
            self.org.stop()
            self.folder.cleanup()

    # What happens in the org.

    @rule(name=names)
    def insert(self, name: str) -> None:
        self.org.records.insert(OBJECT, {"Name": name})
        self._changed()

    @rule(which=which, name=names)
    def update(self, which: int, name: str) -> None:
        for record in self._pick(which):
            self.org.records.update(OBJECT, record, {"Name": name})
            self._changed()

    @rule(which=which, name=names)
    def update_twice_within_a_second(self, which: int, name: str) -> None:
        for record in self._pick(which):
            for value in (name, f"{name}, too"):
                self.org.records.update(OBJECT, record, {"Name": value})
                self._changed()

    @rule(which=which)
    def delete(self, which: int) -> None:
        for record in self._pick(which):
            self.org.records.delete(OBJECT, record)
            self._changed()

    @rule(which=which)
    def undelete(self, which: int) -> None:
        for record in self._pick(which, deleted=True):
            self.org.records.undelete(OBJECT, record)
            self._changed()

    @rule(which=which, deleted=st.booleans())
    def purge(self, which: int, deleted: bool) -> None:
        for record in self._pick(which, deleted=deleted):
            self.org.records.purge(OBJECT, record)
            self._changed()
            self.purged = True
            self.emptied |= {record} if deleted else set()

    @rule(name=names, share=st.sampled_from([0.02, 0.5, 0.95]))
    def insert_late(self, name: str, share: float) -> None:
        held = self._hold(share)
        held.insert(OBJECT, {"Name": name})
        self.held.append((held, None))

    @rule(which=which, name=names, share=st.sampled_from([0.02, 0.5, 0.95]))
    def update_late(self, which: int, name: str, share: float) -> None:
        for record in self._pick(which):
            held = self._hold(share)
            held.update(OBJECT, record, {"Name": name})
            self.held.append((held, record))

    @rule(
        which=which, name=names, ago=st.sampled_from([0.02, 0.4]), share=st.sampled_from([0, 0.5])
    )
    def update_under_an_older_stamp(self, which: int, name: str, ago: float, share: float) -> None:
        """As by a server whose clock is behind; the record's own stamp may be newer."""
        for record in self._pick(which):
            held = self._hold(share, ago)
            held.update(OBJECT, record, {"Name": name})
            self.held.append((held, record))

    @rule(which=which, share=st.sampled_from([0.02, 0.5, 0.95]))
    def delete_late(self, which: int, share: float) -> None:
        for record in self._pick(which):
            held = self._hold(share)
            held.delete(OBJECT, record)
            self.held.append((held, record))

    @rule(count=st.integers(1, 30), unit=st.sampled_from([SECOND, MINUTE, HOUR, DAY]))
    def time_passes(self, count: int, unit: int) -> None:
        self._advance(count * unit)

    # What the pipeline does.

    @rule()
    def tick(self) -> None:
        for done in self.workspace.tick().values():
            assert done.error is None
        self.workspace.load(SLUG)  # also what was read into raw alone
        self._hold_true()
        settled = self.now - self.changed > timedelta(seconds=self.lag + OVERLAP)
        if settled and not self.purged:
            self._equal()

    @rule()
    def tick_of_raw_alone(self) -> None:
        org = self.workspace.org()
        for done in execute(org, plan_tick(org, org.catalog.select([]))):
            assert done.error is None
        self._hold_true()

    @rule()
    def lose_the_describe(self) -> None:
        for path in Path(self.folder.name).glob(f"raw/*/describes/{SLUG}.json"):
            path.unlink()

    @rule()
    def tick_after_a_quiet_hour(self) -> None:
        self._advance(HOUR + self.lag + OVERLAP + 2 * MINUTE)
        self.purged = False
        self.tick()

    @rule(ago=st.integers(0, 40), days=st.integers(1, 40))
    def backfill(self, ago: int, days: int) -> None:
        org = self.workspace.org()
        first = self.now.date() - timedelta(days=ago)
        window = Window(utc_day(first), utc_day(first + timedelta(days=days)))
        plan = plan_backfill(org, org.catalog.select([]), window)
        for done in self.workspace.run(org, plan).values():
            assert done.error is None
        self._hold_true()

    @precondition(lambda self: self.watermark > BEGIN)
    @rule()
    def compact(self) -> None:
        compact_slices(self.workspace.org().raw, SLUG, self.now)
        self._hold_true()

    @precondition(lambda self: self.watermark > BEGIN)
    @rule()
    def repair(self) -> None:
        org = self.workspace.org()
        self.workspace.load(SLUG, org)  # there has to be a table
        for found in reconcile(org, org.catalog.select([]), Repair(org, accept=True)):
            assert found.error is None
        self.workspace.load(SLUG, org)
        self._hold_true()

    @precondition(lambda self: self.watermark > BEGIN)
    @rule()
    def rebuild(self) -> None:
        org = self.workspace.org()
        self.workspace.load(SLUG)
        before = sorted(self.workspace.rows(f"FROM silver.{SLUG}"), key=str)
        rebuild(org, org.raw, SLUG)
        assert sorted(self.workspace.rows(f"FROM silver.{SLUG}"), key=str) == before
        self._hold_true()

    # What must hold.

    def _hold_true(self) -> None:
        """What is true at any time."""
        raw = self.workspace.org().stored_raw
        for piece in raw.slices(SLUG):
            assert piece.counts.agree, piece
        watermark = raw.coverage().get(SLUG, Coverage()).watermark
        assert watermark >= self.watermark
        self.watermark = watermark
        path = self.workspace.folder / "warehouse.duckdb"
        made = f"FROM duckdb_tables() WHERE table_name = '{SLUG}'"
        if path.exists() and self.workspace.rows(made):
            invented = versions_in_silver(self.org, self.workspace, OBJECT) - self.seen
            assert invented == set()

    def _equal(self) -> None:
        """What is true after a tick that comes later than lag and overlap after every change."""
        found = differences(self.org, self.workspace, OBJECT, may_be_empty=True)
        assert set(found) <= {f"{record} is only in silver" for record in self.emptied}
        assert self.workspace.rows(
            f"SELECT Id FROM silver.{SLUG} WHERE NOT _deleted AND NOT IsDeleted ORDER BY 1"
        ) == [tuple(row.values()) for row in self._rows(deleted=False)]
        org = self.workspace.org()
        end = self.now - timedelta(seconds=self.lag)
        assert org.raw.coverage()[SLUG].gaps(end) == []
        assert behind(org, org.raw) == set()

    # How things are done.

    @property
    def now(self) -> datetime:
        return self.clock.stamp()

    def _pick(self, which: int, *, deleted: bool = False) -> list[str]:
        """A record that no open transaction has locked; an empty list if there is none."""
        rows = self._rows(deleted=deleted)
        locked = {record for held, record in self.held if held.is_open}
        found = [row["Id"] for row in rows if row["Id"] not in locked]
        return [found[which % len(found)]] if found else []

    def _rows(self, *, deleted: bool) -> list[dict[str, Any]]:
        """Ids in order, of records that are in the recycle bin or that are not."""
        return self.org.records.select(
            f'SELECT "Id" FROM "{OBJECT}" WHERE "IsDeleted" = $deleted ORDER BY 1',
            {"deleted": deleted},
        )

    def _hold(self, share: float, ago: float = 0.0) -> Held:
        """A transaction stamped now, or before, committed within lag and overlap of that."""
        reach = self.lag + OVERLAP
        stamp = self.clock.stamp() - timedelta(seconds=int(ago * reach))
        return self.org.records.hold(seconds=share * reach, stamp=stamp)

    def _advance(self, seconds: float) -> None:
        """Let time pass; every late commit takes place when it is due."""
        end = self.clock.now() + timedelta(seconds=seconds)
        open_ones = [held for held, _ in self.held if held.is_open]
        for due in sorted(held.due for held in open_ones if held.due):
            if due <= end:
                self.org.advance((due - self.clock.now()).total_seconds())
                self._changed()
        self.org.advance((end - self.clock.now()).total_seconds())

    def _changed(self) -> None:
        self.changed = self.now
        self.seen |= versions_of_org(self.org, OBJECT)


@pytest.mark.slow
def test_whatever_happens_in_any_order_silver_is_right() -> None:
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    few = patch("sf_assets.pipeline.planning.probe.ROWS_A_PAGE", 2)  # so that windows are busy
    with patch("sf_assets.storage.compaction.MANY", 3), few:
        run_state_machine_as_test(Machine, settings=chosen)
