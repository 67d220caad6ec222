"""Failures on order: each of them as a client meets it."""

import contextlib
import gzip
import json
import socket
import time
import zlib
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from sf_assets.emulator import faults
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api


@pytest.fixture(scope="module")
def emulator(schema: Schema) -> Iterator[Emulator]:
    """An org in which failures can be ordered."""
    settings = Settings(job_seconds=0.05, faults=True)
    with Emulator(schema=schema, settings=settings) as running:
        rows = [{"Name": f"Account {n}", "Description": "x" * 200} for n in range(500)]
        running.org.records.run(lambda t: t.insert("Account", rows))
        yield running


@pytest.fixture
def order(emulator: Emulator) -> Iterator[Any]:
    """Orders faults over HTTP; none is left afterwards."""
    url = f"{emulator.url}/_faults"

    def post(*faults: dict[str, Any]) -> None:
        assert requests.post(url, json=list(faults), timeout=10).status_code == 201

    yield post
    assert requests.delete(url, timeout=10).status_code == 204


def raw(emulator: Emulator, api: Api, path: str, *headers: str) -> bytes:
    """Everything that the org sends for one request, until it closes the connection."""
    host, port = emulator.url.removeprefix("http://").split(":")
    token = str(api.http.headers["Authorization"])
    lines = [
        f"GET /services/data/v66.0{path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: {token}",
        "Connection: close",
        *headers,
    ]
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    return received


def test_there_is_no_such_resource_without_the_option(schema: Schema) -> None:
    with Emulator(schema=schema) as plain:
        assert requests.get(f"{plain.url}/_faults", timeout=10).status_code == 404
        assert plain.faults is None


@pytest.mark.parametrize("wrong", [{"pathh": "/query"}, "/query", 3])
def test_a_wrong_fault_is_told_the_keys_that_there_are(emulator: Emulator, wrong: Any) -> None:
    answer = requests.post(f"{emulator.url}/_faults", json=[wrong], timeout=10)
    assert answer.status_code == 400
    said = answer.json()[0]["message"]
    assert said.startswith("not a fault: an object with keys out of method, path, request_body, ")


