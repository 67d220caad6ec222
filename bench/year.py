"""A year of ticks: the last day must be as fast as the first, and the files few.

`python -m bench.year [OBJECTS] [BUSY] [DAYS] [TICKS]`. Real are the org (the emulator on a clock of
ours), the raw, the warehouse, and the ticks of the first and the last day, TICKS each: probe,
export of what changed, merge, status. In between, for each busy object and day, raw gets one slice
with the versions that a day of five-minute ticks would have brought, written, merged and compacted
by the code that ticks use; `ops` gets a row for each of those ticks; all other objects get their
proofs, which are tidied. One busy object refuses aggregates, and one answer of each real tick has a
wrong Date.
"""

import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb
import polars as pl

from bench.measure import Result, Stopwatch
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets.pipeline.status import status
from sf_assets.storage.compaction import compact_slices
from sf_assets.storage.manifest import Counts, Slice, SliceKind, new_slice_id
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.parquet_writer import Layout, unit_of, write_page
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.windows import BEGIN, Window
from sf_assets_tests.conftest import Workspace

PASSES = timedelta(minutes=5)
DAY = timedelta(days=1)
TICKS_A_DAY = DAY // PASSES
_MERGED_EVERY = 24  # days


def first_record(raw: RawLayer, piece: Slice) -> pl.DataFrame:
    """The first row of a slice."""
    return next(scan(raw.store, piece)).head(1).select(piece.columns)


def leave_slice(
    raw: RawLayer, like: Slice, record: pl.DataFrame, window: Window, versions: int
) -> Slice:
    """Commit what ticks bring of a busy record.

    Args:
        raw: The raw layer.
        like: A slice of the same object.
        record: The record.
        window: What the slice covers; its versions lie in it at even distances.
        versions: How many.
    """
    cursor = like.cursor or ""
    pace = (window.end - window.start) / versions
    stamps = [f"{window.start + n * pace:%Y-%m-%dT%H:%M:%S}.000Z" for n in range(versions)]
    rows = pl.concat([record] * versions).with_columns(pl.Series(cursor, stamps))
    slice_id = new_slice_id(window.end)
    folder = raw.raw_folder(like.object.lower())
    layout = Layout(folder, slice_id, cursor, unit_of(window), "")
    written = write_page(raw.store, layout, 0, rows.to_arrow().to_batches())
    counts = Counts(org=versions, pages=versions, parsed=versions, written=written.rows)
    news = {"id": slice_id, "start": window.start, "end": window.end, "read_at": window.end}
    told = {"min_cursor": written.min_cursor, "max_cursor": written.max_cursor}
    parts = {"parts": tuple(written.parts), "counts": counts, "kind": SliceKind.EXPORT}
    piece = like.model_copy(update=news | told | parts)
    raw.commit(piece)
    return piece


