"""Bulk 2.0 query jobs: their life, their pages, what they refuse."""

import csv
import io
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api

LONG = 18


def rows_of(text: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline=""), delimiter=delimiter))


def pages(api: Api, job_id: str, **params: Any) -> list[tuple[dict[str, str], bytes]]:
    """All pages by locator, with their headers."""
    found = []
    while True:
        answer = api("GET", f"/jobs/query/{job_id}/results", params=params)
        assert answer.status_code == 200, answer.text
        found.append((dict(answer.headers), answer.content))
        if answer.headers["Sforce-Locator"] == "null":
            return found
        params["locator"] = answer.headers["Sforce-Locator"]


def test_the_documents_of_a_job(demo_api: Api) -> None:
    body = {"operation": "query", "query": "SELECT Id FROM Account", "contentType": None}
    answer = demo_api("POST", "/jobs/query", json=body)
    assert answer.status_code == 200
    created = answer.json()
    assert list(created) == [
        "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state",
        "concurrencyMode", "contentType", "apiVersion", "lineEnding", "columnDelimiter",
    ]  # fmt: skip
    assert created["id"].startswith("750")
    assert len(created["id"]) == LONG
    assert created["state"] == "UploadComplete"
    assert '"apiVersion":66.0' in answer.text
    first = demo_api("GET", f"/jobs/query/{created['id']}").json()
    assert first["state"] in ("UploadComplete", "InProgress")
    assert first["jobType"] == "V2Query"
    assert {"numberRecordsProcessed", "retries", "totalProcessingTime"} <= set(first)
    assert first["isPkChunkingSupported"] is True


@pytest.mark.parametrize("delimiter", ["BACKQUOTE", "CARET", "COMMA", "PIPE", "SEMICOLON", "TAB"])
@pytest.mark.parametrize("line_ending", ["LF", "CRLF"])
def test_delimiters_and_line_endings(demo_api: Api, delimiter: str, line_ending: str) -> None:
    soql = "SELECT Id, Description, Owner.Name FROM Account"
    job_id = demo_api.job(soql, columnDelimiter=delimiter, lineEnding=line_ending)
    sign = {"BACKQUOTE": "`", "CARET": "^", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}.get(
        delimiter, ","
    )
    end = "\r\n" if line_ending == "CRLF" else "\n"
    text = pages(demo_api, job_id, maxRecords=1000)[0][1].decode()
    assert text.startswith(sign.join(('"Id"', '"Description"', '"Owner.Name"')) + end + '"001')
    assert text.endswith('"' + end)
    count = demo_api.query("SELECT COUNT(Id) n FROM Account")[0]["n"]
    assert len(rows_of(text.encode(), sign)) - 1 == count


def test_every_value_is_quoted_and_spelled_as_java_does(api: Api) -> None:
    api.create("Account", Name='A "b", c', AnnualRevenue=912260031, Description="x\r\ny")
    soql = (
        "SELECT Name, AnnualRevenue, NumberOfEmployees, Description, Fax, IsDeleted, CreatedDate,"
        " Parent.Name FROM Account"
    )
    job_id = api.job(soql)
    ((headers, text),) = pages(api, job_id)
    assert headers["Content-Type"] == "text/csv"
    header, record = text.decode().split("\n", 1)
    assert header == (
        '"Name","AnnualRevenue","NumberOfEmployees","Description","Fax","IsDeleted","CreatedDate",'
        '"Parent.Name"'
    )
    stamp = api.query("SELECT CreatedDate FROM Account")[0]["CreatedDate"]
    assert record == (
        '"A ""b"", c","9.12260031E8","","x\r\ny","","false",'
        f'"{str(stamp).replace("+0000", "Z")}",""\n'
    )


