"""What goes wrong in the work of one object harms no other, wherever that work is done.

Every place has a boundary of its own (`failures.Work`). At each of them something nobody foresaw
is thrown here, in the work of one of three objects.
"""

import ast
import errno
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import sf_assets
from sf_assets import failures
from sf_assets.checks.check import Finding
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.errors import SfAssetsError
from sf_assets.failures import Failures, UnforeseenError, Work
from sf_assets.pipeline.checks.answers import check_raw, check_silver
from sf_assets.pipeline.checks.results import record
from sf_assets.pipeline.doctor import examine
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.extraction.formula_drift import check_derived
from sf_assets.pipeline.forget import forget
from sf_assets.pipeline.load import rebuild
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.future_coverage import present_inventory
from sf_assets.pipeline.planning.plan import Plan, plan_backfill, plan_tick
from sf_assets.pipeline.reconciliation.reconcile import reconcile
from sf_assets.pipeline.retention import expire
from sf_assets.pipeline.status import status
from sf_assets.storage.vacuum import remove_leftovers
from sf_assets.windows import ALWAYS, Window
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

pytestmark = pytest.mark.duckdb

VICTIM, OTHERS = "contact", ("account", "lead")
OBJECTS = ("Account", "Contact", "Lead")
PLANTED = "jane.doe@example.com"


def _deep(level: int = 0) -> None:
    _deep(level + 1)


def _thrown(error: Exception) -> Callable[[], object]:
    def throw() -> None:
        raise error

    return throw


KINDS: Mapping[str, Callable[[], object]] = {
    "KeyError": _thrown(KeyError(PLANTED)),
    "ValueError": lambda: int(PLANTED),
    "UnicodeEncodeError": f"{PLANTED}\ud842".encode,
    "RecursionError": _deep,
    "OSError": _thrown(OSError(errno.ENOSPC, PLANTED, PLANTED)),
    "ConversionException": lambda: duckdb.execute(f"SELECT '{PLANTED}'::INT").fetchall(),
    "InvalidOperationError": lambda: pl.Series([PLANTED]).cast(pl.Int64),
}