def test_an_error_for_the_nth_call(order: Any, api: Api) -> None:
    busy = {"status": 503, "code": "SERVER_UNAVAILABLE", "message": "Server is too busy."}
    order({"method": "GET", "path": "/limits$", "nth": 2, "times": 2, **busy})
    statuses = [api("GET", "/limits").status_code for _ in range(4)]
    assert statuses == [200, 503, 503, 200]
    order({"path": "/limits", "status": 502, "body": "<html>Bad Gateway</html>"})
    answer = api("GET", "/limits")
    assert (answer.status_code, answer.text) == (502, "<html>Bad Gateway</html>")
    assert answer.headers["Content-Type"].startswith("text/html")
    order({"path": "q=SELECT", "times": 0, "status": 403, "code": "REQUEST_LIMIT_EXCEEDED",
           "message": "TotalRequests Limit exceeded."})  # fmt: skip
    for _ in range(3):
        answer = api("GET", "/query", params={"q": "SELECT Id FROM Account"})
        assert answer.json() == [
            {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
        ]


def test_a_session_that_ends_in_between(order: Any, api: Api) -> None:
    order({"nth": 2, "status": 401, "code": "INVALID_SESSION_ID",
           "message": "Session expired or invalid"})  # fmt: skip
    assert [api("GET", "/limits").status_code for _ in range(3)] == [200, 401, 200]


def test_delay(order: Any, api: Api) -> None:
    order({"path": "/limits", "delay": 0.3})
    started = time.monotonic()
    assert api("GET", "/limits").status_code == 200
    assert time.monotonic() - started >= 0.3


def test_headers(order: Any, emulator: Emulator, api: Api) -> None:
    job_id = api.job("SELECT Id FROM Account")
    path = f"/jobs/query/{job_id}/results"
    order({"path": "results", "headers": {"Sforce-NumberOfRecords": "7", "Sforce-Locator": None}})
    answer = api("GET", path)
    assert answer.headers["Sforce-NumberOfRecords"] == "7"
    assert "Sforce-Locator" not in answer.headers
    order({"path": "/limits", "lower_case_headers": True,
           "headers": {"Content-Type": "application/json"}})  # fmt: skip
    head = raw(emulator, api, "/limits").partition(b"\r\n\r\n")[0]
    assert b"\r\ncontent-type: application/json\r\n" in head + b"\r\n"
    assert b"Content-Type" not in head
    assert b"\r\nContent-Type: application/json;charset=UTF-8\r\n" in raw(emulator, api, "/limits")


def test_a_body_cut_short_with_its_framing_in_order(
    order: Any, emulator: Emulator, api: Api
) -> None:
    job_id = api.job("SELECT Id, Description FROM Account")
    path = f"/jobs/query/{job_id}/results"
    order({"path": "results", "truncate_after": 1000})
    answer = api("GET", path, headers={"Accept-Encoding": "identity"})
    assert (answer.headers["Content-Length"], len(answer.content)) == ("1000", 1000)
    order({"path": "results", "truncate_after": 300})
    head, _, body = raw(emulator, api, path, "Accept-Encoding: gzip").partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body.endswith(b"0\r\n\r\n")
    packed = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        packed += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    assert len(packed) == 300
    reader = zlib.decompressobj(31)
    reader.decompress(packed)
    assert not reader.eof
    whole = api("GET", path, headers={"Accept-Encoding": "gzip"})
    assert len(whole.content) > 100_000
    assert gzip.compress(whole.content)


def test_a_connection_reset_in_the_middle(order: Any, emulator: Emulator, api: Api) -> None:
    job_id = api.job("SELECT Id, Description FROM Account")
    path = f"/jobs/query/{job_id}/results"
    order({"path": "results", "reset_after": 500})
    with pytest.raises(requests.RequestException, match="reset by peer"):
        requests.get(
            api.base + path,
            headers={**api.http.headers, "Accept-Encoding": "identity"},
            timeout=10,
        )
    order({"path": "results", "reset_after": 500})
    received = raw(emulator, api, path, "Accept-Encoding: identity")
    assert len(received) < 2000
    assert api("GET", path).status_code == 200


@pytest.mark.parametrize(
    ("state", "message"), [("Failed", "ApiBatchItems Limit exceeded."), ("Failed", None),
                           ("Aborted", None)]
)  # fmt: skip
def test_jobs_that_end_badly(order: Any, api: Api, state: str, message: str | None) -> None:
    order({"method": "POST", "path": "/jobs/query$", "job_state": state, "job_message": message})
    job_id = api.job("SELECT Id FROM Account")
    info = api("GET", f"/jobs/query/{job_id}").json()
    assert (info["state"], info.get("errorMessage")) == (state, message)
    assert api("GET", f"/jobs/query/{job_id}/results").status_code == 400
    following = api.job("SELECT Id FROM Account")
    assert api("GET", f"/jobs/query/{following}").json()["state"] == "JobComplete"


def test_a_job_that_never_ends(order: Any, api: Api) -> None:
    order({"method": "POST", "path": "/jobs/query$", "job_state": "InProgress"})
    body = {"operation": "query", "query": "SELECT Id FROM Account"}
    job_id = api("POST", "/jobs/query", json=body).json()["id"]
    time.sleep(0.3)
    assert api("GET", f"/jobs/query/{job_id}").json()["state"] == "InProgress"
    aborted = api("PATCH", f"/jobs/query/{job_id}", json={"state": "Aborted"})
    assert aborted.json()["state"] == "Aborted"


def test_orders_from_python_and_their_list(order: Any, emulator: Emulator, api: Api) -> None:
    assert order
    assert emulator.faults is not None
    emulator.faults.add(Fault(path="/limits", status=500))
    listed = requests.get(f"{emulator.url}/_faults", timeout=10).json()
    assert (listed[0]["path"], listed[0]["status"]) == ("/limits", 500)
    assert api("GET", "/limits").status_code == 500
    assert requests.get(f"{emulator.url}/_faults", timeout=10).json() == []
    wrong = requests.post(f"{emulator.url}/_faults", json={"nonsense": 1}, timeout=10)
    assert wrong.status_code == 400
    assert json.loads(wrong.text)[0]["errorCode"] == "JSON_PARSER_ERROR"


def test_a_connection_that_closes_short_of_its_length(
    order: Any, emulator: Emulator, api: Api
) -> None:
    path = f"/jobs/query/{api.job('SELECT Id, Description FROM Account')}/results"
    order({"path": "results", "close_after": 500})
    head, _, body = raw(emulator, api, path, "Accept-Encoding: identity").partition(b"\r\n\r\n")
    length = next(h for h in head.split(b"\r\n") if h.startswith(b"Content-Length: "))
    assert int(length.split()[1]) > len(body) == 500
    order({"path": "results", "close_after": 200})
    with pytest.raises(requests.RequestException):
        requests.get(api.base + path, headers=dict(api.http.headers), timeout=10)


def test_a_body_that_stalls(order: Any, api: Api) -> None:
    path = f"/jobs/query/{api.job('SELECT Id, Description FROM Account')}/results"
    order({"path": "results", "stall_after": 1000, "stall_seconds": 0.6})
    answer = api("GET", path, headers={"Accept-Encoding": "identity"}, stream=True)
    started = time.monotonic()
    assert len(answer.raw.read(1000)) == 1000
    assert time.monotonic() - started < 0.5
    assert len(answer.raw.read()) > 100_000
    assert time.monotonic() - started >= 0.5
    order({"path": "results", "stall_after": 0})
    with pytest.raises(requests.RequestException):
        requests.get(api.base + path, headers=dict(api.http.headers), timeout=0.5)


@pytest.mark.parametrize("status", [420, 429, 502, 503])
def test_a_page_for_people(order: Any, api: Api, status: int) -> None:
    order({"path": "/limits", "status": status, "body": "<html>no</html>"})
    answer = api("GET", "/limits")
    assert (answer.status_code, answer.text) == (status, "<html>no</html>")
    assert answer.headers["Content-Type"].startswith("text/html")


def pages(api: Api, job: str) -> list[list[str]]:
    """First cells of a result, page by page, as a client that follows locators reads it."""
    found, locator = [], None
    while locator != "null":
        params = {"maxRecords": "200", **({"locator": locator} if locator else {})}
        answer = api("GET", f"/jobs/query/{job}/results", params=params)
        found.append(answer.text.splitlines()[1:])
        locator = answer.headers["Sforce-Locator"]
    return found


def test_pages_that_are_repeated_or_missing(order: Any, api: Api) -> None:
    job = api.job("SELECT Id FROM Account")
    one, two, three = pages(api, job)
    order({"path": "/results", "nth": 2, "page_shift": -1})
    assert pages(api, job) == [one, one, two, three]
    order({"path": "/results", "nth": 2, "page_shift": 1})
    assert pages(api, job) == [one, three]
    order({"path": "/results", "nth": 3, "page_shift": 1})
    assert pages(api, job) == [one, two, []]
    order({"path": "/results", "headers": {"Sforce-Locator": "null"}})
    assert pages(api, job) == [one]


def test_what_is_asked_for_decides(order: Any, api: Api) -> None:
    refusal = {"status": 400, "code": "INVALIDENTITY", "message": "Entity 'Task' is not supported"}
    order({"path": "/jobs/query$", "request_body": "FROM Task", "times": 0, **refusal})
    job = {"operation": "query", "query": "SELECT Id FROM Task"}
    for _ in range(2):
        answer = api("POST", "/jobs/query", json=job)
        assert answer.json()[0]["errorCode"] == "INVALIDENTITY"
    assert api.job("SELECT Id FROM Account")
    order({"path": "locator=", "status": 400, "code": "INVALID_QUERY_LOCATOR"})
    assert pages(api, api.job("SELECT Id FROM Contact")) == [[]]


def test_a_clock_that_is_off(order: Any, api: Api) -> None:
    order({"date_skew": -600})
    skewed, true = (parsedate_to_datetime(api("GET", "/limits").headers["Date"]) for _ in range(2))
    assert 595 < (true - skewed).total_seconds() < 615


def test_a_slow_job(order: Any, api: Api) -> None:
    order({"method": "POST", "path": "/jobs/query$", "job_seconds": 0.7})
    started = time.monotonic()
    job = api.job("SELECT Id FROM Account")
    assert time.monotonic() - started >= 0.7
    assert api("GET", f"/jobs/query/{job}").json()["state"] == "JobComplete"


def test_chaos_is_the_same_for_the_same_seed(order: Any, emulator: Emulator, api: Api) -> None:
    url = f"{emulator.url}/_faults"

    def statuses(seed: int) -> list[int]:
        order({"path": "/limits", "times": 0, "probability": 0.2, "seed": seed, "status": 503})
        found = [api("GET", "/limits").status_code for _ in range(60)]
        requests.delete(url, timeout=10)
        return found

    first = statuses(1)
    assert 3 < first.count(503) < 25
    assert statuses(1) == first
    assert statuses(2) != first
    order({"path": "/limits", "times": 2, "probability": 0.3, "status": 503})
    assert [api("GET", "/limits").status_code for _ in range(60)].count(503) == 2


def test_a_row_in_place_of_the_next_one_with_all_counts_in_order(order: Any, api: Api) -> None:
    names = "SELECT Name FROM Account ORDER BY Name"
    right = [str(r["Name"]) for r in api.query(names)]
    wrong = [*right[:2], right[2], right[2], *right[4:]]
    order({"path": "/query", "repeat_row": 3}, {"path": "/results", "repeat_row": 3})
    answer = api("GET", "/query", params={"q": names}).json()
    assert (answer["totalSize"], answer["done"]) == (len(right), True)
    assert [r["Name"] for r in answer["records"]] == wrong
    results = api("GET", f"/jobs/query/{api.job(names)}/results")
    assert results.headers["Sforce-NumberOfRecords"] == str(len(right))
    assert results.text.replace('"', "").splitlines() == ["Name", *wrong]
    order({"path": "/query", "repeat_row": len(right)})
    assert [str(r["Name"]) for r in api.query(names)] == right


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_an_answer_that_says_something_else(order: Any, api: Api, encoding: str) -> None:
    asked = {"params": {"q": "SELECT Name FROM Account WHERE Name = 'Account 7'"}}
    order({"path": "/query", "replace": {'"Account 7"': '"half \\ud83d"'}})
    answer = api("GET", "/query", headers={"Accept-Encoding": encoding}, **asked)
    assert answer.json()["records"][0]["Name"] == "half \ud83d"
    order({"path": "/results", "replace": {"Account 7": "Account 8"}})
    job = api.job(asked["params"]["q"])
    results = api("GET", f"/jobs/query/{job}/results", headers={"Accept-Encoding": encoding})
    assert results.text == '"Name"\n"Account 8"\n'


@pytest.mark.parametrize("skew", [86400, 1e12, -1e12])
def test_a_date_that_is_wrong_for_some_answers(order: Any, api: Api, skew: float) -> None:
    order({"path": "/limits", "times": 2, "date_skew": skew})
    dates = [parsedate_to_datetime(api("GET", "/limits").headers["Date"]) for _ in range(3)]
    late = [abs((date - dates[2]).total_seconds()) > 80_000 for date in dates]
    assert late == [True, True, False]


def test_every_order_in_the_docstring_is_one(emulator: Emulator, order: Any) -> None:
    text = "\n".join(line for line in str(faults.__doc__).splitlines() if line.startswith("    "))
    decoder, place, found = json.JSONDecoder(), 0, 0
    while place < len(text.rstrip()):
        place += len(text[place:]) - len(text[place:].lstrip())
        document, place = decoder.raw_decode(text, place)
        order(*(document if isinstance(document, list) else [document]))
        found += 1
    assert found >= 20
    assert len(requests.get(f"{emulator.url}/_faults", timeout=10).json()) > found
