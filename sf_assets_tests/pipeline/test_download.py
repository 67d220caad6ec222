"""The pages of a job become files: all rows once, whatever breaks on the way."""

import gzip
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.errors import OrgUnreachableError, PageBrokenError, SalesforceError
from sf_assets.pipeline.extraction import download
from sf_assets.pipeline.extraction.download import Download, PageRead
from sf_assets.pipeline.extraction.duplicate_ids import Seen
from sf_assets.salesforce import bulk, session
from sf_assets.salesforce.bulk import Deadlines, Job
from sf_assets.salesforce.client import Client, connect
from sf_assets.settings import load_credentials
from sf_assets.storage.parquet_writer import DAY, Layout
from sf_assets.storage.store import Store
from sf_assets_tests.salesforce.scripted import Reply, failure, html
from sf_assets_tests.salesforce.scripted_org import (
    EXPIRED,
    JOB_ID,
    JOBS,
    Breakage,
    ScriptedJob,
    ScriptedOrg,
    connected,
    csv_page,
    links,
    numbered,
    with_headers,
)

RESULTS = f"{JOBS}/{JOB_ID}/results"
THREE_PAGES = [numbered(0, 50), numbered(50, 50), numbered(100, 20)]
LISTED = [links([0, 1], following="more"), links([2])]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting times that tests have; pages are listed however few rows there are."""
    monkeypatch.setattr(session, "_FIRST_PAUSE", 0.002)
    monkeypatch.setattr(session, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(session, "READ_SECONDS", 0.3)
    monkeypatch.setattr(bulk, "_FIRST_POLL", 0.01)
    monkeypatch.setattr(bulk, "_FEW_ROWS", 0)


@pytest.fixture
def org() -> Iterator[ScriptedOrg]:
    with ScriptedOrg() as running:
        yield running


@pytest.fixture
def client(org: ScriptedOrg) -> Iterator[Client]:
    with connected(org) as open_client:
        yield open_client


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/raw")


def fetch(
    client: Client,
    store: Store,
    job: Job,
    fields: Sequence[str] = ("Id", "Name"),
    pause: Callable[[float], None] = lambda _: None,
) -> list[PageRead]:
    """All pages of a job, four at a time."""
    seen = Seen()
    reading = Download(
        bulk=client.bulk,
        job=job,
        store=store,
        layout=Layout("raw/account", "slice", None, DAY, "2026-11-21"),
        slug="account",
        fields=fields,
        columns=fields,
        unknown=None,
        seen=seen,
        pause=pause,
    )
    with seen, ThreadPoolExecutor(4) as pool:
        return reading.run(pool)


def fetch_scripted(client: Client, store: Store) -> list[PageRead]:
    return fetch(client, store, client.bulk.get(JOB_ID))


def column(store: Store, pages: Sequence[PageRead], name: str) -> list[Any]:
    """The values of a column in all files that the pages became."""
    parts = [part for page in pages for part in page.written.parts]
    assert len({part.path for part in parts}) == len(parts)
    tables = [pq.read_table(store.uri(p.path).removeprefix("file://")) for p in parts]
    assert [table.num_rows for table in tables] == [part.rows for part in parts]
    return [value for table in tables for value in table[name].to_pylist()]


def assert_whole(store: Store, pages: Sequence[PageRead], rows: int) -> None:
    """Every row is there once, and all counts say so."""
    ids = column(store, pages, "Id")
    assert ids == [row[0] for row in numbered(0, rows)]
    assert sum(page.announced for page in pages) == rows
    assert sum(page.written.rows for page in pages) == rows


def asked(org: ScriptedOrg) -> list[int]:
    """How often each page was asked for."""
    pages = [h.query.get("locator", "page0") for h in org.calls("GET", RESULTS)]
    return [pages.count(f"page{n}") for n in range(3)]


@pytest.fixture(params=["side by side", "one by one"])
def way(request: pytest.FixtureRequest) -> list[Any] | None:
    """Both ways to go through the pages: what the org says when it is asked for a list."""
    return LISTED if request.param == "side by side" else None


@pytest.mark.parametrize("shape", ["guide", "off"], ids=["side by side", "one by one"])
def test_twelve_thousand_rows_in_pages_of_five_thousand(
    store: Store, monkeypatch: pytest.MonkeyPatch, shape: Any
) -> None:
    """Others return 5,000 rows, or 12,002 with two header rows among them."""
    monkeypatch.setattr(bulk, "_CHAIN_ROWS", 5000)
    settings = Settings(job_seconds=0.01, page_rows=5000, result_pages=shape)
    with Emulator(schema=standard_schema(), settings=settings) as org:
        names = [f"Account {n}" for n in range(12_000)]
        org.records.run(lambda t: t.insert("Account", [{"Name": name} for name in names]))
        client = connect(load_credentials(org.environment))
        job = client.bulk.wait(client.bulk.create("SELECT Id, Name FROM Account"), Deadlines())
        pages = fetch(client, store, job)
        client.session.close()
    assert [page.announced for page in pages] == [5000, 5000, 2000]
    ids = column(store, pages, "Id")
    assert len(ids) == len(set(ids)) == 12_000
    assert "Id" not in ids
    assert sorted(column(store, pages, "Name")) == sorted(names)


def test_pages_come_in_order_though_they_arrive_in_another(
    org: ScriptedOrg, client: Client, store: Store, way: list[Any] | None
) -> None:
    late: Breakage = lambda good: replace(good, wait=0.1)  # noqa: E731  a value like the others
    ScriptedJob(org, THREE_PAGES, listing=way, broken={0: [late]})
    assert_whole(store, fetch_scripted(client, store), 120)
    assert asked(org) == [1, 1, 1]


def whole_body(good: Reply) -> bytes:
    assert isinstance(good.body, bytes)
    return good.body


def lines(good: Reply) -> list[bytes]:
    return whole_body(good).splitlines(keepends=True)


GZIP = {"Content-Encoding": "gzip"}
BREAKAGES: dict[str, Breakage] = {
    "closed in the middle": lambda good: replace(good, cut=100),
    "closed in the middle of chunks": lambda good: replace(good, cut=100, framing="chunked"),
    "closed without framing": lambda good: replace(good, cut=100, framing="close"),
    "closed after a row": lambda good: replace(
        good, cut=len(b"".join(lines(good)[:3])), framing="close"
    ),
    "closed before the last line end": lambda good: replace(
        good, cut=len(whole_body(good)) - 4, framing="close"
    ),
    "reset in the middle": lambda good: replace(good, cut=100, reset=True),
    "stalled in the middle": lambda good: replace(good, cut=100, stall=30),
    "shorter than announced": lambda good: replace(good, length=len(whole_body(good)) + 10),
    "longer than announced": lambda good: replace(good, length=len(whole_body(good)) - 10),
    "too few rows": lambda good: replace(good, body=b"".join(lines(good)[:-1])),
    "too many rows": lambda good: replace(good, body=whole_body(good) + lines(good)[-1]),
    "count too small": with_headers(Sforce_NumberOfRecords="7"),
    "count too large": with_headers(Sforce_NumberOfRecords="5000"),
    "no rows": lambda good: replace(good, body=lines(good)[0]),
    "nothing": lambda good: replace(good, body=b""),
    "no header": lambda good: replace(good, body=b"".join(lines(good)[1:])),
    "other columns": lambda good: replace(good, body=csv_page(("Id", "Phone"), [["1", "2"]])),
    "row with a column less": lambda good: replace(good, body=whole_body(good) + b'"x"\n'),
    "row with a column more": lambda good: replace(good, body=whole_body(good) + b'"x","y","z"\n'),
    "quote without its end": lambda good: replace(good, body=whole_body(good) + b'"x","y\n'),
    "no UTF-8": lambda good: replace(good, body=whole_body(good).replace(b"Account", b"\xff\xfe")),
    "page for people": lambda good: replace(good, body=html().body),
    "JSON": lambda good: replace(good, body=b'[{"errorCode":"UNKNOWN"}]'),
    "no gzip though it says so": with_headers(Content_Encoding="gzip"),
    "gzip though it does not say so": lambda good: replace(
        good, body=gzip.compress(whole_body(good))
    ),
    "gzip cut short": lambda good: replace(
        good, body=gzip.compress(whole_body(good))[:-30], headers={**good.headers, **GZIP}
    ),
    "gzip with a hole": lambda good: replace(
        good,
        body=gzip.compress(whole_body(good))[:60] + b"x" * 60,
        headers={**good.headers, **GZIP},
    ),
    "busy": lambda _: failure(503, "SERVER_UNAVAILABLE"),
    "busy gateway": lambda _: html(502),
    "throttled": lambda _: failure(429, "REQUEST_RATE_LIMITED", headers={"Retry-After": "0"}),
    "no route": lambda _: html(420),
    "session expired": lambda _: EXPIRED,
    "no answer": lambda _: Reply(mute=True),
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_a_page_that_breaks_is_fetched_again_and_never_doubled(
    org: ScriptedOrg, client: Client, store: Store, way: list[Any] | None, breakage: Breakage
) -> None:
    broken = {number: [breakage] for number in (0, 1, 2)} | {1: [breakage, breakage]}
    if breakage is BREAKAGES["session expired"]:
        broken = {1: [breakage]}
    deliveries = [1 + len(broken.get(number, [])) for number in range(3)]
    ScriptedJob(org, THREE_PAGES, listing=way, broken=broken)
    assert_whole(store, fetch_scripted(client, store), 120)
    assert asked(org) == deliveries


STAYS_BROKEN = [
    "closed in the middle",
    "count too large",
    "count too small",
    "no header",
    "row with a column less",
    "quote without its end",
    "no UTF-8",
    "gzip cut short",
    "JSON",
]


@pytest.mark.parametrize("kind", STAYS_BROKEN)
def test_a_page_that_stays_broken_fails_the_job_without_telling_values(
    org: ScriptedOrg, client: Client, store: Store, way: list[Any] | None, kind: str
) -> None:
    ScriptedJob(org, THREE_PAGES, listing=way, broken={1: [BREAKAGES[kind]] * 99})
    with pytest.raises(PageBrokenError) as broken:
        fetch_scripted(client, store)
    assert asked(org)[1] == session.ATTEMPTS
    for value in ("Account 5", "001000", "UNKNOWN"):
        assert value not in str(broken.value)


def test_a_wrong_count_is_told_with_the_job(org: ScriptedOrg, client: Client, store: Store) -> None:
    wrong = with_headers(Sforce_NumberOfRecords="5000")
    ScriptedJob(org, THREE_PAGES, broken={2: [wrong] * 99})
    with pytest.raises(PageBrokenError, match=f"{JOB_ID} announced 5000 rows and held 20"):
        fetch_scripted(client, store)


def test_a_page_without_a_count_is_counted_by_its_rows(
    org: ScriptedOrg, client: Client, store: Store, way: list[Any] | None
) -> None:
    silent = with_headers(Sforce_NumberOfRecords=None)
    ScriptedJob(org, THREE_PAGES, listing=way, broken={n: [silent] for n in range(3)})
    assert_whole(store, fetch_scripted(client, store), 120)


def test_header_names_in_lower_case_and_no_charset(
    org: ScriptedOrg, client: Client, store: Store, way: list[Any] | None
) -> None:
    def lower(good: Reply) -> Reply:
        headers = {**good.headers, "Content-Type": "text/csv;charset=ISO-8859-1"}
        return replace(good, headers=headers, lower_case=True)

    ScriptedJob(org, THREE_PAGES, listing=way, broken={n: [lower] for n in range(3)})
    assert_whole(store, fetch_scripted(client, store), 120)


VALUES = [
    "NA", "null", "N/A", "None", "nan", "NaN", "#N/A", " ", "0.0", "123456789012345678.90", "true",
    "CR\rLF\nCRLF\r\nend", 'a "quoted" ""word""', "comma, and; tab\t", "U+2028 \u2028", "\u0085",
    "NUL \x00 inside", "Zoë Müller 日本 🚀", "é" * 70_000, "=1+1", "\\", "'", "\ufeff",
]  # fmt: skip


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_values_come_out_as_they_went_in(
    org: ScriptedOrg, client: Client, store: Store, framing: Any, zipped: bool
) -> None:
    rows = [[f"001{n:015d}", value] for n, value in enumerate([*VALUES, *VALUES[::-1], ""])]

    def arrive(good: Reply) -> Reply:
        if not zipped:
            return replace(good, framing=framing)
        body = gzip.compress(whole_body(good))
        return replace(good, body=body, headers={**good.headers, **GZIP}, framing=framing)

    ScriptedJob(org, [rows], broken={0: [arrive]})
    pages = fetch_scripted(client, store)
    assert column(store, pages, "Name") == [*VALUES, *VALUES[::-1], None]
    assert asked(org)[0] == 1


@pytest.mark.parametrize("body", [b'"Id","Name"\n', b'"Id","Name"', b'"Id","Name"\r\n', b""])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_result_without_rows(
    org: ScriptedOrg, client: Client, store: Store, body: bytes, framing: Any
) -> None:
    empty: Breakage = lambda good: replace(good, body=body, framing=framing)  # noqa: E731  as above
    ScriptedJob(org, [[]], broken={0: [empty]})
    (page,) = fetch_scripted(client, store)
    assert (page.announced, page.written.rows, page.written.parts) == (0, 0, [])
    assert asked(org) == [1, 0, 0]


def test_an_empty_body_may_claim_to_be_compressed(
    org: ScriptedOrg, client: Client, store: Store
) -> None:
    empty: Breakage = lambda good: replace(  # noqa: E731  as above
        good, body=b"", headers={**good.headers, **GZIP}
    )
    ScriptedJob(org, [[]], broken={0: [empty]})
    (page,) = fetch_scripted(client, store)
    assert page.written.rows == 0


@pytest.mark.parametrize("characters", [131_072, 2_000_000, 20_000_000])
def test_a_record_may_be_longer_than_the_parsers_block(
    org: ScriptedOrg,
    client: Client,
    store: Store,
    characters: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "READ_SECONDS", 30)
    rows = [[f"001{n:015d}", "short"] for n in range(3)]
    rows[1][1] = "x\n" * (characters // 2)
    ScriptedJob(org, [rows])
    pages = fetch_scripted(client, store)
    assert column(store, pages, "Name") == [row[1] for row in rows]


def test_a_record_longer_than_any_block_ends_in_an_error(
    org: ScriptedOrg, client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quote that never ends makes one record of all that follows, however large the block."""
    monkeypatch.setattr(download, "BLOCKS", (1 << 10, 1 << 12))
    rows = [["001", "x" * 100_000], ["002", "y"]]
    ScriptedJob(org, [rows])
    with pytest.raises(PageBrokenError, match="longer"):
        fetch_scripted(client, store)
    assert asked(org)[0] <= 3


