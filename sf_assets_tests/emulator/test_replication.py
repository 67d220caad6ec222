"""`/updated` and `/deleted`: minutes, spans, what is gone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api

START = datetime(2026, 1, 31, 10, 0, 30, tzinfo=UTC)


@pytest.fixture
def emulator(schema: Schema) -> Iterator[Emulator]:
    """An org at half a minute past ten."""
    with Emulator(schema=schema, clock=Clock(START, frozen=True)) as running:
        yield running


@pytest.fixture
def api(emulator: Emulator) -> Iterator[Api]:
    client = Api(emulator)
    yield client
    client.http.close()


def ask(api: Api, what: str, start: str, end: str) -> requests.Response:
    return api("GET", f"/sobjects/Lead/{what}/", params={"start": start, "end": end})


def test_seconds_are_ignored(api: Api) -> None:
    key = api.create("Lead", LastName="x", Company="y")
    api.emulator.advance(600)
    inside = ask(api, "updated", "2026-01-31T10:00:59Z", "2026-01-31T10:01:00+00:00")
    assert inside.json() == {"ids": [key], "latestDateCovered": "2026-01-31T10:01:00.000+0000"}
    after = ask(api, "updated", "2026-01-31T10:01:00Z", "2026-01-31T10:05:00Z")
    assert after.json()["ids"] == []
    empty = ask(api, "updated", "2026-01-31T10:01:10Z", "2026-01-31T10:01:50Z")
    assert empty.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_deleted_purged_and_restored(api: Api) -> None:
    records = api.emulator.org.records
    bin_, gone, back, at_once = (
        records.insert("Lead", {"LastName": name, "Company": "y"}) for name in "abcd"
    )
    for key in (bin_, gone, back):
        records.delete("Lead", key)
    api.emulator.advance(60)
    records.purge("Lead", gone)
    records.purge("Lead", at_once)
    records.undelete("Lead", back)
    api.emulator.advance(600)
    document = ask(api, "deleted", "2026-01-31T10:00:00Z", "2026-01-31T10:10:00Z").json()
    found = {row["id"]: row["deletedDate"] for row in document["deletedRecords"]}
    assert found == {
        bin_: "2026-01-31T10:00:30.000+0000",
        gone: "2026-01-31T10:00:30.000+0000",
        at_once: "2026-01-31T10:01:30.000+0000",
    }
    assert document["earliestDateAvailable"] == "2026-01-01T10:11:00.000+0000"
    assert document["latestDateCovered"] == "2026-01-31T10:10:00.000+0000"
    updated = ask(api, "updated", "2026-01-31T10:00:00Z", "2026-01-31T10:10:00Z").json()
    assert updated["ids"] == [back]


def test_the_present_minute_is_not_covered(api: Api) -> None:
    document = ask(api, "deleted", "2026-01-31T09:00:00Z", "2026-01-31T12:00:00Z").json()
    assert document["latestDateCovered"] == "2026-01-31T10:00:00.000+0000"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-31T10:00:00Z", "2026-01-31T09:00:00Z"),
        ("2025-12-31T10:00:00Z", "2026-01-31T09:00:00Z"),
        ("yesterday", "2026-01-31T09:00:00Z"),
    ],
)
def test_spans_that_are_refused(api: Api, start: str, end: str) -> None:
    for what in ("updated", "deleted"):
        answer = ask(api, what, start, end)
        assert answer.status_code == 400
        assert answer.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_a_shorter_reach(schema: Schema) -> None:
    settings = Settings(replication_days=2)
    with Emulator(schema=schema, clock=Clock(START, frozen=True), settings=settings) as emulator:
        api = Api(emulator)
        key = emulator.records.insert("Lead", {"LastName": "x", "Company": "y"})
        emulator.records.purge("Lead", key)
        emulator.advance(86400)
        api = Api(emulator)
        found = ask(api, "deleted", "2026-01-31T10:00:00Z", "2026-02-01T10:00:00Z").json()
        assert [row["id"] for row in found["deletedRecords"]] == [key]
        assert found["earliestDateAvailable"] == "2026-01-30T10:00:00.000+0000"
        emulator.advance(2 * 86400)
        api = Api(emulator)
        late = ask(api, "deleted", "2026-01-31T10:00:00Z", "2026-02-01T10:00:00Z")
        assert late.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_objects_that_are_not_replicated(api: Api, schema: Schema) -> None:
    name: Any = next((o.name for o in schema if not o.document["replicateable"]), None)
    if name is not None:
        params = {"start": "2026-01-31T09:00:00Z", "end": "2026-01-31T10:00:00Z"}
        answer = api("GET", f"/sobjects/{name}/updated", params=params)
        assert answer.json()[0]["errorCode"] == "INVALID_TYPE_FOR_OPERATION"
    assert api("GET", "/sobjects/Nothing/updated").status_code == 404
