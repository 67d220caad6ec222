"""(g) A first fill of many small objects under Dagster: what its bookkeeping takes.

`python -m bench.first_fill` runs the job that the schedule runs, in an empty storage, and tells how
much processor time of its thread was not the pipeline's own: runs, events, checks.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.load import settings
from bench.measure import Result, Stopwatch, child, say
from bench.org import emulator

_TWO_YEARS = timedelta(days=730)


def measure(folder: Path, objects: int, daily: int) -> tuple[Result, Result]:
    """Fill by a catalogue of `catalog --from-org`, then some objects cut by day for two years.

    Args:
        folder: Is made anew.
        objects: How many there are.
        daily: How many of them are filled by day.
    """
    names = [f"Custom_Object_{n:03d}__c" for n in range(1, objects + 1)]
    options = ["--custom-objects", str(objects), "--job-seconds", "0", "--scale", "0.2"]
    with emulator(*options, "--daily-api-requests", "1000000") as org:
        fresh = _environment(folder / "fresh", names) | dict(org.env)
        catalog = Path(fresh["SF_ASSETS_CATALOG"])
        catalog.unlink()
        command = [sys.executable, "-m", "sf_assets.cli", "catalog", "--from-org"]
        command += ["--include", "Custom_Object_*"]
        subprocess.run(command, env=fresh, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        first = child("bench.first_fill", env=fresh)
        by_day = _environment(folder / "daily", names[:daily]) | dict(org.env)
        catalog = Path(by_day["SF_ASSETS_CATALOG"])
        begin = (datetime.now(UTC) - _TWO_YEARS).date()
        listed = "".join(f"  {name}:\n" for name in names[:daily])
        catalog.write_text(f"start: {begin}\ngold: gold\nobjects:\n{listed}", encoding="utf-8")
        return first, child("bench.first_fill", env=by_day)


def _environment(folder: Path, names: list[str]) -> dict[str, str]:
    shutil.rmtree(folder, ignore_errors=True)
    found = settings(folder, names)
    home = folder / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    return dict(os.environ) | found | {"SF_ASSETS_LAG_SECONDS": "0", "DAGSTER_HOME": str(home)}


class _Clock:
    """Processor time of the pipeline's part of the run's thread, and when rows are first asked."""

    def __init__(self) -> None:
        self.watch = Stopwatch()
        self.pipeline = 0.0
        self.first_row: float | None = None

    def timed(self, events: Iterator[Any]) -> Iterator[Any]:
        """Pass events on, and count what they take to come."""
        while True:
            begun = time.thread_time()
            event = next(events, None)
            self.pipeline += time.thread_time() - begun
            if event is None:
                return
            yield event


def fill() -> None:
    """What the tick's run does, in a process of its own."""
    clock = _Clock()
    import dagster as dg

    from sf_assets.definitions import defs
    from sf_assets.pipeline import run, scheduled
    from sf_assets.pipeline.extraction.execute import execute

    tick = scheduled.tick

    def executed(*arguments: Any) -> Any:
        clock.first_row = clock.first_row or clock.watch.seconds
        return execute(*arguments)

    setattr(run, "execute", executed)  # noqa: B010
    setattr(scheduled, "tick", lambda org: clock.timed(tick(org)))  # noqa: B010
    job = defs().resolve_job_def("tick_objects")
    with dg.DagsterInstance.get() as instance:
        begun = time.thread_time()
        result = job.execute_in_process(instance=instance)
        whole = time.thread_time() - begun
    made = result.get_asset_materialization_events()
    say(
        seconds=clock.watch.seconds,
        bookkeeping=whole - clock.pipeline,
        first_row=clock.first_row,
        materializations=len(made),
        objects=len({event.asset_key for event in made}) // 2,
    )


if __name__ == "__main__":
    fill()
