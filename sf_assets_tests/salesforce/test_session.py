"""Requests on a bad day: expired sessions, busy orgs, broken connections, answers that lie."""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sf_assets.errors import (
    BudgetExhaustedError,
    LimitExceededError,
    LoginError,
    ObjectUnavailableError,
    OrgRefusedError,
    OrgUnreachableError,
    SalesforceError,
)
from sf_assets.salesforce import session
from sf_assets.salesforce.budget import Standing
from sf_assets.salesforce.client import Client
from sf_assets_tests.salesforce.logins import GRANTED, OAUTH, told
from sf_assets_tests.salesforce.scripted import (
    Answer,
    Heard,
    Reply,
    ScriptedServer,
    as_json,
    failure,
    html,
)
from sf_assets_tests.salesforce.scripted_org import DATA, EXPIRED, JOBS, SECRET, ScriptedOrg

LIMITS = f"{DATA}/limits"
GOOD = as_json({"DailyApiRequests": {"Max": 15000, "Remaining": 14998}})
THREADS = 16


def ask(client: Client, path: str = LIMITS, **options: Any) -> requests.Response:
    return client.session.get(f"{client.session.token.instance_url}{path}", **options)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the session made, in seconds; with the product's own settings."""
    seconds: list[float] = []

    class Time:
        sleep = staticmethod(seconds.append)

    monkeypatch.setattr(session, "time", Time)
    monkeypatch.setattr(session, "_FIRST_PAUSE", 0.5)
    monkeypatch.setattr(session, "_LONGEST_PAUSE", 30.0)
    return seconds


def test_an_expired_session_is_renewed_and_the_request_repeated(
    org: ScriptedOrg, client: Client
) -> None:
    org.on("GET", LIMITS, GOOD)
    org.expire()
    assert ask(client).json() == {"DailyApiRequests": {"Max": 15000, "Remaining": 14998}}
    assert len(org.tokens) == 2
    assert [h.token for h in org.calls("GET", LIMITS)] == org.tokens


def test_sixteen_threads_that_meet_an_expired_session_log_in_once(
    org: ScriptedOrg, client: Client
) -> None:
    together = threading.Barrier(THREADS)

    def refuse_together(_: Heard) -> Reply:
        together.wait(10)
        return EXPIRED

    # Each thread's first request is refused, and none before all have been sent.
    org.on("GET", LIMITS, *[refuse_together] * THREADS, GOOD)
    old = client.session.token.access_token
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda _: ask(client).status_code, range(THREADS)))
    assert answers == [200] * THREADS
    assert len(org.tokens) == 2
    sent = [h.token for h in org.calls("GET", LIMITS)]
    assert sent.count(old) == THREADS
    assert sent.count(org.tokens[1]) == THREADS


def test_a_refused_renewal_is_not_tried_again_and_again(org: ScriptedOrg, client: Client) -> None:
    """Sixteen wrong passwords in a row would lock the user out."""
    refusal = as_json(
        {"error": "invalid_grant", "error_description": "authentication failure"}, 400
    )
    org.on("POST", OAUTH, refusal)
    org.expire()
    with ThreadPoolExecutor(THREADS) as pool:
        asked = [pool.submit(ask, client) for _ in range(THREADS)]
    assert {type(future.exception()) for future in asked} == {LoginError}
    with pytest.raises(LoginError, match="invalid_grant"):
        ask(client)
    assert len(org.calls("POST", OAUTH)) == 2


def test_what_the_org_of_a_name_refuses_is_said_with_its_own_variables(
    org: ScriptedOrg, client: Client
) -> None:
    org.on("POST", OAUTH, as_json({"error": "invalid_client", "error_description": "no"}, 400))
    org.expire()
    client.session.org_name = "client"
    with pytest.raises(LoginError, match="SALESFORCE_CLIENT_CLIENT_SECRET"):
        ask(client)


def test_a_session_that_a_new_login_does_not_heal(org: ScriptedOrg, client: Client) -> None:
    org.on("GET", LIMITS, EXPIRED)
    with pytest.raises(LoginError, match="a new login did not help") as refused:
        ask(client)
    assert (refused.value.status, refused.value.code) == (401, "INVALID_SESSION_ID")
    assert len(org.calls("GET", LIMITS)) == 2
    for token in org.tokens:
        assert token not in told(refused.value)


