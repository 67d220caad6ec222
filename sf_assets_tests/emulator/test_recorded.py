"""Recorded exchanges of real orgs, asked again here: the same status, keys and codes.

Ids differ and so do counts; what is compared is the shape: types, keys in order, error codes,
and the texts of errors.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets_tests.emulator.conftest import Api
from sf_assets_tests.shared import SHARED, needs_shared

RECORDED = SHARED / "salesforce/fixtures/recorded"
RESOURCE = re.compile(r"https://[^/]+/services/data/vxx\.0(/.*)")
# What these exchanges ask for and this org does not have.
ABSENT = re.compile(r"FROM\+?\s?(Custom|Entitlement)|/jobs/|/async/|tooling|/wave/|Organization/")

USER = {
    "LastName": "Process", "FirstName": "Automated", "Username": "auto@example.com",
    "Alias": "auto", "Email": "auto@example.com", "CommunityNickname": "auto",
    "TimeZoneSidKey": "GMT", "LocaleSidKey": "en_US", "EmailEncodingKey": "UTF-8",
    "LanguageLocaleKey": "en_US",
}  # fmt: skip

pytestmark = needs_shared


def exchanges() -> Iterator[Any]:
    """Every recorded request for a resource of this org."""
    for path in sorted((RECORDED / "cumulusci").glob("*.json")):
        if "network_errors" in path.name:
            continue
        for number, exchange in enumerate(json.loads(path.read_bytes())):
            match = RESOURCE.fullmatch(exchange.get("uri", ""))
            answer = exchange.get("response", {}).get("json")
            if match and answer is not None and not ABSENT.search(exchange["uri"]):
                yield pytest.param(exchange, match[1], id=f"{path.stem}-{number}")


@pytest.fixture(scope="module")
def org(schema: Any) -> Iterator[Api]:
    """An org with the few records that the exchanges speak of."""
    with Emulator(schema=schema) as emulator:
        insert = emulator.org.records.insert
        for number in range(6):
            insert("Account", {"Name": f"Account {number}"})
        for number in range(6):
            insert("Contact", {"LastName": f"Bluth {number}"})
        profile = insert("Profile", {"Name": "Standard User", "UserType": "Standard"})
        insert("User", {**USER, "ProfileId": profile})
        api = Api(emulator)
        yield api
        api.http.close()


def same_shape(found: Any, recorded: Any) -> bool:
    """Whether keys, their order and the kinds of values agree; lists by their first item.

    A value may be null in one of them: that depends on the records of an org.
    """
    if isinstance(recorded, dict) and isinstance(found, dict):
        if "attributes" in recorded or "totalSize" in recorded:
            keys_agree = list(found) == list(recorded)
        elif "fields" in recorded and "labelPlural" in found:
            # These describes were cut by those who recorded them.
            keys_agree = set(recorded) <= set(found)
        else:
            keys_agree = set(found) == set(recorded)
        return keys_agree and all(same_shape(found[k], recorded[k]) for k in recorded)
    if isinstance(recorded, list) and isinstance(found, list):
        return not (found and recorded) or same_shape(found[0], recorded[0])
    return found is None or recorded is None or type(found) is type(recorded)


@pytest.mark.parametrize(("exchange", "path"), list(exchanges()) if RECORDED.is_dir() else [])
def test_the_same_shape(org: Api, exchange: Any, path: str) -> None:
    body = exchange["request_body"]
    text = real_ids(org, body) if body else None
    address, _, query = path.partition("?")
    params = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
    answer = org(
        exchange["method"],
        address,
        params={name: unquote_plus(value) for name, value in params.items()},
        data=text.encode() if text else None,
        headers={"Content-Type": "application/json"},
    )
    recorded = exchange["response"]["json"]
    assert answer.status_code == exchange["status"]
    found = answer.json()
    if isinstance(recorded, list):
        assert len(found) == len(recorded)
    assert same_shape(found, recorded), found


def real_ids(org: Api, body: str) -> str:
    """A recorded body with Ids of this org in place of those of another, and its version."""
    text = body.replace("vxx.0", "v66.0")
    for name, prefix in (("Account", "001"), ("Contact", "003")):
        ids = [str(row["Id"]) for row in org.query(f"SELECT Id FROM {name} ORDER BY Id LIMIT 6")]
        text = re.sub(rf"\b{prefix}\w{{15}}\b", lambda _, ids=ids: ids.pop(0), text)  # type: ignore[misc]
    return text


def test_the_text_of_a_real_refusal(org: Api) -> None:
    name = "TestCountSObjects.test_count_sobjects__errors.json"
    (exchange,) = json.loads((RECORDED / "cumulusci" / name).read_bytes())
    body = exchange["request_body"].replace("vxx.0", "v66.0")
    answer = org("POST", "/composite", data=body, headers={"Content-Type": "application/json"})
    recorded = exchange["response"]["json"]["compositeResponse"][1]
    assert answer.json()["compositeResponse"][1] == recorded


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [
        ("sobject_describe_error_response", "GET", "/sobjects/Whizbang/describe"),
        ("sobject_find_error_response", "GET", "/sobjects/Account/23foo"),
        ("upsert_error_response", "PATCH", "/sobjects/Account/Namez/x"),
    ],
)
def test_refusals_word_for_word(org: Api, name: str, method: str, path: str) -> None:
    recorded = json.loads((RECORDED / "restforce" / f"{name}.json").read_bytes())
    assert org(method, path, json={}).json() == recorded


def test_an_unknown_field_word_for_word(org: Api) -> None:
    recorded = json.loads((RECORDED / "restforce/write_error_response.json").read_bytes())
    found = org("POST", "/sobjects/Account", json={"foo": 1}).json()
    recorded[0]["message"] = recorded[0]["message"].replace("Bar", "Account")
    assert found == recorded


def test_created_and_deleted_documents(org: Api) -> None:
    def keys(name: str) -> set[str]:
        return set(json.loads((RECORDED / f"restforce/{name}.json").read_bytes()))

    created = org("POST", "/sobjects/Campaign", json={"Name": "x"}).json()
    assert set(created) == keys("create_success_response")
    org("DELETE", f"/sobjects/Campaign/{created['id']}")
    end = org.emulator.clock.now()
    params = {"start": end.replace(minute=0, second=0).isoformat(), "end": end.isoformat()}
    org.emulator.advance(120)
    params = {"start": end.isoformat(), "end": org.emulator.clock.now().isoformat()}
    deleted = org("GET", "/sobjects/Campaign/deleted", params=params).json()
    assert set(deleted) == keys("get_deleted_success_response")
    assert deleted["deletedRecords"][0]["id"] == created["id"]
    updated = org("GET", "/sobjects/Campaign/updated", params=params).json()
    assert set(updated) == keys("get_updated_success_response")


def test_fixtures_are_there() -> None:
    assert Path(RECORDED).is_dir()
    assert len(list(exchanges())) > 10