def test_pages_by_locator(demo_api: Api) -> None:
    soql = "SELECT Id, Name FROM Lead"
    job_id = demo_api.job(soql, "queryAll")
    total = demo_api("GET", f"/jobs/query/{job_id}").json()["numberRecordsProcessed"]
    stored = set(demo_api.emulator.store.table("Lead").read_all().column("Id").to_pylist())
    assert total == len(stored)
    for size in ({}, {"maxRecords": 7}, {"maxRecords": 10_000}):
        found = pages(demo_api, job_id, **size)
        wanted = size.get("maxRecords", 100)
        assert len(found) == -(-total // wanted)
        ids = []
        for headers, text in found:
            read = rows_of(text)
            assert read[0] == ["Id", "Name"]
            assert int(headers["Sforce-NumberOfRecords"]) == len(read) - 1
            ids += [row[0] for row in read[1:]]
        assert len(ids) == total
        assert set(ids) == stored
    assert ids != sorted(ids)


def test_an_order_is_kept(demo_api: Api) -> None:
    job_id = demo_api.job("SELECT Id FROM Lead ORDER BY Id DESC LIMIT 150")
    ids = [row[0] for _, text in pages(demo_api, job_id) for row in rows_of(text)[1:]]
    assert len(ids) == 150
    assert ids == sorted(ids, reverse=True)


def test_no_rows(demo_api: Api) -> None:
    job_id = demo_api.job("SELECT Id FROM Account WHERE Name = 'nothing of that name'")
    ((headers, text),) = pages(demo_api, job_id)
    assert text == b'"Id"\n'
    assert headers["Sforce-NumberOfRecords"] == "0"
    listed = demo_api("GET", f"/jobs/query/{job_id}/resultPages").json()
    assert (len(listed["resultPages"]), listed["done"]) == (1, True)


def test_gzip_only_when_asked(demo_api: Api) -> None:
    path = f"/jobs/query/{demo_api.job('SELECT Id, Name FROM Lead')}/results"
    plain = demo_api("GET", path, headers={"Accept-Encoding": "identity"})
    assert int(plain.headers["Content-Length"]) == len(plain.content)
    zipped = demo_api("GET", path, headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zipped.content == plain.content


def linked_rows(api: Api, job_id: str, key: str, link: str, prefix: str) -> list[str]:
    """Ids from all pages that `resultPages` names."""
    ids = []
    path: str | None = f"/jobs/query/{job_id}/resultPages"
    while path:
        document = api("GET", path).json()
        assert len(document[key]) <= 5
        for item in document[key]:
            assert item[link].startswith(f"{prefix}/jobs/query/{job_id}/results?locator=")
            text = api("GET", item[link].removeprefix(prefix)).content
            ids += [row[0] for row in rows_of(text)[1:]]
        path = document["nextRecordsUrl"]
        assert document["done"] == (path is None)
        path = path.removeprefix(prefix) if path else None
    return ids


@pytest.mark.parametrize(
    ("shape", "key", "link", "prefix"),
    [
        ("guide", "resultPages", "resultUrl", "/services/data/v66.0"),
        ("postman", "resultPages", "resultLink", ""),
        ("chunks", "resultChunks", "resultLink", ""),
    ],
)
def test_parallel_pages_in_three_shapes(
    schema: Schema, shape: Any, key: str, link: str, prefix: str
) -> None:
    settings = Settings(job_seconds=0.02, page_rows=10, result_pages=shape)
    with Emulator(schema=schema, settings=settings) as emulator:
        rows = [{"Name": str(n)} for n in range(123)]
        emulator.org.records.run(lambda t: t.insert("Account", rows))
        api = Api(emulator)
        ids = linked_rows(api, api.job("SELECT Id FROM Account"), key, link, prefix)
        assert len(ids) == len(set(ids)) == 123
        api.http.close()


def test_an_older_org_has_no_parallel_pages(schema: Schema) -> None:
    settings = Settings(job_seconds=0.02, result_pages="off")
    with Emulator(schema=schema, settings=settings) as emulator:
        api = Api(emulator)
        job_id = api.job("SELECT Id FROM Account")
        assert api("GET", f"/jobs/query/{job_id}/resultPages").status_code == 404
        api.http.close()


def test_results_have_their_time_and_their_version(schema: Schema) -> None:
    with Emulator(schema=schema, settings=Settings(job_seconds=30)) as emulator:
        api = Api(emulator)
        body = {"operation": "query", "query": "SELECT Id FROM Account"}
        job_id = api("POST", "/jobs/query", json=body).json()["id"]
        early = api("GET", f"/jobs/query/{job_id}/results")
        assert (early.status_code, early.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
        busy = api("DELETE", f"/jobs/query/{job_id}")
        assert busy.status_code == 400
        older = Api(emulator, "65.0")
        assert older("GET", f"/jobs/query/{job_id}/results").status_code == 409
        aborted = api("PATCH", f"/jobs/query/{job_id}", json={"state": "Aborted"})
        assert aborted.status_code == 200
        assert aborted.json()["state"] == "Aborted"
        assert "lineEnding" not in aborted.json()
        assert api("DELETE", f"/jobs/query/{job_id}").status_code == 204
        assert api("GET", f"/jobs/query/{job_id}").status_code == 404
        older.http.close()
        api.http.close()


def test_a_finished_job_cannot_be_aborted(demo_api: Api) -> None:
    job_id = demo_api.job("SELECT Id FROM Account")
    answer = demo_api("PATCH", f"/jobs/query/{job_id}", json={"state": "Aborted"})
    assert answer.status_code == 400
    assert answer.json() == [
        {
            "message": "Aborting already Completed Job not allowed",
            "errorCode": "INVALIDJOBSTATE",
        }
    ]


def test_progress_can_be_watched(schema: Schema) -> None:
    settings = Settings(job_seconds=0.05, job_seconds_per_100k=8)
    with Emulator(schema=schema, settings=settings) as emulator:
        rows = [{"Name": str(n)} for n in range(9000)]
        emulator.org.records.run(lambda t: t.insert("Account", rows))
        api = Api(emulator)
        body = {"operation": "query", "query": "SELECT Id FROM Account ORDER BY Id"}
        job_id = api("POST", "/jobs/query", json=body).json()["id"]
        seen: list[tuple[str, int]] = []
        while not seen or seen[-1][0] in ("UploadComplete", "InProgress"):
            info = api("GET", f"/jobs/query/{job_id}").json()
            seen.append((info["state"], info["numberRecordsProcessed"]))
            time.sleep(0.01)
        states = list(dict.fromkeys(state for state, _ in seen))
        assert states == ["UploadComplete", "InProgress", "JobComplete"]
        assert ("InProgress", 8192) in seen
        assert seen[-1] == ("JobComplete", 9000)
        api.http.close()


def test_the_result_is_a_snapshot(schema: Schema) -> None:
    settings = Settings(job_seconds=0, job_seconds_per_100k=8)
    with Emulator(schema=schema, settings=settings) as emulator:
        records = emulator.org.records
        records.run(lambda t: t.insert("Account", [{"Name": "a"} for _ in range(9000)]))
        api = Api(emulator)
        body = {"operation": "query", "query": "SELECT Name FROM Account"}
        job_id = api("POST", "/jobs/query", json=body).json()["id"]
        while api("GET", f"/jobs/query/{job_id}").json()["numberRecordsProcessed"] == 0:
            time.sleep(0.005)
        emulator.store.rows("UPDATE Account SET Name = 'b'")
        while api("GET", f"/jobs/query/{job_id}").json()["state"] != "JobComplete":
            time.sleep(0.01)
        read = rows_of(pages(api, job_id)[0][1])
        assert {row[0] for row in read[1:]} == {"a"}
        assert len(read) == 9001
        api.http.close()


def test_the_list_of_jobs(demo_api: Api) -> None:
    job_id = demo_api.job("SELECT Id FROM Account")
    listed = demo_api("GET", "/jobs/query", params={"jobType": "V2Query"}).json()
    assert (listed["done"], listed["nextRecordsUrl"]) == (True, None)
    assert job_id in [record["id"] for record in listed["records"]]
    assert demo_api("GET", "/jobs/query", params={"jobType": "Classic"}).json()["records"] == []
    chunked = demo_api("GET", "/jobs/query", params={"isPkChunkingEnabled": "false"}).json()
    assert job_id not in [record["id"] for record in chunked["records"]]


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT Foo FROM Account", "INVALID_FIELD", "No such column 'Foo'"),
        ("SELECT Id FROM Foo", "INVALID_TYPE", "sObject type 'Foo' is not supported."),
        ("SELECT Id FORM Account", "MALFORMED_QUERY", "unexpected token: 'FORM'"),
        (
            "SELECT Id, BillingAddress FROM Account",
            "API_ERROR",
            "Selecting compound data not supported in Bulk Query",
        ),
        ("SELECT Place__c FROM Showcase__c", "API_ERROR", "Selecting compound data"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR", "Aggregate"),
        ("SELECT COUNT() FROM Account", "API_ERROR", "Aggregate functions"),
        ("SELECT COUNT(Id) FROM Account", "API_ERROR", "Aggregate functions"),
        ("SELECT Name FROM Account GROUP BY Name", "API_ERROR", "Aggregate functions"),
        ("SELECT Id FROM Account LIMIT 5 OFFSET 5", "API_ERROR", "OFFSET is not supported"),
        ("SELECT TYPEOF What WHEN Account THEN Id END FROM Task", "MALFORMED_QUERY", "TYPEOF"),
        ("", "MALFORMED_QUERY", "SOQL statements cannot be empty or null"),
    ],
)
def test_refusals(demo_api: Api, soql: str, code: str, message: str) -> None:
    answer = demo_api("POST", "/jobs/query", json={"operation": "query", "query": soql})
    assert answer.status_code == 400
    error = answer.json()[0]
    assert error["errorCode"] == code
    assert error["message"].rsplit("\n", 1)[-1].startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "insert", "query": "SELECT Id FROM Account"},
        {"query": "SELECT Id FROM Account"},
        {"operation": "query", "query": "SELECT Id FROM Account", "columnDelimiter": "DOT"},
        {"operation": "query", "query": "SELECT Id FROM Account", "lineEnding": "CR"},
        {"operation": "query", "query": "SELECT Id FROM Account", "contentType": "JSON"},
    ],
)
def test_bodies_that_make_no_job(demo_api: Api, body: Any) -> None:
    assert demo_api("POST", "/jobs/query", json=body).status_code == 400