class Company:
    """An org with a few records, whose clock stands still until it is moved."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        insert = emulator.records.insert
        self._ids = {
            "Account": insert("Account", {"Name": "A"}),
            "Contact": insert("Contact", {"LastName": "C"}),
            "Lead": insert("Lead", {"LastName": "L", "Company": "L"}),
        }
        self._changes = 0

    def change(self) -> None:
        """Every record becomes another one."""
        self._changes += 1
        self.emulator.advance(4000)
        for name, record_id in self._ids.items():
            field = "Name" if name == "Account" else "LastName"
            self.emulator.records.update(name, record_id, {field: f"version {self._changes}"})
        self.emulator.advance(60)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Company, Path]]:
    """The company, and a folder with all there was before it changed for the first time."""
    clock = Clock(datetime(2026, 11, 20, 15, 30, tzinfo=UTC), frozen=True)
    with Emulator(
        schema=standard_schema(), settings=Settings(job_seconds=0.0), clock=clock
    ) as emulator:
        company = Company(emulator)
        emulator.advance(60)
        workspace = Workspace(tmp_path_factory.mktemp("first"), emulator.environment)
        checked = {"checks": [{"not_null": "LastName"}]}
        workspace.catalogue({"Account": None, "Contact": checked, "Lead": checked})
        assert not any(done.error for done in workspace.tick().values())
        yield company, workspace.folder


@pytest.fixture
def company(shared: tuple[Company, Path]) -> Company:
    shared[0].change()
    return shared[0]


@pytest.fixture
def workspace(tmp_path: Path, shared: tuple[Company, Path], company: Company) -> Workspace:
    """A workspace that is behind: every record has changed since."""
    shutil.copytree(shared[1], tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path, company.emulator.environment)


Outcome = Mapping[str, SfAssetsError | None]
"""What became of objects that something was done for: why it failed, or that it did not."""


def _of_all(failed: Mapping[str, SfAssetsError]) -> Outcome:
    return dict.fromkeys((VICTIM, *OTHERS)) | dict(failed)


def _ticked(workspace: Workspace) -> Outcome:
    org = workspace.org()
    return _carried_out(workspace, org, plan_tick(org, org.catalog.select([])))


def _backfilled(workspace: Workspace) -> Outcome:
    org = workspace.org()
    plan = plan_backfill(org, org.catalog.select([]), ALWAYS)
    plan.costs(org.raw, plan.failed)
    return _carried_out(workspace, org, plan)


def _carried_out(workspace: Workspace, org: Org, plan: Plan) -> Outcome:
    found: dict[str, SfAssetsError | None] = {}
    for done in execute(org, plan):
        found[done.slug] = done.error
        try:
            workspace.load(done.slug, org)
        except SfAssetsError as error:
            found[done.slug] = done.error or error
    return found


def _ahead(workspace: Workspace) -> Outcome:
    org = workspace.org()
    past = org.client.now() + timedelta(hours=3)
    window = Window(past, past + timedelta(hours=1))
    slugs = (VICTIM, *OTHERS)
    org.raw.coverage_log.add({slug: [window] for slug in slugs}, {}, org.client.now())
    failed: dict[str, SfAssetsError] = {}
    present_inventory(org, failed)
    return _of_all(failed)


def _rebuilt(workspace: Workspace) -> Outcome:
    org = workspace.org()
    found: dict[str, SfAssetsError | None] = {}
    for slug in (VICTIM, *OTHERS):
        found[slug] = None
        try:
            rebuild(org, org.stored_raw, slug)
        except SfAssetsError as error:
            found[slug] = error
    return found


def _checked(check: Callable[[Org, Failures], Any]) -> Callable[[Workspace], Outcome]:
    def checked(workspace: Workspace) -> Outcome:
        org = workspace.org()
        failed: dict[str, SfAssetsError] = {}
        found = list(check(org, failed) or ())
        assert {one.slug for one in found} <= {VICTIM, *OTHERS}
        return _of_all(failed)

    return checked


def _keep(org: Org, failed: Failures) -> None:
    record(org, org.stored_raw, list(_asked(org, {})), datetime.now(UTC), failed)


def _asked(org: Org, failed: Failures) -> Iterator[Finding]:
    wanted = {spec.slug: list(spec.silver_checks.values()) for spec in org.catalog.objects.values()}
    return check_silver(org, org.stored_raw, wanted, failed)


def _sampled(workspace: Workspace) -> Outcome:
    org = workspace.org()
    found = list(check_derived(org, org.catalog.select([])))
    return {f.slug: UnforeseenError(f.reason) if f.reason else None for f in found}


def _reconciled(workspace: Workspace) -> Outcome:
    org = workspace.org()
    return {found.slug: found.error for found in reconcile(org, org.catalog.select([]))}


def _told(workspace: Workspace) -> Outcome:
    org = workspace.org()
    return {found.slug: found.error for found in status(org, org.catalog.select([]))}


def _examined(workspace: Workspace) -> Outcome:
    told = {one.what.lower(): one for one in examine(workspace.org())}
    return {
        slug: None if told[slug].ok else UnforeseenError(told[slug].detail)
        for slug in (VICTIM, *OTHERS)
    }


def _cleaned(workspace: Workspace) -> Outcome:
    found = list(remove_leftovers(workspace.org().stored_raw, datetime.now(UTC)))
    return {one.slug: one.error for one in found}


def _expired(workspace: Workspace) -> Outcome:
    keeps: dict[str, Any] = {"retention_days": 1}
    workspace.catalogue(dict.fromkeys(OBJECTS, keeps))
    org = workspace.org()
    now = org.client.now() + timedelta(days=3)
    return {spec.slug: expire(org.raw, spec, now) for spec in org.catalog.select([])}


def _forgotten(workspace: Workspace) -> Outcome:
    org = workspace.org()
    return _of_all(forget(org, org.catalog.objects["Account"], ["001000000000ZZZ"]).errors)


SCENES: Mapping[Work, Callable[[Workspace], Outcome]] = {
    Work.DESCRIBE: _ticked,
    Work.PLAN: _ticked,
    Work.PROBE: _ticked,
    Work.ASK_DELETED: _ticked,
    Work.EXTRACT: _ticked,
    Work.NOTE_WAITING: _ticked,
    Work.LOAD: _ticked,
    Work.COUNT: _backfilled,
    Work.ESTIMATE: _backfilled,
    Work.TAKE_BACK: _ahead,
    Work.REBUILD: _rebuilt,
    Work.CHECK_RAW: _checked(
        lambda o, f: check_raw(o.stored_raw, o.catalog.select((VICTIM, *OTHERS)), o.now(), f)
    ),
    Work.CHECK_SILVER: _checked(_asked),
    Work.KEEP: _checked(_keep),
    Work.SAMPLE: _sampled,
    Work.RECONCILE: _reconciled,
    Work.STATUS: _told,
    Work.EXAMINE: _examined,
    Work.CLEAN: _cleaned,
    Work.EXPIRE: _expired,
    Work.FORGET: _forgotten,
}
"""What leads to each place; the rest is in `IN_A_REFRESH`."""

IN_A_REFRESH = {Work.REPORT, Work.CHECK, Work.BUILD, Work.PUBLISH, Work.UNITE, Work.COMMAND}
"""Places in a whole refresh: sf_assets_tests/cli/test_isolated_refresh.py."""


def throw_in(
    monkeypatch: pytest.MonkeyPatch, work: Work, slug: str, throw: Callable[[], object]
) -> list[str]:
    """Have something thrown at the end of the work of an object; a list that tells how often."""
    thrown: list[str] = []

    def wrapped(leave: Callable[..., Any]) -> Callable[..., Any]:
        def left(self: Any, kind: Any, error: Any, trace: Any) -> Any:
            if error is None and (self.work, self.slug) == (work, slug):
                thrown.append(slug)
                try:
                    throw()
                except Exception as new:  # noqa: BLE001 (that is what is tried)
                    kind, error, trace = type(new), new, new.__traceback__
            return leave(self, kind, error, trace)

        return left

    for boundary in (failures.attributed, failures.isolated):
        monkeypatch.setattr(boundary, "__exit__", wrapped(boundary.__exit__))
    return thrown


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        pytest.param(work, kind, id=f"{work.name}-{kind}")
        for work, kind in zip(SCENES, itertools.cycle(KINDS), strict=False)
    ],
)
def test_what_is_thrown_in_the_work_of_one_object_harms_no_other(
    company: Company,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    work: Work,
    kind: str,
) -> None:
    with monkeypatch.context() as patch:
        thrown = throw_in(patch, work, VICTIM, KINDS[kind])
        outcome = SCENES[work](workspace)
    assert thrown, f"nothing led to {work.name}"
    for slug in OTHERS:
        assert outcome[slug] is None, outcome[slug]
    error = outcome[VICTIM]
    assert error is not None
    assert str(error).startswith(f"{work} {VICTIM} failed: ")
    assert kind in str(error)
    assert PLANTED not in str(error)
    if SCENES[work] is _ticked:
        for name in ("Account", "Lead"):
            assert differences(company.emulator, workspace, name) == []
        assert _ticked(workspace).get(VICTIM) is None
        assert differences(company.emulator, workspace, "Contact") == []


def test_every_place_is_tried() -> None:
    assert SCENES.keys() | IN_A_REFRESH == set(Work)


PACKAGE = Path(sf_assets.__file__).parent
WHERE = [
    "pipeline/**/*.py",
    "assets/objects_step.py",
    "cli/*.py",
    "storage/vacuum.py",
]
OF_AN_OBJECT = {"slug", "spec", "item", "extracted", "table", "gap"}
HARMLESS = {
    "cli/clean.py:clean": "each removal has a boundary of its own",
    "cli/dagster_home.py:_forget_in_database": "tables of Dagster's, one database at a time",
    "pipeline/extraction/execute.py:execute": "each removal has a boundary of its own",
    "pipeline/forgotten.py:derived_columns": "reads describes",
    "pipeline/untraceable.py:untraceable": "within the boundary of the storage",
    "pipeline/gold/due.py:gold_due": "compares what was built",
    "cli/tables.py:_compared": "tells what is left out",
    "cli/tables.py:rebuild": "each rebuild has a boundary of its own",
    "cli/tables.py:work": "each rebuild has a boundary of its own",
    "pipeline/planning/backoff.py:note": "keeps failures",
    "pipeline/extraction/formula_drift.py:_plan": "sorts what was measured and set aside",
    "pipeline/extraction/formula_drift.py:_taken_up": "compares names of slices",
    "pipeline/extraction/formula_drift.py:check_derived": "tells what was measured",
    "pipeline/planning/estimate.py:fitting": "adds up",
    "pipeline/planning/future_coverage.py:_ahead": "compares moments",
    "pipeline/checks/gates.py:closed_gates": "compares what was answered",
    "pipeline/fan_out.py:_merged": "tells what was set aside, and names checks",
    "pipeline/gold/files.py:gold_tables": "compares names",
    "pipeline/load.py:behind": "compares names of slices",
    "pipeline/planning/plan.py:_describe_again": "sorts what was described",
    "pipeline/planning/plan.py:_described": "tells warnings",
    "pipeline/planning/plan.py:_gaps": "the windows of one object, within its boundary",
    "pipeline/planning/plan.py:plan_backfill": "sorts what was ordered",
    "pipeline/planning/plan.py:plan_tick": "sorts what was ordered",
    "pipeline/checks/results.py:_remedies": "reads the catalogue",
    "pipeline/refresh.py:_gold": "tells what was answered",
    "pipeline/status.py:_unpassed": "tells what was answered",
    "pipeline/refresh.py:_read": "tells what is left out",
    "pipeline/refresh.py:plan_days": "sorts by window",
    "pipeline/refresh.py:_refresh_objects": "tells what waits, was set aside or is left out",
    "pipeline/scheduled.py:loading_checks": "names checks",
    "pipeline/scheduled.py:tick_request": "names checks",
    "pipeline/checks/results.py:due_checks": "compares moments",
    "pipeline/scheduled.py:_tick": "tells what waits, was set aside or is left out",
    "pipeline/lost_files.py:lost_files": "compares sizes of files",
    "pipeline/run.py:_execute": "tells failures; the objects have a boundary of their own",
    "pipeline/run.py:_extract": "tells what waits",
    "pipeline/run.py:_failures": "tells failures",
    "pipeline/run.py:_load_others": "each load has a boundary of its own",
    "pipeline/extraction/execute.py:_results": "tells failures",
    "pipeline/planning/deferred_windows.py:still_deferred": "compares windows",
}
"""Loops over objects in which nothing is done that could go wrong for one of them."""


def _loops() -> Iterator[tuple[str, ast.For]]:
    """Loops over objects, with the function that they are in."""
    for pattern in WHERE:
        for path in sorted(PACKAGE.glob(pattern)):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
            for function in functions:
                for loop in ast.walk(function):
                    if isinstance(loop, ast.For) and _names(loop.target) & OF_AN_OBJECT:
                        yield f"{path.relative_to(PACKAGE).as_posix()}:{function.name}", loop


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _is_bounded(loop: ast.For) -> bool:
    opened = [i.context_expr for n in ast.walk(loop) if isinstance(n, ast.With) for i in n.items]
    return any(
        isinstance(call, ast.Call) and _names(call.func) & {"isolated", "attributed"}
        for call in opened
    )


def test_every_loop_over_objects_does_its_work_within_a_boundary() -> None:
    loops = list(_loops())
    assert len(loops) > 30
    unbounded = {where for where, loop in loops if not _is_bounded(loop)}
    assert unbounded == set(HARMLESS)
