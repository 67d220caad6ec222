"""What changes in an org while somebody exports it: fields, objects, permissions, sharing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from sf_assets.emulator.administrator import Administrator
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api

START = datetime(2026, 1, 31, 10, tzinfo=UTC)


@pytest.fixture
def emulator(schema: Schema) -> Iterator[Emulator]:
    """An org with a few accounts and what belongs to them."""
    settings = Settings(job_seconds=0.02, faults=True)
    with Emulator(schema=schema, settings=settings, clock=Clock(START, frozen=True)) as running:
        rows = [{"Name": f"Account {n}", "Rating": "Hot"} for n in range(200)]
        running.records.run(lambda t: t.insert("Account", rows))
        running.advance(60)
        yield running


@pytest.fixture
def api(emulator: Emulator) -> Iterator[Api]:
    client = Api(emulator)
    yield client
    client.http.close()


@pytest.fixture
def admin(emulator: Emulator) -> Administrator:
    return emulator.admin


def fields(api: Api, name: str = "Account") -> dict[str, Any]:
    document = api("GET", f"/sobjects/{name}/describe").json()
    return {field["name"]: field for field in document["fields"]}


def code(api: Api, soql: str) -> str:
    """The error that REST and Bulk both give for a query."""
    rest = api("GET", "/query", params={"q": soql}).json()[0]
    bulk = api("POST", "/jobs/query", json={"operation": "query", "query": soql}).json()[0]
    assert rest == bulk
    return str(rest["errorCode"])


def test_a_field_appears(api: Api, admin: Administrator) -> None:
    before = api.query("SELECT MAX(SystemModstamp) m FROM Account")
    admin.add_field("Account", "New__c", {"type": "string", "length": 40})
    admin.add_field("Account", "Flag__c", {"type": "boolean"})
    admin.add_field("Account", "Size__c", {"type": "double", "scale": 2}, value=1.5)
    admin.add_field(
        "Account",
        "Loud__c",
        {"type": "string", "calculated": True, "formula": "upper(t.Name)"},
    )
    described = fields(api)
    assert (described["New__c"]["length"], described["Loud__c"]["calculated"]) == (40, True)
    soql = "SELECT New__c, Flag__c, Size__c, Loud__c FROM Account WHERE Name = 'Account 7'"
    (row,) = api.query(soql)
    assert [row[n] for n in ("New__c", "Flag__c", "Size__c", "Loud__c")] == [
        None, False, 1.5, "ACCOUNT 7"]  # fmt: skip
    assert api.query("SELECT MAX(SystemModstamp) m FROM Account") == before
    api.create("Account", Name="Later", New__c="set")
    assert len(api.query("SELECT Id FROM Account WHERE New__c = 'set'")) == 1
    with pytest.raises(ValueError, match="already"):
        admin.add_field("account", "new__C", {"type": "string"})
    with pytest.raises(ValueError, match="type must be one of"):
        admin.change_field("Account", "New__c", {"length": 120})


def test_a_transaction_that_is_open_meanwhile_is_refused(
    emulator: Emulator, api: Api, admin: Administrator
) -> None:
    held = emulator.records.hold(60)
    held.insert("Account", {"Name": "Held"})
    admin.add_field("Account", "New__c", {"type": "string"})
    with pytest.raises(ApiError, match="UNABLE_TO_LOCK_ROW"):
        held.commit()
    assert not held.is_open
    emulator.advance(120)
    assert api.query("SELECT Id FROM Account WHERE Name = 'Held'") == []


def test_a_field_is_hidden_and_shown_again(api: Api, admin: Administrator) -> None:
    job = api.job("SELECT Id, Rating FROM Account")
    admin.hide_field("account", "rating")
    assert "Rating" not in fields(api)
    assert code(api, "SELECT Id, Rating FROM Account") == "INVALID_FIELD"
    assert code(api, "SELECT Id FROM Account WHERE Rating = 'Hot'") == "INVALID_FIELD"
    assert "Rating" not in api.query("SELECT FIELDS(ALL) FROM Account LIMIT 1")[0]
    assert api("GET", f"/jobs/query/{job}/results").text.count("Hot") == 200
    admin.show_field("Account", "Rating")
    assert "Rating" in fields(api)
    assert len(api.query("SELECT Id FROM Account WHERE Rating = 'Hot'")) == 200


def test_a_formula_sees_what_the_user_does_not(api: Api, admin: Administrator) -> None:
    account = api.query("SELECT Id FROM Account WHERE Name = 'Account 1'")[0]["Id"]
    showcase = api.create("Showcase__c", Required_Text__c="x", Account__c=account)
    api.create("Showcase_Item__c", Showcase__c=showcase, Amount__c=5)
    soql = "SELECT Formula_Parent__c, Account__r.Rating, Item_Total__c FROM Showcase__c"
    admin.hide_field("Account", "Name")
    admin.hide_field("Showcase_Item__c", "Amount__c")
    (row,) = api.query(soql)
    assert (row["Formula_Parent__c"], row["Item_Total__c"]) == ("Account 1", 5.0)
    assert row["Account__r"]["Rating"] == "Hot"  # type: ignore[index]
    admin.hide_rows("Account")
    (row,) = api.query(soql)
    assert (row["Formula_Parent__c"], row["Account__r"]) == ("Account 1", None)
    admin.hide_object("Account")
    assert api.query("SELECT Formula_Parent__c FROM Showcase__c")[0]["Formula_Parent__c"]
    assert code(api, "SELECT Account__r.Name FROM Showcase__c") == "INVALID_FIELD"


def test_a_field_changes_its_type_and_is_deleted(api: Api, admin: Administrator) -> None:
    admin.add_field("Account", "Level__c", {"type": "string", "length": 10}, value="12")
    key = api.create("Account", Name="Odd", Level__c="many")
    admin.change_field("Account", "Level__c", {"type": "double", "precision": 10, "scale": 1})
    described = fields(api)["Level__c"]
    assert [described[n] for n in ("type", "precision", "scale")] == ["double", 10, 1]
    assert api.query(f"SELECT Level__c FROM Account WHERE Id = '{key}'")[0]["Level__c"] is None
    assert len(api.query("SELECT Id FROM Account WHERE Level__c = 12")) == 200
    admin.change_field("Account", "Site", {"type": "string", "length": 20})
    assert fields(api)["Site"]["length"] == 20
    admin.delete_field("Account", "Level__c")
    assert "Level__c" not in fields(api)
    assert code(api, "SELECT Level__c FROM Account") == "INVALID_FIELD"
    admin.add_field("Account", "Level__c", {"type": "string"})
    assert api.query("SELECT Level__c FROM Account LIMIT 1")[0]["Level__c"] is None


@pytest.mark.parametrize("for_good", [False, True])
def test_an_object_goes(api: Api, admin: Administrator, for_good: bool) -> None:
    (admin.delete_object if for_good else admin.hide_object)("Showcase_Item__c")
    names = [o["name"] for o in api("GET", "/sobjects").json()["sobjects"]]
    assert "Showcase__c" in names
    assert "Showcase_Item__c" not in names
    assert api("GET", "/sobjects/Showcase_Item__c/describe").status_code == 404
    assert code(api, "SELECT Id FROM Showcase_Item__c") == "INVALID_TYPE"
    parent = api("GET", "/sobjects/Showcase__c/describe").json()
    children = [child["childSObject"] for child in parent["childRelationships"]]
    assert "Showcase_Item__c" not in children
    if not for_good:
        admin.show_object("Showcase_Item__c")
        assert api.query("SELECT Id FROM Showcase_Item__c") == []


def test_rows_are_hidden_and_come_back(api: Api, admin: Administrator) -> None:
    everybody = {row["Id"] for row in api.query("SELECT Id FROM Account")}
    admin.hide_rows("Account", 0.3)
    left = {row["Id"] for row in api.query("SELECT Id FROM Account")}
    assert 0.5 < len(left) / 200 < 0.9
    assert left < everybody
    count = api("GET", "/query", params={"q": "SELECT COUNT() FROM Account"}).json()["totalSize"]
    assert count == len(left)
    job = api.job("SELECT Id FROM Account", "queryAll")
    rows = api("GET", f"/jobs/query/{job}/results").headers["Sforce-NumberOfRecords"]
    assert int(rows) == len(left)
    span = {"start": "2026-01-31T09:00:00Z", "end": "2026-01-31T11:00:00Z"}
    assert set(api("GET", "/sobjects/Account/updated", params=span).json()["ids"]) == left
    gone = sorted(str(key) for key in everybody - left)
    assert api("GET", f"/sobjects/Account/{gone[0]}").status_code == 404
    assert api("GET", "/sobjects/Account/deleted", params=span).json()["deletedRecords"] == []
    admin.hide_rows("Account", 0.6)
    assert {row["Id"] for row in api.query("SELECT Id FROM Account")} < left
    admin.hide_rows("Account", where="\"Name\" = 'Account 3'")
    assert len(api.query("SELECT Id FROM Account")) == 199
    admin.show_rows("Account")
    assert {row["Id"] for row in api.query("SELECT Id FROM Account")} == everybody


def test_last_modified_moves(api: Api, admin: Administrator) -> None:
    def since(path: str, when: str) -> int:
        return api("GET", path, headers={"If-Modified-Since": when}).status_code

    first = api("GET", "/sobjects").headers["Last-Modified"]
    describe = "/sobjects/Account/describe"
    assert since(describe, first) == 304
    admin.hide_field("Account", "Rating")
    admin.add_field("Account", "New__c", {"type": "string"})
    changed = api("GET", describe)
    assert changed.headers["Last-Modified"] > first
    assert (since(describe, first), since("/sobjects", first)) == (200, 200)
    assert since(describe, changed.headers["Last-Modified"]) == 304
    assert since("/sobjects/Contact/describe", first) == 304
    admin.hide_rows("Account")
    assert since(describe, changed.headers["Last-Modified"]) == 304


def test_a_job_in_the_queue_asks_for_a_field_that_is_gone(schema: Schema) -> None:
    with Emulator(schema=schema, settings=Settings(job_seconds=0.3)) as emulator:
        api = Api(emulator)
        emulator.admin.add_field("Account", "New__c", {"type": "string"})
        body = {"operation": "query", "query": "SELECT New__c FROM Account"}
        answer = api("POST", "/jobs/query", json=body).json()
        emulator.admin.delete_field("Account", "New__c")
        while (job := api("GET", f"/jobs/query/{answer['id']}").json())["state"] in (
            "UploadComplete", "InProgress"):  # fmt: skip
            pass
        assert job["state"] == "Failed"
        api.http.close()


def test_a_field_is_spelt_in_another_way(api: Api, admin: Administrator) -> None:
    admin.add_field("Account", "Shoe_Size__c", {"type": "double"}, 41.5)
    admin.respell_field("account", "shoe_size__c", "SHOE_Size__c")
    assert "SHOE_Size__c" in fields(api)
    assert "Shoe_Size__c" not in fields(api)
    for written in ("Shoe_Size__c", "SHOE_Size__c"):
        found = api.query(f"SELECT {written} FROM Account LIMIT 1")
        assert found[0]["SHOE_Size__c"] == 41.5
    job = api.job("SELECT shoe_size__c FROM Account LIMIT 1")
    text = api("GET", f"/jobs/query/{job}/results").text
    assert text.splitlines()[0] == '"SHOE_Size__c"'
    with pytest.raises(ValueError, match="another name"):
        admin.respell_field("Account", "SHOE_Size__c", "Shoe__c")


def test_an_object_is_spelt_in_another_way(api: Api, admin: Administrator) -> None:
    key = api.create("Showcase__c", Name="One", Required_Text__c="x")
    gone = api.create("Showcase__c", Name="Gone", Required_Text__c="x")
    admin.hide_field("Showcase__c", "Name")
    api.emulator.records.purge("Showcase__c", gone)
    admin.respell_object("showcase__c", "ShowCASE__c")
    listed = [o["name"] for o in api("GET", "/sobjects").json()["sobjects"]]
    assert "ShowCASE__c" in listed
    assert "Showcase__c" not in listed
    assert "Name" not in fields(api, "Showcase__c")
    admin.show_field("SHOWCASE__c", "Name")
    for written in ("Showcase__c", "ShowCASE__c"):
        found = api.query(f"SELECT Id, Name FROM {written}")
        assert [r["Id"] for r in found] == [key]
        assert found[0]["attributes"]["type"] == "ShowCASE__c"  # type: ignore[index]
    items = [f for f in fields(api, "Showcase_Item__c").values() if f["type"] == "reference"]
    assert ["ShowCASE__c"] in [f["referenceTo"] for f in items]
    assert api("PATCH", f"/sobjects/Showcase__c/{key}", json={"Name": "Two"}).status_code == 204
    span = {"start": "2026-01-31T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    deleted = api("GET", "/sobjects/ShowCASE__c/deleted", params=span).json()["deletedRecords"]
    assert [d["id"] for d in deleted] == [gone]


def test_over_http(api: Api, emulator: Emulator) -> None:
    def order(**order: Any) -> requests.Response:
        return requests.post(f"{emulator.url}/_control", json=order, timeout=10)

    spec = {"type": "picklist", "values": ["A", "B"]}
    added = order(action="add_field", object_name="Account", field="New__c", spec=spec, value="A")
    assert added.status_code == 200
    assert [v["value"] for v in fields(api)["New__c"]["picklistValues"]] == ["A", "B"]
    assert len(api.query("SELECT Id FROM Account WHERE New__c = 'A'")) == 200
    order(action="hide_rows", object_name="Account", share=1)
    assert api.query("SELECT Id FROM Account") == []
    order(action="hide_object", object_name="Account")
    assert api("GET", "/sobjects/Account/describe").status_code == 404
    wrong = order(action="hide_field", object_name="Account", field="Nothing")
    assert wrong.json()[0]["message"] == "not an order: no such field: Account.Nothing"
