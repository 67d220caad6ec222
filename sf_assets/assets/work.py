"""What the objects' step does: plan, extract, load, check; an object that fails fails alone."""

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from sf_assets.assets.carried import carry_over
from sf_assets.assets.fresh import still_fresh
from sf_assets.assets.objects import (
    DERIVED_TAG,
    FAILS,
    FRESH_TAG,
    LEFT,
    TICK_TAG,
    WAITS,
    WINDOW_TAG,
    Events,
    Group,
)
from sf_assets.assets.partitions import keys_touched, window_of
from sf_assets.errors import (
    BusyError,
    LimitExceededError,
    SfAssetsError,
    WarehouseLockedError,
)
from sf_assets.expectations import ORG_CHECKS, RAW_CHECKS, SILVER_CHECKS
from sf_assets.failures import Work, alone
from sf_assets.pipeline.aside import ORG, What, note
from sf_assets.pipeline.checks import Finding, check_raw, check_silver
from sf_assets.pipeline.derived import plan_derived
from sf_assets.pipeline.estimate import Estimate
from sf_assets.pipeline.load import Loaded, load, record_failures
from sf_assets.pipeline.org import Org, load_org
from sf_assets.pipeline.org_checks import check_org
from sf_assets.pipeline.plan import Plan, plan_backfill, plan_tick
from sf_assets.pipeline.quality import check_declared, record
from sf_assets.pipeline.sync import Extracted, execute
from sf_assets.storage.lake import Lake
from sf_assets.warehouse.columns import Column
from sf_assets.windows import ALWAYS, Window, parse_compact

CHECKS = "checks"
"""In the place of an object's name, where none is to blame."""


def work(context: dg.AssetExecutionContext, group: Group) -> Events:
    """Extract the selected raw assets, load the selected silver assets, run the selected checks.

    Raises:
        dg.Failure: At the end, when any object failed; the others are done by then.
    """
    step = _Step(context, group, load_org(group.org))
    shown = set()
    for event in step.carry_out():
        yield event
        if isinstance(event, dg.MaterializeResult):
            shown.add(event.asset_key)
    others = set(group.every_check(group.specs)) - context.selected_asset_check_keys
    if not context.instance.is_ephemeral:
        carry_over(context, [key for key in others if key.asset_key in shown])
    if step.failures:
        step.record_failures()
        raise dg.Failure(
            "; ".join(f"{slug}: {error}" for slug, error in step.failures.items()),
            metadata={slug: str(error) for slug, error in step.failures.items()},
            allow_retries=False,
        )


