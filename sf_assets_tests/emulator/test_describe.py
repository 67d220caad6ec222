"""Describe resources, and what orgs are made of others' describes."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import pytest

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets_tests.emulator.conftest import Api
from sf_assets_tests.shared import SHARED, needs_shared

DESCRIBES = SHARED / "salesforce/fixtures/describe"


def test_the_list_of_objects(api: Api, schema: Schema) -> None:
    document = api("GET", "/sobjects").json()
    assert (document["encoding"], document["maxBatchSize"]) == ("UTF-8", 200)
    assert [o["name"] for o in document["sobjects"]] == [o.name for o in schema]
    account = next(o for o in document["sobjects"] if o["name"] == "Account")
    assert account["urls"]["describe"] == "/services/data/v66.0/sobjects/Account/describe"


def test_addresses_are_of_the_version_asked_for(emulator: Emulator) -> None:
    older = Api(emulator, "52.0")
    urls = older("GET", "/sobjects/case/describe").json()["urls"]
    assert urls["sobject"] == "/services/data/v52.0/sobjects/Case"
    older.http.close()


def test_unmodified_describes_are_not_sent_again(api: Api) -> None:
    for path in ("/sobjects", "/sobjects/Account/describe"):
        first = api("GET", path)
        modified = first.headers["Last-Modified"]
        same = api("GET", path, headers={"If-Modified-Since": modified})
        assert (same.status_code, same.content) == (304, b"")
        earlier = parsedate_to_datetime(modified) - timedelta(seconds=1)
        headers = {"If-Modified-Since": format_datetime(earlier, usegmt=True)}
        assert api("GET", path, headers=headers).content == first.content
        garbage = api("GET", path, headers={"If-Modified-Since": "yesterday"})
        assert garbage.status_code == 200


def test_unknown_objects(api: Api) -> None:
    for path in ("/sobjects/Nothing", "/sobjects/Nothing/describe"):
        answer = api("GET", path)
        assert answer.status_code == 404
        assert answer.json()[0]["errorCode"] == "NOT_FOUND"


def test_recent_items(api: Api) -> None:
    key = api.create("Account", Name="Recent")
    document = api("GET", "/sobjects/Account/").json()
    assert document["objectDescribe"]["name"] == "Account"
    assert key in [item["Id"] for item in document["recentItems"]]


def test_a_changed_schema_is_noticed_by_a_kept_org(schema: Schema, tmp_path: Path) -> None:
    store = tmp_path / "org.duckdb"
    modified = []
    kept = [o for o in schema if o.name != "Showcase_Item__c"]
    for hour, objects in enumerate((Schema(kept), Schema(kept), schema)):
        clock = Clock(datetime(2026, 1, 31, hour, tzinfo=UTC), frozen=True)
        with Emulator(schema=objects, store=store, clock=clock) as running:
            modified.append(running.org.schema_modified.hour)
    assert modified == [0, 0, 2]


@needs_shared
def test_an_org_from_recorded_describes() -> None:
    with Emulator(describes=DESCRIBES, scale=0.05) as recorded:
        api = Api(recorded)
        names = {o["name"] for o in api("GET", "/sobjects").json()["sobjects"]}
        assert {"Account", "Contact", "Custom__c", "Event"} <= names
        described = json.loads((DESCRIBES / "Account_describe.json").read_bytes())
        found = api("GET", "/sobjects/Account/describe").json()
        assert found["fields"] == described["fields"]
        assert api.query("SELECT Id, Name, SystemModstamp FROM Account LIMIT 5")
        job_id = api.job("SELECT Id, Name FROM Account")
        assert api("GET", f"/jobs/query/{job_id}").json()["numberRecordsProcessed"] > 0
        with pytest.raises(TypeError):
            api.query("SELECT Owner.Name FROM Account")
        api.http.close()
