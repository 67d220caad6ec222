"""Records over REST and from Python: checks, stamps, cascades, history, transactions."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.records import Records
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets_tests.emulator.conftest import Api

START = datetime(2026, 1, 31, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def emulator(schema: Schema) -> Iterator[Emulator]:
    """An org whose clock stands still."""
    with Emulator(schema=schema, clock=Clock(START, frozen=True)) as running:
        yield running


@pytest.fixture
def records(emulator: Emulator) -> Records:
    return emulator.org.records


def stored(emulator: Emulator, object_name: str, key: str) -> Any:
    """The raw row, or None."""
    table = emulator.store.table(object_name).read_all().to_pylist()
    return next((row for row in table if row["Id"] == key), None)


def plain(emulator: Emulator) -> datetime:
    """The org's present as the store holds it."""
    return emulator.clock.stamp().replace(tzinfo=None)


def test_stamps_and_defaults(emulator: Emulator, api: Api) -> None:
    key = api.create("Lead", LastName="New", Company="Co")
    row = stored(emulator, "Lead", key)
    born = plain(emulator)
    user = emulator.org.user.id
    for name in ("CreatedDate", "LastModifiedDate", "SystemModstamp"):
        assert row[name] == born
    for name in ("CreatedById", "LastModifiedById", "OwnerId"):
        assert row[name] == user
    assert (row["IsDeleted"], row["IsConverted"], row["Status"]) == (
        False,
        False,
        "Open - Not Contacted",
    )
    emulator.advance(90)
    assert api("PATCH", f"/sobjects/Lead/{key}", json={"Title": "Dr"}).status_code == 204
    row = stored(emulator, "Lead", key)
    assert (row["CreatedDate"], row["SystemModstamp"]) == (born, plain(emulator))
    assert row["LastModifiedDate"] == row["SystemModstamp"] > born