@pytest.mark.parametrize("params", [{"locator": "x"}, {"locator": "OTk5OTk5"}, {"maxRecords": "0"}])
def test_pages_that_do_not_exist(demo_api: Api, params: dict[str, str]) -> None:
    job_id = demo_api.job("SELECT Id FROM Account")
    assert demo_api("GET", f"/jobs/query/{job_id}/results", params=params).status_code == 400


def test_jobs_of_a_day_are_counted(schema: Schema) -> None:
    clock = Clock(datetime(2026, 1, 31, 10, tzinfo=UTC), frozen=True)
    settings = Settings(job_seconds=0, daily_query_jobs=2)
    with Emulator(schema=schema, settings=settings, clock=clock) as emulator:
        api = Api(emulator)
        body = {"operation": "query", "query": "SELECT Id FROM Account"}
        for left in (1, 0):
            assert api("POST", "/jobs/query", json=body).status_code == 200
            limits = api("GET", "/limits").json()
            assert limits["DailyBulkV2QueryJobs"] == {"Max": 2, "Remaining": left}
        refused = api("POST", "/jobs/query", json=body)
        assert refused.json() == [
            {
                "message": "Max bulk v2 query jobs (2) per 24 hrs has been reached",
                "errorCode": "LIMIT_EXCEEDED",
            }
        ]
        emulator.advance(25 * 3600)
        again = Api(emulator)
        assert again("POST", "/jobs/query", json=body).status_code == 200
        api.http.close()
        again.http.close()


