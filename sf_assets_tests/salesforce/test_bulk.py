"""Bulk jobs: refusals, states, deadlines, and what is left behind."""

from collections.abc import Iterator

import pytest

from sf_assets.emulator.fault import Fault
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.errors import (
    BulkRefusedError,
    JobFailedError,
    LimitExceededError,
    ObjectUnavailableError,
    SalesforceError,
)
from sf_assets.salesforce import bulk
from sf_assets.salesforce.bulk import Deadlines, Job
from sf_assets.salesforce.client import Client, connect
from sf_assets.settings import load_credentials
from sf_assets_tests.salesforce.scripted import (
    Answer,
    Reply,
    as_json,
    failure,
    html,
)
from sf_assets_tests.salesforce.scripted_org import (
    JOB_ID,
    JOBS,
    ScriptedJob,
    ScriptedOrg,
    numbered,
)

SOQL = "SELECT Id, Name FROM Account"
PAGES = [numbered(0, 5), numbered(5, 5), numbered(10, 2)]


def test_a_job_asks_for_all_rows_as_comma_separated_lines(org: ScriptedOrg, client: Client) -> None:
    ScriptedJob(org, PAGES)
    job = client.bulk.create(SOQL)
    assert (job.id, job.state, job.ended) == (JOB_ID, "UploadComplete", False)
    (request,) = org.calls("POST", JOBS)
    assert request.json() == {
        "operation": "queryAll",
        "query": SOQL,
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    assert request.headers["content-type"].startswith("application/json")


CREATE_ERRORS = [
    ("API_ERROR", 400, "Selecting compound data not supported in Bulk Query", BulkRefusedError),
    ("FUNCTIONALITY_NOT_ENABLED", 400, "Selecting compound data not supp…", BulkRefusedError),
    (
        "INVALIDENTITY",
        400,
        "Entity 'TaskStatus' is not supported by the Bulk API.",
        BulkRefusedError,
    ),
    ("API_ERROR", 400, "API does not support query", BulkRefusedError),
    ("FEATURENOTENABLED", 400, "Bulk API is not enabled", BulkRefusedError),
    ("LIMIT_EXCEEDED", 400, "Max bulk v2 query jobs (10000) per 24 hrs", LimitExceededError),
    ("LIMIT_EXCEEDED", 400, "Max bulk v2 query result size stored (1) kb", LimitExceededError),
    ("EXCEEDEDQUOTA", 400, "ApiBatchItems Limit exceeded.", LimitExceededError),
    ("REQUEST_LIMIT_EXCEEDED", 403, "TotalRequests Limit exceeded.", LimitExceededError),
    ("INVALID_TYPE", 400, "sObject type 'X' is not supported.", ObjectUnavailableError),
    ("INVALID_FIELD", 400, "No such column 'X'", SalesforceError),
    ("MALFORMED_QUERY", 400, "unexpected token: 'FORM'", SalesforceError),
    ("TXN_SECURITY_METERING_ERROR", 400, "took too long", SalesforceError),
]


@pytest.mark.parametrize("case", CREATE_ERRORS, ids=lambda case: f"{case[0]}-{case[2][:20]}")
def test_only_what_rest_may_do_instead_is_called_refused(
    org: ScriptedOrg, client: Client, case: tuple[str, int, str, type[SalesforceError]]
) -> None:
    """To go by REST when a limit is used up would spend the very budget that ran out."""
    code, status, message, kind = case
    org.on("POST", JOBS, failure(status, code, message))
    with pytest.raises(SalesforceError, match=code) as refused:
        client.bulk.create(SOQL)
    assert type(refused.value) is kind
    assert (refused.value.code, refused.value.status) == (code, status)
    assert message in str(refused.value)
    assert len(org.calls("POST", JOBS)) == 1


@pytest.mark.parametrize("soql", ["SELECT BillingAddress FROM Account", "SELECT COUNT() FROM Case"])
def test_the_emulated_org_refuses_as_the_real_one_does(emulator: Emulator, soql: str) -> None:
    client = connect(load_credentials(emulator.environment))
    with pytest.raises(BulkRefusedError):
        client.bulk.create(soql)
    client.session.close()


ODD: list[Answer] = [
    as_json({}),
    as_json([]),
    as_json({"id": "750"}),
    as_json({"id": "750", "state": "InProgress", "numberRecordsProcessed": "many"}),
    as_json("text"),
    html(200),
    Reply(),
]


@pytest.mark.parametrize("answer", ODD)
def test_a_job_of_another_form_is_an_error_of_ours(
    org: ScriptedOrg, client: Client, answer: Answer
) -> None:
    org.on("POST", JOBS, answer)
    org.on("GET", f"{JOBS}/{JOB_ID}", answer)
    with pytest.raises(SalesforceError, match="jobs/query"):
        client.bulk.create(SOQL)
    with pytest.raises(SalesforceError, match=JOB_ID):
        client.bulk.get(JOB_ID)


def test_a_job_is_waited_for_through_its_states(org: ScriptedOrg, client: Client) -> None:
    ScriptedJob(org, PAGES, states=("UploadComplete", "InProgress", "InProgress", "JobComplete"))
    seen: list[str] = []
    pauses: list[float] = []
    job = client.bulk.wait(
        client.bulk.create(SOQL),
        Deadlines(),
        pause=pauses.append,
        report=lambda job: seen.append(job.state),
    )
    assert (job.state, job.rows) == ("JobComplete", 12)
    assert seen == ["UploadComplete", "InProgress", "InProgress", "JobComplete"]
    assert pauses == sorted(pauses)
    assert len(pauses) == 4


def test_polls_slow_down_to_a_third_a_minute(
    org: ScriptedOrg, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_FIRST_POLL", 0.5)
    monkeypatch.setattr(bulk, "_LONGEST_POLL", 20.0)
    ScriptedJob(org, PAGES, states=["InProgress"] * 30 + ["JobComplete"])
    pauses: list[float] = []
    client.bulk.wait(Job(JOB_ID, "UploadComplete"), Deadlines(), pause=pauses.append)
    assert pauses[0] == 0.5
    assert pauses[-1] == 20.0
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, ""),
        ("InvalidBatch : Field name not found : Nope", "InvalidBatch"),
        ("InternalServerError:Retried more than 15 times", "InternalServerError"),
    ],
)
def test_a_job_that_fails_says_so_with_the_orgs_reason(
    org: ScriptedOrg, client: Client, state: str, error: str | None, code: str
) -> None:
    ScriptedJob(org, PAGES, states=("InProgress", state), error=error)
    with pytest.raises(JobFailedError, match=f"{JOB_ID} ended {state}") as refused:
        client.bulk.wait(client.bulk.create(SOQL), Deadlines())
    assert (error or "no reason") in str(refused.value)
    assert refused.value.code == code


