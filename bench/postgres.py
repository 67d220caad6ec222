"""(p) Silver in PostgreSQL, against a plain COPY and MERGE of the same rows into the same server.

`python -m bench.postgres silver FOLDER` merges what raw holds; `plain FOLDER` copies the same rows,
typed already, into a temporary table and merges that. Both twice: into an empty table, and into one
that has all these rows.
"""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from bench import export
from bench.measure import Result, Stopwatch, child, interleaved, median, median_ratio, peak_mb, say

URL = "SF_ASSETS_WAREHOUSE_URL"


def measure(folder: Path, env: dict[str, str], pairs: int) -> Result:
    """Extract rows twice, and merge them in both ways.

    Args:
        folder: An empty folder.
        env: Of an org with opportunities.
        pairs: How often each is done, in turn.
    """
    from sf_assets_tests import postgres

    env = env | export.settings(folder)
    child("bench.postgres", "raw", str(folder), env=env)
    with postgres.running() as server:

        def there(what: str) -> Result:
            return child("bench.postgres", what, str(folder), env=env | {URL: server.new()})

        plain, ours = interleaved(lambda: there("plain"), lambda: there("silver"), pairs=pairs)
    return {
        "rows": ours[0]["rows"],
        "first": median(ours, "first"),
        "again": median(ours, "again"),
        "peak_mb": max(result["peak_mb"] for result in ours),
        "first_ratio": median_ratio(plain, ours, "first"),
        "again_ratio": median_ratio(plain, ours, "again"),
    }


def raw(folder: Path) -> None:
    """Read all rows twice into raw, and once into a Parquet file, typed."""
    import duckdb

    from sf_assets.pipeline.extraction.execute import execute
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.planning.plan import plan_backfill
    from sf_assets.windows import BEGIN, Window

    (org,) = load_orgs()
    specs, window = org.catalog.select([]), Window(BEGIN, org.client.now())
    for _ in range(2):
        for done in execute(org, plan_backfill(org, specs, window)):
            assert done.error is None, done.error
    load(org, org.raw, "opportunity")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        path = folder / "typed.parquet"
        connection.execute(f"COPY silver.opportunity TO '{path}' (FORMAT parquet)")
        kinds = connection.execute("DESCRIBE silver.opportunity").fetchall()
        spelt = ", ".join(f'"{name}" {kind}' for name, kind, *_ in kinds)
        (folder / "typed.txt").write_text(spelt, encoding="utf-8")
        ((rows,),) = connection.execute("SELECT count(*) FROM silver.opportunity").fetchall()
    say(rows=rows)


def silver(folder: Path) -> None:
    """Merge the first slice, and then the second, which holds the same."""
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.org import load_orgs

    (org,) = load_orgs()
    second = max(folder.glob("raw/*/manifests/opportunity/*.json"))
    aside = second.rename(folder / "second.json")
    seconds = []
    try:
        for manifest in (None, aside):
            if manifest:
                manifest.rename(second)
            watch = Stopwatch()
            merged = load(org, org.stored_raw, "opportunity")
            seconds.append(watch.seconds)
    finally:
        if aside.exists():
            aside.rename(second)
    _say(merged.rows, seconds)


def plain(folder: Path) -> None:
    """Copy and merge as one would by hand."""
    import pyarrow.parquet as pq

    from sf_assets.warehouse.postgres.connection import PostgresConnection

    file = pq.ParquetFile(folder / "typed.parquet")
    with closing(PostgresConnection(_url())) as connection:
        kinds = (folder / "typed.txt").read_text(encoding="utf-8")
        connection.execute(f"CREATE TABLE target ({kinds}, PRIMARY KEY (Id))")
        names = [field.name.lower() for field in file.schema_arrow]
        every = ", ".join(f'"{name}"' for name in names)
        changed = ", ".join(f'"{name}" = s."{name}"' for name in names if name != "id")
        values = ", ".join(f's."{name}"' for name in names)
        seconds = []
        for _ in range(2):
            watch = Stopwatch()
            with connection.transaction():
                connection.run("CREATE TEMP TABLE stage (LIKE target) ON COMMIT DROP")
                connection.load("temp.stage", _reader(file))
                connection.run(
                    "MERGE INTO target t USING stage s ON t.id = s.id "
                    f"WHEN MATCHED THEN UPDATE SET {changed} "
                    f"WHEN NOT MATCHED THEN INSERT ({every}) VALUES ({values})"
                )
            seconds.append(watch.seconds)
    _say(file.metadata.num_rows, seconds)


def _reader(file: Any) -> Any:
    import pyarrow as pa

    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())


def _url() -> str:
    import os

    return os.environ[URL]


def _say(rows: int, seconds: list[float]) -> None:
    first, again = seconds
    say(rows=rows, first=first, again=again, peak_mb=peak_mb())


if __name__ == "__main__":
    {"raw": raw, "silver": silver, "plain": plain}[sys.argv[1]](Path(sys.argv[2]))