def test_old_jobs_are_gone(schema: Schema) -> None:
    with Emulator(schema=schema, settings=Settings(job_seconds=0)) as emulator:
        api = Api(emulator)
        job_id = api.job("SELECT Id FROM Account")
        emulator.advance(8 * 86_400)
        later = Api(emulator)
        assert later("GET", f"/jobs/query/{job_id}").status_code == 404
        api.http.close()
        later.http.close()


def test_older_versions_sort_their_columns(demo: Emulator) -> None:
    older = Api(demo, "49.0")
    job_id = older.job("SELECT Name, Id, AccountNumber FROM Account")
    assert rows_of(pages(older, job_id)[0][1])[0] == ["AccountNumber", "Id", "Name"]
    older.http.close()


def test_a_page_is_still_sent_when_its_job_is_deleted(api: Api) -> None:
    rows = [{"LastName": "x" * 80, "Company": "y" * 250} for _ in range(12_000)]
    api.emulator.org.records.run(lambda t: t.insert("Lead", rows, system=True))
    job_id = api.job("SELECT Id, LastName, Company FROM Lead")
    params = {"maxRecords": "12000"}
    path = f"/jobs/query/{job_id}/results"
    answer = api("GET", path, params=params, stream=True, headers={"Accept-Encoding": "identity"})
    size = int(answer.headers["Content-Length"])
    deleter = threading.Thread(target=lambda: Api(api.emulator)("DELETE", f"/jobs/query/{job_id}"))
    deleter.start()
    deleter.join()
    assert len(answer.content) == size


texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40
) | st.sampled_from(['"', '""', '","', "\r\n", "\n", "\r", "\u2028", "NA", "null", " ", "=1+1"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(texts, min_size=1, max_size=30))
def test_any_text_reads_back_by_the_csv_module(api: Api, values: list[str]) -> None:
    table = [{"Subject": value, "Description": value} for value in values]
    records = api.emulator.org.records
    outcomes = records.run(lambda t: t.insert("Case", table))
    keys = [str(outcome.id) for outcome in outcomes]
    listed = ", ".join(f"'{key}'" for key in keys)
    job_id = api.job(f"SELECT Id, Subject, Description FROM Case WHERE Id IN ({listed})")
    read = {
        row[0]: row[1:] for _, text in pages(api, job_id, maxRecords=3) for row in rows_of(text)[1:]
    }
    assert read == {key: [v, v] for key, v in zip(keys, values, strict=True)}