class FakeTime:
    """Time that passes only in the pauses between two polls."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    monkeypatch.setattr(bulk, "_FIRST_POLL", 600.0)
    monkeypatch.setattr(bulk, "_LONGEST_POLL", 600.0)
    passing = FakeTime()
    monkeypatch.setattr(bulk, "time", passing)
    return passing


@pytest.mark.parametrize(("state", "hours"), [("UploadComplete", 2), ("InProgress", 6)])
def test_a_job_that_is_stuck_is_given_up_after_its_states_own_deadline(
    org: ScriptedOrg, client: Client, fake_time: FakeTime, state: str, hours: int
) -> None:
    ScriptedJob(org, PAGES, states=(state,))
    with pytest.raises(JobFailedError, match=f"{JOB_ID} has been {state} for {hours * 3600} s"):
        client.bulk.wait(Job(JOB_ID, state), Deadlines(), pause=fake_time.pause)
    assert hours * 3600 < fake_time.now <= hours * 3600 + 600


def test_a_deadline_begins_anew_with_each_state(
    org: ScriptedOrg, client: Client, fake_time: FakeTime
) -> None:
    """Ten polls are 100 minutes."""
    states = ["UploadComplete"] * 10 + ["InProgress"] * 30 + ["JobComplete"]
    ScriptedJob(org, PAGES, states=states)
    job = client.bulk.wait(client.bulk.create(SOQL), Deadlines(), pause=fake_time.pause)
    assert job.state == "JobComplete"
    assert fake_time.now > 6 * 3600


def test_what_the_pause_raises_ends_the_waiting(org: ScriptedOrg, client: Client) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    ScriptedJob(org, PAGES, states=("InProgress",))
    with pytest.raises(KeyboardInterrupt):
        client.bulk.wait(client.bulk.create(SOQL), Deadlines(), pause=stop)
    assert org.calls("GET", f"{JOBS}/{JOB_ID}") == []


def test_a_job_that_somebody_deleted_is_not_found(org: ScriptedOrg, client: Client) -> None:
    org.on("GET", f"{JOBS}/{JOB_ID}", failure(404, "NOT_FOUND"))
    with pytest.raises(SalesforceError) as refused:
        client.bulk.wait(Job(JOB_ID, "InProgress"), Deadlines())
    assert refused.value.not_found


def test_a_poll_survives_a_busy_moment_and_an_expired_session(
    org: ScriptedOrg, client: Client
) -> None:
    job = ScriptedJob(org, PAGES)
    done = as_json(job.info("JobComplete"))
    org.on("GET", f"{JOBS}/{JOB_ID}", html(502), Reply(mute=True), done)
    org.expire()
    assert client.bulk.wait(Job(JOB_ID, "InProgress"), Deadlines()).rows == 12
    assert len(org.tokens) == 2


def test_an_abort_and_a_delete_leave_nothing(org: ScriptedOrg, client: Client) -> None:
    ScriptedJob(org, PAGES)
    client.bulk.abort(JOB_ID)
    client.bulk.delete(JOB_ID)
    assert [h.json() for h in org.calls("PATCH", f"{JOBS}/{JOB_ID}")] == [{"state": "Aborted"}]
    assert len(org.calls("DELETE", f"{JOBS}/{JOB_ID}")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        failure(404, "NOT_FOUND"),
        failure(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed"),
    ],
)
def test_a_job_that_is_over_or_gone_may_be_aborted_and_deleted(
    org: ScriptedOrg, client: Client, answer: Answer
) -> None:
    org.on("PATCH", f"{JOBS}/{JOB_ID}", answer)
    org.on("DELETE", f"{JOBS}/{JOB_ID}", answer)
    client.bulk.abort(JOB_ID)
    client.bulk.delete(JOB_ID)


def test_a_job_that_must_not_be_deleted_is_no_secret(org: ScriptedOrg, client: Client) -> None:
    org.on("DELETE", f"{JOBS}/{JOB_ID}", failure(403, "INSUFFICIENT_ACCESS"))
    with pytest.raises(ObjectUnavailableError):
        client.bulk.delete(JOB_ID)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    settings = Settings(job_seconds=0.01, faults=True)
    with Emulator(schema=standard_schema(), settings=settings) as running:
        yield running


@pytest.mark.parametrize("state", ["Failed", "Aborted", "InProgress"])
def test_jobs_that_end_badly_in_the_emulated_org(emulator: Emulator, state: str) -> None:
    assert emulator.faults is not None
    emulator.faults.add(Fault("POST", "/jobs/query$", job_state=state, job_message="told to"))
    client = connect(load_credentials(emulator.environment))
    job = client.bulk.create("SELECT Id FROM Account")
    with pytest.raises(JobFailedError, match=job.id):
        client.bulk.wait(job, Deadlines(queued=10, running=0.2))
    client.bulk.abort(job.id)
    client.bulk.delete(job.id)
    with pytest.raises(SalesforceError) as refused:
        client.bulk.get(job.id)
    assert refused.value.not_found
    client.session.close()
