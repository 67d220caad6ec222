"""Connecting: which org, which version, what time it is there, and what has been used up."""

from datetime import UTC, timedelta
from typing import Any

import pytest

from sf_assets.emulator.clock import Clock as OrgClock
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.errors import ConfigError, OrgUnreachableError, SalesforceError
from sf_assets.salesforce.budget import Standing
from sf_assets.salesforce.bulk import Deadlines
from sf_assets.salesforce.client import connect
from sf_assets.settings import load_credentials
from sf_assets_tests.salesforce.logins import GRANTED, OAUTH
from sf_assets_tests.salesforce.scripted import Answer, Reply, as_json, failure, html
from sf_assets_tests.salesforce.scripted_org import DATA, ORG_ID, ScriptedOrg, connected


@pytest.fixture(scope="module")
def schema() -> Schema:
    return standard_schema()


def versions(*numbers: str) -> Reply:
    return as_json([{"label": n, "url": f"/services/data/v{n}", "version": n} for n in numbers])


def test_a_client_knows_its_org(org: ScriptedOrg) -> None:
    with connected(org) as client:
        assert client.org_id == ORG_ID
        assert client.version == "66.0"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("31.0", "66.0", "65.0"), "66.0"),
        (("66.0", "67.0", "68.0", "69.0"), "67.0"),
        (("9.0", "58.0", "100.0"), "58.0"),
    ],
)
def test_the_newest_version_that_was_tested_is_spoken(
    org: ScriptedOrg, offered: tuple[str, ...], chosen: str
) -> None:
    org.on("GET", "/services/data", versions(*offered))
    org.on("GET", f"/services/data/v{chosen}/limits/?", as_json({"A": {"Max": 1}}))
    with connected(org) as client:
        assert client.version == chosen
        assert client.rest.limits() == {"A": {"Max": 1}}


@pytest.mark.parametrize("wanted", ["60.0", "60", "v60.0", " v60 "])
def test_a_version_that_is_set_is_spoken(org: ScriptedOrg, wanted: str) -> None:
    with connected(org, api_version=wanted) as client:
        assert client.version == "60.0"


@pytest.mark.parametrize("wanted", ["latest", "60.5", "-1", "1e1", "99.0", "Winter '27"])
def test_a_version_that_cannot_be_spoken(org: ScriptedOrg, wanted: str) -> None:
    with pytest.raises(ConfigError, match=r"SALESFORCE_API_VERSION.*66\.0") as refused:
        connect(org.credentials.model_copy(update={"api_version": wanted}))
    assert wanted in str(refused.value)


NO_LIST: dict[str, Answer] = {
    "none": failure(404, "NOT_FOUND"),
    "forbidden": failure(403, "INSUFFICIENT_ACCESS"),
    "empty": as_json([]),
    "object": as_json({"versions": ["66.0"]}),
    "strings": as_json(["66.0"]),
    "no numbers": versions("Spring", "Summer"),
    "only newer": versions("68.0", "69.0"),
}


@pytest.mark.parametrize("answer", NO_LIST.values(), ids=NO_LIST.keys())
def test_without_a_list_of_versions_one_has_to_be_set(org: ScriptedOrg, answer: Answer) -> None:
    org.on("GET", "/services/data", answer)
    with pytest.raises(OrgUnreachableError, match="SALESFORCE_API_VERSION"):
        connect(org.credentials)
    if answer is not NO_LIST["only newer"]:
        with connected(org, api_version="66.0") as client:
            assert client.version == "66.0"


@pytest.mark.parametrize("answer", [html(503), html(200)], ids=["busy", "page"])
def test_an_org_that_is_down_is_not_called_too_old(org: ScriptedOrg, answer: Answer) -> None:
    org.on("GET", "/services/data", answer)
    with pytest.raises(OrgUnreachableError) as refused:
        connect(org.credentials)
    assert "no API version" not in str(refused.value)


def test_the_org_id_is_asked_for_when_the_login_does_not_say(org: ScriptedOrg) -> None:
    org.on("POST", OAUTH, as_json({**GRANTED, "id": None, "instance_url": org.url}))
    org.valid.add(GRANTED["access_token"])
    with connected(org) as client:
        assert client.org_id == ORG_ID
        assert org.calls("GET", "/services/oauth2/userinfo")[0].token == GRANTED["access_token"]


