"""Memory is bounded by chunk sizes, never by how much there is.

`python -m bench.memory [ROWS] [WINDOW_ROWS] [DELETIONS]`. The org computes the rows of one object
on the fly. Each step runs in a process of its own, which tells its peak resident memory: all rows
to raw and to silver, a backfill of one window of them, a census of all Ids held against silver, and
the repair of a table that holds records which the org has lost. Those are put there by a slice of
made-up Ids, because a computed row cannot be deleted.
"""

import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from bench.measure import Result, Stopwatch, child, peak_mb, say
from bench.org import emulator

OBJECT = "Huge__c"
_FIELDS = ("Id", "IsDeleted", "Name", "Status__c", "Amount__c", "SystemModstamp")
_YEARS = timedelta(days=5 * 365)
"""Computed rows are spread over so long a time."""

_BATCH = 50_000


def measure(rows: int, window_rows: int, deletions: int, folder: Path) -> Iterator[Result]:
    """What each step says."""
    catalog = folder / "catalog.yaml"
    fields = ", ".join(_FIELDS)
    catalog.write_text(f"start: 2020-01-01\nobjects:\n  {OBJECT}: {{fields: [{fields}]}}\n")
    here = {
        "SF_ASSETS_CATALOG": str(catalog),
        "SF_ASSETS_STORAGE_URL": f"file://{folder}/raw",
        "SF_ASSETS_WAREHOUSE_URL": f"duckdb:///{folder}/warehouse.duckdb",
        "SF_ASSETS_LAG_SECONDS": "0",
    }
    options = ["--scale", "0.01", "--virtual", f"{OBJECT}={rows}", "--job-seconds", "0"]
    with emulator(*options) as org:
        env = dict(org.env) | here
        yield child("bench.memory", "extract", env=env)
        yield child("bench.memory", "merge", env=env)
        yield child("bench.memory", "window", str(window_rows / rows), env=env)
        yield child("bench.memory", "merge", env=env)
        yield child("bench.memory", "compare", env=env)
        child("bench.memory", "invent", str(deletions), env=env)
        yield child("bench.memory", "repair", env=env)
        yield child("bench.memory", "merge", env=env)


def extract() -> int:
    """A first tick: everything to raw."""
    from sf_assets.pipeline.extraction.execute import execute
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.planning.plan import plan_tick

    (org,) = load_orgs()
    return _rows(execute(org, plan_tick(org, org.catalog.select([]))))


def window(share: str) -> int:
    """A backfill of one window that holds a share of the rows."""
    from sf_assets.pipeline.extraction.execute import execute
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.planning.plan import plan_backfill
    from sf_assets.windows import Window, utc_day

    (org,) = load_orgs()
    end = utc_day(org.client.now().date())
    chosen = Window(end - max(timedelta(days=1), float(share) * _YEARS), end)
    return _rows(execute(org, plan_backfill(org, org.catalog.select([]), chosen)))


def _rows(results: Iterator[object]) -> int:
    from sf_assets.pipeline.extraction.execute import Extraction

    rows = 0
    for done in results:
        assert isinstance(done, Extraction)
        assert done.error is None, done.error
        rows += sum(piece.counts.written for piece in done.slices)
    return rows


def merge() -> int:
    """What raw has more goes to silver."""
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.org import load_orgs

    (org,) = load_orgs()
    return load(org, org.raw, OBJECT.lower()).outcome.rows_in


def compare() -> int:
    """A reconciliation that finds both sides equal."""
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.reconciliation.reconcile import reconcile

    (org,) = load_orgs()
    (found,) = reconcile(org, org.catalog.select([]))
    assert found.equal, found
    return found.org


def invent(count: str) -> int:
    """Bring records to silver that the org does not have."""
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.storage.manifest import Counts, SliceKind, new_slice_id
    from sf_assets.storage.parquet_writer import MONTH, Layout, write_page

    (org,) = load_orgs()
    slug, number = OBJECT.lower(), int(count)
    like = max(org.raw.slices(slug), key=lambda piece: piece.counts.written)
    slice_id = new_slice_id(like.read_at)
    layout = Layout(org.raw.raw_folder(slug), slice_id, like.cursor, MONTH, "")
    batches = _invented(number, like.columns, f"{like.min_cursor}")
    written = write_page(org.raw.store, layout, 0, batches)
    news = {
        "id": slice_id,
        "kind": SliceKind.RECORDS,
        "counts": Counts(org=number, pages=number, parsed=number, written=written.rows),
        "parts": tuple(written.parts),
        "min_cursor": written.min_cursor,
        "max_cursor": written.max_cursor,
    }
    org.raw.commit(like.model_copy(update=news))
    return load(org, org.raw, slug).outcome.inserted


def _invented(count: int, columns: tuple[str, ...], stamp: str) -> Iterator[pa.RecordBatch]:
    order = list(range(count))
    random.Random(1).shuffle(order)  # noqa: S311 (no secret)
    for start in range(0, count, _BATCH):
        some = order[start : start + _BATCH]
        values = {"Id": [f"zz0{n:015d}" for n in some], "SystemModstamp": [stamp] * len(some)}
        values["IsDeleted"] = ["false"] * len(some)
        arrays = [pa.array(values.get(name, [None] * len(some)), pa.string()) for name in columns]
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def repair() -> int:
    """A reconciliation that records as gone what the org does not have."""
    from sf_assets.pipeline.extraction.repair import Repair
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.reconciliation.reconcile import reconcile

    (org,) = load_orgs()
    (found,) = reconcile(org, org.catalog.select([]), Repair(org, accept=True))
    assert found.error is None, found.error
    return found.kinds["gone"]


STEPS = {f.__name__: f for f in (extract, window, merge, compare, invent, repair)}


def step(name: str, *arguments: str) -> None:
    """One step in this process; says rows, seconds and by how much memory grew."""
    import duckdb  # noqa: F401 (what is imported anyway is no growth)
    import polars as pl  # noqa: F401

    import sf_assets.pipeline.extraction.execute  # noqa: F401

    before, watch = peak_mb(), Stopwatch()
    rows = STEPS[name](*arguments)
    say(
        step=name, rows=rows, seconds=watch.seconds, peak_mb=peak_mb(), growth_mb=peak_mb() - before
    )


def main(rows: int = 20_000_000, window_rows: int = 5_000_000, deletions: int = 1_000_000) -> None:
    """Print a line for each step."""
    folder = Path(tempfile.mkdtemp(prefix="sf-assets-"))
    try:
        for found in measure(rows, window_rows, deletions, folder):
            pace = found["rows"] / found["seconds"]
            print(
                f"{found['step']:8} {found['rows']:>12,} rows {found['seconds']:8.1f} s "
                f"{pace:>10,.0f} rows/s  peak {found['peak_mb']:6,} MB", flush=True,
            )  # fmt: skip
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in STEPS:
        step(*sys.argv[1:])
    else:
        main(*map(int, sys.argv[1:]))