class _Step:
    """One execution of the step."""

    def __init__(self, context: dg.AssetExecutionContext, group: Group, org: Org) -> None:
        self._context = context
        self._group = group
        self._org = org
        keys = context.selected_asset_keys
        self.raw = dict.fromkeys(s for s in group.specs if group.raw_key(s) in keys).keys()
        self.silver = [slug for slug in group.specs if group.silver_key(slug) in keys]
        self.errors: dict[str, SfAssetsError] = {}
        self.waiting: dict[str, SfAssetsError] = {}
        self._tick = TICK_TAG in context.run.tags
        self._derived = context.run.tags.get(DERIVED_TAG)
        self._asked_window = context.run.tags.get(WINDOW_TAG)
        partitioned = context.has_partition_key or context.has_partition_key_range
        self._asked_keys = list(context.partition_keys) if partitioned else []
        self._touched: set[str] = set()
        self._idle = FRESH_TAG in context.run.tags
        self._told: set[str] = set()  # failures that an earlier run has told
        self._held: set[str] = set()  # objects whose silver waits for the warehouse
        self._merged: set[str] = set()
        self._unmerged: dict[str, SfAssetsError] = {}

    def carry_out(self) -> Events:
        """All that the run is for."""
        if self._idle:
            yield from still_fresh(self._context, self._group, self._org, self.errors)
        else:
            if self.raw:
                yield from self.extract()
            if not self.away:
                yield from self.load_others()
            self.note_failures()
        yield from self.check()

    @property
    def failures(self) -> dict[str, SfAssetsError]:
        """What makes the run fail: what a backfill did not read, too; a tick goes on by itself.

        Of what keeps failing, a tick has told.
        """
        if not self._tick:
            return self.errors | self.waiting
        return {slug: error for slug, error in self.errors.items() if slug not in self._told}

    @property
    def away(self) -> bool:
        """Whether the org cannot be reached."""
        return ORG in self.errors

    @property
    def _lake(self) -> Lake:
        asks = self.raw and not self.away and not self._idle
        return self._org.lake if asks else self._org.kept_lake

    def extract(self) -> Events:
        """Extract the raw assets; an object's silver follows as soon as its raw is there."""
        try:
            planned = self._planned()
        except LimitExceededError:
            raise
        except SfAssetsError as error:
            if not self._tick:
                raise
            self.errors[ORG] = error
            return
        with planned as plan:
            yield from self._carry_out(plan)

    def note_failures(self) -> None:
        """Keep which objects fail, for the ticks to come; say so where that is not news."""
        objects = self._group.specs.keys() | {ORG}
        unread = {s: self.errors[s] for s in self.errors.keys() & objects - self._unmerged.keys()}
        waits = self.waiting.keys() - self._held
        read = set() if self._derived else self.raw - unread.keys() - waits
        with suppress(SfAssetsError):  # there may be no storage to note it in
            self._note(What.READING, unread, read, self._group.raw_key)
            self._note(What.MERGING, self._unmerged, self._merged, self._group.silver_key)

    def _note(
        self,
        what: What,
        failed: Mapping[str, SfAssetsError],
        well: Collection[str],
        key: Callable[[str], dg.AssetKey],
    ) -> None:
        new = note(self._lake, what, failed if self._tick else {}, well, datetime.now(UTC))
        told = failed.keys() - new if self._tick else set()
        for slug in sorted(told - {ORG}):
            self._observe(key(slug), FAILS, failed[slug])
        self._told |= told

    def _carry_out(self, plan: Plan) -> Events:
        unknown: dict[str, SfAssetsError] = {}
        costs = plan.costs(self._lake, unknown) if plan.asked else {}
        for slug, error in unknown.items():
            self._context.log.warning("%s will cost nobody knows what: %s", slug, error)
        with closing(execute(self._org, plan)) as results:
            for extracted in results:
                self._touched.add(extracted.slug)
                with alone(Work.REPORT, extracted.slug, self.errors):
                    if extracted.slices:
                        yield self._extracted(extracted, costs.get(extracted.slug))
                if extracted.waits:
                    self._note_waiting(extracted)
                elif extracted.error:
                    self.errors[extracted.slug] = extracted.error
                    continue
                if extracted.slug in self.silver:
                    yield from self._load(extracted.slug)

    def _note_waiting(self, extracted: Extracted) -> None:
        """Say that an object waits for the budget, which is no fault of its own."""
        key = self._group.raw_key(extracted.slug)
        self._wait(key, extracted.error or SfAssetsError("waits"))

    def _wait(self, key: dg.AssetKey, error: SfAssetsError) -> None:
        self.waiting[key.path[-1]] = error
        self._observe(key, LEFT if isinstance(error, BusyError) else WAITS, error)

    def _observe(self, key: dg.AssetKey, name: str, error: SfAssetsError) -> None:
        self._context.log_event(dg.AssetObservation(key, metadata={name: str(error)}))

    def _planned(self) -> AbstractContextManager[Plan]:
        if self._derived is None:
            return nullcontext(self._plan())
        specs = [self._group.specs[slug] for slug in self.raw]
        return plan_derived(self._org, specs, everything=self._derived != "drifted")

    def _plan(self) -> Plan:
        specs = [self._group.specs[slug] for slug in self.raw]
        if self._tick:
            return plan_tick(self._org, specs)
        if self._asked_window:
            start, end = self._asked_window.split("/")
            return plan_backfill(self._org, specs, Window(parse_compact(start), parse_compact(end)))
        if not self._asked_keys:
            return plan_backfill(self._org, specs, ALWAYS)
        first, last = self._asked_keys[0], self._asked_keys[-1]
        window = window_of(self._group.grain, self._group.start, first, last)
        return plan_backfill(self._org, specs, window)

    def load_others(self) -> Events:
        """Load the silver assets whose raw was not touched; quietly where nothing was asked of it.

        A tick, or a reading of derived fields, tells only of those that lagged behind.
        """
        for slug in self.silver:
            if slug not in self._touched:
                yield from self._load(slug)

    def _load(self, slug: str) -> Events:
        key, failed = self._group.silver_key(slug), dict[str, SfAssetsError]()
        with alone(Work.LOAD, slug, failed):
            loaded = load(self._org, self._lake, slug)
            if loaded.slices or not (self._tick or self._derived):
                self._touched.add(slug)
                yield dg.MaterializeResult(asset_key=key, metadata=_silver_metadata(key, loaded))
        error = failed.get(slug)
        if isinstance(error, WarehouseLockedError):
            self._held.add(slug)
            self._wait(key, error)
        elif error:
            self._unmerged[slug] = self.errors.setdefault(slug, error)
        else:
            self._merged.add(slug)

    def record_failures(self) -> None:
        """Write into the sync log what failed."""
        with suppress(SfAssetsError):  # there may be no storage to say whose they are
            record_failures(self._org, self._lake.org_id, self.errors)

    def check(self) -> Events:
        """Answer the selected checks, and no others: each costs what it asks about.

        What is selected and not answered would hide what was found before.
        """
        wanted: dict[str, set[str]] = defaultdict(set)
        for key in self._context.selected_asset_check_keys:
            wanted[key.asset_key.path[-1]].add(key.name)
        if not wanted:
            return
        findings: list[Finding] = []
        asked_at = datetime.now(UTC)
        with alone(Work.CHECK, CHECKS, self.errors):
            for finding in self._findings(wanted):
                if finding.name in wanted[finding.slug]:
                    findings.append(finding)  # noqa: PERF401 (an error keeps those before it)
            # Before Dagster hears of them: what follows from checks reads what is kept of them.
            kept = [f for f in findings if f.name not in RAW_CHECKS]
            record(self._org, self._lake, kept, asked_at, self.errors)
        held = self._held and isinstance(self.errors.get(CHECKS), WarehouseLockedError)
        if held or self.away:  # it has been said; away, perhaps there is nothing to check yet
            self.errors.pop(CHECKS, None)
        yield from map(self._result, findings)

    def _findings(self, wanted: Mapping[str, Collection[str]]) -> Iterator[Finding]:
        def asked(names: Container[str]) -> list[str]:
            return [slug for slug, some in wanted.items() if any(name in names for name in some)]

        if slugs := asked(RAW_CHECKS):
            names = {name for some in wanted.values() for name in some}
            specs = [self._group.specs[slug] for slug in slugs]
            yield from check_raw(self._lake, specs, self._org.now(), self.errors, names)
        # Silver that waits is older than raw.
        wanted = {slug: some for slug, some in wanted.items() if slug not in self._held}
        if slugs := asked(SILVER_CHECKS):
            yield from check_silver(self._org, self._lake, slugs, self.errors)
        for name in ORG_CHECKS:
            if slugs := asked({name}):
                yield from check_org(self._org, [self._group.specs[slug] for slug in slugs], [name])
        declared = {
            slug: [c for c in self._group.specs[slug].expectations if c.name in some]
            for slug, some in wanted.items()
        }
        if declared := {slug: checks for slug, checks in declared.items() if checks}:
            yield from check_declared(self._org, self._lake, declared, self.errors)

    def _result(self, finding: Finding) -> dg.AssetCheckResult:
        layer = self._group.raw_key if finding.name in RAW_CHECKS else self._group.silver_key
        severity = dg.AssetCheckSeverity.ERROR if finding.severe else dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(
            asset_key=layer(finding.slug),
            check_name=finding.name,
            passed=finding.passed,
            severity=severity,
            metadata=finding.facts,
        )

    def _extracted(self, extracted: Extracted, cost: Estimate | None) -> dg.MaterializeResult[Any]:
        """The result of a raw asset, its facts on the newest partition.

        Plain metadata would be copied to each partition of a range, which would be untrue and, for
        years of days, large. Partitions that the windows touch and the run did not ask for are
        reported beside.
        """
        key = self._group.raw_key(extracted.slug)
        if not self._context.instance.is_ephemeral:
            windows = [piece.window for piece in extracted.slices if piece.kind.covers]
            for touched in keys_touched(self._group.grain, self._group.start, windows):
                if touched not in self._asked_keys:
                    self._context.log_event(dg.AssetMaterialization(key, partition=touched))
        metadata = _raw_metadata(extracted) | _cost_metadata(self._org, cost)
        if len(self._asked_keys) <= 1:
            return dg.MaterializeResult(asset_key=key, metadata=metadata)
        newest = self._asked_keys[-1]
        self._context.add_asset_metadata(metadata, asset_key=key, partition_key=newest)
        return dg.MaterializeResult(asset_key=key)


