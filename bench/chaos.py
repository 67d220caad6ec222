"""Chaos: an hour of an org's life, faults in every twentieth answer, a tick every few minutes.

`python -m bench.chaos [MINUTES] [SEED]`, or `make bench-chaos`. Records change all along, some
transactions commit late, records are deleted, purged, undeleted and merged, formulas drift, fields
come, go and change; stamps go back, objects refuse what was allowed, some ticks bring rows into raw
alone. In the end every table is compared with the org, and every row of the ledger is accounted
for.
"""

import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.adversity import Adversity
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.emulator.world.life import OFFICE, UPHEAVAL, Life
from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.extraction import extract
from sf_assets.pipeline.extraction.execute import Extraction, execute
from sf_assets.pipeline.extraction.formula_drift import plan_derived
from sf_assets.pipeline.extraction.repair import Repair
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.planning import dedupe, probe
from sf_assets.pipeline.planning.plan import plan_tick
from sf_assets.pipeline.reconciliation.reconcile import reconcile
from sf_assets.salesforce import session
from sf_assets.salesforce.rest import ROWS_A_PAGE
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import derived_differences, differences

OBJECTS = (
    "Account", "Contact", "Opportunity", "OpportunityHistory", "Case", "Lead", "Task",
    "Showcase__c", "Showcase_Item__c",
)  # fmt: skip
_CHANGES_A_MINUTE = 6
_LAG, _OVERLAP, _LATEST = 120, 600, 300
_ADVERSE = 0.5
"""Share of the minutes in which something befalls the org beside its users' work."""

_MERGED = 0.75
"""Share of the ticks that merge; after the others, records that they brought are purged."""

_BROKEN = 0.05
"""Share of the answers that fail; of result pages and new jobs it is more."""

_BUSY = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."

_FAULTS: tuple[dict[str, Any], ...] = (
    {"status": 503, "body": "<html>busy</html>"},
    {"status": 502, "body": "<html>gateway</html>"},
    {"status": 429, "body": "<html>slow down</html>", "headers": {"Retry-After": "0"}},
    {"status": 401, "code": "INVALID_SESSION_ID", "message": "Session expired or invalid"},
    {"reset_after": 200},
    {"close_after": 300},
    {"date_skew": 86_400.0},
    {"headers": {"Date": "Fri, 31 Dec 9999 23:59:59 GMT"}},
)
_FURTHER_FAULTS: tuple[dict[str, Any], ...] = (
    {"path": "/results", "headers": {"Sforce-NumberOfRecords": "7"}},
    {"path": "/results", "truncate_after": 900},
    {"path": "/results|/query", "repeat_row": 3},
    {"path": "/query|/composite|/token", "truncate_after": 60},
    {"path": "/query", "replace": {'"totalSize":': '"totalSize":"many","was":'}},
    {"status": 403, "code": "REQUEST_LIMIT_EXCEEDED", "message": _BUSY},
    {"method": "POST", "path": "/jobs/query$", "job_state": "Failed", "job_message": "told to"},
)


def chaos(minutes: int, seed: int, folder: Path) -> Iterator[str]:
    """Live through chaos; what is told of it, and in the end of what differs.

    Args:
        minutes: Minutes of the org's life.
        seed: Chooses what happens.
        folder: An empty folder.
    """
    dice = random.Random(seed)  # noqa: S311 (no secret)
    clock = Clock(datetime(2026, 11, 20, 15, 30, tzinfo=UTC), frozen=True)
    settings = Settings(job_seconds=0.0, faults=True, page_rows=100)
    with Emulator(scale=0.03, seed=seed, settings=settings, clock=clock) as org, _impatient():
        workspace = Workspace(folder, org.environment)
        workspace.env["SF_ASSETS_LAG_SECONDS"] = str(_LAG)
        workspace.env["SF_ASSETS_OVERLAP_SECONDS"] = str(_OVERLAP)
        workspace.catalogue(dict.fromkeys(OBJECTS))
        life = Life(org.records, seed, 1.0, weights=OFFICE | UPHEAVAL, late=0.1, longest=_LATEST)
        adversity = Adversity(org, folder / "raw", dice, _LAG + _OVERLAP)
        upheavals = _schema_changes(org)
        for minute in range(minutes):
            for _ in range(_CHANGES_A_MINUTE):
                life.step()
            if minute % 10 == 7 and upheavals:
                yield f"minute {minute}: {upheavals.pop(0)()}"
            if dice.random() < _ADVERSE:
                yield f"minute {minute}: {adversity.step()}"
            org.advance(60)
            if dice.random() < 0.4:
                # Rows by REST where they are few, as always, or all by Bulk; with windows of many
                # rows, or of what counts as many.
                merge = dice.random() < _MERGED
                many = dice.choice((50, dedupe.MANY))
                with (
                    patch.object(dedupe, "MANY", many),
                    patch.object(extract, "REST_ROWS", dice.choice((0, extract.REST_ROWS))),
                    patch.object(probe, "ROWS_A_PAGE", dice.choice((20, ROWS_A_PAGE))),
                ):
                    told = _tick(org, workspace, seed + minute, merge=merge)
                yield f"minute {minute}: {told}"
                if not merge:
                    adversity.purge(["Task"])
        adversity.end()
        org.advance(2 * 3600)  # what is kept of describes is older than that
        yield from _settle(org, workspace)


