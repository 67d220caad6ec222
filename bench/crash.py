"""Crashes: killed at any moment and run again, every table equals the org.

`python -m bench.crash [KILLS] [SEED]`, or `make bench-crash`. An org lives on while the steps that
read it are killed with SIGKILL, every other one just before a write, the others at any moment.
After each kill some of the newest records, which raw may hold by then and no table does, are
deleted for good; the step is run again to its end, and every field of every record is compared with
the org's own store.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
WRITES = {
    "tick": ("put raw", "put manifests", "put coverage", "commit"),
    "backfill": ("put raw", "put manifests", "commit"),
    "compact": (
        "put raw",
        "put manifests",
        "put coverage",
        "delete manifests",
        "delete raw",
        "commit",
    ),
    "sweep": ("put manifests", "put coverage", "commit"),
    "repair": ("put manifests", "put coverage", "commit"),
    "rebuild": ("commit",),
}
"""What each kind of step writes."""

_CHANGES = 12
_LEAST = 0.02


@dataclass(frozen=True, slots=True)
class Kill:
    """When a step is to be killed.

    Attributes:
        step: Which kind of step.
        write: Before which write; empty for a moment.
        number: Which of the writes of that name; or the share of its usual time that has passed.
    """

    step: str
    write: str
    number: float

    def __str__(self) -> str:
        if self.write:
            return f"{self.step} before {self.write} {self.number:.0f}"
        return f"{self.step} after {self.number:.0%} of its time"


@dataclass(frozen=True, slots=True)
class Crash:
    """One kill and what came after.

    Attributes:
        kill: When it was to be.
        killed: Whether the step was not over by then.
        differences: What differs between the org and silver after the step was run again.
    """

    kill: Kill
    killed: bool
    differences: list[str]


def at_random(seed: int) -> Iterator[Kill]:
    """Kills of one kind of step after the other, without end."""
    dice = random.Random(seed)  # noqa: S311 (no secret)
    while True:
        for step, writes in WRITES.items():
            yield Kill(step, dice.choice(writes), dice.randint(1, 4))
        for step in WRITES:
            yield Kill(step, "", dice.uniform(0.02, 1.1))


def crashes(
    kills: Iterable[Kill], seed: int, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Crash]:
    """Kill steps, and see what became of it.

    Args:
        kills: When.
        seed: Chooses what happens in the org.
        folder: An empty folder.
        env: Environment of a storage elsewhere.
    """
    dice = random.Random(seed)  # noqa: S311 (no secret)
    clock = Clock(datetime(2026, 11, 20, 15, 30, tzinfo=UTC), frozen=True)
    with (
        Emulator(scale=0.02, seed=seed, settings=FAST, clock=clock) as org,
        Steps() as steps,
    ):
        workspace = Workspace(folder, org.environment)
        workspace.env |= env or {}
        workspace.catalogue(dict.fromkeys(OBJECTS))
        # Late commits have a test of their own; here all that is stamped is there.
        life = Life(org.records, seed, 1.0, weights=OFFICE | UPHEAVAL, late=0.0)
        adversity = Adversity(org, folder / "raw", dice, 0)
        seconds = dict.fromkeys(KINDS, 1.0)
        for kill in kills:
            for _ in range(_CHANGES):
                life.step()
            org.advance(dice.choice([5, 60, 4000]))
            if kill.step in {"sweep", "repair"}:
                adversity.purge(OBJECTS, oldest=True)
            if kill.write:
                ended = steps.run(kill.step, workspace.env, before=(kill.write, int(kill.number)))
            else:
                after = max(_LEAST, kill.number * seconds[kill.step])
                ended = steps.run(kill.step, workspace.env, after=after)
            killed = ended.get("signal") == 9
            if killed:
                adversity.purge(OBJECTS)
            again = steps.run(kill.step, workspace.env)
            if again.get("code") != 0:
                wrong = [f"{kill.step} did not work afterwards: {again}"]
            else:
                took = again["seconds"] if killed else ended["seconds"]
                seconds[kill.step] = 0.5 * seconds[kill.step] + 0.5 * took
                wrong = _compare(org, workspace, steps)
            yield Crash(kill, killed, wrong)


def _compare(org: Emulator, workspace: Workspace, steps: Steps) -> list[str]:
    """What differs; if anything does, once a tick has caught up and deletions are known."""
    different = _different(org, workspace, OBJECTS)
    for step in ("tick", "sweep"):
        if different:
            ended = steps.run(step, workspace.env, objects=list(different))
            if ended.get("code") != 0:
                return [f"{step} did not work: {ended}"]
            different = _different(org, workspace, different)
    return [d for found in different.values() for d in found]


def _different(org: Emulator, workspace: Workspace, names: Iterable[str]) -> dict[str, list[str]]:
    """What differs, of the objects that do."""
    found = {name: differences(org, workspace, name) for name in names}
    return {name: some for name, some in found.items() if some}


def main(kills: int = 200, seed: int = 1) -> int:
    """Kill so many steps; whether all tables were equal each time, as an exit code."""
    told = Counter[str]()
    wrong = number = 0
    with tempfile.TemporaryDirectory() as folder:
        for crash in crashes(at_random(seed), seed, Path(folder)):
            number += 1
            told[crash.kill.step] += crash.killed
            wrong += bool(crash.differences)
            print(
                f"{number:4} {crash.kill!s:40}", "killed" if crash.killed else "was done", end=" "
            )
            print(crash.differences[:3] or "equal", flush=True)
            if told.total() == kills:
                break
    print(f"{told.total()} kills: {dict(told)}; {wrong} times tables differed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