def _raw_metadata(extracted: Extracted) -> dict[str, Any]:
    slices = extracted.slices
    ledger = {
        name: sum(getattr(piece.counts, name) for piece in slices)
        for name in ("org", "pages", "parsed", "known", "written")
    }
    return {f"ledger/{name}": count for name, count in ledger.items()} | {
        "windows": "; ".join(str(piece.window) for piece in slices),
        "sources": ", ".join(piece.job_id or piece.source for piece in slices),
        "files": sum(len(piece.parts) for piece in slices),
        "bytes": sum(part.bytes for piece in slices for part in piece.parts),
        "seconds": round(extracted.seconds, 2),
    }


def _cost_metadata(org: Org, cost: Estimate | None) -> dict[str, Any]:
    """Calls that the run has made so far, how the org's count stands, and what was expected."""
    budget = org.client.budget
    facts: dict[str, Any] = {"api/calls of this run so far": budget.made}
    if calls := budget.calls:
        facts |= {"api/used": calls.used, "api/allowed": calls.allowed, "api/left": calls.left}
    expected = asdict(cost) if cost else {}
    return facts | {f"estimate/{n}": v for n, v in expected.items() if v is not None}


def _silver_metadata(key: dg.AssetKey, loaded: Loaded) -> dict[str, Any]:
    outcome = loaded.outcome
    facts: dict[str, Any] = {
        "dagster/row_count": loaded.rows,
        "dagster/table_name": ".".join(key.path),
        "slices": loaded.slices,
        "ledger/rows in": outcome.rows_in,
        "ledger/inserted": outcome.inserted,
        "ledger/updated": outcome.updated,
        "ledger/unchanged": outcome.unchanged,
        "ledger/stale": outcome.stale,
        "ledger/rejected values": outcome.rejected,
    }
    if loaded.columns:
        facts["dagster/column_schema"] = dg.TableSchema([_column(c) for c in loaded.columns])
    references = {c.name: ", ".join(c.references) for c in loaded.columns if c.references}
    return facts | {f"references/{name}": targets for name, targets in references.items()}


def _column(column: Column) -> dg.TableColumn:
    return dg.TableColumn(column.name, column.sql, column.comment or None)