@pytest.mark.parametrize("back", ["page0", "page1"])
def test_locators_that_go_round_in_a_circle_end(
    org: ScriptedOrg, client: Client, store: Store, back: str
) -> None:
    again = with_headers(Sforce_Locator=back)
    ScriptedJob(org, THREE_PAGES, broken={1: [again] * 99})
    with pytest.raises(PageBrokenError, match="names one that was read"):
        fetch_scripted(client, store)
    assert sum(asked(org)) < 20


def test_a_next_page_that_only_the_good_delivery_names(
    org: ScriptedOrg, client: Client, store: Store
) -> None:
    def mute(good: Reply) -> Reply:
        headers = {**good.headers, "Sforce-Locator": None, "Sforce-NumberOfRecords": "9"}
        return replace(good, headers=headers)

    ScriptedJob(org, THREE_PAGES, broken={0: [mute]})
    assert_whole(store, fetch_scripted(client, store), 120)
    assert asked(org) == [2, 1, 1]


def test_a_list_that_names_a_page_twice_is_not_followed(
    org: ScriptedOrg, client: Client, store: Store
) -> None:
    ScriptedJob(org, THREE_PAGES, listing=[links([0, 1, 1])])
    assert_whole(store, fetch_scripted(client, store), 120)
    assert asked(org) == [1, 1, 1]


