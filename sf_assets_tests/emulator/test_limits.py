"""What is counted, and what happens when it is used up."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import requests

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api
from sf_assets_tests.shared import SHARED, needs_shared

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_day_of_calls(schema: Schema) -> None:
    settings = Settings(daily_api_requests=5)
    clock = Clock(NOON, frozen=True)
    with Emulator(schema=schema, settings=settings, clock=clock) as emulator:
        api = Api(emulator)
        for used in range(1, 6):
            requests.get(f"{emulator.url}/services/data", timeout=10)
            answer = api("GET", "/sobjects")
            assert answer.headers["Sforce-Limit-Info"] == f"api-usage={used}/5"
        refused = api("GET", "/sobjects")
        assert refused.status_code == 403
        assert refused.json() == [
            {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
        ]
        job = {"operation": "query", "query": "SELECT Id FROM Account"}
        assert api("POST", "/jobs/query", json=job).status_code == 403
        batch = {"batchRequests": [{"method": "GET", "url": "v66.0/limits"}] * 2}
        assert api("POST", "/composite/batch", json=batch).status_code == 403
        emulator.advance(25 * 3600)
        api = Api(emulator)
        assert api("GET", "/sobjects").status_code == 200


def test_a_batch_that_does_not_fit_any_more(schema: Schema) -> None:
    with Emulator(schema=schema, settings=Settings(daily_api_requests=3)) as emulator:
        api = Api(emulator)
        batch = {"batchRequests": [{"method": "GET", "url": "v66.0/limits"}] * 4}
        assert api("POST", "/composite/batch", json=batch).status_code == 403


def test_the_window_rolls(schema: Schema) -> None:
    settings = Settings(daily_api_requests=6)
    with Emulator(schema=schema, settings=settings, clock=Clock(NOON, frozen=True)) as emulator:
        api = Api(emulator)
        assert [api("GET", "/sobjects").status_code for _ in range(3)] == [200] * 3
        emulator.advance(12 * 3600)
        api = Api(emulator)
        assert [api("GET", "/sobjects").status_code for _ in range(4)] == [200, 200, 200, 403]
        who = f"{emulator.url}/services/oauth2/userinfo"
        authorization = {"Authorization": str(api.http.headers["Authorization"])}
        assert requests.get(who, headers=authorization, timeout=10).status_code == 200
        emulator.advance(13 * 3600)
        api = Api(emulator)
        limits = api("GET", "/limits")
        assert limits.headers["Sforce-Limit-Info"] == "api-usage=4/6"
        assert limits.json()["DailyApiRequests"] == {"Max": 6, "Remaining": 2}


def test_many_threads_do_not_use_more_than_there_is(schema: Schema) -> None:
    with Emulator(schema=schema, settings=Settings(daily_api_requests=20)) as emulator:
        token = Api(emulator).http.headers

        def call(_number: int) -> int:
            url = f"{emulator.url}/services/data/v66.0/limits"
            return requests.get(url, headers=token, timeout=20).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(call, range(40)))
        assert statuses == {200: 20, 403: 20}


def test_bulk_jobs_and_their_results_are_used_up(schema: Schema) -> None:
    settings = Settings(daily_query_jobs=10, daily_query_kb=1 << 20, faults=True, job_seconds=0)
    with Emulator(schema=schema, settings=settings, clock=Clock(NOON, frozen=True)) as emulator:
        api = Api(emulator)
        job = {"operation": "query", "query": "SELECT Id FROM Account"}

        def spend(**uses: int) -> None:
            order = {"action": "spend", **uses}
            assert requests.post(f"{emulator.url}/_control", json=order, timeout=10).ok

        def refusal() -> str:
            answer = api("POST", "/jobs/query", json=job)
            assert answer.status_code == 400
            assert answer.json()[0]["errorCode"] == "LIMIT_EXCEEDED"
            return str(answer.json()[0]["message"])

        spend(query_jobs=9)
        assert api("POST", "/jobs/query", json=job).status_code == 200
        assert refusal() == "Max bulk v2 query jobs (10) per 24 hrs has been reached"
        assert api("GET", "/limits").json()["DailyBulkV2QueryJobs"]["Remaining"] == 0
        emulator.advance(25 * 3600)
        api = Api(emulator)
        spend(query_kb=1 << 20)
        assert refusal() == (
            "Max bulk v2 query result size stored (1048576) kb per 24 hrs has been exceeded"
        )
        document = api("GET", "/limits").json()
        assert document["DailyBulkV2QueryFileStorageMB"] == {"Max": 1024, "Remaining": 0}
        assert document["DailyBulkV2QueryJobs"]["Remaining"] == 10


@needs_shared
def test_names_and_nesting_are_those_of_the_guide(api: Api) -> None:
    guide = json.loads((SHARED / "salesforce/fixtures/recorded/limits_example.json").read_bytes())
    found = api("GET", "/limits").json()
    assert set(guide) <= set(found)
    for name, entry in guide.items():
        assert set(found[name]) == set(entry)
        if name != "DailyApiRequests":
            assert found[name]["Max"] == entry["Max"], name


def test_record_counts_are_a_snapshot(api: Api) -> None:
    def count(names: str) -> object:
        return api("GET", "/limits/recordCount", params={"sObjects": names}).json()

    api.create("Account", Name="One")
    assert count("Account,Nothing") == {"sObjects": [{"count": 1, "name": "Account"}]}
    api.create("Account", Name="Two")
    assert count("Account") == {"sObjects": [{"count": 1, "name": "Account"}]}
    api.emulator.advance(301)
    assert count("account") == {"sObjects": [{"count": 2, "name": "Account"}]}
    everything = api("GET", "/limits/recordCount").json()["sObjects"]
    assert {"count": 2, "name": "Account"} in everything
    assert "Task" not in [row["name"] for row in everything]