def _tick(org: Emulator, workspace: Workspace, seed: int, *, merge: bool) -> str:
    """A tick in which answers fail at random; without a merge it ends with raw."""
    assert org.faults is not None
    share = _BROKEN / len(_FAULTS)
    before = org.faults.hits
    for number, fault in enumerate((*_FAULTS, *_FURTHER_FAULTS)):
        # Dice of their own: with the same ones, all faults would meet in the same requests.
        dice = 1000 * seed + number
        org.faults.add(Fault(times=0, probability=share, seed=dice, **fault))
    try:
        done = workspace.tick() if merge else _raw_alone(workspace)
    except SfAssetsError as error:
        return f"failed, {type(error).__name__}"
    finally:
        org.faults.clear()
    failed = {slug: type(e.error).__name__ for slug, e in done.items() if e.error}
    where = "" if merge else " into raw alone"
    told = (
        f"{len(done) - len(failed)} objects read{where}, {org.faults.hits - before} answers failed"
    )
    return told + (f", {failed}" if failed else "")


def _raw_alone(workspace: Workspace) -> dict[str, Extraction]:
    org = workspace.org()
    plan = plan_tick(org, org.catalog.select([]))
    return {extracted.slug: extracted for extracted in execute(org, plan)}


def _settle(org: Emulator, workspace: Workspace) -> Iterator[str]:
    """Ticks without faults, deletions and derived fields looked at; then the comparison."""
    yield from _catch_up(org, workspace)
    here = workspace.org()
    specs = here.catalog.select([])
    for found in reconcile(here, specs):
        lost = {k: n for k, n in found.kinds.items() if k not in {"gone", "purged"}}
        if lost or found.error:
            yield f"DIFFERENT: {found.slug}: {lost} {found.error or ''}"
    for found in reconcile(here, specs, Repair(here, reread=False, accept=True)):
        workspace.load(found.slug, here)
    with plan_derived(here, specs, everything=True) as plan:
        workspace.run(here, plan)
    for name in OBJECTS:
        for difference in differences(org, workspace, name)[:5]:
            yield f"DIFFERENT: {name}: {difference}"
        for difference in derived_differences(org, workspace, name)[:5]:
            yield f"DIFFERENT: {name}: {difference}"
    yield from _unexplained(workspace)


def _catch_up(org: Emulator, workspace: Workspace) -> Iterator[str]:
    """Two ticks without faults, and the merges that were left out."""
    for _ in range(2):
        for slug, done in workspace.tick().items():
            if done.error:
                yield f"DIFFERENT: {slug} fails without a fault: {done.error}"
        org.advance(_LAG + 60)
    here = workspace.org()
    for slug in behind(here, here.raw):
        workspace.load(slug, here)


def _unexplained(workspace: Workspace) -> Iterator[str]:
    """Rows of the ledger that are not accounted for."""
    slices = workspace.rows(
        "SELECT count(*) FROM ops.slices WHERE NOT (rows_org = rows_pages AND rows_pages = "
        "rows_parsed AND rows_parsed = rows_known + rows)"
    )[0][0]
    merges = workspace.rows(
        "SELECT count(*) FROM ops.merges WHERE rows_in <> inserted + updated + unchanged + stale"
    )[0][0]
    if slices or merges:
        yield f"DIFFERENT: {slices} slices and {merges} merges do not add up"
    rows = workspace.rows("SELECT count(*), sum(rows_in)::BIGINT FROM ops.merges")[0]
    yield f"{rows[0]} merges of {rows[1]} rows add up"


def _schema_changes(org: Emulator) -> list[Callable[[], str]]:
    admin = org.admin

    def told(what: str, change: Callable[[], object]) -> Callable[[], str]:
        def carry_out() -> str:
            change()
            return what

        return carry_out

    text = {"type": "string", "length": 80}
    longer = text | {"length": 120}
    return [
        told("a field is added", lambda: admin.add_field("Account", "Tier__c", text)),
        told("a field is hidden", lambda: admin.hide_field("Contact", "Title")),
        told("it is longer", lambda: admin.change_field("Account", "Tier__c", longer)),
        told("a field is shown again", lambda: admin.show_field("Contact", "Title")),
        told("another is added", lambda: admin.add_field("Case", "Channel__c", text)),
    ]


@contextmanager
def _impatient() -> Iterator[None]:
    """Waiting times that an hour of ticks has; all is as before when the block ends."""
    with (
        patch.object(session, "_FIRST_PAUSE", 0.002),
        patch.object(session, "_LONGEST_PAUSE", 0.02),
        patch.object(session, "READ_SECONDS", 5.0),
    ):
        yield


def main(minutes: int = 60, seed: int = 1) -> int:
    """Live through so many minutes; whether all was equal in the end, as an exit code."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for told in chaos(minutes, seed, Path(folder)):
            wrong += told.startswith("DIFFERENT")
            print(told, flush=True)
    print("all tables equal the org" if not wrong else f"{wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