class Year:
    """An org, a workspace on it, and a year that passes.

    Args:
        folder: An empty folder.
        org: The org.
        names: Its objects that are exported.
        busy: How many of them change all the time.
    """

    def __init__(self, folder: Path, org: Emulator, names: Sequence[str], busy: int) -> None:
        self.workspace = Workspace(folder, org.environment)
        self.workspace.catalogue(dict.fromkeys(names))
        self.org = org
        self.records = {name: org.records.insert(name, {"Name": "first"}) for name in names}
        self.busy = names[:busy]
        org.advance(60)
        self.workspace.tick()
        org.org.restrictions.restrict(self.busy[0], aggregates=False)

    def ticks(self, count: int) -> Result:
        """Real ticks with something new in each busy object; medians of their times."""
        found: dict[str, list[float]] = {"tick": [], "merge": [], "status": []}
        for _ in range(count):
            for name in self.busy:
                news = {"Name": f"at {self.org.clock.stamp()}"}
                self.org.records.update(name, self.records[name], news)
            self.org.advance(PASSES.total_seconds())
            assert self.org.faults
            self.org.faults.add(Fault(path="/query", date_skew=86_400.0))
            org = self.workspace.org()
            watch = Stopwatch()
            done = list(execute(org, plan_tick(org, org.catalog.select([]))))
            late = behind(org, org.raw)
            found["tick"].append(watch.seconds)
            assert {one.slug for one in done} == late == {n.lower() for n in self.busy}, (
                done,
                late,
            )
            watch = Stopwatch()
            for slug in late:
                self.workspace.load(slug, org)
            found["merge"].append(watch.seconds)
            watch = Stopwatch()
            status(org, org.catalog.select([]))
            found["status"].append(watch.seconds)
        return {f"{name}_seconds": median(times) for name, times in found.items()}

    def pass_days(self, days: int) -> None:
        """Let days pass as if ticks had been at work."""
        org = self.workspace.org()
        raw = org.raw
        first = {}
        for name in self.busy:
            (piece, *_) = raw.slices(name.lower())
            first[name] = piece, first_record(raw, piece)
        start = org.client.now()
        for day in range(1, days + 1):
            window = Window(start + (day - 1) * DAY, start + day * DAY)
            quiet = {n.lower(): [window] for n in self.records if n not in self.busy}
            told = {n.lower(): [Window(BEGIN, window.end)] for n in self.records}
            raw.coverage_log.add(quiet, told, window.end)
            raw.coverage_log.tidy(window.end)
            for name, (like, record) in first.items():
                leave_slice(raw, like, record, window, TICKS_A_DAY)
                if day % _MERGED_EVERY == 0 or day == days:
                    self.workspace.load(name.lower(), org)
                compact_slices(raw, name.lower(), window.end)
        self._note_ticks(org)
        self.org.advance((start + days * DAY - self.org.clock.now()).total_seconds())

    def _note_ticks(self, org: Org) -> None:
        """What the warehouse notes of each tick: as many rows as there were versions."""
        with duckdb.connect(str(org.warehouse)) as connection:
            for table, column in (("slices", "slice"), ("merges", "merge")):
                many = "rows - 1" if table == "slices" else "rows_in - 1"
                connection.execute(
                    f"INSERT INTO ops.{table} SELECT t.* "
                    f"REPLACE (t.{column} || '-' || i AS {column}) "
                    f"FROM ops.{table} t, LATERAL (SELECT unnest(range({many})) AS i) "
                    "WHERE merge IS NOT NULL"
                )
            # Raw never had them, so it has to be known that it need not.
            connection.execute(
                "INSERT INTO ops.replaced SELECT org_id, object, slice, '' FROM ops.slices "
                "WHERE slice.split_part('-', 3) <> ''"
            )

    def sizes(self) -> Result:
        """How many files and rows there are."""
        raw = self.workspace.org().stored_raw
        listed = [entry.path.split("/") for entry in raw.store.list(raw.org_id)]
        busy = self.busy[0].lower()
        (rows,) = self.workspace.rows("SELECT count(*) FROM ops.slices")[0]
        return {
            "manifests": sum(path[1] == "manifests" for path in listed),
            "manifests_of_a_busy_object": sum(path[1:3] == ["manifests", busy] for path in listed),
            "parts_of_a_busy_object": sum(path[1:3] == ["raw", busy] for path in listed),
            "proofs": sum(path[1] == "coverage" for path in listed),
            "rows_of_ops_slices": rows,
        }


def measure(objects: int, busy: int, days: int, ticks: int, folder: Path) -> list[Result]:
    """The first day and the last."""
    names = [f"Custom_Object_{n:03d}__c" for n in range(1, objects + 1)]
    clock = Clock(datetime(2025, 11, 20, 9, tzinfo=UTC), frozen=True)
    settings = Settings(job_seconds=0.0, daily_api_requests=10_000_000, faults=True)
    with Emulator(schema=standard_schema(objects), settings=settings, clock=clock) as org:
        year = Year(folder, org, names, busy)
        found = [year.ticks(ticks) | year.sizes()]
        year.pass_days(days)
        year.ticks(1)
        return [*found, year.ticks(ticks) | year.sizes()]


def main(objects: int = 200, busy: int = 5, days: int = 364, ticks: int = 24) -> int:
    """Print both days; whether the last is nearly as fast, as an exit code."""
    with tempfile.TemporaryDirectory() as folder:
        first, last = measure(objects, busy, days, ticks, Path(folder))
    slower = 0.0
    for name, value in first.items():
        ratio = last[name] / value
        slower = max(slower, ratio) if name.endswith("_seconds") else slower
        print(f"{name:28} first day {value:10.3f}  last day {last[name]:10.3f}  x {ratio:.2f}")
    return int(slower > 1.3)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
