"""Orgs for the benchmarks, each in a process of its own.

    python -m bench.org ROWS PAGE_ROWS

is one of many opportunities and little else. It prints its environment as one line of JSON once it
answers, and serves until it is terminated.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bench import ROOT
from bench.measure import Stopwatch
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.emulator.world import generate


@dataclass(frozen=True, slots=True)
class Running:
    """An org that answers.

    Attributes:
        env: What leads to it, as environment variables.
        pid: Its process.
        seconds: How long it took to start.
    """

    env: Mapping[str, str]
    pid: int
    seconds: float


@contextlib.contextmanager
def opportunities(rows: int, page_rows: int) -> Iterator[Running]:
    """An org of many opportunities, loaded without the history that would come along."""
    command = ["bench.org", str(rows), str(page_rows)]
    with _process(command) as (pid, lines):
        watch = Stopwatch()
        yield Running(json.loads(next(lines)), pid, watch.seconds)


@contextlib.contextmanager
def emulator(*options: str) -> Iterator[Running]:
    """An org by `sf-assets emulator`."""
    watch = Stopwatch()
    with _process(["sf_assets.cli", "emulator", *options]) as (pid, lines):
        env: dict[str, str] = {}
        while "SALESFORCE_SECURITY_TOKEN" not in env:  # the last line it prints
            name, _, value = next(lines).strip().partition("=")
            env[name] = value
        yield Running(env, pid, watch.seconds)


@contextlib.contextmanager
def _process(module: list[str]) -> Iterator[tuple[int, Iterator[str]]]:
    """A module in a child process: its id, and the lines it prints."""
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            yield process.pid, iter(process.stdout)
        except StopIteration:
            raise SystemExit("the org of the benchmark did not start") from None
        finally:
            process.terminate()


def main(rows: int, page_rows: int) -> None:
    """Serve an org until terminated."""
    schema = standard_schema()
    settings = Settings(page_rows=page_rows, job_seconds=0.0, daily_api_requests=1_000_000)
    with Emulator(schema=schema, settings=settings) as org:
        now = datetime.now(UTC).replace(microsecond=0)
        counts = {"Opportunity": rows}
        for name, table in generate(schema, seed=1, scale=0.1, now=now, rows=counts):
            if not name.startswith("Opportunity") or name == "Opportunity":
                org.store.load(name, table)
        org.store.checkpoint()  # as an org of this size does that makes its own records
        print(json.dumps(org.environment), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
