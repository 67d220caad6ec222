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

PAIRS = 5


def child(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a module in a fresh process; the last line it prints is its result, as JSON."""
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", module, *arguments],
        env=os.environ | dict(env or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def say(**result: Any) -> None:
    """Print the result of a child."""
    print(json.dumps(result), flush=True)


def peak_mb() -> int:
    """Peak resident memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start


def interleaved(
    reference: Callable[[], dict[str, Any]],
    *others: Callable[[], dict[str, Any]],
    pairs: int = PAIRS,
) -> tuple[list[dict[str, Any]], ...]:
    """Run a reference and others in turn, several times, so that both meet the machine's moods."""
    results: tuple[list[dict[str, Any]], ...] = tuple([] for _ in range(len(others) + 1))
    for _ in range(pairs):
        for kept, run in zip(results, (reference, *others), strict=True):
            kept.append(run())
    return results


def median(results: Sequence[Mapping[str, Any]], name: str) -> float:
    """Median of one number of several results."""
    return statistics.median(float(result[name]) for result in results)


def median_ratio(
    results: Sequence[Mapping[str, Any]], reference: Sequence[Mapping[str, Any]], name: str
) -> float:
    """Median over the pairs of result / reference."""
    pairs = zip(results, reference, strict=True)
    return statistics.median(float(a[name]) / float(b[name]) for a, b in pairs)