@pytest.mark.parametrize("answer", [as_json({}), as_json([]), html(), as_json(None), Reply()])
def test_an_org_that_does_not_say_who_it_is(org: ScriptedOrg, answer: Answer) -> None:
    org.on("POST", OAUTH, as_json({**GRANTED, "id": None, "instance_url": org.url}))
    org.on("GET", "/services/oauth2/userinfo", answer)
    with pytest.raises(SalesforceError, match="userinfo"):
        connect(org.credentials)


def test_logging_in_costs_no_call(org: ScriptedOrg) -> None:
    with connected(org) as client:
        client.rest.user()
        assert client.budget.made == 0


def test_calls_are_counted_as_the_org_counts_them(org: ScriptedOrg) -> None:
    told = {"Sforce-Limit-Info": "api-usage=18/5000"}  # who is not told, asks
    both: dict[str, Any] = {"compositeResponse": [], "results": []}
    org.on("GET", f"{DATA}/limits/?", html(503), as_json({"A": {}}, headers=told))
    org.on("POST", f"{DATA}/composite.*", as_json(both, headers=told))
    with connected(org) as client:
        counted = []
        for ask in (
            client.rest.limits,  # refused once, so it is two calls
            client.rest.limits,
            lambda: client.session.post(
                f"{org.url}{DATA}/composite", json={"compositeRequest": [{}] * 25}
            ),
            lambda: client.session.post(
                f"{org.url}{DATA}/composite/batch", json={"batchRequests": [{}] * 7}
            ),
        ):
            before = client.budget.made
            ask()
            counted.append(client.budget.made - before)
        assert counted == [2, 1, 1, 7]


def test_our_count_is_the_orgs_count(schema: Schema) -> None:
    """A whole extraction, and what the org says of it in its Sforce-Limit-Info."""
    with Emulator(schema=schema, settings=Settings(job_seconds=0.01)) as org:
        org.records.run(lambda t: t.insert("Account", [{"Name": f"A{n}"} for n in range(2500)]))
        client = connect(load_credentials(org.environment))
        list(client.rest.describe(["Account", "Contact", "Lead", "NoSuchObject"]))
        list(client.rest.query_each({str(n): "SELECT COUNT() FROM Account" for n in range(7)}))
        list(client.rest.pages("SELECT Id FROM Account"))
        job = client.bulk.wait(client.bulk.create("SELECT Id FROM Account"), Deadlines())
        with client.bulk.open_page(job, None, chained=True) as page:
            assert page.rows == 2500
            page.body.read()
        client.bulk.delete(job.id)
        client.rest.user()
        client.rest.limits()
        assert client.budget.calls == Standing(client.budget.made, 100_000)
        assert client.budget.made < 20
        client.session.close()


@pytest.mark.parametrize(
    "header",
    [
        "api-usage=18/5000",
        "api-usage=18/5000; per-app-api-usage=17/250(appName=sample-connected-app)",
        "api-usage=18/5000;per-app-api-usage=17/250(appName=a;b=c)",
    ],
)
def test_the_orgs_own_count_is_read_in_both_forms(org: ScriptedOrg, header: str) -> None:
    reply = as_json({"A": {}}, headers={"Sforce-Limit-Info": header}, lower_case=True)
    org.on("GET", f"{DATA}/limits/?", reply)
    with connected(org) as client:
        assert client.budget.calls is None
        client.rest.limits()
        assert client.budget.calls == Standing(18, 5000)


@pytest.mark.parametrize("skew", [-7200, -90, 0, 600, 86400])
@pytest.mark.parametrize("version", [None, "66.0"])
def test_the_time_is_the_orgs_time_from_the_first_moment(
    schema: Schema, skew: float, version: str | None
) -> None:
    """Else a window would end in the org's future, and what changes until then would be lost."""
    with Emulator(schema=schema, clock=OrgClock(skew=skew)) as org:
        credentials = load_credentials(org.environment)
        client = connect(credentials.model_copy(update={"api_version": version}))
        behind = org.clock.now() - client.now()
        client.session.close()
    assert timedelta(0) <= behind < timedelta(seconds=3)
    assert client.now().tzinfo is UTC
    assert client.now().microsecond == 0