def test_a_new_login_that_names_another_instance_goes_on_there(
    org: ScriptedOrg, client: Client
) -> None:
    """Orgs are moved; links and jobs made before keep their paths, not their host."""
    made_before = f"{org.url}{LIMITS}"
    page = {"totalSize": 2, "done": False, "records": [{}], "nextRecordsUrl": f"{DATA}/query/2"}
    with ScriptedOrg() as moved:
        org.on("GET", f"{DATA}/queryAll/?", as_json(page))
        moved.on("GET", f"{DATA}/query/2", as_json({**page, "done": True}))
        moved.on("GET", f"{LIMITS}/?", GOOD)
        moved.on("POST", JOBS, as_json({"id": "750", "state": "InProgress"}))
        pages = client.rest.pages("SELECT Id FROM Account")
        next(pages)
        org.on("POST", OAUTH, moved.grant)
        org.expire()
        heard = len(org.heard)
        assert next(pages)["done"]
        assert client.session.get(made_before).status_code == 200
        assert client.rest.limits()["DailyApiRequests"]
        assert client.bulk.create("SELECT Id FROM Account").id == "750"
        assert not org.calls("POST", JOBS)
        assert len(org.heard) <= heard + 3  # the login, and what it met on its way
        assert client.session.token.instance_url == moved.url


def test_a_new_login_to_another_org_ends_the_run(org: ScriptedOrg, client: Client) -> None:
    other = {**GRANTED, "id": "https://login.salesforce.com/id/00D000000000001EAA/005"}
    org.on("POST", OAUTH, as_json({**other, "instance_url": org.url}))
    org.expire()
    with pytest.raises(LoginError, match="leads to org 00D000000000001EAA"):
        ask(client)


def test_userinfo_says_in_its_own_way_that_the_session_has_expired(
    org: ScriptedOrg, client: Client
) -> None:
    bad = Reply(403, b"Bad_OAuth_Token", {"Content-Type": "text/html"})
    org.on("GET", "/services/oauth2/userinfo", bad, as_json({"user_id": "005"}))
    assert client.rest.user() == {"user_id": "005"}
    assert len(org.tokens) == 2


def test_a_login_host_that_is_busy_for_a_moment(org: ScriptedOrg, client: Client) -> None:
    org.on("GET", LIMITS, GOOD)
    org.on("POST", OAUTH, html(503), failure(500, "UNKNOWN_EXCEPTION"), Reply(mute=True), org.grant)
    org.expire()
    assert ask(client).status_code == 200
    assert len(org.tokens) == 2


