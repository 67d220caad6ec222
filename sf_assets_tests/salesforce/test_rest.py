"""REST: describes and small queries asked together, results page by page, odd answers."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from sf_assets.describe import ObjectInfo
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.errors import (
    LimitExceededError,
    ObjectUnavailableError,
    OrgUnreachableError,
    PageBrokenError,
    SalesforceError,
)
from sf_assets.salesforce.client import Client, connect
from sf_assets.salesforce.rest import SOQL_BYTES, Deleted
from sf_assets.settings import load_credentials
from sf_assets.windows import Window
from sf_assets_tests.salesforce.scripted import (
    Answer,
    Heard,
    Reply,
    as_json,
    failure,
    html,
)
from sf_assets_tests.salesforce.scripted_org import DATA, ScriptedOrg

COMPOSITE = f"{DATA}/composite"
QUERY = f"{DATA}/queryAll/?"
ROWS = 4500
NAMES = [f"Object_{n}__c" for n in range(60)]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An org of 64 objects, one of which has rows."""
    with Emulator(schema=standard_schema(custom_objects=40)) as running:
        rows = [{"Name": f"Account {n}"} for n in range(ROWS)]
        made = running.records.run(lambda t: t.insert("Account", rows))
        ids = [str(outcome.id) for outcome in made]
        running.records.run(lambda t: t.delete("Account", ids[:10]))
        yield running


@pytest.fixture
def emulated(emulator: Emulator) -> Iterator[Client]:
    client = connect(load_credentials(emulator.environment))
    yield client
    client.session.close()


def described(name: str) -> dict[str, Any]:
    return {"name": name, "label": name, "fields": [{"name": "Id", "type": "id"}]}


def serve_describes(org: ScriptedOrg, fails: Callable[[str], tuple[int, Any] | None]) -> None:
    """Describes by /composite and one by one; `fails` says which parts of a composite do."""

    def part(request: dict[str, str]) -> dict[str, Any]:
        name = request["url"].split("/")[-2]
        status, body = fails(name) or (200, described(name))
        return {
            "body": body,
            "httpHeaders": {},
            "httpStatusCode": status,
            "referenceId": request["referenceId"],
        }

    def composite(request: Heard) -> Reply:
        parts = request.json()["compositeRequest"]
        assert len(parts) <= 25
        # Salesforce does not promise an order.
        return as_json({"compositeResponse": [part(p) for p in reversed(parts)]})

    org.on("POST", COMPOSITE, composite)
    org.on(
        "GET",
        rf"{DATA}/sobjects/\w+/describe",
        lambda request: as_json(described(request.path.split("/")[-2])),
    )


def serve_queries(org: ScriptedOrg) -> None:
    def composite(request: Heard) -> Reply:
        parts = request.json()["compositeRequest"]
        assert len(parts) <= 5
        results = []
        for part in parts:
            address = urlsplit(part["url"])
            assert address.path == f"{DATA}/queryAll"
            (soql,) = parse_qs(address.query, strict_parsing=True)["q"]
            body = {"totalSize": 1, "done": True, "records": [{"soql": soql}]}
            results.append(
                {"body": body, "httpStatusCode": 200, "referenceId": part["referenceId"]}
            )
        return as_json({"compositeResponse": results})

    org.on("POST", COMPOSITE, composite)


def test_sixty_objects_are_described_in_three_calls(emulator: Emulator, emulated: Client) -> None:
    names = [o.name for o in standard_schema(custom_objects=40)][:57]
    missing = ["NoSuchObject", "Nor_This__c", "Nope"]
    asked = names[:20] + missing + names[20:]
    before = emulated.budget.made
    found = dict(emulated.rest.describe(asked))
    assert emulated.budget.made - before == 3
    assert emulated.budget.calls is not None
    assert emulated.budget.calls.used == emulator.org.limits.requests.used
    assert list(found) == asked
    for name in names:
        info = found[name]
        assert isinstance(info, ObjectInfo)
        assert info.name == name
    for name in missing:
        error = found[name]
        assert isinstance(error, ObjectUnavailableError)
        assert error.not_found
        assert name in str(error)


