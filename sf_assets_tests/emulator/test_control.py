"""Orders to the org over HTTP: transactions that are held open, the clock, sessions."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api

NAMES = "SELECT Name, SystemModstamp FROM Account WHERE Name = '{}'"


@pytest.fixture(scope="module")
def emulator(schema: Schema) -> Iterator[Emulator]:
    """An org that takes orders."""
    with Emulator(schema=schema, settings=Settings(job_seconds=0.02, faults=True)) as running:
        yield running


def order(api: Api, action: str, **more: Any) -> requests.Response:
    return requests.post(
        f"{api.emulator.url}/_control", json={"action": action, **more}, timeout=10
    )


def insert(name: str) -> list[dict[str, Any]]:
    return [{"do": "insert", "object": "Account", "values": {"Name": name}}]


def test_there_is_no_such_resource_without_the_option(schema: Schema) -> None:
    with Emulator(schema=schema) as plain:
        answer = requests.post(f"{plain.url}/_control", json={"action": "end_sessions"}, timeout=10)
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"action": "advance"}, "`advance` takes seconds"),
        ({"action": "advance", "days": 1}, "`advance` takes seconds"),
        ({"action": "move", "to": 1}, "`move` takes nothing besides"),
        (
            {"action": "hide_rows"},
            "`hide_rows` takes object_name, share (may be left out), where (may be left out)",
        ),
        ({"action": "write", "statements": [{"do": "insert"}]}, "'object' is missing"),
    ],
)
def test_a_wrong_order_is_told_the_keys_that_there_are(
    api: Api, given: dict[str, Any], said: str
) -> None:
    answer = order(api, **given)
    assert answer.status_code == 400
    assert answer.json()[0]["message"] == f"not an order: {said}"


def test_a_late_commit_shows_an_old_stamp(api: Api) -> None:
    answer = order(api, "hold", statements=insert("Old"), stamp="2026-01-31T10:00:00Z").json()
    assert answer["ids"][0].startswith("001")
    assert api.query(NAMES.format("Old")) == []
    job = api.job(NAMES.format("Old"), "queryAll")
    assert api("GET", f"/jobs/query/{job}/results").headers["Sforce-NumberOfRecords"] == "0"
    state = requests.get(f"{api.emulator.url}/_control", timeout=10).json()
    assert state["transactions"] == [answer["transaction"]]
    assert order(api, "commit", transaction=answer["transaction"]).status_code == 200
    assert api.query(NAMES.format("Old"))[0]["SystemModstamp"] == "2026-01-31T10:00:00.000+0000"
    assert order(api, "commit", transaction=answer["transaction"]).status_code == 404


def test_it_commits_by_itself_after_some_seconds(api: Api) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    order(api, "hold", statements=insert("Patient"), seconds=1.2)
    assert api.query(NAMES.format("Patient")) == []
    deadline = time.monotonic() + 10
    while not (found := api.query(NAMES.format("Patient"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    seen = datetime.now(UTC)
    stamp = datetime.fromisoformat(str(found[0]["SystemModstamp"]))
    assert began <= stamp < seen
    assert (seen - stamp).total_seconds() > 1


def test_it_commits_when_the_clock_moves_that_far(api: Api) -> None:
    order(api, "hold", statements=insert("Moved"), seconds=3000)
    order(api, "advance", seconds=2000)
    assert api.query(NAMES.format("Moved")) == []
    order(api, "advance", seconds=2000)
    assert len(api.query(NAMES.format("Moved"))) == 1


def test_every_statement(api: Api) -> None:
    ids = order(api, "write", statements=[*insert("One"), *insert("Two"), *insert("Three")])
    one, two, three = ids.json()["ids"]
    held = order(
        api,
        "hold",
        statements=[
            {"do": "update", "object": "Account", "id": one, "values": {"Name": "Uno"}},
            {"do": "merge", "object": "Account", "id": one, "loser": two},
            {"do": "delete", "object": "Account", "id": three},
            {"do": "undelete", "object": "Account", "id": three},
            {"do": "purge", "object": "Account", "id": three},
        ],
    ).json()
    soql = f"SELECT Name, IsDeleted, MasterRecordId FROM Account WHERE Id IN ('{one}','{two}','{three}') ORDER BY Name"  # noqa: E501
    assert [r["Name"] for r in api.query(soql, "queryAll")] == ["One", "Three", "Two"]
    order(api, "commit", transaction=held["transaction"])
    found = api.query(soql, "queryAll")
    assert [(r["Name"], r["IsDeleted"], r["MasterRecordId"]) for r in found] == [
        ("Two", True, one), ("Uno", False, None)]  # fmt: skip


def test_a_rollback_and_a_clash(api: Api) -> None:
    undone = order(api, "hold", statements=insert("Never")).json()["transaction"]
    order(api, "rollback", transaction=undone)
    key = order(api, "write", statements=insert("Contended")).json()["ids"][0]
    change = {"do": "update", "object": "Account", "id": key, "values": {"Name": "Mine"}}
    held = order(api, "hold", statements=[change]).json()["transaction"]
    theirs = api("PATCH", f"/sobjects/Account/{key}", json={"Name": "Theirs"})
    assert theirs.json()[0]["errorCode"] == "UNABLE_TO_LOCK_ROW"
    order(api, "commit", transaction=held)
    assert api.query(NAMES.format("Never")) == []
    assert len(api.query(NAMES.format("Mine"))) == 1


def test_orders_that_make_no_sense(api: Api) -> None:
    for wrong in ({"action": "explode"}, {}, {"action": "commit"}, {"action": "hold",
                  "statements": [{"do": "sing", "object": "Account", "id": "x"}]}):  # fmt: skip
        answer = requests.post(f"{api.emulator.url}/_control", json=wrong, timeout=10)
        assert answer.json()[0]["errorCode"] == "JSON_PARSER_ERROR"
    refused = order(api, "write", statements=[*insert("Half"), *insert("")])
    assert refused.json()[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert api.query(NAMES.format("Half")) == []


def test_sessions_end(api: Api) -> None:
    assert api("GET", "/limits").status_code == 200
    order(api, "end_sessions")
    assert api("GET", "/limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"
    api.http.headers["Authorization"] = f"Bearer {api.token()}"
    assert api("GET", "/limits").status_code == 200


def test_open_results_may_die_with_their_session(api: Api) -> None:
    statements = [one for n in range(201) for one in insert(f"Paged {n}")]
    order(api, "write", statements=statements)
    options = {"Sforce-Query-Options": "batchSize=200"}

    def further_page() -> str:
        paged = {"q": "SELECT Id FROM Account WHERE Name LIKE 'Paged%'"}
        url = api("GET", "/query", params=paged, headers=options).json()["nextRecordsUrl"]
        return str(url).partition("/services/data/v66.0")[2]

    for dies in (False, True):
        page = further_page()
        order(api, "end_sessions", cursors=dies)
        assert api("GET", page).json()[0]["errorCode"] == "INVALID_SESSION_ID"
        api.http.headers["Authorization"] = f"Bearer {api.token()}"
        answer = api("GET", page)
        assert answer.status_code == (400 if dies else 200)
        assert not dies or answer.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_a_change_that_moves_no_stamp(api: Api) -> None:
    key = order(api, "hold", statements=insert("Still"), stamp="2026-01-31T10:00:00Z").json()
    order(api, "commit", transaction=key["transaction"])
    change = {"do": "set", "object": "Account", "id": key["ids"][0], "values": {"Name": "Moved on"}}
    assert order(api, "write", statements=[change]).status_code == 200
    found = api.query(NAMES.format("Moved on"))
    assert found[0]["SystemModstamp"] == "2026-01-31T10:00:00.000+0000"


def test_a_later_version_may_have_an_older_stamp(api: Api) -> None:
    key = order(api, "write", statements=insert("Second")).json()["ids"][0]
    change = {"do": "update", "object": "Account", "id": key, "values": {"Name": "Third"}}
    held = order(api, "hold", statements=[change], stamp="2020-01-31T10:00:00Z").json()
    order(api, "commit", transaction=held["transaction"])
    assert api.query(NAMES.format("Second")) == []
    found = api.query(NAMES.format("Third"))
    assert found[0]["SystemModstamp"] == "2020-01-31T10:00:00.000+0000"


def test_the_org_moves_to_another_address(schema: Schema) -> None:
    with Emulator(schema=schema, settings=Settings(job_seconds=0.02, faults=True)) as running:
        api = Api(running)
        new = order(api, "move").json()["url"]
        assert new != running.url
        assert api("GET", "/limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"
        form = {"grant_type": "client_credentials", "client_id": "emulator-client-id",
                "client_secret": "emulator-client-secret"}  # fmt: skip
        for login in (running.url, new):
            granted = requests.post(f"{login}/services/oauth2/token", form, timeout=10).json()
            assert granted["instance_url"] == new
        bearer = {"Authorization": f"Bearer {granted['access_token']}"}
        statuses = [
            requests.get(f"{url}/services/data/v66.0/limits", headers=bearer, timeout=10)
            for url in (running.url, new)
        ]
        assert [s.status_code for s in statuses] == [401, 200]
