"""Collections, composite, batch, tree."""

from typing import Any

import pytest

from sf_assets_tests.emulator.conftest import Api

BASE = "/services/data/v66.0"


def typed(kind: str, **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": kind}, **values}


def used(api: Api) -> int:
    """Calls counted so far, this one included."""
    header = api("GET", "/limits").headers["Sforce-Limit-Info"]
    return int(header.removeprefix("api-usage=").partition("/")[0])


def test_collections_keep_the_order_of_the_request(api: Api) -> None:
    records = [
        typed("Account", Name="One"),
        typed("Contact"),
        typed("Contact", LastName="Three"),
        typed("Nothing", Name="x"),
        typed("Account", Name="Five"),
    ]
    rows = api("POST", "/composite/sobjects", json={"records": records}).json()
    assert [row["success"] for row in rows] == [True, False, True, False, True]
    assert rows[0]["id"].startswith("001")
    assert rows[2]["id"].startswith("003")
    assert rows[1] == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [LastName]",
                "fields": ["LastName"],
            }
        ],
    }
    changes = [
        typed("Account", id=rows[0]["id"], Name="Uno"),
        typed("Account", Id=rows[4]["id"], Name=""),
    ]
    changed = api("PATCH", "/composite/sobjects", json={"records": changes}).json()
    assert [row["success"] for row in changed] == [True, False]
    ids = f"{rows[0]['id']},{rows[2]['id']},001Hs0zzzzzzzzzAAA"
    read = api(
        "POST",
        "/composite/sobjects/Account",
        json={"ids": [rows[0]["id"], "001Hs0zzzzzzzzzAAA"], "fields": ["Name"]},
    ).json()
    assert (read[0]["Name"], read[1]) == ("Uno", None)
    gone = api("DELETE", "/composite/sobjects", params={"ids": ids}).json()
    assert [row["success"] for row in gone] == [True, True, False]


def test_all_or_none(api: Api) -> None:
    records = [typed("Account", Name="Lost"), typed("Account")]
    body = {"allOrNone": True, "records": records}
    answer = api("POST", "/composite/sobjects", json=body)
    assert answer.status_code == 200
    codes = [row["errors"][0]["statusCode"] for row in answer.json()]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert api.query("SELECT Id FROM Account WHERE Name = 'Lost'") == []


def test_collections_upsert(api: Api) -> None:
    path = "/composite/sobjects/Showcase__c/External_Key__c"
    records = [
        typed("Showcase__c", External_Key__c="u1", Required_Text__c="a"),
        typed("Showcase__c", External_Key__c="u2", Required_Text__c="b"),
        typed("Showcase__c", External_Key__c="U1", Required_Text__c="c"),
        typed("Showcase__c", Required_Text__c="d"),
    ]
    rows = api("PATCH", path, json={"records": records}).json()
    assert [row["success"] for row in rows] == [True, True, False, False]
    assert rows[0]["created"] is True
    again = api("PATCH", path, json={"records": records[:1]}).json()
    assert again == [{"id": rows[0]["id"], "success": True, "errors": [], "created": False}]
    by_id = [typed("Account", Name="new"), typed("Account", Id=rows[0]["id"], Name="wrong")]
    mixed = api("PATCH", "/composite/sobjects/Account/Id", json={"records": by_id}).json()
    assert [row["success"] for row in mixed] == [True, False]


def test_too_many_records(api: Api) -> None:
    records = [typed("Account", Name="x")] * 201
    answer = api("POST", "/composite/sobjects", json={"records": records})
    assert answer.status_code == 400