def test_a_list_that_forgets_a_page_shows_in_the_counts(
    org: ScriptedOrg, client: Client, store: Store
) -> None:
    ScriptedJob(org, THREE_PAGES, listing=[links([0, 2])])
    job = client.bulk.get(JOB_ID)
    pages = fetch(client, store, job)
    assert sum(page.announced for page in pages) == 70 != job.rows


@pytest.mark.parametrize(
    "refusal",
    [
        failure(400, "INVALIDLOCATOR", "Invalid locator"),
        failure(409, "INVALIDVERSION", "The job was created with API version 65.0"),
        failure(404, "NOT_FOUND", "The requested resource does not exist"),
    ],
    ids=["locator expired", "other version", "job gone"],
)
def test_a_page_that_is_refused_fails_the_job_at_once(
    org: ScriptedOrg, client: Client, store: Store, way: list[Any] | None, refusal: Reply
) -> None:
    ScriptedJob(org, THREE_PAGES, listing=way, broken={1: [lambda _: refusal] * 99})
    with pytest.raises(SalesforceError) as refused:
        fetch_scripted(client, store)
    assert refused.value.status == refusal.status
    assert asked(org)[1] == 1


def test_an_org_that_goes_away_in_the_middle(
    org: ScriptedOrg, client: Client, store: Store
) -> None:
    ScriptedJob(org, THREE_PAGES, broken={1: [lambda _: html(503)] * 99})
    with pytest.raises(OrgUnreachableError):
        fetch_scripted(client, store)
    assert asked(org)[1] == session.ATTEMPTS