@pytest.mark.parametrize(
    ("object_name", "values", "code", "fields"),
    [
        ("Account", {}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ("Account", {"Name": ""}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ("Account", {"Name": "x", "Nothing": 1}, "INVALID_FIELD", None),
        ("Account", {"Name": "x" * 256}, "STRING_TOO_LONG", ["Name"]),
        ("Account", {"Name": 5}, "JSON_PARSER_ERROR", None),
        ("Account", {"Name": "x", "AnnualRevenue": "much"}, "JSON_PARSER_ERROR", None),
        ("Account", {"Name": "x", "AnnualRevenue": 1e30}, "NUMBER_OUTSIDE_VALID_RANGE",
         ["AnnualRevenue"]),
        ("Account", {"Name": "x", "NumberOfEmployees": 10**9}, "NUMBER_OUTSIDE_VALID_RANGE",
         ["NumberOfEmployees"]),
        ("Account", {"Name": "x", "CreatedDate": "2026-01-01T00:00:00Z"},
         "INVALID_FIELD_FOR_INSERT_UPDATE", ["CreatedDate"]),
        ("Account", {"Name": "x", "Id": "001Hs0000000001IAA"},
         "INVALID_FIELD_FOR_INSERT_UPDATE", ["Id"]),
        ("Account", {"Name": "x", "BillingAddress": "y"},
         "INVALID_FIELD_FOR_INSERT_UPDATE", ["BillingAddress"]),
        ("Account", {"Name": "x", "CleanStatus": "Grubby"},
         "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["CleanStatus"]),
        ("Account", {"Name": "x", "ParentId": "001Hs0zzzzzzzzzAAA"},
         "INVALID_CROSS_REFERENCE_KEY", None),
        ("Account", {"Name": "x", "ParentId": "003Hs0000000001IAA"}, "MALFORMED_ID",
         ["ParentId"]),
        ("Account", {"Name": "x", "ParentId": "short"}, "MALFORMED_ID", ["ParentId"]),
        ("Contact", {"LastName": "x", "Email": "nobody"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
        ("Contact", {"LastName": "x", "Birthdate": "31.01.2026"}, "JSON_PARSER_ERROR", None),
        ("Opportunity", {"Name": "x", "StageName": "y"}, "REQUIRED_FIELD_MISSING", ["CloseDate"]),
        ("Showcase__c", {"Required_Text__c": "x", "Checkbox__c": "perhaps"}, "JSON_PARSER_ERROR",
         None),
        ("CaseHistory", {"Field": "created"}, "INVALID_TYPE_FOR_OPERATION", None),
    ],
)  # fmt: skip
def test_what_is_refused(
    api: Api, object_name: str, values: Any, code: str, fields: list[str] | None
) -> None:
    answer = api("POST", f"/sobjects/{object_name}", json=values)
    assert answer.status_code == 400
    error = answer.json()[0]
    assert (error["errorCode"], error.get("fields")) == (code, fields)


def test_unknown_objects_and_records(api: Api) -> None:
    assert api("POST", "/sobjects/Nothing", json={}).status_code == 404
    for method in ("GET", "PATCH", "DELETE"):
        answer = api(method, "/sobjects/Account/001Hs0zzzzzzzzzAAA", json={})
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    wrong = api("GET", "/sobjects/Account/003Hs0000000001IAA")
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (400, "MALFORMED_ID")
    odd = api("GET", "/sobjects/Account/23foo")
    assert odd.json() == [
        {
            "message": "Provided external ID field does not exist or is not accessible: 23foo",
            "errorCode": "NOT_FOUND",
        }
    ]


def test_values_of_every_type_come_back(api: Api) -> None:
    values = {
        "Required_Text__c": "x",
        "Checkbox__c": True,
        "Date__c": "1700-01-31",
        "Date_Time__c": "2026-01-31T12:30:45.987+02:00",
        "Time__c": "10:20:30.500Z",
        "Number_0__c": 12,
        "Number_2__c": 1.005,
        "Currency__c": "19.99",
        "Percent__c": 12.5,
        "Multi_Picklist__c": "Red;Green",
        "Place__Latitude__s": 1.5,
        "Place__Longitude__s": -2.5,
    }
    described = {f["name"] for f in api("GET", "/sobjects/Showcase__c/describe").json()["fields"]}
    assert set(values) <= described
    key = api.create("Showcase__c", **values)
    record = api("GET", f"/sobjects/Showcase__c/{key}").json()
    assert {name: record[name] for name in values} == {
        **values,
        "Date_Time__c": "2026-01-31T10:30:45.000+0000",
        "Number_0__c": 12.0,
        "Number_2__c": 1.01,
        "Currency__c": 19.99,
    }
    assert record["Place__c"] == {"latitude": 1.5, "longitude": -2.5}
    assert record["Name"] == key


def test_numbers_of_automatic_fields_go_on(api: Api) -> None:
    first, second = (api.create("Case", Subject="x") for _ in "ab")
    numbers = [
        api("GET", f"/sobjects/Case/{key}", params={"fields": "CaseNumber"}).json()["CaseNumber"]
        for key in (first, second)
    ]
    assert int(numbers[1]) == int(numbers[0]) + 1
    assert len(numbers[0]) == len(numbers[1]) == 8


def test_unique_values(api: Api) -> None:
    key = api.create("Showcase__c", Required_Text__c="x", External_Key__c="Once")
    taken = api("POST", "/sobjects/Showcase__c", json={"Required_Text__c": "y",
                                                     "External_Key__c": "ONCE"})  # fmt: skip
    assert taken.json()[0]["errorCode"] == "DUPLICATE_VALUE"
    assert key in taken.json()[0]["message"]
    same = api("PATCH", f"/sobjects/Showcase__c/{key}", json={"External_Key__c": "once"})
    assert same.status_code == 204
    for text in ("Case", "CASE"):
        api.create("Showcase__c", Required_Text__c="x", Case_Sensitive_Key__c=text)
    twice = [{"attributes": {"type": "Showcase__c"}, "Required_Text__c": "x",
              "External_Key__c": "double"}] * 2  # fmt: skip
    rows = api("POST", "/composite/sobjects", json={"records": twice}).json()
    assert [row["success"] for row in rows] == [True, False]


def test_upsert(api: Api) -> None:
    path = "/sobjects/Showcase__c/External_Key__c/up%2Fsert%20%C3%A9"
    created = api("PATCH", path, json={"Required_Text__c": "a"})
    assert created.status_code == 201
    document = created.json()
    assert document == {"id": document["id"], "success": True, "errors": [], "created": True}
    updated = api("PATCH", path, json={"Required_Text__c": "b"})
    assert updated.status_code == 200
    assert updated.json() == {**document, "created": False}
    found = api("GET", path).json()
    assert (found["Id"], found["External_Key__c"]) == (document["id"], "up/sert é")
    older = Api(api.emulator, "45.0")
    assert older("PATCH", path, json={"Required_Text__c": "c"}).status_code == 204
    older.http.close()
    unknown = api("PATCH", "/sobjects/Showcase__c/Required_Text__c/x", json={})
    assert unknown.status_code == 404
    assert unknown.json()[0]["message"].endswith("not accessible: Required_Text__c")
    for number in "ab":
        api.create("Showcase__c", Required_Text__c=number, External_Number__c=77)
    several = api("PATCH", "/sobjects/Showcase__c/External_Number__c/77", json={})
    assert several.status_code == 300
    assert len(several.json()) == 2
    assert all(
        url.startswith("/services/data/v66.0/sobjects/Showcase__c/") for url in several.json()
    )
    assert api("DELETE", path).status_code == 204
    by_id = api("POST", "/sobjects/Account/Id", json={"Name": "x"})
    assert (by_id.status_code, by_id.json()["created"]) == (201, True)


def test_parents_by_external_id(api: Api) -> None:
    parent = api.create("Showcase__c", Required_Text__c="x", External_Key__c="parent")
    child = api.create("Showcase_Item__c", Showcase__r={"External_Key__c": "PARENT"})
    record = api("GET", f"/sobjects/Showcase_Item__c/{child}").json()
    assert record["Showcase__c"] == parent
    body = {"Showcase__r": {"External_Key__c": "nobody"}}
    missing = api("POST", "/sobjects/Showcase_Item__c", json=body)
    assert missing.json()[0]["errorCode"] == "INVALID_FIELD"


def test_blobs(api: Api) -> None:
    key = api.create("Showcase__c", Required_Text__c="x", Document__c="AAEC/w==")
    record = api("GET", f"/sobjects/Showcase__c/{key}").json()
    url = f"/services/data/v66.0/sobjects/Showcase__c/{key}/Document__c"
    assert record["Document__c"] == url
    answer = api("GET", url.removeprefix("/services/data/v66.0"))
    assert answer.content == b"\x00\x01\x02\xff"


def test_deletes_cascade_and_come_back(emulator: Emulator, records: Records) -> None:
    account = records.insert("Account", {"Name": "Trunk"})
    contact = records.insert("Contact", {"LastName": "Leaf", "AccountId": account})
    early = records.insert("Contact", {"LastName": "Fallen", "AccountId": account})
    task = records.insert("Task", {"Subject": "Bug", "WhoId": contact})
    records.delete("Contact", early)
    emulator.advance(10)
    records.delete("Account", account)
    for object_name, key in (("Account", account), ("Contact", contact), ("Task", task)):
        row = stored(emulator, object_name, key)
        assert (row["IsDeleted"], row["SystemModstamp"]) == (True, plain(emulator))
    with pytest.raises(ApiError, match="ENTITY_IS_DELETED"):
        records.update("Account", account, {"Name": "x"})
    with pytest.raises(ApiError, match="ENTITY_IS_DELETED"):
        records.insert("Contact", {"LastName": "Late", "AccountId": account})
    emulator.advance(10)
    records.undelete("Account", account)
    for object_name, key in (("Account", account), ("Contact", contact), ("Task", task)):
        row = stored(emulator, object_name, key)
        assert (row["IsDeleted"], row["SystemModstamp"]) == (False, plain(emulator))
    assert stored(emulator, "Contact", early)["IsDeleted"] is True


def test_children_can_hold_a_record(records: Records) -> None:
    account = records.insert("Account", {"Name": "Held"})
    case = records.insert("Case", {"AccountId": account})
    with pytest.raises(ApiError, match="DELETE_FAILED"):
        records.delete("Account", account)
    records.delete("Case", case)
    records.delete("Account", account)


def test_merge(emulator: Emulator, records: Records) -> None:
    master = records.insert("Account", {"Name": "Master"})
    loser = records.insert("Account", {"Name": "Loser"})
    records.update("Account", master, {"ParentId": loser})
    contact = records.insert("Contact", {"LastName": "Moves", "AccountId": loser})
    emulator.advance(5)
    records.merge("Account", master, loser)
    row = stored(emulator, "Account", loser)
    assert (row["IsDeleted"], row["MasterRecordId"]) == (True, master)
    moved = stored(emulator, "Contact", contact)
    assert (moved["AccountId"], moved["SystemModstamp"]) == (master, plain(emulator))
    assert stored(emulator, "Account", master)["ParentId"] is None


def test_purging(emulator: Emulator, records: Records) -> None:
    account = records.insert("Account", {"Name": "Dust"})
    contact = records.insert("Contact", {"LastName": "Dust", "AccountId": account})
    records.purge("Account", account)
    assert stored(emulator, "Account", account) is None
    assert stored(emulator, "Contact", contact) is None
    old = records.insert("Lead", {"LastName": "Old", "Company": "x"})
    records.delete("Lead", old)
    emulator.advance(14 * 86_400)
    assert records.empty_recycle_bin() == 0
    emulator.advance(2 * 86_400)
    assert records.empty_recycle_bin() > 0
    assert stored(emulator, "Lead", old) is None


def test_stages_write_history(emulator: Emulator, records: Records, api: Api) -> None:
    key = records.insert(
        "Opportunity",
        {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-05-05", "Amount": 100},
    )
    emulator.advance(1)
    fresh = Api(emulator)
    fresh("PATCH", f"/sobjects/Opportunity/{key}", json={"NextStep": "call"})
    fresh("PATCH", f"/sobjects/Opportunity/{key}", json={"StageName": "Closed Won"})
    row = stored(emulator, "Opportunity", key)
    assert (row["Probability"], row["ForecastCategoryName"]) == (100.0, "Closed")
    assert row["LastStageChangeDate"] == plain(emulator)
    history = fresh.query(
        "SELECT StageName, Probability, ExpectedRevenue, ForecastCategory FROM OpportunityHistory"
        f" WHERE OpportunityId = '{key}' ORDER BY Id"
    )
    assert [list(h.values())[1:] for h in history] == [
        ["Prospecting", 10.0, 10.0, "Pipeline"],
        ["Closed Won", 100.0, 100.0, "Closed"],
    ]
    fresh.http.close()
    assert api


def test_cases_write_history(emulator: Emulator, records: Records) -> None:
    key = records.insert("Case", {"Subject": "Help"})
    records.update("Case", key, {"Status": "Working"})
    records.update("Case", key, {"Status": "Closed", "Priority": "High"})
    assert stored(emulator, "Case", key)["ClosedDate"] == plain(emulator)
    rows = emulator.store.table("CaseHistory").read_all().to_pylist()
    changes = [(r["Field"], r["OldValue"], r["NewValue"]) for r in rows if r["CaseId"] == key]
    assert changes == [
        ("created", None, None),
        ("Status", "New", "Working"),
        ("Status", "Working", "Closed"),
        ("Priority", "Medium", "High"),
    ]


def test_line_items_make_the_amount(emulator: Emulator, records: Records) -> None:
    product = records.insert("Product2", {"Name": "Bolt"})
    book = records.insert("Pricebook2", {"Name": "Book"})
    entry = records.insert(
        "PricebookEntry", {"Product2Id": product, "Pricebook2Id": book, "UnitPrice": 2.5}
    )
    deal = records.insert(
        "Opportunity", {"Name": "Bolts", "StageName": "Prospecting", "CloseDate": "2026-05-05"}
    )
    line = {"OpportunityId": deal, "PricebookEntryId": entry, "Quantity": 4}
    first = records.insert("OpportunityLineItem", line)
    records.insert("OpportunityLineItem", {**line, "UnitPrice": 3})
    row = stored(emulator, "OpportunityLineItem", first)
    assert (row["TotalPrice"], row["ListPrice"], row["Product2Id"]) == (10.0, 2.5, product)
    opportunity = stored(emulator, "Opportunity", deal)
    assert (opportunity["Amount"], opportunity["HasOpportunityLineItem"]) == (22.0, True)
    records.delete("OpportunityLineItem", first)
    assert stored(emulator, "Opportunity", deal)["Amount"] == 12.0


def test_activities_belong_to_an_account(emulator: Emulator, records: Records) -> None:
    account = records.insert("Account", {"Name": "Busy"})
    contact = records.insert("Contact", {"LastName": "Busy", "AccountId": account})
    task = records.insert("Task", {"Subject": "Call", "WhoId": contact, "Status": "Completed"})
    row = stored(emulator, "Task", task)
    assert (row["AccountId"], row["CompletedDateTime"]) == (account, plain(emulator))
    event = records.insert(
        "Event",
        {"WhatId": account, "ActivityDateTime": "2026-03-01T10:00:00Z", "DurationInMinutes": 45},
    )
    row = stored(emulator, "Event", event)
    assert row["EndDateTime"] == datetime(2026, 3, 1, 10, 45)  # noqa: DTZ001  as stored
    assert row["AccountId"] == account


def test_a_transaction_commits_late_with_its_old_stamp(
    emulator: Emulator, records: Records
) -> None:
    api = Api(emulator)
    before = plain(emulator)
    key = records.insert("Account", {"Name": "Early"})
    with records.transaction() as held:
        outcome = held.insert("Account", [{"Name": "Held"}], system=True)[0]
        held.update("Account", [{"Id": key, "Name": "Early, changed"}])
        emulator.advance(290)
        other = records.insert("Account", {"Name": "Overtakes"})
        soql = "SELECT Name FROM Account WHERE Name IN ('Held', 'Overtakes')"
        assert [r["Name"] for r in api.query(soql)] == ["Overtakes"]
        with pytest.raises(ApiError, match="UNABLE_TO_LOCK_ROW"):
            records.update("Account", key, {"Name": "Clash"})
    assert len(api.query(soql)) == 2
    assert stored(emulator, "Account", str(outcome.id))["SystemModstamp"] == before
    assert stored(emulator, "Account", key)["Name"] == "Early, changed"
    assert stored(emulator, "Account", other)["SystemModstamp"] == plain(emulator)
    stamp = datetime(2020, 2, 2, tzinfo=UTC)
    with records.transaction(stamp=stamp) as fixed:
        old = fixed.insert("Account", [{"Name": "Stamped"}], system=True)[0]
    assert stored(emulator, "Account", str(old.id))["SystemModstamp"] == stamp.replace(tzinfo=None)
    api.http.close()


def test_a_transaction_that_fails_leaves_nothing(emulator: Emulator, records: Records) -> None:
    made = []

    def fail() -> None:
        with records.transaction() as held:
            made.append(held.insert("Account", [{"Name": "Never"}], system=True)[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert stored(emulator, "Account", str(made[0].id)) is None


def test_sampling_depends_on_the_generator_alone(records: Records) -> None:
    for number in range(20):
        records.insert("Campaign", {"Name": f"C{number}"})
    first, second = Random(5), Random(5)  # noqa: S311  repeatable on purpose
    condition = "\"Name\" LIKE 'C%'"
    pick = records.sample("Campaign", condition, first)
    assert pick == records.sample("Campaign", condition, second)
    assert pick is not None
    assert records.sample("Campaign", "\"Name\" = 'none'", first) is None
    assert records.sample("Nothing", None, first) is None