def test_parts_that_fail_do_not_fail_the_others(org: ScriptedOrg, client: Client) -> None:
    no_access = [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]
    odd: dict[str, tuple[int, Any]] = {
        NAMES[3]: (403, no_access),
        NAMES[30]: (404, [{"errorCode": "NOT_FOUND", "message": "gone"}]),
        NAMES[31]: (400, {"unknown": "form"}),
        NAMES[32]: (400, None),
        NAMES[33]: (200, {"no": "describe"}),
    }
    serve_describes(org, odd.get)
    found = dict(client.rest.describe(NAMES))
    failed = {name for name, answer in found.items() if isinstance(answer, SalesforceError)}
    assert failed == set(odd)
    assert isinstance(found[NAMES[3]], ObjectUnavailableError)
    assert len(found) == 60
    assert len(org.calls("POST", COMPOSITE)) == 3
    assert org.calls("GET", ".*/describe") == []


@pytest.mark.parametrize("status", [406, 429, 500, 503])
def test_a_part_that_met_a_busy_org_is_asked_again_alone(
    org: ScriptedOrg, client: Client, status: int
) -> None:
    """Bursts of describes are sometimes answered 406."""
    busy = (status, [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}])
    serve_describes(org, {NAMES[1]: busy, NAMES[2]: busy}.get)
    found = dict(client.rest.describe(NAMES[:4]))
    assert all(isinstance(answer, ObjectInfo) for answer in found.values())
    alone = [h.path.split("/")[-2] for h in org.calls("GET", ".*/describe")]
    assert alone == [NAMES[1], NAMES[2]]


def test_a_part_that_was_not_answered_is_asked_again_alone(
    org: ScriptedOrg, client: Client
) -> None:
    serve_describes(org, lambda _: None)
    org.on("POST", COMPOSITE, as_json({"compositeResponse": []}))
    assert list(dict(client.rest.describe(NAMES[:3]))) == NAMES[:3]
    assert len(org.calls("GET", ".*/describe")) == 3


