"""(a) raw export and (b) the whole way to silver, against the same bytes read from a local file.

`python -m bench.export raw|silver FOLDER` goes from JobComplete to the manifest, or to merged
silver; `reference FOLDER` from a CSV file to all-text Parquet by the same engine; `pages FOLDER`
writes that CSV file.
"""

import shutil
import sys
import threading
from pathlib import Path
from queue import Queue

from bench.measure import Stopwatch, peak_mb, say

FIELDS = (
    "Id", "IsDeleted", "AccountId", "Name", "Description", "StageName", "Amount", "Probability",
    "ExpectedRevenue", "TotalOpportunityQuantity", "CloseDate", "Type", "NextStep", "LeadSource",
    "IsClosed", "IsWon", "ForecastCategory", "ForecastCategoryName", "CampaignId",
    "HasOpportunityLineItem", "Pricebook2Id", "OwnerId", "CreatedDate", "CreatedById",
    "LastModifiedDate", "LastModifiedById", "SystemModstamp", "LastActivityDate", "FiscalQuarter",
    "FiscalYear",
)  # fmt: skip


def settings(folder: Path) -> dict[str, str]:
    """The environment of a run in a folder; writes its catalogue."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = ", ".join(FIELDS)
    catalog = folder / "catalog.yaml"
    catalog.write_text(f"start: 2024-01-01\nobjects:\n  Opportunity: {{fields: [{listed}]}}\n")
    return {
        "SF_ASSETS_CATALOG": str(catalog),
        "SF_ASSETS_STORAGE_URL": f"file://{folder}/raw",
        "SF_ASSETS_WAREHOUSE_URL": f"duckdb:///{folder}/warehouse.duckdb",
    }


def export(folder: Path, *, silver: bool) -> None:
    """Take up a complete job, as a run does that finds one in its journal."""
    from sf_assets.pipeline.extraction.extract import Extractor, ExtractTask
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.schema.described import Described, describe_objects
    from sf_assets.salesforce.bulk import Deadlines
    from sf_assets.windows import BEGIN, Window

    shutil.rmtree(folder / "raw", ignore_errors=True)
    (folder / "warehouse.duckdb").unlink(missing_ok=True)
    (org,) = load_orgs()
    (described,) = describe_objects(org, org.catalog.select([])).values()
    assert isinstance(described, Described)
    window = Window(BEGIN, org.client.now())
    extractor = Extractor(org)
    draft, job = extractor._begin(ExtractTask(described, window))  # noqa: SLF001 (stopped half-way)
    job = org.client.bulk.wait(job, Deadlines())
    watch = Stopwatch()
    piece = extractor.resume(draft, described)
    assert piece is not None
    raw = watch.seconds
    if silver:
        load(org, org.raw, "opportunity")
    extractor.close()
    stored = sum(part.bytes for part in piece.parts)
    say(
        seconds=watch.seconds, cpu=watch.cpu, rows=job.rows, peak_mb=peak_mb(), raw_seconds=raw,
        files=len(piece.parts), stored_mb=stored // 10**6,
    )  # fmt: skip


def pages(folder: Path) -> None:
    """Download the same rows into one local CSV file."""
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.schema.described import Described, describe_objects
    from sf_assets.salesforce.bulk import Deadlines

    (org,) = load_orgs()
    (described,) = describe_objects(org, org.catalog.select([])).values()
    assert isinstance(described, Described)
    bulk = org.client.bulk
    job = bulk.wait(bulk.create(described.query.over(None, None)), Deadlines())
    with (folder / "rows.csv").open("wb") as file:
        for number, locator in enumerate(bulk.locators(job) or [None]):
            with bulk.open_page(job, locator, chained=False) as page:
                header = page.body.readline_quoted()
                if number == 0:
                    file.write(header)
                while data := page.body.read(1 << 20):
                    file.write(data)
    bulk.delete(job.id)
    say(rows=job.rows, bytes=(folder / "rows.csv").stat().st_size)


def reference(folder: Path) -> None:
    """The file into one all-text Parquet file: parser and writer each in a thread of their own."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    from sf_assets.salesforce.csv import BLOCKS
    from sf_assets.storage.parquet_writer import CHUNK_BYTES, repetitive

    watch = Stopwatch()
    queue: Queue[pa.Table | None] = Queue(2)

    def write() -> None:
        writer = None
        while (table := queue.get()) is not None:
            if writer is None:
                writer = pq.ParquetWriter(
                    folder / "reference.parquet", table.schema, compression="zstd",
                    use_dictionary=repetitive(table),
                )  # fmt: skip
            writer.write_table(table)
        if writer:
            writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    reader = pc.open_csv(
        folder / "rows.csv",
        read_options=pc.ReadOptions(block_size=BLOCKS[0]),
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(FIELDS, pa.string()), null_values=[""],
            strings_can_be_null=True, quoted_strings_can_be_null=True,
        ),
    )  # fmt: skip
    rows, held, size = 0, [], 0
    for batch in reader:
        rows += batch.num_rows
        held.append(batch)
        size += batch.nbytes
        if size >= CHUNK_BYTES:
            queue.put(pa.Table.from_batches(held))
            held, size = [], 0
    if held:
        queue.put(pa.Table.from_batches(held))
    queue.put(None)
    thread.join()
    say(seconds=watch.seconds, cpu=watch.cpu, rows=rows, peak_mb=peak_mb())


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    if what == "pages":
        pages(where)
    elif what == "reference":
        reference(where)
    else:
        export(where, silver=what == "silver")
