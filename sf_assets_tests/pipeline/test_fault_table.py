"""What goes wrong on the way, once or for good, and that the tables equal the org afterwards.

The names of the cases are those of docs/reliability.md, which says in words what is shown here.
"""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.errors import (
    BusyError,
    CountMismatchError,
    JobFailedError,
    LimitExceededError,
    LoginError,
    OrgUnreachableError,
    PageBrokenError,
    SalesforceError,
    StorageError,
    WarehouseError,
    WarehouseLockedError,
)
from sf_assets.pipeline.extraction import extract
from sf_assets.pipeline.extraction.execute import Extraction, execute
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets.salesforce import bulk, session
from sf_assets.salesforce.bulk import Deadlines
from sf_assets.salesforce.session import ATTEMPTS, OrgSession
from sf_assets.storage.locks import locked
from sf_assets.storage.store import Store
from sf_assets.warehouse.duckdb import database as warehouse
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

pytestmark = pytest.mark.duckdb

ROWS, PAGE_ROWS = 60, 25
BOTH = SIDE_BY_SIDE, ONE_BY_ONE = "side by side", "one by one"
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"

CREATE = Fault(method="POST", path="/jobs/query$")
POLL = Fault(method="GET", path="/jobs/query/[^/]+$")
FIRST_PAGE = Fault(path=r"/results\?maxRecords=\d+$")
ANY_PAGE = Fault(path="/results")
ANYTHING = Fault(path="/services/data/v")
EXPIRED: dict[str, Any] = {
    "status": 401,
    "code": "INVALID_SESSION_ID",
    "message": "Session expired or invalid",
}
USED_UP: dict[str, Any] = {
    "status": 403,
    "code": "REQUEST_LIMIT_EXCEEDED",
    "message": "TotalRequests Limit",
}


def edge(status: int) -> dict[str, Any]:
    """What a gateway answers in place of the org: a page for people."""
    return {"status": status, "body": "<html>No route</html>"}


@dataclass(frozen=True)
class Case:
    """Something that goes wrong while changes are fetched.

    Attributes:
        fault: FailedStep.
        error: What it ends in; None when it is got over within the run.
        taken_up: Whether the next run goes on with the Bulk job, in place of a new one.
        ways: How the pages are gone through.
        gzip: Whether pages come compressed, as over https.
        hurried: Whether silence is borne for a second only.
    """

    fault: Fault
    error: type[Exception] | None = None
    taken_up: bool = False
    ways: Sequence[str] = (ONE_BY_ONE,)
    gzip: bool = False
    hurried: bool = False


def page(**how: Any) -> Fault:
    """The first page breaks, at as many attempts as are made but one."""
    return replace(FIRST_PAGE, times=ATTEMPTS - 1, **how)


def page_for_good(**how: Any) -> Fault:
    """The first page breaks at every attempt of a run."""
    return replace(FIRST_PAGE, times=ATTEMPTS, **how)