def test_composite_with_references(api: Api) -> None:
    before = used(api)
    requests = [
        {
            "method": "POST",
            "url": f"{BASE}/sobjects/Account",
            "referenceId": "account",
            "body": {"Name": "Parent & co"},
        },
        {
            "method": "POST",
            "url": f"{BASE}/sobjects/Contact/",
            "referenceId": "contact",
            "body": {"LastName": "Child", "AccountId": "@{account.id}"},
        },
        {
            "method": "GET",
            "url": f"{BASE}/query/?q=select Id, Name from Account where Id = '@{{account.id}}'",
            "referenceId": "found",
        },
        {
            "method": "GET",
            "url": f"{BASE}/sobjects/Account/@{{found.records[0].Id}}?fields=Name",
            "referenceId": "read",
        },
        {"method": "GET", "url": f"{BASE}/sobjects/Foo", "referenceId": "foo"},
        {"method": "GET", "url": f"{BASE}/sobjects/Account/@{{foo.id}}", "referenceId": "lost"},
        {
            "method": "DELETE",
            "url": f"{BASE}/sobjects/Contact/@{{contact.id}}",
            "referenceId": "gone",
        },
    ]
    answer = api("POST", "/composite", json={"compositeRequest": requests})
    assert answer.status_code == 200
    parts = {part["referenceId"]: part for part in answer.json()["compositeResponse"]}
    statuses = [part["httpStatusCode"] for part in parts.values()]
    assert statuses == [201, 201, 200, 200, 404, 400, 204]
    key = parts["account"]["body"]["id"]
    assert parts["account"]["httpHeaders"]["Location"] == f"{BASE}/sobjects/Account/{key}"
    assert parts["found"]["body"]["records"][0]["Name"] == "Parent & co"
    assert parts["read"]["body"]["Name"] == "Parent & co"
    assert parts["foo"] == {
        "body": [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}],
        "httpHeaders": {},
        "httpStatusCode": 404,
        "referenceId": "foo",
    }
    assert parts["lost"]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert parts["gone"]["body"] is None
    assert used(api) == before + 2


def test_composite_all_or_none(api: Api) -> None:
    def part(name: str, **values: Any) -> dict[str, Any]:
        url = f"{BASE}/sobjects/Account"
        return {"method": "POST", "url": url, "referenceId": name, "body": values}

    inside = {
        "method": "GET",
        "url": f"{BASE}/query?q=SELECT+Id+FROM+Account+WHERE+Name='Atomic'",
        "referenceId": "inside",
    }
    body = {
        "allOrNone": True,
        "compositeRequest": [part("a", Name="Atomic"), inside, part("b"), part("c", Name="x")],
    }
    parts = api("POST", "/composite", json=body).json()["compositeResponse"]
    codes = [p["body"][0]["errorCode"] for p in parts]
    assert codes == [
        "PROCESSING_HALTED",
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
        "PROCESSING_HALTED",
    ]
    assert api.query("SELECT Id FROM Account WHERE Name = 'Atomic'") == []
    body["compositeRequest"] = [part("a", Name="Atomic"), inside]
    parts = api("POST", "/composite", json=body).json()["compositeResponse"]
    assert parts[1]["body"]["totalSize"] == 1
    assert len(api.query("SELECT Id FROM Account WHERE Name = 'Atomic'")) == 1


def test_composite_passes_conditional_headers_on(api: Api) -> None:
    modified = api("GET", "/sobjects").headers["Last-Modified"]
    part = {
        "method": "GET",
        "url": f"{BASE}/sobjects",
        "referenceId": "d",
        "httpHeaders": {"If-Modified-Since": modified},
    }
    answer = api("POST", "/composite", json={"compositeRequest": [part]}).json()
    found = answer["compositeResponse"][0]
    assert (found["httpStatusCode"], found["body"]) == (304, None)
    assert set(found["httpHeaders"]) == {"ETag", "Last-Modified"}


def test_composite_limits(api: Api) -> None:
    query = {"method": "GET", "url": f"{BASE}/query?q=SELECT+Id+FROM+Account"}
    for count, url, status in ((5, None, 200), (6, None, 400), (26, f"{BASE}/limits", 400)):
        parts = [
            {**query, "url": url or query["url"], "referenceId": f"r{n}"} for n in range(count)
        ]
        assert api("POST", "/composite", json={"compositeRequest": parts}).status_code == status
    twice = [{**query, "referenceId": "same"}] * 2
    assert api("POST", "/composite", json={"compositeRequest": twice}).status_code == 400