DEEP = "[" * 100_000 + "]" * 100_000
ODD_PARTS: dict[str, dict[str, Any]] = {
    "no status": {"body": {}, "referenceId": "r1"},
    "a status that is text": {"httpStatusCode": "fine", "body": {}, "referenceId": "r1"},
    "no body": {"httpStatusCode": 200, "referenceId": "r1"},
    "a body that is a number": {"httpStatusCode": 200, "body": 7, "referenceId": "r1"},
    "another name": {"httpStatusCode": 200, "body": {}, "referenceId": "r99"},
    "too many requests at once": {
        "httpStatusCode": 403,
        "body": [
            {"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}
        ],
        "referenceId": "r1",
    },
}


@pytest.mark.parametrize("odd", ODD_PARTS.values(), ids=ODD_PARTS.keys())
def test_a_part_that_cannot_be_read_is_asked_for_alone(
    org: ScriptedOrg, client: Client, odd: dict[str, Any]
) -> None:
    serve_describes(org, lambda _: None)
    parts = [
        {"httpStatusCode": 200, "body": described(name), "referenceId": f"r{number}"}
        for number, name in enumerate(NAMES[:3])
    ]
    org.on("POST", COMPOSITE, as_json({"compositeResponse": [parts[0], odd, parts[2]]}))
    found = dict(client.rest.describe(NAMES[:3]))
    assert [getattr(info, "name", info) for info in found.values()] == NAMES[:3]
    assert [h.path.split("/")[-2] for h in org.calls("GET", ".*/describe")] == [NAMES[1]]


FAILS_FOR_ONE: dict[str, Reply] = {
    "500": failure(500, "UNKNOWN_EXCEPTION"),
    "cut JSON": Reply(200, b'{"compositeResponse": [{"bo'),
    "deep JSON": Reply(200, DEEP.encode()),
    "400": failure(400, "QUERY_TIMEOUT"),
}


@pytest.mark.parametrize("answer", FAILS_FOR_ONE.values(), ids=FAILS_FOR_ONE.keys())
def test_a_call_that_one_question_fails_is_not_the_failure_of_the_others(
    org: ScriptedOrg, client: Client, answer: Reply
) -> None:
    serve_describes(org, lambda _: None)
    org.on("POST", COMPOSITE, answer)
    org.on("GET", f"{DATA}/sobjects/{NAMES[1]}/describe", answer)
    found = dict(client.rest.describe(NAMES[:3]))
    assert isinstance(found[NAMES[1]], SalesforceError)
    assert isinstance(found[NAMES[0]], ObjectInfo)
    assert isinstance(found[NAMES[2]], ObjectInfo)


NO_RESULTS: dict[str, Any] = {
    "totalSize that is text": {"totalSize": "many", "done": True, "records": []},
    "no totalSize": {"done": True, "records": []},
    "records that are none": {"totalSize": 1, "done": True, "records": [7]},
    "no records": {"totalSize": 1, "done": True, "records": None},
}


@pytest.mark.parametrize("document", NO_RESULTS.values(), ids=NO_RESULTS.keys())
def test_a_result_of_an_unexpected_shape_is_the_failure_of_that_question(
    org: ScriptedOrg, client: Client, document: Any
) -> None:
    good = {"totalSize": 1, "done": True, "records": [{"n": 1}]}
    parts = [
        {"httpStatusCode": 200, "body": body, "referenceId": f"r{number}"}
        for number, body in enumerate([good, document])
    ]
    org.on("POST", COMPOSITE, as_json({"compositeResponse": parts}))
    found = dict(client.rest.query_each({"good": "SELECT 1", "odd": "SELECT 2"}))
    assert found["good"].body == good
    assert isinstance(found["odd"].error, SalesforceError)
    org.on("GET", QUERY, as_json(document))
    with pytest.raises(SalesforceError):
        list(client.rest.pages("SELECT Id FROM Account"))


def test_documents_nested_too_deep_are_errors_of_ours(org: ScriptedOrg, client: Client) -> None:
    for status in (200, 400):
        org.on("GET", f"{DATA}/(limits|sobjects)/?", Reply(status, DEEP.encode()))
        for ask in (client.rest.limits, client.rest.objects):
            with pytest.raises(SalesforceError):
                ask()


NO_COMPOSITE: dict[str, Answer] = {
    "missing": failure(404, "NOT_FOUND"),
    "not for posting": failure(405, "METHOD_NOT_ALLOWED"),
    "not for us": failure(403, "INSUFFICIENT_ACCESS"),
    "bad request": failure(400, "JSON_PARSER_ERROR"),
    "not implemented": html(501),
    "empty": as_json({}),
    "list": as_json([1]),
    "other": as_json({"results": []}),
    "parts of another form": as_json({"compositeResponse": [{"status": 200}]}),
    "parts not asked for": as_json(
        {"compositeResponse": [{"referenceId": "x", "httpStatusCode": 200, "body": {}}]}
    ),
}


@pytest.mark.parametrize("answer", NO_COMPOSITE.values(), ids=NO_COMPOSITE.keys())
def test_without_composite_objects_are_described_one_by_one(
    org: ScriptedOrg, client: Client, answer: Answer
) -> None:
    serve_describes(org, lambda _: None)
    org.on("POST", COMPOSITE, answer)
    found = dict(client.rest.describe(NAMES))
    assert [getattr(info, "name", info) for info in found.values()] == NAMES
    assert len(org.calls("POST", COMPOSITE)) == 1
    assert len(org.calls("GET", ".*/describe")) == 60


def test_one_object_needs_no_composite(org: ScriptedOrg, client: Client) -> None:
    serve_describes(org, lambda _: None)
    ((name, info),) = client.rest.describe(["Account"])
    assert isinstance(info, ObjectInfo)
    assert (name, info.name) == ("Account", "Account")
    assert org.calls("POST", COMPOSITE) == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failure(403, "REQUEST_LIMIT_EXCEEDED"), LimitExceededError),
        (failure(503, "SERVER_UNAVAILABLE"), OrgUnreachableError),
        (Reply(mute=True), OrgUnreachableError),
        (html(200), OrgUnreachableError),
    ],
)
def test_what_would_fail_every_object_is_not_asked_sixty_times(
    org: ScriptedOrg, client: Client, answer: Answer, kind: type[SalesforceError]
) -> None:
    serve_describes(org, lambda _: None)
    org.on("POST", COMPOSITE, answer)
    with pytest.raises(kind):
        dict(client.rest.describe(NAMES))
    assert org.calls("GET", ".*/describe") == []


