"""Objects that are described as queryable and refuse a query none the less."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from sf_assets.emulator.metadata.fields import describe_field
from sf_assets.emulator.restrictions import Restrictions
from sf_assets.emulator.schema import Schema, SObject
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api

ROWS = 300
REFUSED = [
    ("ContentDocumentLink", "requires a filter by a single Id on ContentDocumentId or Linked"),
    ("Vote", "When querying the Vote object, you must filter"),
    ("IdeaComment", "When querying the IdeaComment object, you must filter"),
    ("CollaborationGroupRecord", "When querying the CollaborationGroupRecord object"),
    ("ContentFolderItem", "requires a filter by a single Id on ParentContentFolderId"),
    ("FieldDefinition", "a filter on a reified column is required [EntityDefinitionId,"),
    ("Announcement", "When querying the Announcement object"),
    ("ContentFolderMember", "requires a filter by a single Id on ChildRecordId or Parent"),
    ("FieldHistoryArchive", "requires a filter by a single Id on ParentId"),
    *[
        (name, f"{name}: a filter on a reified column is required [")
        for name in (
            "DataStatistics",
            "FlexQueueItem",
            "OwnerChangeOptionInfo",
            "PicklistValueInfo",
            "PlatformAction",
            "RelationshipDomain",
            "RelationshipInfo",
            "SearchLayout",
            "SiteDetail",
            "UserEntityAccess",
            "UserFieldAccess",
        )
    ],
    ("EntityParticle", "a filter on a reified column is required [EntityDefinitionId,"),
]


@pytest.fixture(scope="module")
def emulator(schema: Schema) -> Iterator[Emulator]:
    """An org with some accounts, and with objects that need a filter."""
    account = schema.get("Account")
    assert account is not None
    others = ("EntityDefinition", "Log__b", "ActivityHistory", "ContentBody", "Closed__c")
    listed = [*REFUSED, *((name, "") for name in others)]
    names = ("Id", "Name", "SystemModstamp")
    kept = [f for f in account.document["fields"] if f["name"] in names]
    kept += [
        describe_field(name, {"type": "string", "length": 80}, {})
        for name in ("LinkedEntityId", "EntityDefinitionId", "DurableId")
    ]
    more = [
        SObject({**account.document, "name": name, "keyPrefix": None, "fields": kept,
                 "childRelationships": [], "queryable": name != "Closed__c"}, {})
        for name, _ in listed
    ]  # fmt: skip
    settings = Settings(job_seconds=0.02, faults=True)
    with Emulator(schema=Schema([*schema, *more]), settings=settings) as running:
        rows = [{"Name": f"Account {n}", "Rating": "Hot"} for n in range(ROWS)]
        running.records.run(lambda t: t.insert("Account", rows))
        rows = [{"Name": f"Entity {n}"} for n in range(ROWS)]
        running.records.run(lambda t: t.insert("EntityDefinition", rows, system=True))
        yield running


@pytest.fixture
def restrict(emulator: Emulator) -> Iterator[Any]:
    """Orders rules for Account; none is left afterwards."""

    def order(**rules: Any) -> None:
        body = {"action": "restrict", "object_name": "Account", **rules}
        answer = requests.post(f"{emulator.url}/_control", json=body, timeout=10)
        assert answer.status_code == 200, answer.text

    yield order
    order()


def refusal(api: Api, soql: str) -> tuple[str, str]:
    """Code and message of a refusal; REST and Bulk agree on it."""
    rest = api("GET", "/query", params={"q": soql})
    assert rest.status_code == 400, rest.text
    bulk = api("POST", "/jobs/query", json={"operation": "query", "query": soql})
    assert bulk.status_code == 400, bulk.text
    if bulk.json()[0]["errorCode"] not in ("INVALIDENTITY", "API_ERROR"):
        assert bulk.json() == rest.json()
    return rest.json()[0]["errorCode"], rest.json()[0]["message"]


@pytest.mark.parametrize(("name", "words"), REFUSED)
def test_an_object_that_cannot_be_listed_says_which_filter_it_wants(
    api: Api, name: str, words: str
) -> None:
    listed = {o["name"]: o for o in api("GET", "/sobjects").json()["sobjects"]}
    assert listed[name]["queryable"] is True
    either = " WHERE Id = '001000000000001AAA' OR Name = 'x'"
    for where in ("", " WHERE Name = 'x'", either, " WHERE Id != null"):
        code, message = refusal(api, f"SELECT Id FROM {name}{where}")
        assert code == "MALFORMED_QUERY"
        assert words in message
    count = api("GET", "/query", params={"q": f"SELECT COUNT() FROM {name}"})
    assert count.json()[0]["errorCode"] == "MALFORMED_QUERY"


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Id FROM ContentDocumentLink WHERE LinkedEntityId = 'a'",
        "SELECT Id FROM ContentDocumentLink WHERE linkedentityid IN ('a', 'b') AND Name != 'x'",
        "SELECT Id FROM FieldDefinition WHERE EntityDefinitionId = 'Account'",
    ],
)
def test_it_answers_a_query_with_that_filter(api: Api, soql: str) -> None:
    assert api.query(soql) == []


def test_metadata_has_one_page_and_is_not_in_bulk(api: Api) -> None:
    everything = "SELECT Id FROM EntityDefinition"
    options = {"Sforce-Query-Options": "batchSize=200"}
    answer = api("GET", "/query", params={"q": everything}, headers=options)
    assert answer.json()[0]["errorCode"] == "EXCEEDED_ID_LIMIT"
    assert "does not support queryMore()" in answer.json()[0]["message"]
    assert len(api.query(f"{everything} LIMIT 200")) == 200
    job = api("POST", "/jobs/query", json={"operation": "query", "query": everything})
    assert job.json()[0]["errorCode"] == "INVALIDENTITY"


@pytest.mark.parametrize("name", ["ActivityHistory", "ContentBody", "Closed__c"])
def test_an_object_that_nobody_can_query(api: Api, name: str) -> None:
    code, message = refusal(api, f"SELECT Id FROM {name} WHERE Id = '001000000000001AAA'")
    assert code == "INVALID_TYPE_FOR_OPERATION"
    assert message == f"entity type {name} does not support query"
    job = {"operation": "query", "query": f"SELECT Id FROM {name}"}
    refused = api("POST", "/jobs/query", json=job).json()[0]
    assert refused == {"errorCode": "API_ERROR", "message": "API does not support query"}


def test_big_objects_know_no_aggregates(api: Api) -> None:
    answer = api("GET", "/query", params={"q": "SELECT COUNT() FROM Log__b"})
    assert answer.json()[0]["errorCode"] == "BIG_OBJECT_UNSUPPORTED_OPERATION"
    assert api.query("SELECT Id FROM Log__b") == []


def test_any_object_can_be_made_to_refuse_aggregates(api: Api, restrict: Any) -> None:
    restrict(aggregates=False)
    for what in ("COUNT()", "COUNT(Id)", "MAX(SystemModstamp)"):
        answer = api("GET", "/query", params={"q": f"SELECT {what} FROM Account"})
        assert answer.json()[0]["errorCode"] == "BIG_OBJECT_UNSUPPORTED_OPERATION"
    assert len(api.query("SELECT Id FROM Account")) == ROWS
    restrict()
    assert api("GET", "/query", params={"q": "SELECT COUNT() FROM Account"}).ok


def test_any_object_can_be_made_to_need_a_filter(api: Api, restrict: Any) -> None:
    restrict(needs_filter=["Rating"])
    assert refusal(api, "SELECT Id FROM Account")[0] == "MALFORMED_QUERY"
    assert len(api.query("SELECT Id FROM Account WHERE Rating = 'Hot'")) == ROWS


@pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"])
def test_a_query_over_too_many_rows_is_refused_and_a_smaller_one_is_not(
    api: Api, restrict: Any, code: str
) -> None:
    restrict(most_rows=100, code=code)
    ids = sorted(str(r["Id"]) for r in api.query("SELECT Id FROM Account LIMIT 100"))
    for what in ("Id", "COUNT()", "COUNT(Id)"):
        answer = api("GET", "/query", params={"q": f"SELECT {what} FROM Account"})
        assert answer.json()[0]["errorCode"] == code
    sorted_rows = "SELECT Id FROM Account ORDER BY Name LIMIT 1"
    assert api("GET", "/query", params={"q": sorted_rows}).status_code == 400
    job = api("GET", f"/jobs/query/{api.job('SELECT Id FROM Account')}").json()
    assert (job["state"], job["errorMessage"].split(":")[0]) == ("Failed", code)
    few = f"SELECT Id FROM Account WHERE Id IN ('{ids[0]}', '{ids[1]}')"
    assert len(api.query(few)) == 2
    assert api("GET", f"/jobs/query/{api.job(few)}").json()["state"] == "JobComplete"


def test_an_order_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="code must be one of"):
        Restrictions(lambda _: 0).restrict("Account", code="NO_SUCH")  # type: ignore[arg-type]
