"""(e) The same rows as people read them with simple-salesforce.

`python -m bench.simple_salesforce download FOLDER ROWS` goes by files into a DuckDB table;
`records` and `rest` go record by record, as a Singer tap does: typed, each a line of JSON.

As with our own export, the clock starts when the job is complete.
"""

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.export import FIELDS
from bench.measure import Stopwatch, peak_mb, say

_NUMBERS = {"Amount", "Probability", "ExpectedRevenue", "TotalOpportunityQuantity"}
_WHOLE = {"FiscalQuarter", "FiscalYear"}
_FLAGS = {"IsDeleted", "IsClosed", "IsWon", "HasOpportunityLineItem"}


def connect() -> Any:
    """simple-salesforce, logged in, with our session: by itself it insists on TLS."""
    from simple_salesforce.api import Salesforce

    from sf_assets.salesforce.client import connect
    from sf_assets.settings import load_credentials

    client = connect(load_credentials(os.environ))
    session, token = client.session, client.session.token
    session.headers["Accept-Encoding"] = "identity"  # as our own export does on loopback
    return Salesforce(
        session_id=token.access_token,
        instance_url=token.instance_url,
        version=client.version,
        session=session,
    )


def query(rows: int) -> str:
    """The query, of so many rows; of all of them for 0, since LIMIT switches PK chunking off."""
    limit = f" LIMIT {rows}" if rows else ""
    return f"SELECT {', '.join(FIELDS)} FROM Opportunity{limit}"


def download(folder: Path, rows: int) -> None:
    """Bulk files by simple-salesforce, then read by DuckDB into a table."""
    import duckdb

    bulk, job = _complete(rows)
    database = folder / "peer.duckdb"
    database.unlink(missing_ok=True)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(dir=folder) as files:
        for _ in _pages(bulk.download_job_data, files, job):
            pass
        downloaded = watch.seconds
        with duckdb.connect(str(database)) as connection:
            connection.execute(
                f"CREATE TABLE opportunity AS SELECT * FROM read_csv('{files}/*.csv', header=true)"
            )
            (count,) = connection.execute("SELECT count(*) FROM opportunity").fetchall()[0]
    say(
        seconds=watch.seconds,
        cpu=watch.cpu,
        download_seconds=downloaded,
        rows=count,
        peak_mb=peak_mb(),
    )


def records(_folder: Path, rows: int) -> None:
    """Bulk pages by simple-salesforce, each row a dictionary."""
    bulk, job = _complete(rows)
    watch = Stopwatch()
    texts = (page["records"] for page in _pages(bulk.get_query_results, job))
    count = _tap(row for text in texts for row in csv.DictReader(io.StringIO(text)))
    say(seconds=watch.seconds, cpu=watch.cpu, rows=count, peak_mb=peak_mb())


def rest(_folder: Path, rows: int) -> None:
    """REST's `query_all_iter`, 2,000 rows a page."""
    client = connect()
    watch = Stopwatch()
    count = _tap(client.query_all_iter(query(rows)))
    say(seconds=watch.seconds, cpu=watch.cpu, rows=count, peak_mb=peak_mb())


def _complete(rows: int) -> tuple[Any, str]:
    """simple-salesforce's Bulk client and a complete job: the first half of its own methods."""
    bulk = connect().bulk2.Opportunity._client  # noqa: SLF001 (stopped half-way)
    job = bulk.create_job("query", query(rows), column_delimiter="COMMA", line_ending="LF")["id"]
    bulk.wait_for_job(job, True, wait=0.5)
    return bulk, job


def _pages(fetch: Callable[..., Mapping[str, Any]], *where: str) -> Iterator[Mapping[str, Any]]:
    """Pages one after the other: the second half."""
    locator = ""
    while True:
        page = fetch(*where, locator)
        yield page
        if not (locator := page["locator"]):
            return


def _tap(rows: Iterable[Mapping[str, Any]]) -> int:
    """Type each row and write it as a line of JSON; how many there were."""
    count = 0
    with Path(os.devnull).open("w", encoding="utf-8") as out:
        for count, row in enumerate(rows, 1):  # noqa: B007 (the count is what we want)
            out.write(json.dumps({name: _typed(name, row[name]) for name in FIELDS}) + "\n")
    return count


def _typed(name: str, value: Any) -> Any:
    if value in {"", None}:
        return None
    if name in _NUMBERS:
        return float(value)
    if name in _WHOLE:
        return int(value)
    return value in {"true", True} if name in _FLAGS else value


if __name__ == "__main__":
    readers = {"download": download, "records": records, "rest": rest}
    readers[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
