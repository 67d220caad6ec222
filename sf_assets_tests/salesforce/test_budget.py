"""The budget: counted as the org counts, and never beyond the reserve."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.errors import BudgetExhaustedError, LimitExceededError, SalesforceError
from sf_assets.salesforce.budget import CALLS, JOBS, Budget, Standing
from sf_assets.salesforce.bulk import Deadlines
from sf_assets.salesforce.client import Client, connect
from sf_assets.settings import load_credentials
from sf_assets_tests.salesforce.scripted_org import DATA

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OPERATIONS = ("describe", "query_each", "pages", "limits", "job", "abort", "batch", "expire", "404")


@pytest.fixture(scope="module")
def org() -> Iterator[Emulator]:
    with Emulator(schema=standard_schema(), settings=Settings(job_seconds=0.0)) as emulator:
        emulator.records.run(lambda t: t.insert("Account", [{"Name": "x"} for _ in range(2500)]))
        yield emulator


def few(calls: int, clock: Clock | None = None) -> Emulator:
    settings = Settings(job_seconds=0.0, daily_api_requests=calls)
    return Emulator(schema=standard_schema(), settings=settings, clock=clock)


def client_of(emulator: Emulator) -> Client:
    return connect(load_credentials(emulator.environment))


def carry_out(emulator: Emulator, client: Client, operation: str, n: int) -> None:
    """One operation, `n` of whatever it is about."""
    bulk, rest = client.bulk, client.rest
    if operation == "describe":
        list(rest.describe(["Account", "NoSuchObject", *["Lead"] * n][: n + 1]))
    elif operation == "query_each":
        list(rest.query_each({str(i): "SELECT COUNT() FROM Account" for i in range(n)}))
    elif operation == "pages":
        list(rest.pages(f"SELECT Id FROM Account LIMIT {n * 400}"))
    elif operation == "limits":
        rest.limits()
    elif operation == "job":
        job = bulk.wait(bulk.create("SELECT Id, Name FROM Account"), Deadlines())
        with bulk.open_page(job, None, chained=True) as page:
            page.body.read()
        bulk.delete(job.id)
    elif operation == "abort":
        bulk.abort(bulk.create("SELECT Id FROM Account").id)
    elif operation == "batch":
        path = f"/services/data/v{client.version}/composite/batch"
        parts = [{"method": "GET", "url": f"v{client.version}/limits"}] * n
        client.session.post(client.session.token.instance_url + path, json={"batchRequests": parts})
    elif operation == "expire":
        emulator.org.sessions.revoke_all()
    else:
        with pytest.raises(SalesforceError):
            client.session.get(f"{client.session.token.instance_url}{DATA}/nothing")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(1, 12)), max_size=8))
def test_what_we_count_is_what_the_org_counts(
    org: Emulator, operations: list[tuple[str, int]]
) -> None:
    limits = org.org.limits
    before = [limits.requests.used, limits.query_jobs.used]
    client = client_of(org)
    for operation, n in operations:
        carry_out(org, client, operation, n)
    budget = client.budget
    counted = [limits.requests.used - before[0], limits.query_jobs.used - before[1]]
    assert [budget.made, budget.jobs_made] == counted
    if budget.calls:
        assert budget.calls.used == limits.requests.used
    client.session.close()


def test_bytes_of_results_are_those_the_org_stored(org: Emulator) -> None:
    client = client_of(org)
    before = org.org.limits.query_kilobytes.used
    carry_out(org, client, "job", 1)
    assert client.budget.bytes_read >> 10 == org.org.limits.query_kilobytes.used - before > 0


def test_nothing_is_sent_that_would_break_the_reserve() -> None:
    with few(200) as emulator:
        client = client_of(emulator)
        while client.budget.calls is None or client.budget.calls.left:
            list(client.rest.pages("SELECT Id FROM Account"))
        with pytest.raises(BudgetExhaustedError) as refused:
            client.rest.objects()
        used = emulator.org.limits.requests.used
        assert used == Standing(0, 200).daily == 200 - 40 - 16
        assert isinstance(refused.value, LimitExceededError)
        for said in (f"of 200 {CALLS}", f"{used} are used", "40 (20 %)", emulator.url):
            assert said in str(refused.value)


def test_ending_a_job_and_asking_is_allowed_when_nothing_else_is() -> None:
    with few(200) as emulator:
        client = client_of(emulator)
        job = client.bulk.wait(client.bulk.create("SELECT Id FROM Account"), Deadlines())
        emulator.org.limits.requests.add(150)
        client.rest.limits()
        with pytest.raises(BudgetExhaustedError):
            client.bulk.get(job.id)
        client.bulk.delete(job.id)
        assert emulator.org.jobs.find(job.id) is None


def test_sessions_share_the_budget_of_the_org() -> None:
    with few(300) as emulator, ThreadPoolExecutor(8) as pool:

        def work(client: Client) -> int:
            for sent in range(300):
                try:
                    list(client.rest.pages("SELECT Id FROM Account"))
                except BudgetExhaustedError:
                    return sent
            return 300

        clients = [client_of(emulator) for _ in range(2)]
        sent = list(pool.map(work, clients * 4))
        assert sum(sent) == emulator.org.limits.requests.used <= 300 - 60
        assert all(client.budget.made for client in clients)


def test_what_an_hour_ago_was_too_much_is_asked_again() -> None:
    clock = Clock(NOON, frozen=True)
    with few(200, clock) as emulator:
        emulator.org.limits.requests.add(150)
        client = client_of(emulator)
        client.budget.look()
        emulator.advance(25 * 3600)
        later = client_of(emulator)
        later.budget.recall(151, 200, NOON + timedelta(hours=24, minutes=30))
        with pytest.raises(BudgetExhaustedError):
            later.rest.objects()
        later = client_of(emulator)
        later.budget.recall(151, 200, NOON)
        later.rest.objects()
        assert later.budget.calls == Standing(1, 200)


def test_bulk_jobs_have_a_limit_of_their_own() -> None:
    settings = Settings(job_seconds=0.0, daily_query_jobs=10)
    with Emulator(schema=standard_schema(), settings=settings) as emulator:
        client = client_of(emulator)
        for _ in range(8):
            client.bulk.create("SELECT Id FROM Account")
        with pytest.raises(BudgetExhaustedError, match=JOBS):
            client.bulk.create("SELECT Id FROM Account")
        assert emulator.org.limits.query_jobs.used == 8
        list(client.rest.pages("SELECT Id FROM Account"))


def answer(header: str | None) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    if header is not None:
        response.headers["Sforce-Limit-Info"] = header
    return response


def request() -> requests.PreparedRequest:
    return requests.Request("GET", f"http://127.0.0.1:1{DATA}/query").prepare()


def test_answers_that_overtake_each_other() -> None:
    budget = Budget("org", 20, lambda: NOON)
    first, second = budget.begin(request()), budget.begin(request())
    budget.end(second, answer("api-usage=12/5000"))
    budget.end(first, answer("api-usage=11/5000"))
    assert budget.calls == Standing(12, 5000)
    budget.end(budget.begin(request()), answer("api-usage=3/5000"))
    assert budget.calls == Standing(3, 5000), "calls of a day ago have come back"


@pytest.mark.parametrize(
    "header", ["", None, "api-usage=", "api-usage=x/y", "per-app-api-usage=17/250(appName=x)"]
)
def test_a_count_that_cannot_be_read_leaves_us_to_count(header: str | None) -> None:
    budget = Budget("org", 20, lambda: NOON)
    budget.end(budget.begin(request()), answer("api-usage=18/5000"))
    budget.end(budget.begin(request()), answer(header))
    assert budget.calls == Standing(19, 5000)


def test_calls_of_many_threads_are_all_counted() -> None:
    budget = Budget("org", 20, lambda: NOON)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: budget.end(budget.begin(request())), range(2000)))
    assert budget.made == 2000


def test_a_count_that_is_dated_ahead_is_not_taken_over() -> None:
    """It would be trusted until that time has come."""
    budget = Budget("org", 20, lambda: NOON)
    budget.recall(4_999, 5_000, NOON + timedelta(days=1))
    assert budget.calls is None
