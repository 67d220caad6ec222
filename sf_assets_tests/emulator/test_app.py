"""Addresses, sessions, counting, headers."""

import requests

from sf_assets_tests.emulator.conftest import Api

UNKNOWN = [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]


def test_versions_need_no_session(api: Api) -> None:
    versions = requests.get(f"{api.emulator.url}/services/data", timeout=10).json()
    assert {"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"} in versions
    assert [v["version"] for v in versions] == [f"{n}.0" for n in range(31, 68)]


def test_resources_need_a_session(api: Api) -> None:
    answer = requests.get(f"{api.base}/limits", timeout=10)
    assert answer.status_code == 401
    assert answer.json() == [
        {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
    ]


def test_unknown_paths_and_methods(api: Api) -> None:
    unknown = api("GET", "/nothing")
    assert (unknown.status_code, unknown.json()) == (404, UNKNOWN)
    wrong = api("POST", "/limits")
    assert wrong.status_code == 405
    assert wrong.json()[0]["errorCode"] == "METHOD_NOT_ALLOWED"


def test_calls_are_counted_and_shown(api: Api) -> None:
    first = api("GET", "/limits/")
    used = int(first.headers["Sforce-Limit-Info"].removeprefix("api-usage=").partition("/")[0])
    assert first.json()["DailyApiRequests"]["Remaining"] == 100_000 - used
    second = api("GET", "/nothing")
    assert second.headers["Sforce-Limit-Info"] == f"api-usage={used + 1}/100000"