def test_a_failure_ends_the_reading_of_pages_that_follow(
    org: ScriptedOrg, client: Client, store: Store
) -> None:
    """Nobody waits for a thousand pages of a job whose first one failed."""
    pages = [numbered(10 * n, 10) for n in range(1000)]
    refused = failure(400, "INVALIDLOCATOR", wait=0.05)
    slow: Breakage = lambda good: replace(good, wait=0.01)  # noqa: E731  as above
    broken = {n: [slow] for n in range(1000)}
    # The first delivery names the next page, and then breaks; the second one is refused.
    broken[0] = [BREAKAGES["too few rows"], lambda _: refused]
    ScriptedJob(org, pages, broken=broken)
    with pytest.raises(SalesforceError) as failed:
        fetch_scripted(client, store)
    assert failed.value.code == "INVALIDLOCATOR"
    assert len(org.calls("GET", RESULTS)) < 100


class StopError(Exception):
    """The run is told to stop."""


@pytest.mark.parametrize("when", ["while a page is read", "before a page is fetched again"])
def test_a_run_that_is_told_to_stop_stops(
    org: ScriptedOrg, client: Client, store: Store, when: str
) -> None:
    stopped = threading.Event()

    def pause(seconds: float) -> None:
        if (seconds > 0) is (when != "while a page is read"):
            stopped.set()
        if stopped.is_set():
            raise StopError

    broken = itertools.repeat(BREAKAGES["closed in the middle"], 99)
    ScriptedJob(org, THREE_PAGES, broken={0: list(broken)} if "again" in when else {})
    with pytest.raises(StopError):
        fetch(client, store, client.bulk.get(JOB_ID), pause=pause)
    assert asked(org)[0] == 1