CASES = {
    "session ends": Case(replace(ANY_PAGE, nth=2, **EXPIRED), ways=BOTH),
    "session does not come back": Case(
        replace(ANY_PAGE, nth=2, times=2, **EXPIRED), LoginError, taken_up=True
    ),
    "connection reset": Case(page(reset_after=5000)),
    "connection reset for good": Case(page_for_good(reset_after=5000), PageBrokenError),
    "connection closed": Case(page(close_after=5000)),
    "gzip cut short": Case(page(truncate_after=700), gzip=True),
    "gzip cut short for good": Case(page_for_good(truncate_after=700), PageBrokenError, gzip=True),
    "body cut short": Case(page(truncate_after=5000)),
    "body cut short for good": Case(page_for_good(truncate_after=5000), PageBrokenError),
    "body stalls": Case(replace(FIRST_PAGE, stall_after=5000, stall_seconds=3), hurried=True),
    "wrong row count": Case(page(headers={"Sforce-NumberOfRecords": "7"})),
    "wrong row count for good": Case(
        page_for_good(headers={"Sforce-NumberOfRecords": "7"}), PageBrokenError
    ),
    "page repeated": Case(replace(ANY_PAGE, nth=2, page_shift=-1)),
    "page repeated, count right": Case(
        replace(ANY_PAGE, nth=2, page_shift=-1), PageBrokenError, ways=[SIDE_BY_SIDE]
    ),
    "row in place of another": Case(page(repeat_row=3)),
    "row in place of another for good": Case(page_for_good(repeat_row=3), PageBrokenError),
    "page missing": Case(replace(ANY_PAGE, nth=2, page_shift=1), CountMismatchError, ways=BOTH),
    "claimed last page": Case(
        replace(FIRST_PAGE, headers={"Sforce-Locator": "null"}),
        CountMismatchError,
    ),
    "claimed last page, pages listed": Case(
        replace(ANY_PAGE, times=3, headers={"Sforce-Locator": "null"}), ways=[SIDE_BY_SIDE]
    ),
    "locator expired": Case(
        replace(ANY_PAGE, nth=2, status=400, code="INVALID_QUERY_LOCATOR", message="invalid"),
        ways=BOTH,
    ),
    "locator expired for good": Case(
        replace(FIRST_PAGE, times=3, status=400, code="INVALID_QUERY_LOCATOR", message="invalid"),
        SalesforceError,
    ),
    "420": Case(page(**edge(420))),
    "429": Case(page(**edge(429))),
    "502": Case(page(**edge(502))),
    "503": Case(page(**edge(503))),
    "503 for good": Case(page_for_good(**edge(503)), OrgUnreachableError, taken_up=True),
    "503 while polling": Case(
        replace(POLL, times=ATTEMPTS, **edge(503)), OrgUnreachableError, taken_up=True
    ),
    "503 on create": Case(replace(CREATE, times=ATTEMPTS, **edge(503)), OrgUnreachableError),
    "calls used up": Case(replace(ANY_PAGE, **USED_UP), LimitExceededError, taken_up=True),
    "jobs used up": Case(
        replace(CREATE, status=400, code="LIMIT_EXCEEDED", message="Max bulk v2 query jobs"),
        LimitExceededError,
    ),
    "job Failed": Case(replace(CREATE, job_state="Failed", job_message="TXN"), JobFailedError),
    "job Aborted": Case(replace(CREATE, job_state="Aborted"), JobFailedError),
    "job stuck": Case(replace(CREATE, job_state="InProgress"), JobFailedError, hurried=True),
    "job slow": Case(replace(CREATE, job_seconds=0.3)),
    "Bulk refuses": Case(
        replace(CREATE, status=400, code="INVALIDENTITY", message="Entity is not supported")
    ),
    "lower-case headers": Case(Fault(times=0, lower_case_headers=True)),
    "no charset": Case(replace(ANY_PAGE, times=0, headers={"Content-Type": "text/csv"})),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting times that tests have; more than a few rows go by Bulk, in several pages."""
    monkeypatch.setattr(session, "_FIRST_PAUSE", 0.002)
    monkeypatch.setattr(session, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(bulk, "_FIRST_POLL", 0.01)
    monkeypatch.setattr(bulk, "_FEW_ROWS", PAGE_ROWS)
    monkeypatch.setattr(bulk, "_CHAIN_ROWS", PAGE_ROWS)
    monkeypatch.setattr(extract, "REST_ROWS", ROWS // 2)
    monkeypatch.setattr(extract, "PAGES_AT_ONCE", 1)  # so that the second page is the second one


class Company:
    """An org of sixty accounts and one contact, whose clock stands still until it is moved."""

    def __init__(self, emulator: Emulator) -> None:
        assert emulator.faults is not None
        self.emulator = emulator
        self.faults = emulator.faults
        records = emulator.records
        rows = [{"Name": f"Account {n}"} for n in range(ROWS)]
        made = records.run(lambda t: t.insert("Account", rows))
        self._accounts = [str(outcome.accepted().id) for outcome in made]
        self._contact = records.insert("Contact", {"LastName": "Quiet"})
        self._changes = 0

    def change(self) -> None:
        """Every record becomes another one."""
        self._changes += 1
        self.emulator.advance(660)
        records, name = self.emulator.records, f"version {self._changes}\n"
        records.update_all("Account", self._accounts, {"Description": name * 100})
        records.update("Contact", self._contact, {"LastName": name})
        self.emulator.advance(60)

    @property
    def faults_left(self) -> int:
        """Faults that are still to come."""
        answer = requests.get(f"{self.emulator.url}/_faults", timeout=10)
        return len(answer.json())

    @property
    def jobs(self) -> int:
        """Bulk jobs that the org has."""
        return len(self.emulator.org.jobs.all())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Company, Path]]:
    """The company, and a folder with all there was before it changed for the first time."""
    clock = Clock(datetime(2026, 11, 20, 15, 30, tzinfo=UTC), frozen=True)
    settings = Settings(job_seconds=0.0, page_rows=PAGE_ROWS, faults=True)
    with Emulator(schema=standard_schema(), settings=settings, clock=clock) as emulator:
        company = Company(emulator)
        emulator.advance(60)
        workspace = Workspace(tmp_path_factory.mktemp("first"), emulator.environment)
        workspace.catalogue({"Account": None, "Contact": None})
        assert not any(done.error for done in workspace.tick().values())
        yield company, workspace.folder


@pytest.fixture
def company_of_60(shared: tuple[Company, Path]) -> Iterator[Company]:
    """The company, in which nothing goes wrong yet."""
    yield shared[0]
    shared[0].faults.clear()


@pytest.fixture
def workspace(tmp_path: Path, shared: tuple[Company, Path], company_of_60: Company) -> Workspace:
    """A workspace that is behind: every record has changed since."""
    shutil.copytree(shared[1], tmp_path, dirs_exist_ok=True)
    company_of_60.change()
    return Workspace(tmp_path, company_of_60.emulator.environment)


def assert_equal(company: Company, workspace: Workspace, *names: str) -> None:
    """Silver holds what the org holds, and every slice once."""
    for name in names or ("Account", "Contact"):
        assert differences(company.emulator, workspace, name) == []
    assert workspace.rows("SELECT slice FROM ops.slices GROUP BY 1 HAVING count(*) > 1") == []


def content(workspace: Workspace, table: str = "silver.account") -> list[tuple[Any, ...]]:
    """All that a table holds, provenance included."""
    return workspace.rows(f"FROM {table} ORDER BY Id")


def extracted(workspace: Workspace) -> dict[str, Extraction]:
    """A tick's first half: raw, and not yet silver."""
    org = workspace.org()
    return {done.slug: done for done in execute(org, plan_tick(org, org.catalog.select([])))}


@pytest.mark.parametrize(
    ("case", "way"),
    [
        pytest.param(case, way, id=f"{name}-{way}")
        for name, case in CASES.items()
        for way in case.ways
    ],
)
def test_a_fault_on_the_way(
    company_of_60: Company,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    way: str,
) -> None:
    if way == ONE_BY_ONE:
        monkeypatch.setattr(bulk, "PAGES_SINCE", 1000.0)
    if case.gzip:
        compressed(monkeypatch)
    if case.hurried:
        monkeypatch.setattr(session, "READ_SECONDS", 1)
        monkeypatch.setattr(extract, "Deadlines", lambda: Deadlines(running=1))
    before, jobs = content(workspace), company_of_60.jobs
    company_of_60.faults.add(case.fault)
    account = workspace.tick()["account"]
    assert company_of_60.faults_left == (case.fault.times == 0)
    assert_equal(company_of_60, workspace, "Contact")  # whatever became of the other object
    if case.error:
        assert isinstance(account.error, case.error), account.error
        assert account.slices == []
        assert content(workspace) == before
        assert company_of_60.jobs == jobs + case.taken_up
        company_of_60.emulator.advance(3660)  # what the org told of its calls is outdated then
        left = {job.id for job in company_of_60.emulator.org.jobs.all()}
        (account, *_) = (done for done in workspace.tick().values() if done.slug == "account")
        assert case.taken_up == bool(left & {piece.job_id for piece in account.slices})
    assert account.error is None
    assert_equal(company_of_60, workspace)
    assert company_of_60.jobs == jobs
    assert not any(workspace.org().stored_raw.drafts("account"))


def test_the_document_names_every_case() -> None:
    told = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in CASES if f"`{name}`" not in told] == []


def compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for compressed pages on loopback, too."""
    send = OrgSession.send

    def send_compressed(self: OrgSession, request: requests.PreparedRequest, **how: Any) -> Any:
        if "/results" in (request.url or ""):
            request.headers["Accept-Encoding"] = "gzip"
        answer = send(self, request, **how)
        assert "/results" not in (request.url or "") or "gzip" in answer.headers.get(
            "Content-Encoding", ""
        )
        return answer

    monkeypatch.setattr(OrgSession, "send", send_compressed)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        pytest.param(edge(503), OrgUnreachableError, id="org away"),
        pytest.param(USED_UP, LimitExceededError, id="calls used up at once"),
    ],
)
def test_an_org_that_does_not_answer_at_all(
    company_of_60: Company, workspace: Workspace, how: dict[str, Any], error: type[Exception]
) -> None:
    before = content(workspace)
    company_of_60.faults.add(replace(ANYTHING, times=0, **how))
    with pytest.raises(error):
        workspace.tick()
    assert content(workspace) == before
    company_of_60.faults.clear()
    workspace.tick()
    assert_equal(company_of_60, workspace)


@pytest.mark.parametrize("seconds", [-600, 300], ids=["clock behind", "clock ahead"])
def test_windows_follow_the_clock_that_the_org_tells(
    company_of_60: Company, workspace: Workspace, seconds: int
) -> None:
    """Whatever this machine's clock says; and one that was wrong is made good by the overlap."""
    emulator = company_of_60.emulator
    company_of_60.faults.add(Fault(times=0, date_skew=seconds))
    done = workspace.tick()
    told = emulator.clock.now().replace(microsecond=0) + timedelta(seconds=seconds)
    ends = {piece.window.end for one in done.values() for piece in one.slices}
    assert ends <= {told, told + timedelta(seconds=1), told - timedelta(seconds=1)}
    company_of_60.faults.clear()
    emulator.advance(60)
    emulator.records.insert("Contact", {"LastName": "within the skew"})
    emulator.advance(600)
    workspace.tick()
    assert_equal(company_of_60, workspace)


