"""How things are measured: each in a fresh process, pairs interleaved, medians of what they say."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import ROOT

Result = dict[str, Any]
"""What a child says."""


def child(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Run a module in a fresh process; the last line it prints is its result, as JSON.

    `wall` in the result is the time that the process took, its start included.
    """
    watch = Stopwatch()
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", module, *arguments],
        env=os.environ | dict(env or {}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    wall = watch.seconds
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result | {"wall": wall}


def say(**result: Any) -> None:
    """Print the result of a child."""
    print(json.dumps(result), flush=True)


def peak_mb() -> int:
    """Peak resident memory of this process, in MB."""
    # Linux counts in KB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 10**6


def resident_mb(pid: int) -> int:
    """Resident memory of a process, in MB."""
    told = subprocess.run(  # noqa: S603
        ["ps", "-o", "rss=", "-p", str(pid)],  # noqa: S607 (wherever it is)
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(told.stdout) * 1024 // 10**6


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._used = time.process_time()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start

    @property
    def cpu(self) -> float:
        """Processor seconds of this process so far: others who are at work stretch them less."""
        return time.process_time() - self._used


def interleaved(*runs: Callable[[], Result], pairs: int) -> tuple[list[Result], ...]:
    """Run several things in turn, several times, so that all meet the machine's moods.

    Returns:
        The results of each.
    """
    results: tuple[list[Result], ...] = tuple([] for _ in runs)
    for _ in range(pairs):
        for kept, run in zip(results, runs, strict=True):
            kept.append(run())
    return results


def median(results: Sequence[Result], name: str) -> float:
    """Median of one number of several results."""
    return statistics.median(float(result[name]) for result in results)


def median_ratio(above: Sequence[Result], below: Sequence[Result], name: str) -> float:
    """Median over the pairs of one's number by the other's."""
    pairs = zip(above, below, strict=True)
    return statistics.median(float(a[name]) / float(b[name]) for a, b in pairs)
