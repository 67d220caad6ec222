"""Result pages: which there are, what they tell of themselves, and how they are asked for."""

import gzip
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import ResultPages, Settings
from sf_assets.errors import (
    LimitExceededError,
    OrgUnreachableError,
    PageBrokenError,
    SalesforceError,
)
from sf_assets.salesforce import bulk
from sf_assets.salesforce.bulk import Deadlines, Job
from sf_assets.salesforce.client import Client, connect
from sf_assets.settings import load_credentials
from sf_assets_tests.salesforce.scripted import (
    Answer,
    Reply,
    as_json,
    failure,
    html,
)
from sf_assets_tests.salesforce.scripted_org import (
    DATA,
    JOB_ID,
    JOBS,
    ScriptedJob,
    ScriptedOrg,
    connected,
    csv_page,
    links,
    numbered,
)

DONE = Job(JOB_ID, "JobComplete", 12_000)
RESULTS = f"{JOBS}/{JOB_ID}/results"
RESULT_PAGES = f"{JOBS}/{JOB_ID}/resultPages"
PAGES = [numbered(0, 5), numbered(5, 5), numbered(10, 2)]


@pytest.fixture
def every_result_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Result pages are listed whatever the number of rows."""
    monkeypatch.setattr(bulk, "_FEW_ROWS", 0)


SHAPES: dict[str, Callable[[str, str | None], dict[str, Any]]] = {
    "guide": lambda path, more: {
        "resultPages": [{"resultUrl": f"{DATA}{path}"}],
        "nextRecordsUrl": more and f"{DATA}{more}",
        "done": more is None,
    },
    "guide's table": lambda path, more: {
        "resultPages": [{"resultUrl": f"{DATA}{path}"}],
        "nextRecordUrl": more and f"{DATA}{more}",
        "done": more is None,
    },
    "postman": lambda path, more: {
        "resultPages": [{"resultLink": path}],
        "nextRecordsUrl": more,
        "done": more is None,
    },
    "chunks": lambda path, more: {"resultChunks": [{"resultLink": path}], "nextRecordsUrl": more},
    "other host": lambda path, more: {
        "resultPages": [{"resultUrl": f"https://example.com{DATA}{path}"}],
        "nextRecordsUrl": more and f"https://example.com{DATA}{more}",
        "done": more is None,
    },
}


@pytest.mark.usefixtures("every_result_is_large")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_of_the_links_only_the_locator_counts(
    org: ScriptedOrg, client: Client, shape: Callable[[str, str | None], dict[str, Any]]
) -> None:
    path = f"/jobs/query/{JOB_ID}"
    listing = [
        shape(f"{path}/results?locator=page0", f"{path}/resultpages?locator=MTAwMDA"),
        shape(f"{path}/results?maxRecords=5&locator=a%2Bb%3D", f"{path}/resultpages?locator=next"),
        shape(f"{path}/results?locator=page2", None),
    ]
    ScriptedJob(org, PAGES, listing=listing)
    assert client.bulk.locators(DONE) == ["page0", "a+b=", "page2"]
    asked = [h.query for h in org.calls("GET", RESULT_PAGES)]
    assert asked == [{}, {"locator": "MTAwMDA"}, {"locator": "next"}]


@pytest.mark.usefixtures("every_result_is_large")
def test_the_first_page_may_have_no_locator(org: ScriptedOrg, client: Client) -> None:
    listing = links([1, 2])
    listing["resultPages"].insert(0, {"resultUrl": RESULTS})
    ScriptedJob(org, PAGES, listing=[listing])
    assert client.bulk.locators(DONE) == [None, "page1", "page2"]


@pytest.mark.usefixtures("every_result_is_large")
@pytest.mark.parametrize(
    "answer",
    [
        failure(404, "NOT_FOUND"),
        failure(400, "INVALIDJOBSTATE"),
        failure(405, "METHOD_NOT_ALLOWED"),
        failure(403, "FUNCTIONALITY_NOT_ENABLED"),
        as_json({"resultPages": [], "done": True}),
        as_json({"pages": [{"url": f"{RESULTS}?locator=page0"}]}),
        as_json({"resultPages": [{"href": "page0"}, {"href": "page1"}], "done": True}),
        as_json({"resultPages": ["page0"], "done": True}),
        as_json([]),
        as_json(links([0, 1, 1])),
        as_json(links([0, 1], following="always-this")),
    ],
)
def test_without_a_list_to_rely_on_pages_are_followed_one_by_one(
    org: ScriptedOrg, client: Client, answer: Answer
) -> None:
    ScriptedJob(org, PAGES)
    org.on("GET", RESULT_PAGES, answer)
    assert client.bulk.locators(DONE) is None
    assert len(org.calls("GET", RESULT_PAGES)) <= 2


@pytest.mark.usefixtures("every_result_is_large")
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failure(503, "SERVER_UNAVAILABLE"), OrgUnreachableError),
        (failure(403, "REQUEST_LIMIT_EXCEEDED"), LimitExceededError),
        (html(200), OrgUnreachableError),
    ],
)
def test_an_org_that_is_down_has_not_said_that_it_has_no_list(
    org: ScriptedOrg, client: Client, answer: Answer, kind: type[SalesforceError]
) -> None:
    org.on("GET", RESULT_PAGES, answer)
    with pytest.raises(kind):
        client.bulk.locators(DONE)


def test_few_rows_are_not_worth_a_call_for_the_list(org: ScriptedOrg, client: Client) -> None:
    ScriptedJob(org, PAGES, listing=[links([0, 1, 2])])
    assert client.bulk.locators(Job(JOB_ID, "JobComplete", 12)) is None
    assert org.calls("GET", RESULT_PAGES) == []


@pytest.mark.usefixtures("every_result_is_large")
def test_an_older_version_has_no_list_to_ask_for(org: ScriptedOrg) -> None:
    with connected(org, api_version="57.0") as client:
        assert client.bulk.locators(DONE) is None
    assert org.calls("GET", ".*/resultPages") == []


@pytest.mark.parametrize("lower_case", [False, True])
def test_a_page_tells_its_rows_and_the_next(
    org: ScriptedOrg, client: Client, lower_case: bool
) -> None:
    headers = {
        "Sforce-NumberOfRecords": "5",
        "Sforce-Locator": "MTAwMDA",
        "Content-Type": "text/csv",
    }
    body = csv_page(("Id", "Name"), PAGES[0])
    org.on("GET", RESULTS, Reply(200, body, headers, lower_case=lower_case))
    with client.bulk.open_page(DONE, None, chained=True) as page:
        assert (page.rows, page.following) == (5, "MTAwMDA")
        assert page.body.read() == body


@pytest.mark.parametrize("last", ["null", "", None])
def test_the_last_page_names_no_next(org: ScriptedOrg, client: Client, last: str | None) -> None:
    headers = {"Sforce-NumberOfRecords": "0", "Sforce-Locator": last}
    org.on("GET", RESULTS, Reply(200, b"", headers))
    with client.bulk.open_page(DONE, "x", chained=True) as page:
        assert (page.rows, page.following) == (0, None)
        assert page.body.read() == b""


@pytest.mark.parametrize("told", [None, "", "many", "-1", "5.0"])
def test_a_page_that_does_not_tell_its_rows(
    org: ScriptedOrg, client: Client, told: str | None
) -> None:
    org.on("GET", RESULTS, Reply(200, b"", {"Sforce-NumberOfRecords": told}))
    with client.bulk.open_page(DONE, None, chained=True) as page:
        assert page.rows is None


def test_pages_followed_one_by_one_have_a_size_that_we_choose(
    org: ScriptedOrg, client: Client
) -> None:
    """Left to itself a page was seen to grow until it hung; a listed page has its size."""
    ScriptedJob(org, PAGES)
    for locator, chained in ((None, True), ("page1", True), (None, False), ("page1", False)):
        client.bulk.open_page(DONE, locator, chained=chained).__exit__(None, None, None)
    asked = [h.query for h in org.calls("GET", RESULTS)]
    assert asked == [
        {"maxRecords": "100000"},
        {"locator": "page1", "maxRecords": "100000"},
        {},
        {"locator": "page1"},
    ]
    assert {h.headers["accept"] for h in org.calls("GET", RESULTS)} == {"text/csv"}


@pytest.mark.parametrize(
    "answer",
    [
        failure(400, "INVALIDLOCATOR", "Invalid locator: page9"),
        failure(409, "INVALIDVERSION", "created with API version 65.0"),
        failure(400, "INVALIDJOBSTATE", "Results are not available"),
        failure(404, "NOT_FOUND", "The requested resource does not exist"),
    ],
    ids=["locator expired", "other version", "not complete", "job gone"],
)
def test_a_page_that_is_refused_is_not_asked_for_again(
    org: ScriptedOrg, client: Client, answer: Reply
) -> None:
    org.on("GET", RESULTS, answer)
    with pytest.raises(SalesforceError) as refused:
        client.bulk.open_page(DONE, "page9", chained=True)
    assert refused.value.status == answer.status
    assert not isinstance(refused.value, PageBrokenError)
    assert JOB_ID in str(refused.value)
    assert len(org.calls("GET", RESULTS)) == 1


def test_a_page_that_is_left_halfway_does_not_disturb_what_follows(
    org: ScriptedOrg, client: Client
) -> None:
    ScriptedJob(org, [numbered(0, 50_000)])
    for _ in range(3):
        with client.bulk.open_page(DONE, None, chained=True) as page:
            assert page.body.read(100)
    assert client.bulk.get(JOB_ID).rows == 50_000


def test_over_https_pages_are_compressed(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with ScriptedOrg(tls) as org, connected(org) as client:
        ScriptedJob(org, PAGES)
        body = csv_page(("Id", "Name"), PAGES[0])
        headers = {"Content-Encoding": "gzip", "Sforce-NumberOfRecords": "5"}
        org.on("GET", RESULTS, Reply(200, gzip.compress(body), headers, framing="chunked"))
        assert client.bulk.get(JOB_ID).rows == 12
        with client.bulk.open_page(DONE, None, chained=True) as page:
            assert page.body.read() == body
        assert org.calls("GET", RESULTS)[0].headers["accept-encoding"] == "gzip"
        org.on("GET", f"{DATA}/limits/?", as_json({"A": {"Max": 1}}))
        assert client.rest.limits() == {"A": {"Max": 1}}


@pytest.mark.usefixtures("every_result_is_large")
@pytest.mark.parametrize("shape", ["guide", "postman", "chunks", "off"])
def test_every_way_to_list_pages_leads_to_all_rows(shape: ResultPages) -> None:
    """12,000 rows in pages of 1,000: three lists of links, or locators to follow."""
    settings = Settings(job_seconds=0.01, page_rows=1000, result_pages=shape)
    with Emulator(schema=standard_schema(), settings=settings) as org:
        org.records.run(lambda t: t.insert("Account", [{"Name": f"A{n}"} for n in range(12_000)]))
        client = connect(load_credentials(org.environment))
        job = client.bulk.wait(client.bulk.create("SELECT Id FROM Account"), Deadlines())
        assert job.rows == 12_000
        locators = client.bulk.locators(job)
        assert (locators is None) is (shape == "off")
        ids: list[bytes] = []
        for locator in locators or [None]:
            with client.bulk.open_page(job, locator, chained=locators is None) as page:
                header, *rows = page.body.read().splitlines()
                assert header == b'"Id"'
                assert len(rows) == page.rows
                ids += rows
        client.session.close()
    assert len(ids) == len(set(ids)) == 12_000
