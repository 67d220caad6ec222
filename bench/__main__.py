"""`python -m bench`: measure everything, print a table, keep it under `bench/results/`."""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import export, first_fill, load, org, postgres, storage, tick
from bench.measure import Result, child, interleaved, median, median_ratio, resident_mb
from bench.report import Line, machine, publish
from sf_assets_tests.postgres import binaries

HOME = Path(__file__).parents[1] / ".bench"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure.

    Attributes:
        rows: Opportunities to export.
        many_rows: Opportunities of the run that looks at memory alone.
        page_rows: Rows in a result page.
        emulator_rows: Opportunities that the emulator delivers.
        tap_rows: Rows read one by one from Bulk pages.
        rest_rows: Rows read one by one from REST.
        objects: Objects of the tick and of the definitions.
        changed: How many of them change.
        pairs: Repetitions of what is compared.
        server_rows: Opportunities that are merged by a server.
        copies: Times that all files are written to a bucket.
    """

    rows: int = 3_000_000
    many_rows: int = 10_000_000
    page_rows: int = 100_000
    emulator_rows: int = 1_000_000
    tap_rows: int = 200_000
    rest_rows: int = 20_000
    objects: int = 200
    changed: int = 10
    pairs: int = 5
    server_rows: int = 1_000_000
    copies: int = 3


QUICK = Sizes(
    rows=60_000, many_rows=120_000, page_rows=20_000, emulator_rows=60_000, tap_rows=5_000,
    rest_rows=2_000, objects=10, changed=2, pairs=1, server_rows=60_000, copies=1,
)  # fmt: skip


def exports(sizes: Sizes) -> Iterator[Line]:
    """(a), (b) and (e): the same rows to raw, to silver, and as others read them."""
    folder = str(HOME / "export")
    with org.opportunities(sizes.rows, sizes.page_rows) as running:
        env = dict(running.env) | export.settings(Path(folder))
        child("bench.export", "pages", folder, env=env)
        run = partial(child, "bench.export", env=env)
        peer = partial(child, "bench.simple_salesforce", env=env)
        reference, raw, silver = interleaved(
            lambda: run("reference", folder),
            lambda: run("raw", folder),
            lambda: run("silver", folder),
            pairs=sizes.pairs,
        )
        rest, tap, files = interleaved(
            lambda: peer("rest", folder, str(sizes.rest_rows)),
            lambda: peer("records", folder, str(sizes.tap_rows)),
            lambda: peer("download", folder, "0"),
            pairs=min(sizes.pairs, 3),
        )
    rows = f"{sizes.rows:,} rows"
    yield Line("a", f"local CSV file to text Parquet, {rows}", _pace(reference), "rows/s")
    yield Line("a", f"raw export, {rows}", _pace(raw), "rows/s")
    ratio = median_ratio(reference, raw, "seconds")
    yield Line("a", "raw export, of the pace of the local file", ratio, least=0.6)
    yield Line("a", "the same in processor time", median_ratio(reference, raw, "cpu"))
    yield Line("a", f"raw export, {rows}: peak memory", _peak(raw), "MB", most=600)
    yield Line("b", f"export to merged silver, {rows}", _pace(silver), "rows/s")
    ratio = median_ratio(reference, silver, "seconds")
    yield Line("b", "export to silver, of the pace of the local file", ratio, least=0.2)
    yield Line("b", "the same in processor time", median_ratio(reference, silver, "cpu"))
    yield Line("b", f"export to silver, {rows}: peak memory", _peak(silver), "MB", most=1500)
    yield Line("e", "simple-salesforce files, DuckDB read_csv into a table", _pace(files), "rows/s")
    yield Line("e", "the same: peak memory", _peak(files), "MB")
    yield Line("e", "simple-salesforce Bulk pages, record by record", _pace(tap), "rows/s")
    yield Line("e", "simple-salesforce REST, record by record", _pace(rest), "rows/s")


def in_postgres(sizes: Sizes) -> Iterator[Line]:
    """(p): silver in PostgreSQL, where there is a server."""
    if binaries() is None:
        print("(p) is left out: no PostgreSQL server on this machine", file=sys.stderr)
        return
    with org.opportunities(sizes.server_rows, sizes.page_rows) as running:
        found = postgres.measure(HOME / "postgres", dict(running.env), min(sizes.pairs, 3))
    rows = f"{found['rows']:,} rows"
    yield Line(
        "p", f"raw to silver in PostgreSQL, {rows}", found["rows"] / found["first"], "rows/s"
    )
    yield Line("p", "the same, of the pace of COPY and MERGE", found["first_ratio"], least=0.5)
    yield Line("p", f"{rows} merged into as many", found["rows"] / found["again"], "rows/s")
    yield Line("p", "the same, of the pace of COPY and MERGE", found["again_ratio"], least=0.5)
    yield Line("p", "peak memory", found["peak_mb"], "MB", most=1000)


def to_a_bucket(sizes: Sizes) -> Iterator[Line]:
    """(s): writing to a bucket."""
    found = storage.measure(HOME / "storage", sizes.copies, min(sizes.pairs, 3))
    what = f"{found['megabytes']:.0f} MB to S3 (moto)"
    yield Line("s", what, found["megabytes"] / found["seconds"], "MB/s")
    yield Line("s", "the same, of the pace of uploads by boto3", found["ratio"], least=0.5)


def memory(sizes: Sizes) -> Iterator[Line]:
    """(a) again, with many rows: what memory that takes."""
    folder = HOME / "memory"
    with org.opportunities(sizes.many_rows, sizes.page_rows) as running:
        raw = child(
            "bench.export", "raw", str(folder), env=dict(running.env) | export.settings(folder)
        )
    what = f"raw export, {sizes.many_rows:,} rows: peak memory"
    yield Line("a", what, raw["peak_mb"], "MB", most=600)


def ticks(sizes: Sizes) -> Iterator[Line]:
    """(c): a tick over many objects."""
    found = tick.measure(HOME / "tick", sizes.objects, sizes.changed, min(sizes.pairs, 3))
    what = f"tick of {sizes.objects} objects, {sizes.changed} changed, {found['manifests']:,}"
    yield Line("c", f"{what} manifests: whole process", found["seconds"], "s", most=60)
    yield Line("c", "the same with nothing changed", found["idle_seconds"], "s")
    yield Line("c", "peak memory", found["peak_mb"], "MB")
    calls = "API calls for each"
    yield Line("c", f"{calls} idle object", found["calls_per_idle_object"], most=0.25)
    yield Line("c", f"{calls} changed object, more", found["more_calls_per_changed_object"], most=2)
    yield Line("c", "Dagster events of idle objects", found["events_of_idle_objects"], most=0)


def first_fills(sizes: Sizes) -> Iterator[Line]:
    """(g): first fills under Dagster."""
    daily = max(1, sizes.objects // 40)
    fresh, by_day = first_fill.measure(HOME / "first_fill", sizes.objects, daily)
    what = f"first fill of {fresh['objects']} objects by catalog --from-org"
    events = f"{fresh['materializations']:,} materializations"
    minutes = fresh["bookkeeping"] / 60
    yield Line("g", f"{what}: Dagster's bookkeeping, {events}", minutes, "min", most=5)
    yield Line("g", "the same: until rows are asked for", fresh["first_row"], "s", most=30)
    yield Line("g", "the same: all of it", fresh["seconds"] / 60, "min")
    scaled = by_day["bookkeeping"] / 60 / daily * sizes.objects
    what = f"two years by day of {sizes.objects} objects, from {daily} that were measured"
    yield Line("g", f"{what}: bookkeeping", scaled, "min", most=30)
    an_event = by_day["bookkeeping"] / by_day["materializations"]
    yield Line("g", "bookkeeping for each materialization", an_event * 1000, "ms")


def definitions(sizes: Sizes) -> Iterator[Line]:
    """(d): the definitions of many objects."""
    found = load.measure(HOME / "load", sizes.objects, sizes.pairs)
    size = f"{found['assets']:,} assets, {found['checks']:,} checks"
    yield Line("d", f"definitions of {size}", found["seconds"], "s")
    yield Line("d", "plain Dagster definitions of as many", found["plain_seconds"], "s")
    yield Line("d", "ours, of the time of the plain ones", found["ratio"], most=1.5)


def emulator(sizes: Sizes) -> Iterator[Line]:
    """(f): the emulator itself."""
    starts = []
    for _ in range(sizes.pairs):
        with org.emulator() as running:
            starts.append(running.seconds)
    yield Line(
        "f", "demo org: start to first answer", sorted(starts)[len(starts) // 2], "s", most=2
    )
    with org.opportunities(sizes.emulator_rows, sizes.page_rows) as running:
        held = resident_mb(running.pid)
        (found,) = interleaved(lambda: child("bench.emulator", env=running.env), pairs=sizes.pairs)
    rows = f"{sizes.emulator_rows:,} rows"
    first, again = median(found, "first_mb_s"), median(found, "again_mb_s")
    yield Line("f", f"Bulk job of {rows}, rendered and read", first, "MB/s", least=150)
    yield Line("f", "the same pages read again", again, "MB/s", least=1000)
    yield Line("f", f"resident memory with {rows}", held, "MB")


PARTS: dict[str, Callable[[Sizes], Iterator[Line]]] = {
    "definitions": definitions,
    "emulator": emulator,
    "tick": ticks,
    "first_fill": first_fills,
    "export": exports,
    "postgres": in_postgres,
    "storage": to_a_bucket,
    "memory": memory,
}


def _pace(results: list[Result]) -> float:
    """Median of rows a second."""
    return median([{"pace": r["rows"] / r["seconds"]} for r in results], "pace")


def _peak(results: list[Result]) -> float:
    """Greatest peak memory."""
    return max(float(result["peak_mb"]) for result in results)


def main() -> None:
    """Measure what is asked for; all of it by default."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try it out")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    asked = parser.parse_args()
    sizes = QUICK if asked.quick else Sizes()
    facts, lines = machine(), list[Line]()
    for name in asked.parts or PARTS:
        for line in PARTS[name](sizes):
            lines.append(line)
            print(f"{line.part} {line.what}: {line.value:.3g} {line.unit}", file=sys.stderr)
    shutil.rmtree(HOME, ignore_errors=True)
    whole = not (asked.quick or asked.parts)
    print(publish("latest" if whole else "trial", facts, sorted(lines, key=lambda n: n.part)))


if __name__ == "__main__":
    main()
