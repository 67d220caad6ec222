"""`python -m bench.peers`: systems that do the same job, on the same rows from the same org.

Each is installed as published, at a fixed version, in an environment of its own under `.peers/`,
and does what its user would have it do: a first full read of all opportunities and all of their
fields. The clock runs over whole processes, start included. Then its rows are compared with what
the org says over REST: whether each record is there once, and whether texts and amounts came out as
they went in. One that cannot be installed or does not run is told with the reason.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import venv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from bench import ROOT, org
from bench.measure import Stopwatch
from bench.report import Line, machine, publish

CACHE = ROOT / ".peers"
TEXTS = ("Name", "Description", "NextStep")
AMOUNTS = ("Amount", "ExpectedRevenue", "TotalOpportunityQuantity")
_COLUMNS = ("Id", *TEXTS, *AMOUNTS)

Record = dict[str, Any]


class NotRunError(Exception):
    """A peer that cannot be measured here: the reason."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another system.

    Attributes:
        name: What it is called, in `peer_process.py` as well.
        what: It, its version and how it reads, for people.
        requirements: What to install.
        records: Reads what it wrote into a folder.
    """

    name: str
    what: str
    requirements: tuple[str, ...]
    records: Callable[[Path], Iterator[Record]]


def _airbyte_records(folder: Path) -> Iterator[Record]:
    return (message["record"]["data"] for message in _messages(folder))


def _singer_records(folder: Path) -> Iterator[Record]:
    return (message["record"] for message in _messages(folder))


def _messages(folder: Path) -> Iterator[Any]:
    with (folder / "sync.out").open(encoding="utf-8") as lines:
        yield from (m for line in lines if (m := json.loads(line))["type"] == "RECORD")


def _dlt_records(folder: Path) -> Iterator[Record]:
    snake = {"TotalOpportunityQuantity": "total_opportunity_quantity", "NextStep": "next_step",
             "ExpectedRevenue": "expected_revenue"}  # fmt: skip
    columns = ", ".join(f'{snake.get(name, name.lower())} AS "{name}"' for name in _COLUMNS)
    return _rows(folder / "peer.duckdb", f"SELECT {columns} FROM salesforce.opportunity")


def _our_records(folder: Path) -> Iterator[Record]:
    columns = ", ".join(f'"{name}"' for name in _COLUMNS)
    return _rows(folder / "warehouse.duckdb", f"SELECT {columns} FROM silver.opportunity")


def _rows(database: Path, query: str) -> Iterator[Record]:
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.execute(query)
        while rows := found.fetchmany(10_000):
            yield from (dict(zip(_COLUMNS, row, strict=True)) for row in rows)


_TAP = "9915ca2683860f8810d8067792719b9b76e9995c"  # of releases, the package index has none
PEERS = (
    Peer(
        "airbyte", "airbyte-source-salesforce 2.10.3, Bulk 2.0 to messages",
        ("airbyte-source-salesforce==2.10.3",), _airbyte_records,
    ),
    Peer(
        "meltano", "Meltano's tap-salesforce 1.9.0, Bulk 2.0 to messages",
        (f"tap-salesforce @ git+https://github.com/MeltanoLabs/tap-salesforce@{_TAP}",),
        _singer_records,
    ),
    Peer(
        "dlt", "dlt 1.31.0 and its source for REST APIs, to a DuckDB table",
        ("dlt==1.31.0", f"duckdb=={version('duckdb')}"), _dlt_records,
    ),
)  # fmt: skip


def install(peer: Peer) -> Path:
    """Make the peer's environment, unless it is there.

    Returns:
        Its Python.
    """
    home = CACHE / peer.name
    python, complete = home / "bin" / "python", home / "complete"
    wanted = "\n".join(peer.requirements)
    if not complete.exists() or complete.read_text(encoding="utf-8") != wanted:
        venv.create(home, with_pip=True, clear=True)
        _done([str(python), "-m", "pip", "install", "--quiet", *peer.requirements], "installed")
        complete.write_text(wanted, encoding="utf-8")
    return python


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process took: seconds on the clock, and of processor time."""

    seconds: float
    cpu: float


def run(peer: Peer, env: Mapping[str, str], folder: Path) -> Taken:
    """Have the peer discover and read all opportunities; what the reading took."""
    python = install(peer)
    command = [str(python), "-I", str(Path(__file__).with_name("peer_process.py")), peer.name]
    _done([*command, "discover", str(folder)], "run", folder / "discover.out", env)
    return _done([*command, "sync", str(folder)], "run", folder / "sync.out", env)


