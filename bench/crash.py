"""Crashes: killed at any moment and run again, every table equals the org.

`python -m bench.crash [KILLS] [SEED]`, or `make bench-crash`. An org lives on while the steps that
read it are killed with SIGKILL at random moments. After each kill some of the newest records, which
raw may hold by then and no table does, are deleted for good; the step is run again to its end, and
every field of every record is compared with the org's own store.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.adversity import Adversity
from bench.steps import KINDS, Steps
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.world.life import OFFICE, UPHEAVAL, Life
from sf_assets_tests.conftest import FAST, Workspace
from sf_assets_tests.equality import differences

OBJECTS = ("Account", "Contact", "Opportunity", "Case", "OpportunityHistory")
_CHANGES = 12
_LEAST = 0.02


@dataclass(frozen=True, slots=True)
class Crash:
    """One kill and what came after.

    Attributes:
        step: What was interrupted.
        after: Seconds until the kill.
        killed: Whether it came in time.
        differences: What differs between the org and silver after the step was run again.
    """

    step: str
    after: float
    killed: bool
    differences: list[str]


def crashes(kills: int, seed: int, folder: Path) -> Iterator[Crash]:
    """Kill steps until so many kills came in time.

    Args:
        kills: How many.
        seed: Chooses what happens in the org, and when steps are killed.
        folder: An empty folder.
    """
    dice = random.Random(seed)  # noqa: S311 (no secret)
    clock = Clock(datetime(2026, 11, 20, 15, 30, tzinfo=UTC), frozen=True)
    with (
        Emulator(scale=0.02, seed=seed, settings=FAST, clock=clock) as org,
        Steps() as steps,
    ):
        workspace = Workspace(folder, org.environment)
        workspace.catalogue(dict.fromkeys(OBJECTS))
        # Late commits have a test of their own; here all that is stamped is there.
        life = Life(org.records, seed, 1.0, weights=OFFICE | UPHEAVAL, late=0.0)
        adversity = Adversity(org, folder / "lake", dice, 0)
        lasts = dict.fromkeys(KINDS, 1.0)
        done = number = 0
        while done < kills:
            step = KINDS[number % len(KINDS)]
            number += 1
            for _ in range(_CHANGES):
                life.step()
            org.advance(dice.choice([5, 60, 4000]))
            after = dice.uniform(_LEAST, 1.1 * lasts[step])
            killed = steps.run(step, workspace.env, after).get("signal") == 9
            done += killed
            if killed:
                adversity.purge("Contact")
            else:
                lasts[step] *= 0.9
            again = steps.run(step, workspace.env)
            if again.get("code") != 0:
                yield Crash(step, after, killed, [f"{step} did not work afterwards: {again}"])
                continue
            lasts[step] = max(_LEAST, 0.5 * lasts[step] + 0.5 * again["seconds"])
            yield Crash(step, after, killed, _compare(org, workspace, steps))


def _compare(org: Emulator, workspace: Workspace, steps: Steps) -> list[str]:
    """What differs once a tick has caught up with the org and its deletions are known."""
    for step in ("tick", "sweep"):
        ended = steps.run(step, workspace.env)
        if ended.get("code") != 0:
            return [f"{step} did not work: {ended}"]
    return [d for name in OBJECTS for d in differences(org, workspace, name)]


def main(kills: int = 200, seed: int = 1) -> int:
    """Kill so many steps; whether all tables were equal each time, as an exit code."""
    told = Counter[str]()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, crash in enumerate(crashes(kills, seed, Path(folder)), 1):
            told[crash.step] += crash.killed
            wrong += bool(crash.differences)
            print(f"{number:4} {crash.step:9} after {crash.after:6.3f} s", end=" ")
            print("killed" if crash.killed else "was done", crash.differences[:3] or "equal")
    print(f"{sum(told.values())} kills: {dict(told)}; {wrong} times tables differed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