def test_queries_go_five_to_a_call_and_arrive_unharmed(org: ScriptedOrg, client: Client) -> None:
    serve_queries(org)
    awkward = "a+b &c=d#e%41/ 'quoted' \\\\ zoë 日本 🚀 2026-01-31T10:00:00+00:00"
    queries = {
        str(n): f"SELECT COUNT(Id) n FROM Account WHERE X = '{awkward}{n}'" for n in range(12)
    }
    answers = dict(client.rest.query_each(queries))
    assert {key: answer.body["records"][0]["soql"] for key, answer in answers.items()} == queries
    assert len(org.calls("POST", COMPOSITE)) == 3


def test_probes_see_deleted_rows_and_fail_each_for_itself(emulated: Client) -> None:
    answers = dict(
        emulated.rest.query_each(
            {
                "good": "SELECT COUNT(Id) n, MAX(SystemModstamp) m FROM Account",
                "wrong": "SELECT Nope FROM Account",
                "none": "SELECT COUNT(Id) n, MAX(SystemModstamp) m FROM Lead",
                "unknown": "SELECT COUNT(Id) n FROM NoSuchObject",
            }
        )
    )
    assert int(answers["good"].body["records"][0]["n"]) == ROWS
    assert answers["none"].body["records"][0] | {"attributes": None} == {
        "attributes": None,
        "n": 0,
        "m": None,
    }
    wrong, unknown = answers["wrong"].error, answers["unknown"].error
    assert wrong is not None
    assert wrong.code == "INVALID_FIELD"
    assert isinstance(unknown, ObjectUnavailableError)


@pytest.mark.parametrize("answer", [as_json({"a": 1}), as_json([]), as_json(7), html(), Reply()])
def test_a_query_answered_with_something_else(
    org: ScriptedOrg, client: Client, answer: Answer
) -> None:
    org.on("GET", f"{DATA}/queryAll", answer)
    ((_, found),) = client.rest.query_each({"x": "SELECT COUNT() FROM Account"})
    assert isinstance(found.error, SalesforceError)


def test_a_result_of_many_pages_arrives_whole(emulated: Client) -> None:
    pages = list(emulated.rest.pages("SELECT Id, IsDeleted FROM Account"))
    assert [len(page["records"]) for page in pages] == [2000, 2000, 500]
    assert {int(page["totalSize"]) for page in pages} == {ROWS}
    records = [record for page in pages for record in page["records"]]
    assert len({record["Id"] for record in records}) == ROWS
    assert sum(record["IsDeleted"] for record in records) == 10


def test_the_longest_query_that_goes_by_rest_is_accepted(emulated: Client) -> None:
    """Salesforce measures the address together with the headers."""
    head, tail = "SELECT Id FROM Account WHERE Name IN ('", "')"
    soql = head + "x" * (SOQL_BYTES - len(quote(head + tail))) + tail
    assert len(quote(soql)) == SOQL_BYTES > 10_000
    (page,) = emulated.rest.pages(soql)
    assert page["totalSize"] == 0


def result(*rows: str, total: int = 4, following: str | None = None, **more: Any) -> Reply:
    records = [{"attributes": {"type": "Account"}, "Id": row} for row in rows]
    document = {"totalSize": total, "done": following is None, "records": records, **more}
    return as_json(document if following is None else {**document, "nextRecordsUrl": following})


@pytest.mark.parametrize("prefix", [DATA, DATA[1:], f"https://example.com{DATA}"])
def test_the_next_page_is_found_by_its_path(org: ScriptedOrg, client: Client, prefix: str) -> None:
    org.on("GET", QUERY, result("1", "2", following=f"{prefix}/query/01gRO0000016PIAYA2-2"))
    org.on("GET", f"{DATA}/query/01gRO0000016PIAYA2-2", result("3", "4"))
    ids = [r["Id"] for page in client.rest.pages("SELECT Id FROM Account") for r in page["records"]]
    assert ids == ["1", "2", "3", "4"]


