"""The org of the benchmarks, in a process of its own: many opportunities, little else.

    python -m bench.org ROWS PAGE_ROWS

Prints its environment as one line of JSON once it answers, and serves until it is terminated.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.emulator.world import generate


@contextlib.contextmanager
def running(rows: int, page_rows: int) -> Iterator[Mapping[str, str]]:
    """The org in a child process; its environment."""
    command = [sys.executable, "-m", "bench.org", str(rows), str(page_rows)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the org of the benchmark did not start")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait()


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
        print(json.dumps(org.environment), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