def test_batch_counts_every_part(api: Api) -> None:
    before = used(api)
    requests = [
        {"method": "GET", "url": "v66.0/query?q=SELECT+COUNT()+FROM+Account"},
        {"method": "GET", "url": "v66.0/sobjects/Foo/describe"},
        {"method": "GET", "url": "/services/data/v65.0/limits"},
    ]
    answer = api("POST", "/composite/batch", json={"batchRequests": requests}).json()
    assert answer["hasErrors"] is True
    assert [r["statusCode"] for r in answer["results"]] == [200, 404, 200]
    assert answer["results"][0]["result"]["done"] is True
    assert used(api) == before + 4
    body = {"haltOnError": True, "batchRequests": requests}
    halted = api("POST", "/composite/batch", json=body).json()
    assert [r["statusCode"] for r in halted["results"]] == [200, 404, 412]


def test_tree(api: Api) -> None:
    def leaf(kind: str, reference: str, **values: Any) -> dict[str, Any]:
        return {"attributes": {"type": kind, "referenceId": reference}, **values}

    contacts = {
        "records": [leaf("Contact", "c1", LastName="A"), leaf("Contact", "c2", LastName="B")]
    }
    body = {"records": [leaf("Account", "a1", Name="Tree", Contacts=contacts)]}
    answer = api("POST", "/composite/tree/Account/", json=body)
    assert answer.status_code == 201
    document = answer.json()
    assert document["hasErrors"] is False
    assert [r["referenceId"] for r in document["results"]] == ["a1", "c1", "c2"]
    key = document["results"][0]["id"]
    assert len(api.query(f"SELECT Id FROM Contact WHERE AccountId = '{key}'")) == 2
    contacts["records"].append(leaf("Contact", "c3"))
    body["records"][0]["Name"] = "Felled"
    failed = api("POST", "/composite/tree/Account", json=body)
    assert failed.status_code == 400
    assert failed.json()["results"][0]["referenceId"] == "c3"
    assert failed.json()["results"][0]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert api.query("SELECT Id FROM Account WHERE Name = 'Felled'") == []


@pytest.mark.parametrize(
    "url",
    [
        f"{BASE}/jobs/query",
        f"{BASE}/jobs/query/750000000000001AAA",
        f"{BASE}/composite",
        f"{BASE}/composite/batch",
        "/services/data/v99.0/limits",
        "/services/data/v66.5/limits",
        "/services/data/v20.0/limits",
    ],
)
def test_what_has_to_be_called_by_itself_and_versions_that_are_none(api: Api, url: str) -> None:
    part = {"method": "GET", "url": url, "referenceId": "a"}
    answer = api("POST", "/composite", json={"compositeRequest": [part]})
    assert answer.status_code == 200
    assert answer.json()["compositeResponse"][0]["httpStatusCode"] in (404, 410)
    answer = api("POST", "/composite/batch", json={"batchRequests": [part]})
    assert answer.json()["results"][0]["statusCode"] in (404, 410)


@pytest.mark.parametrize("headers", [5, "x", [1]])
def test_headers_that_are_none(api: Api, headers: Any) -> None:
    part = {"method": "GET", "url": f"{BASE}/limits", "referenceId": "a", "httpHeaders": headers}
    answer = api("POST", "/composite", json={"compositeRequest": [part]})
    assert answer.json()[0]["errorCode"] == "JSON_PARSER_ERROR"


def test_a_tree_may_be_five_levels_deep(api: Api) -> None:
    tree: dict[str, Any] = typed("Account", Name="Leaf")
    for level in range(10):
        tree["attributes"]["referenceId"] = f"r{level}"
        tree = typed("Account", Name="Over", ChildAccounts={"records": [tree]})
    tree["attributes"]["referenceId"] = "root"
    answer = api("POST", "/composite/tree/Account", json={"records": [tree]})
    assert answer.json()[0]["errorCode"] == "LIMIT_EXCEEDED"