def test_another_run_at_work(company_of_60: Company, workspace: Workspace) -> None:
    raw = workspace.org().raw
    with locked(raw.store, raw.lock_folder("account"), "Account"):
        done = workspace.tick()
    assert isinstance(done["account"].error, BusyError)
    assert_equal(company_of_60, workspace, "Contact")
    workspace.tick()
    assert_equal(company_of_60, workspace)


HOLD = """
import sys, duckdb
with duckdb.connect(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another program has the warehouse open."""
    with subprocess.Popen(  # noqa: S603  our own interpreter
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == b"held\n"
        yield
        other.stdin.close()


def test_a_warehouse_that_another_program_holds(
    company_of_60: Company, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(workspace)
    monkeypatch.setattr(warehouse, "PATIENCE", 0.1)
    with held(workspace.folder / "warehouse.duckdb"):
        assert not any(done.error for done in extracted(workspace).values())
        with pytest.raises(WarehouseLockedError, match="held by another program"):
            workspace.load("account")
    assert content(workspace) == before
    assert_behind_and_healed(company_of_60, workspace)


def assert_behind_and_healed(company: Company, workspace: Workspace) -> None:
    """Silver is known to lack what raw has, and has it after the next merge."""
    org = workspace.org()
    for slug in sorted(behind(org, org.stored_raw)):
        workspace.load(slug)
    assert_equal(company, workspace)
    assert behind(org, org.stored_raw) == set()


class Failing:
    """A connection to the warehouse that fails at one of the statements, and at all after it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, statements: int) -> None:
        self._connection = connection
        self._left = statements

    def execute(self, *statement: Any) -> duckdb.DuckDBPyConnection:
        self._left -= 1
        if self._left < 0:
            raise duckdb.IOException("Could not write file: No space left on device")
        return self._connection.execute(*statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def failing_after(statements: int) -> Callable[..., Failing]:
    """What opens such a connection."""
    connect = duckdb.connect
    return lambda *where, **how: Failing(connect(*where, **how), statements)


def test_a_merge_that_fails_at_any_of_its_statements(
    company_of_60: Company, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its slice is recorded as merged, the table is as it was; from then on, as the org."""
    before, slices = content(workspace), workspace.rows("SELECT slice FROM ops.slices")
    extracted(workspace)
    org, failures = workspace.org(), 0
    while workspace.rows("SELECT slice FROM ops.slices") == slices:
        assert content(workspace) == before
        with monkeypatch.context() as patch:
            patch.setattr(duckdb, "connect", failing_after(failures))
            with pytest.raises(WarehouseError, match="no space left"):
                workspace.load("account", org)
        failures += 1
    assert failures > 20
    assert_equal(company_of_60, workspace, "Account")
    assert_behind_and_healed(company_of_60, workspace)


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process grows beyond a size: the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_while_silver_is_merged(
    company_of_60: Company, workspace: Workspace
) -> None:
    before = content(workspace)
    extracted(workspace)
    with file_limit(1 << 15), pytest.raises(WarehouseError, match="refused"):
        workspace.load("account")
    assert content(workspace) == before
    assert_behind_and_healed(company_of_60, workspace)


def test_a_disk_that_is_full_while_raw_is_written(
    company_of_60: Company, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page comes by REST, for which the emulator writes no files of its own meanwhile."""
    monkeypatch.setattr(extract, "REST_ROWS", ROWS)
    before = content(workspace)
    org = workspace.org()
    plan = plan_tick(org, org.catalog.select(["Account"]))
    refs, put = org.raw.refs(), Store.put

    def put_on_a_full_disk(self: Store, path: str, data: Any) -> None:
        with file_limit(1 << 12):
            put(self, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", put_on_a_full_disk)
        (done,) = execute(org, plan)
    assert isinstance(done.error, StorageError)
    assert "space left" in str(done.error)
    assert workspace.org().stored_raw.refs() == refs
    assert content(workspace) == before
    workspace.tick()
    assert_equal(company_of_60, workspace)


def test_a_job_that_cannot_be_noted_is_not_left_behind(
    company_of_60: Company, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, org = company_of_60.jobs, workspace.org()

    def refuse(*_: Any) -> None:
        raise StorageError("the storage refused")

    plan = plan_tick(org, org.catalog.select(["Account"]))
    monkeypatch.setattr(org.raw, "note", refuse)
    (done,) = execute(org, plan)
    assert isinstance(done.error, StorageError)
    assert company_of_60.jobs == jobs
    workspace.tick()
    assert_equal(company_of_60, workspace)