def test_pages_that_go_round_in_a_circle_end(org: ScriptedOrg, client: Client) -> None:
    link = f"{DATA}/query/01gRO0000016PIAYA2-2"
    org.on("GET", QUERY, result("1", "2", following=link))
    org.on("GET", link, result("3", "4", following=link))
    pages = itertools.islice(client.rest.pages("SELECT Id FROM Account"), 10)
    with pytest.raises(PageBrokenError, match="circle"):
        list(pages)


@pytest.mark.parametrize(
    "page",
    [
        result("1", done=False),
        result("1", done=False, nextRecordsUrl=None),
        as_json({"totalSize": 1, "records": []}),
        as_json([]),
        as_json("text"),
        html(),
        Reply(),
        Reply(200, b'{"totalSize": 1, "done": tr'),
    ],
)
def test_a_result_of_another_form_is_an_error_of_ours(
    org: ScriptedOrg, client: Client, page: Answer
) -> None:
    org.on("GET", QUERY, page)
    with pytest.raises(SalesforceError):
        list(client.rest.pages("SELECT Id FROM Account"))


def test_an_expired_locator_is_passed_on(org: ScriptedOrg, client: Client) -> None:
    org.on("GET", QUERY, result("1", "2", following=f"{DATA}/query/01gRO0000016PIAYA2-2"))
    org.on(
        "GET", f"{DATA}/query/.*", failure(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    )
    pages = client.rest.pages("SELECT Id FROM Account")
    next(pages)
    with pytest.raises(SalesforceError) as refused:
        next(pages)
    assert refused.value.code == "INVALID_QUERY_LOCATOR"


def test_a_session_that_ends_between_two_pages(org: ScriptedOrg, client: Client) -> None:
    link = f"{DATA}/query/01gRO0000016PIAYA2-2"
    org.on("GET", QUERY, result("1", "2", following=link))
    org.on("GET", link, result("3", "4"))
    pages = client.rest.pages("SELECT Id FROM Account")
    next(pages)
    org.expire()
    assert [record["Id"] for record in next(pages)["records"]] == ["3", "4"]
    assert len(org.tokens) == 2


def test_numbers_keep_every_digit(org: ScriptedOrg, client: Client) -> None:
    body = (
        '{"totalSize":1,"done":true,"records":[{"Amount":1234567890123456.78,"Rate":0.10,'
        '"Big":9.12260031E8,"Count":123456789012345678901,"Text":"Zoë \\u2028 🚀"}]}'
    )
    org.on("GET", QUERY, Reply(200, body.encode(), {"Content-Type": "application/json"}))
    (page,) = client.rest.pages("SELECT Amount FROM Account")
    assert page["records"] == [
        {
            "Amount": "1234567890123456.78",
            "Rate": "0.10",
            "Big": "9.12260031E8",
            "Count": 123456789012345678901,
            "Text": "Zoë \u2028 🚀",
        }
    ]


@pytest.mark.parametrize("answer", [as_json({}), as_json([1]), as_json(7), html(), Reply()])
def test_documents_of_another_form_are_errors_of_ours(
    org: ScriptedOrg, client: Client, answer: Answer
) -> None:
    org.on("GET", f"{DATA}/(limits|sobjects)/?", answer)
    with pytest.raises(SalesforceError, match="sobjects"):
        client.rest.objects()
    if answer != as_json({}):
        with pytest.raises(SalesforceError, match="limits"):
            client.rest.limits()


def test_the_org_says_what_it_has_and_what_is_left(emulated: Client) -> None:
    names = {entry["name"] for entry in emulated.rest.objects()}
    assert {"Account", "Custom_Object_040__c"} <= names
    assert emulated.rest.limits()["DailyApiRequests"]["Max"] == 100_000
    assert emulated.rest.user()["organization_id"] == emulated.org_id


def test_no_deletions_are_known_of_a_time_that_was_not_asked_about(
    org: ScriptedOrg, client: Client
) -> None:
    """An answer of the year 9999 would end asking for good."""
    end = datetime(2026, 11, 20, 12, tzinfo=UTC)
    told = {"deletedRecords": [], "latestDateCovered": "9999-12-31T23:59:00.000+0000"}
    org.on("GET", f"{DATA}/sobjects/Account/deleted", as_json(told))
    window = Window(end - timedelta(hours=1), end)
    ((_, found),) = client.rest.deleted({"Account": window})
    assert isinstance(found, Deleted)
    assert found.covered == end