@pytest.mark.parametrize("status", [406, 420, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("page", [True, False], ids=["html", "json"])
def test_a_busy_org_is_asked_again(
    org: ScriptedOrg, client: Client, status: int, page: bool
) -> None:
    busy = html(status) if page else failure(status, "SERVER_UNAVAILABLE")
    org.on("GET", LIMITS, busy, busy, GOOD)
    assert ask(client).status_code == 200
    assert len(org.calls("GET", LIMITS)) == 3


def test_a_request_is_repeated_whole(org: ScriptedOrg, client: Client) -> None:
    org.on("POST", f"{DATA}/composite", html(503), EXPIRED, as_json({"compositeResponse": []}))
    body = {"compositeRequest": [{"referenceId": "r0"}]}
    client.session.post(f"{org.url}{DATA}/composite", json=body)
    assert [h.json() for h in org.calls("POST", f"{DATA}/composite")] == [body] * 3


def test_an_org_that_stays_busy(org: ScriptedOrg, client: Client) -> None:
    org.on("GET", LIMITS, failure(503, "SERVER_UNAVAILABLE", "Server is too busy."))
    with pytest.raises(OrgUnreachableError, match="run again later") as refused:
        ask(client)
    assert (refused.value.status, refused.value.code) == (503, "SERVER_UNAVAILABLE")
    assert len(org.calls("GET", LIMITS)) == session.ATTEMPTS


def test_pauses_double_and_are_never_the_same(
    org: ScriptedOrg, client: Client, slept: list[float]
) -> None:
    org.on("GET", LIMITS, failure(503, "SERVER_UNAVAILABLE"))
    with pytest.raises(OrgUnreachableError):
        ask(client)
    bounds = [0.5 * 2**n for n in range(session.ATTEMPTS - 1)]
    assert len(slept) == len(bounds)
    assert all(most / 2 <= pause <= most for pause, most in zip(slept, bounds, strict=True))
    assert len(set(slept)) == len(slept)


@pytest.mark.parametrize(
    "case", [("7", 7, 7), ("0", 0, 0.5), ("-3", 0, 0.5), ("soon", 0, 0.5), ("86400", 60, 600)]
)
def test_the_org_says_when_to_come_again(
    org: ScriptedOrg, client: Client, slept: list[float], case: tuple[str, float, float]
) -> None:
    value, least, most = case
    wait = failure(429, "REQUEST_RATE_LIMITED", headers={"Retry-After": value})
    org.on("GET", LIMITS, wait, GOOD)
    assert ask(client).status_code == 200
    assert len(slept) == 1
    assert least <= slept[0] <= most


HOPELESS = [
    (400, "MALFORMED_QUERY", SalesforceError),
    (400, "INVALID_FIELD", SalesforceError),
    (400, "QUERY_TIMEOUT", SalesforceError),
    (400, "INVALID_QUERY_LOCATOR", SalesforceError),
    (400, "INVALID_TYPE", ObjectUnavailableError),
    (400, "LIMIT_EXCEEDED", LimitExceededError),
    (403, "REQUEST_LIMIT_EXCEEDED", LimitExceededError),
    (403, "API_DISABLED_FOR_ORG", OrgRefusedError),
    (403, "API_CURRENTLY_DISABLED", OrgRefusedError),
    (403, "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", OrgRefusedError),
    (403, "SOMETHING_NEW", SalesforceError),
    (403, "INSUFFICIENT_ACCESS", ObjectUnavailableError),
    (404, "NOT_FOUND", ObjectUnavailableError),
    (405, "METHOD_NOT_ALLOWED", SalesforceError),
    (409, "INVALIDVERSION", SalesforceError),
    (414, "URI_TOO_LONG", SalesforceError),
    (431, "REQUEST_HEADER_FIELDS_TOO_LARGE", SalesforceError),
]


@pytest.mark.parametrize("case", HOPELESS, ids=lambda case: f"{case[0]}-{case[1]}")
def test_what_no_retry_heals_is_asked_once(
    org: ScriptedOrg, client: Client, case: tuple[int, str, type[SalesforceError]]
) -> None:
    status, code, kind = case
    org.on("GET", LIMITS, failure(status, code, "\nselect X\n       ^\nNo such column"))
    with pytest.raises(kind) as refused:
        ask(client, params={"q": "SELECT Id FROM Account WHERE Name = 'Jane Doe'"})
    assert type(refused.value) is kind
    assert (refused.value.status, refused.value.code) == (status, code)
    assert refused.value.not_found is (status == 404)
    text = str(refused.value)
    assert f"GET {LIMITS}" in text
    assert f"{status} {code}" in text
    assert "select X ^ No such column" in text
    assert "Jane" not in text
    assert len(org.calls("GET", LIMITS)) == 1


CONCURRENT = failure(
    403,
    "REQUEST_LIMIT_EXCEEDED",
    "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
    headers={"Sforce-Limit-Info": "api-usage=18/5000"},
)
LONG_ONES = failure(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
ALL_USED = failure(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


@pytest.mark.parametrize("busy", [CONCURRENT, LONG_ONES])
def test_too_many_requests_at_one_moment_are_not_the_calls_of_a_day(
    org: ScriptedOrg, client: Client, busy: Reply
) -> None:
    """It passes within seconds, and says nothing of what is used up."""
    org.on("GET", LIMITS, busy, busy, GOOD)
    assert ask(client).status_code == 200
    org.on("GET", LIMITS, busy)
    with pytest.raises(OrgUnreachableError, match="stays busy"):
        ask(client)
    told_by_org = client.budget.calls
    assert told_by_org is None or told_by_org.used < 100
    org.on("GET", LIMITS, GOOD)
    assert ask(client).status_code == 200


def test_calls_that_are_used_up_are_not_asked_for_and_no_count_is_invented(
    org: ScriptedOrg, client: Client
) -> None:
    org.on("GET", f"{DATA}/sobjects", as_json({}, headers={"Sforce-Limit-Info": "api-usage=18/99"}))
    org.on("GET", f"{DATA}/query", ALL_USED)
    ask(client, f"{DATA}/sobjects")
    with pytest.raises(LimitExceededError, match="TotalRequests"):
        ask(client, f"{DATA}/query")
    with pytest.raises(BudgetExhaustedError, match="has just refused a call"):
        ask(client, f"{DATA}/query")
    assert len(org.calls("GET", f"{DATA}/query")) == 1
    assert client.budget.calls in {Standing(18, 99), Standing(19, 99)}
    org.on("GET", LIMITS, GOOD)
    ask(client)  # asking how things stand is always allowed
    ask(client, f"{DATA}/sobjects")


def test_a_firewall_that_refuses_is_not_taken_for_an_object_that_is_gone(
    org: ScriptedOrg, client: Client
) -> None:
    org.on("GET", LIMITS, html(403))
    with pytest.raises(OrgRefusedError, match="firewall"):
        ask(client)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (html(404), "not JSON"),
        (Reply(404), "not JSON"),
        (as_json([], 400), "unknown"),
        (as_json(["text"], 400), "unknown"),
        (as_json({"unknown": True}, 400), "400"),
        (as_json([{"errorCode": None, "message": None}], 400), "400"),
        (Reply(400, b"\xff\xfe[", {"Content-Type": "application/json"}), "not JSON"),
        (Reply(400, b'[{"mess', length=400, cut=7), "not JSON"),
    ],
)
def test_an_error_of_another_form_is_an_error_of_ours(
    org: ScriptedOrg, client: Client, answer: Reply, says: str
) -> None:
    org.on("GET", LIMITS, answer)
    with pytest.raises(SalesforceError, match=says) as refused:
        ask(client, stream=True)
    assert refused.value.code == ""
    assert refused.value.status == answer.status
    assert "<html>" not in str(refused.value)
    assert "None" not in str(refused.value)


def test_a_long_error_text_is_cut(org: ScriptedOrg, client: Client) -> None:
    org.on("GET", LIMITS, failure(400, "MALFORMED_QUERY", "x" * 100_000))
    with pytest.raises(SalesforceError) as refused:
        ask(client)
    assert len(str(refused.value)) < 1000


BROKEN: dict[str, Reply] = {
    "closed without an answer": Reply(mute=True),
    "closed after the head": Reply(200, GOOD.body, cut=0),
    "reset after the head": Reply(200, GOOD.body, cut=0, reset=True),
    "closed in the middle": Reply(200, GOOD.body, cut=20),
    "reset in the middle": Reply(200, GOOD.body, cut=20, reset=True),
    "chunks cut short": Reply(200, GOOD.body, framing="chunked", cut=20),
    "stalled": Reply(200, GOOD.body, cut=20, stall=30),
    "silent": Reply(200, GOOD.body, wait=30),
    "no gzip though it says so": Reply(200, GOOD.body, {"Content-Encoding": "gzip"}),
    "gzip with a hole": Reply(
        200, gzip.compress(b"{}" * 99)[:20] + b"xxxx", {"Content-Encoding": "gzip"}
    ),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_does_not_arrive_whole_is_asked_for_again(
    org: ScriptedOrg, client: Client, monkeypatch: pytest.MonkeyPatch, answer: Reply
) -> None:
    monkeypatch.setattr(session, "READ_SECONDS", 0.1)
    org.on("GET", LIMITS, answer, answer, GOOD)
    assert "DailyApiRequests" in ask(client).json()
    assert len(org.calls("GET", LIMITS)) == 3


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_answers_that_never_arrive_whole(
    org: ScriptedOrg, client: Client, monkeypatch: pytest.MonkeyPatch, answer: Reply
) -> None:
    monkeypatch.setattr(session, "READ_SECONDS", 0.05)
    org.on("GET", LIMITS, answer)
    with pytest.raises(OrgUnreachableError, match="run again") as refused:
        ask(client)
    assert org.url in str(refused.value)
    assert len(org.calls("GET", LIMITS)) == session.ATTEMPTS


def test_an_org_that_goes_away(org: ScriptedOrg, client: Client) -> None:
    org.stop()
    with pytest.raises(OrgUnreachableError, match="check the network") as refused:
        ask(client)
    assert refused.value.status is None


def test_a_connection_closed_by_the_org_between_requests(org: ScriptedOrg, client: Client) -> None:
    """Every load balancer does that to a connection that has been idle."""
    org.on("GET", LIMITS, Reply(200, GOOD.body, framing="close"), GOOD)
    for _ in range(3):
        assert ask(client).status_code == 200
    assert len(org.calls("GET", LIMITS)) == 3


def test_bytes_after_the_announced_length_do_not_spoil_the_next_answer(
    org: ScriptedOrg, client: Client
) -> None:
    org.on("GET", LIMITS, Reply(200, b'{"a": 1} and more', length=8), GOOD)
    assert ask(client).json() == {"a": 1}
    assert "DailyApiRequests" in ask(client).json()


def test_one_connection_serves_many_requests(org: ScriptedOrg, client: Client) -> None:
    org.on("GET", LIMITS, GOOD)
    before = org.connections
    for _ in range(20):
        ask(client)
    assert org.connections - before <= 1


@pytest.mark.parametrize("kind", ["application/json", "application/json;charset=ISO-8859-1", None])
def test_text_is_utf_8_whatever_the_header_says(
    org: ScriptedOrg, client: Client, kind: str | None
) -> None:
    text = "Zoë Müller \u2028 日本 🚀"
    body = f'{{"Name": "{text}"}}'.encode()
    org.on("GET", LIMITS, Reply(200, body, {"Content-Type": kind}, lower_case=True))
    assert ask(client).json() == {"Name": text}


def test_a_redirect_within_the_org_is_followed(org: ScriptedOrg, client: Client) -> None:
    """Servers that are strict about the slash at the end send clients on like this."""
    org.on("GET", f"{LIMITS}/", Reply(307, headers={"Location": LIMITS}))
    org.on("GET", LIMITS, GOOD)
    assert client.rest.limits()["DailyApiRequests"]["Max"] == 15000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_is_not_sent_to_where_a_redirect_leads(
    org: ScriptedOrg, client: Client, status: int
) -> None:
    with ScriptedServer() as elsewhere:
        elsewhere.on("GET", ".*", GOOD)
        org.on("GET", LIMITS, Reply(status, headers={"Location": f"{elsewhere.url}/x?token=1"}))
        with pytest.raises(OrgUnreachableError, match=elsewhere.url) as refused:
            ask(client)
        assert "token=1" not in str(refused.value)
        assert elsewhere.heard == []


@pytest.mark.parametrize(
    "answer",
    [Reply(302, headers={"Location": LIMITS}), Reply(302), Reply(304), as_json(["/a", "/b"], 300)],
    ids=["round in a circle", "to nowhere", "not modified", "several"],
)
def test_an_answer_that_is_neither_good_nor_bad(
    org: ScriptedOrg, client: Client, answer: Answer
) -> None:
    org.on("GET", LIMITS, answer)
    with pytest.raises(SalesforceError):
        ask(client)


def test_an_answer_later_than_the_patience(
    org: ScriptedOrg, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "READ_SECONDS", 0.1)
    org.on("GET", LIMITS, Reply(200, GOOD.body, wait=30), GOOD)
    started = time.monotonic()
    assert ask(client).status_code == 200
    assert time.monotonic() - started < 5


def test_the_session_shows_no_secret(org: ScriptedOrg, client: Client) -> None:
    shown = f"{client!r}{client.session!r}{client.rest!r}{client.bulk!r}{vars(client)}"
    for secret in (*org.tokens, SECRET):
        assert secret not in shown