def ours(env: Mapping[str, str], folder: Path) -> Taken:
    """Have our own command read them, into silver; what that took."""
    catalog = folder / "catalog.yaml"
    catalog.write_text("start: 2024-01-01\nobjects:\n  Opportunity: {}\n", encoding="utf-8")
    env = dict(env) | {
        "SF_ASSETS_CATALOG": str(catalog),
        "SF_ASSETS_STORAGE_URL": f"file://{folder}/raw",
        "SF_ASSETS_WAREHOUSE_URL": f"duckdb:///{folder}/warehouse.duckdb",
        "SF_ASSETS_LAG_SECONDS": "0",
    }
    command = [sys.executable, "-m", "sf_assets.cli", "refresh", "--object", "Opportunity"]
    return _done(command, "run", folder / "refresh.out", env)


def _done(
    command: list[str], what: str, out: Path | None = None, env: Mapping[str, str] | None = None
) -> Taken:
    """Run a command, what it prints going to a file.

    Raises:
        NotRunError: It failed; with the last line that it said of an error.
    """
    watch, used = Stopwatch(), _children_cpu()
    with (out or Path(os.devnull)).open("wb") as stdout:
        ended = subprocess.run(  # noqa: S603 (commands of ours)
            command, stdout=stdout, stderr=subprocess.PIPE, check=False,
            cwd=out.parent if out else ROOT,  # Airbyte leaves files where it runs
            env=os.environ | dict(env or {}),
        )  # fmt: skip
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        errors = [line for line in said if "error" in line.lower()] or said or ["nothing said"]
        raise NotRunError(f"not {what}: {errors[-1][:300]}")
    return Taken(watch.seconds, _children_cpu() - used)


def _children_cpu() -> float:
    """Processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def truth(env: Mapping[str, str]) -> dict[str, Record]:
    """What the org says over REST, by Id."""
    from sf_assets.salesforce.client import connect
    from sf_assets.settings import load_credentials

    rest = connect(load_credentials(env)).rest
    pages = rest.pages(f"SELECT {', '.join(_COLUMNS)} FROM Opportunity")
    return {record["Id"]: record for page in pages for record in page["records"]}


def compare(records: Iterator[Record], said: Mapping[str, Record]) -> dict[str, int]:
    """How much of what came is not what the org says."""
    wrong: Counter[str] = Counter()
    seen: set[str] = set()
    for record in records:
        true = said[record["Id"]]
        wrong["repeated"] += record["Id"] in seen
        seen.add(record["Id"])
        wrong["texts"] += sum(record.get(name) != true[name] for name in TEXTS)
        wrong["amounts"] += sum(_number(record, n) != _number(true, n) for n in AMOUNTS)
    return {
        "records missing": len(said.keys() - seen),
        "records repeated": wrong["repeated"],
        f"texts that differ, of {len(TEXTS) * len(seen):,}": wrong["texts"],
        f"amounts that differ, of {len(AMOUNTS) * len(seen):,}": wrong["amounts"],
    }


def _number(record: Mapping[str, Any], name: str) -> Decimal | None:
    value = record.get(name)
    return None if value is None else Decimal(str(value))


def measure(rows: int, home: Path) -> Iterator[Line]:
    """Run them all, ours first."""
    with org.opportunities(rows, 50_000) as running:
        said = truth(running.env)
        for peer in (None, *PEERS):
            what = peer.what if peer else "ours, Bulk 2.0 to a typed and checked table"
            folder = home / (peer.name if peer else "ours")
            folder.mkdir(parents=True)
            try:
                taken = run(peer, running.env, folder) if peer else ours(running.env, folder)
                found = compare((peer.records if peer else _our_records)(folder), said)
            except NotRunError as reason:
                yield Line("p", f"{what}: {reason}", 0)
                continue
            yield Line("p", f"{what}: {rows:,} records", rows / taken.seconds, "rows/s")
            yield Line("p", "the same by processor time", rows / taken.cpu, "rows/s")
            for name, count in found.items():
                yield Line("p", f"the same: {name}", count)


def main() -> None:
    """Measure, print a table, keep it as `bench/results/peers.md`."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="opportunities of the org")
    asked = parser.parse_args()
    home = ROOT / ".bench" / "peers"
    shutil.rmtree(home, ignore_errors=True)
    print(publish("peers", machine(), list(measure(asked.rows, home))))


if __name__ == "__main__":
    main()
