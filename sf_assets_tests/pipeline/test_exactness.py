"""Silver is exact: of what is settled it holds what the org holds, or a command has said that not.

Hypothesis makes up programs: commits that are late in windows of any size, purges between any two
steps of a run, clocks that tell absurd times, describes and objects that vanish. To look longer:

    EXACTNESS_EXAMPLES=200 python -m pytest -o timeout=0 sf_assets_tests/pipeline/test_exactness.py
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.records import Held
from sf_assets.emulator.server import Emulator
from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets.windows import Coverage
from sf_assets_tests.conftest import FAST, Workspace
from sf_assets_tests.equality import differences

OBJECT = "Custom_Object_001__c"
SLUG = OBJECT.lower()
LAG, OVERLAP = 300, 600
PAGE = 3
"""Rows that one call compares: a window with more of them is busy."""

SKEWS = {"a day ahead": 86_400.0, "ten minutes ahead": 600.0, "an hour behind": -3600.0}
NO_TIME = "Fri, 31 Dec 9999 23:59:59 GMT"
EXAMPLES = int(os.environ.get("EXACTNESS_EXAMPLES", "4"))

names = st.sampled_from("abc")
which = st.integers(0, 5)
share = st.sampled_from([0.02, 0.5, 0.97])
steps = st.one_of(
    st.tuples(st.just("insert"), st.integers(1, 2 * PAGE), names),
    st.tuples(st.just("update"), which, st.integers(1, 2 * PAGE), names),
    st.tuples(st.just("update_late"), which, st.integers(1, PAGE), names, share),
    st.tuples(st.just("insert_late"), names, share),
    st.tuples(st.just("purge"), which),
    st.tuples(st.just("pass_time"), st.sampled_from([1, 60, 300, 450, 900, 3660])),
    st.tuples(st.just("tick")),
    st.tuples(st.just("tick")),
    st.tuples(st.just("tick_without_merge")),
    st.tuples(st.just("skew"), st.sampled_from(sorted(SKEWS)), st.sampled_from([1, 2, 0])),
    st.tuples(st.just("tell_no_time"), st.sampled_from([1, 0])),
    st.tuples(st.just("lose_describes")),
    st.tuples(st.just("hide"), st.booleans()),
)


class World:
    """An org whose clock is ours, and a workspace on it."""

    def __init__(self, folder: Path, org: Emulator, clock: Clock) -> None:
        self.org, self.clock = org, clock
        self.workspace = Workspace(folder, org.environment)
        self.workspace.env["SF_ASSETS_LAG_SECONDS"] = str(LAG)
        self.workspace.catalogue({OBJECT: None})
        self.held: list[tuple[Held, list[str]]] = []
        self.is_ahead = False  # in some answers of the next tick
        self.insert(2 * PAGE, "a")

    # What happens in the org.

    def insert(self, count: int, name: str) -> None:
        with self.org.org.records.transaction() as creation:
            creation.insert(OBJECT, [{"Name": name}] * count, system=True)

    def update(self, first: int, count: int, name: str) -> None:
        with self.org.org.records.transaction(stamp=self.clock.stamp()) as update:
            update.update(OBJECT, [{"Id": key, "Name": name} for key in self._pick(first, count)])

    def update_late(self, first: int, count: int, name: str, share: float) -> None:
        keys = self._pick(first, count)
        held = self.org.records.hold(share * (LAG + OVERLAP), self.clock.stamp())
        for key in keys:
            held.update(OBJECT, key, {"Name": name})
        self.held.append((held, keys))

    def insert_late(self, name: str, share: float) -> None:
        held = self.org.records.hold(share * (LAG + OVERLAP), self.clock.stamp())
        held.insert(OBJECT, {"Name": name})

    def purge(self, which: int) -> None:
        for key in self._pick(which, 1):
            self.org.records.purge(OBJECT, key)

    def pass_time(self, seconds: int) -> None:
        self.org.advance(seconds)

    # What goes wrong.

    def skew(self, name: str, times: int) -> None:
        """Have the next answers tell another time; one that is ahead, two of a tick at the most.

        Of an org all of whose answers are ahead alike docs/guarantees.md promises less.
        """
        if SKEWS[name] > 0:
            if self.is_ahead:
                return
            self.is_ahead, times = True, times or 2
        self._fault(Fault(times=times, date_skew=SKEWS[name]))

    def tell_no_time(self, times: int) -> None:
        self._fault(Fault(times=times, headers={"Date": NO_TIME}))

    def lose_describes(self) -> None:
        for path in (self.workspace.folder / "raw").glob(f"*/describes/{SLUG}.json"):
            path.unlink()

    def hide(self, hidden: bool) -> None:
        (self.org.admin.hide_object if hidden else self.org.admin.show_object)(OBJECT)

    # What is done.

    def tick(self) -> None:
        """A tick, after which silver is exact, or which has said that it is not."""
        self.is_ahead = False
        try:
            done = self.workspace.tick()
            if not self.workspace.org().raw.refs(SLUG):
                return
            self.workspace.load(SLUG)
        except SfAssetsError:
            return
        if any(extracted.error for extracted in done.values()):
            return
        self._exact()

    def tick_without_merge(self) -> None:
        self.is_ahead = False
        try:
            org = self.workspace.org()
            list(execute(org, plan_tick(org, org.catalog.select([]))))
        except SfAssetsError:
            return

    def end(self) -> None:
        """When all is over, a few ticks make all of it equal."""
        assert self.org.faults
        self.org.faults.clear()
        self.hide(hidden=False)
        for seconds in (300, 86_400, 3660, 300, 300):  # first while what is ahead is still so
            self.org.advance(seconds)
            try:
                done = self.workspace.tick()
                self.workspace.load(SLUG)
            except SfAssetsError:
                continue
        assert not any(extracted.error for extracted in done.values())
        assert differences(self.org, self.workspace, OBJECT, may_be_empty=True) == []
        horizon = self.clock.now() - timedelta(seconds=LAG + OVERLAP + 600)
        assert self._settled() > horizon

    # What must hold.

    def _exact(self) -> None:
        settled = self._settled()
        ours = {
            key: (name, stamp.astimezone(UTC))
            for key, name, stamp in self.workspace.rows(
                f"SELECT Id, Name, SystemModstamp FROM silver.{SLUG}_live"
            )
        }
        for row in self._rows():
            stamp = row["SystemModstamp"].replace(tzinfo=UTC)
            if stamp < settled:
                assert ours.get(row["Id"]) == (row["Name"], stamp), (row, settled)

    def _settled(self) -> datetime:
        raw = self.workspace.org().stored_raw
        return raw.inventory(self.clock.now()).settled.get(SLUG, Coverage()).watermark

    def _rows(self) -> list[dict[str, Any]]:
        query = f'SELECT "Id", "Name", "SystemModstamp" FROM "{OBJECT}" WHERE NOT "IsDeleted"'
        return self.org.records.select(f"{query} ORDER BY 1", {})

    def _pick(self, first: int, count: int) -> list[str]:
        """Some records that no open transaction has touched."""
        locked = {key for held, keys in self.held if held.is_open for key in keys}
        found = [row["Id"] for row in self._rows() if row["Id"] not in locked]
        return found[first : first + count]

    def _fault(self, fault: Fault) -> None:
        assert self.org.faults
        self.org.faults.add(fault)


@contextmanager
def world() -> Iterator[World]:
    # Where no answer tells the time, this machine's clock does; it is not a week ahead.
    clock = Clock(datetime.now(UTC).replace(microsecond=0), frozen=True)
    chosen = replace(FAST, faults=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Emulator(schema=standard_schema(1), settings=chosen, clock=clock) as org,
        patch("sf_assets.pipeline.planning.probe.ROWS_A_PAGE", PAGE),
    ):
        yield World(Path(folder), org, clock)


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(steps, min_size=8, max_size=30))
def test_what_is_settled_is_as_the_org_has_it(program: list[tuple[Any, ...]]) -> None:
    with world() as here:
        here.tick()
        for name, *details in program:
            getattr(here, name)(*details)
        here.end()
