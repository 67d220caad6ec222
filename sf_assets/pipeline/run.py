"""One run of objects of one org: extract, load, check. What it does Dagster and a terminal show."""

import logging
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from sf_assets.catalog import ObjectSpec
from sf_assets.checks.builtin import RAW_CHECKS
from sf_assets.checks.check import Finding
from sf_assets.errors import (
    BusyError,
    LimitExceededError,
    SfAssetsError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from sf_assets.failures import Work, isolated
from sf_assets.naming import Layer
from sf_assets.pipeline.checks.answers import check_raw, check_silver
from sf_assets.pipeline.checks.results import record
from sf_assets.pipeline.events import (
    Checked,
    Deferred,
    Event,
    Failed,
    ObjectExtracted,
    ObjectLoaded,
    Reason,
    extraction_facts,
)
from sf_assets.pipeline.extraction.execute import Extraction, execute
from sf_assets.pipeline.extraction.formula_drift import check_derived
from sf_assets.pipeline.load import load, record_failures
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.backoff import ORG, FailedStep, at, note
from sf_assets.pipeline.planning.estimate import Estimate
from sf_assets.pipeline.planning.plan import Plan
from sf_assets.pipeline.reconciliation.reconcile import check_reconciled
from sf_assets.pipeline.unite import unite
from sf_assets.storage.raw_layer import RawLayer

log = logging.getLogger(__name__)

_ORG_ANSWERS = {"derived": check_derived, "reconciled": check_reconciled}
"""What answers the checks that ask the org."""

CHECKS = "checks"
"""In the place of an object's name, where none is to blame."""


class Reading(StrEnum):
    """Why objects are read, which says how much is told of them."""

    TICK = "tick"  # what is not covered; idle objects and failures that last are told quietly
    BACKFILL = "backfill"  # a range, whatever raw holds of it
    DERIVED = "derived"  # fields that change without a stamp


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is to do.

    Attributes:
        reading: Why.
        plan: Plans what is to be extracted; the plan is used inside the context.
        specs: Objects of the org, by lower-cased name; all those named below are among them.
        raw: Objects to extract.
        silver: Objects to load.
        checks: Names of checks to answer, by object.
    """

    reading: Reading
    plan: Callable[[], AbstractContextManager[Plan]]
    specs: Mapping[str, ObjectSpec]
    raw: Collection[str] = ()
    silver: Collection[str] = ()
    checks: Mapping[str, Collection[str]] = field(default_factory=dict)


def run(org: Org, request: Request) -> Iterator[Event]:
    """Extract, load and check objects; each fails alone, and an object is loaded once it is read.

    Args:
        org: The org.
        request: What is to be done.

    Yields:
        What was done, as soon as it is committed. What failed comes last, after the checks: an
        object fails for one reason, the first.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all. A tick tells that as the
            org's failure, and checks what there is.
    """
    return _Run(org, request).carry_out()


class _Run:
    def __init__(self, org: Org, request: Request) -> None:
        self._org = org
        self._request = request
        self._tick = request.reading is Reading.TICK
        self._errors: dict[str, SfAssetsError] = {}
        self._waits: set[str] = set()  # objects whose reading waits
        self._held: set[str] = set()  # objects whose silver waits for the warehouse
        self._touched: set[str] = set()
        self._merged: set[str] = set()
        self._unmerged: dict[str, SfAssetsError] = {}
        self._closed: SfAssetsError | None = None  # why the warehouse cannot be opened at all
        self._old: set[str] = set()  # failures that an earlier tick has told

    @property
    def _away(self) -> bool:
        """Whether the org cannot be reached."""
        return ORG in self._errors

    @property
    def _raw(self) -> RawLayer:
        asks = self._request.raw and not self._away
        return self._org.raw if asks else self._org.stored_raw

    def carry_out(self) -> Iterator[Event]:
        if self._request.raw:
            yield from self._extract()
        if not self._away:
            yield from self._load_others()
        self._note_failures()
        yield from self._check()
        yield from self._failures()
        if not self._closed:
            yield from unite(self._org)

    def _extract(self) -> Iterator[Event]:
        """Extract objects; an object's silver follows as soon as its raw is there."""
        try:
            planned = self._request.plan()
        except LimitExceededError as error:
            for slug in self._request.raw:
                self._waits.add(slug)
                yield self._deferred(Layer.RAW, slug, Reason.BUDGET, error)
            return
        except SfAssetsError as error:
            if not self._tick:
                raise
            self._errors[ORG] = error
            return
        with planned as plan:
            yield from self._execute(plan)

    def _execute(self, plan: Plan) -> Iterator[Event]:
        unknown: dict[str, SfAssetsError] = {}
        costs = plan.costs(self._raw, unknown) if plan.asked else {}
        for slug, why in unknown.items():
            log.warning("%s will cost nobody knows what: %s", slug, why)
        with closing(execute(self._org, plan)) as results:
            for extraction in results:
                slug, error = extraction.slug, extraction.error
                self._touched.add(slug)
                yield from self._extracted(extraction, costs.get(slug))
                if error and extraction.waits:
                    self._waits.add(slug)
                    because = Reason.BUSY if isinstance(error, BusyError) else Reason.BUDGET
                    yield self._deferred(Layer.RAW, slug, because, error)
                elif error:
                    self._errors[slug] = error
                    continue
                if slug in self._request.silver:
                    yield from self._load(slug)

    def _extracted(self, extraction: Extraction, cost: Estimate | None) -> Iterator[Event]:
        with isolated(Work.REPORT, extraction.slug, self._errors):
            if extraction.slices:
                folder = self._raw.store.public_uri(self._raw.raw_folder(extraction.slug))
                facts = extraction_facts(extraction, self._org.client.budget, cost, folder)
                yield ObjectExtracted(self._org.name, extraction, facts)

    def _load_others(self) -> Iterator[Event]:
        """Load the objects whose raw was not touched."""
        for slug in self._request.silver:
            if slug not in self._touched:
                yield from self._load(slug)

    def _load(self, slug: str) -> Iterator[Event]:
        failed: dict[str, SfAssetsError] = {}
        with isolated(Work.LOAD, slug, failed):
            if self._closed:  # it is not waited for again for each object
                raise self._closed
            loaded = load(self._org, self._raw, slug)
            told = bool(loaded.slices) or self._request.reading is Reading.BACKFILL
            yield ObjectLoaded(self._org.name, slug, loaded, told)
        error = failed.get(slug)
        if isinstance(error, WarehouseUnreachableError):
            self._closed = error
        if isinstance(error, WarehouseLockedError):
            self._held.add(slug)
            yield self._deferred(Layer.SILVER, slug, Reason.LOCKED, error)
        elif error:
            self._unmerged[slug] = self._errors.setdefault(slug, error)
        else:
            self._merged.add(slug)

    def _deferred(self, layer: Layer, slug: str, because: Reason, error: SfAssetsError) -> Deferred:
        return Deferred(self._org.name, layer, slug, because, error)

    def _note_failures(self) -> None:
        """Keep which objects fail, for the ticks to come."""
        if not (self._request.raw or self._request.silver):
            return
        objects = self._request.specs.keys() | {ORG}
        unread = {
            slug: error
            for slug, error in self._errors.items()
            if slug in objects and slug not in self._unmerged
        }
        read = set(self._request.raw) - unread.keys() - self._waits
        if self._request.reading is Reading.DERIVED:  # which says nothing of the windows
            read = set()
        with suppress(SfAssetsError):  # there may be no storage to note it in
            self._note(FailedStep.EXTRACT, unread, read)
            self._note(at(FailedStep.MERGE, self._org.place), self._unmerged, self._merged)

    def _note(self, what: str, failed: Mapping[str, SfAssetsError], well: Collection[str]) -> None:
        new = note(self._raw, what, failed if self._tick else {}, well, datetime.now(UTC))
        self._old |= failed.keys() - new if self._tick else set()

    def _check(self) -> Iterator[Event]:
        """Answer the checks that are asked for, and no others: each costs what it asks about."""
        wanted = self._request.checks
        if not wanted:
            return
        findings: list[Finding] = []
        asked_at, before = datetime.now(UTC), set(self._errors)
        with isolated(Work.CHECK, CHECKS, self._errors):
            for finding in self._findings(wanted):
                if finding.name in wanted[finding.slug]:
                    findings.append(finding)  # noqa: PERF401 (an error keeps those before it)
            # Before anybody hears of them: what follows from checks reads what is kept of them.
            kept = [found for found in findings if found.name not in RAW_CHECKS]
            record(self._org, self._raw, kept, asked_at, self._errors)
        self._note_checks(wanted, before)
        held = self._held and isinstance(self._errors.get(CHECKS), WarehouseLockedError)
        if held or self._away:  # it has been said; away, perhaps there is nothing to check yet
            self._errors.pop(CHECKS, None)
        for finding in findings:
            yield Checked(self._org.name, finding)

    def _note_checks(self, wanted: Collection[str], before: Collection[str]) -> None:
        """Keep of which objects checks of silver fail to be run, for the ticks to come."""
        failed = {
            slug: e for slug, e in self._errors.items() if slug in wanted and slug not in before
        }
        with suppress(SfAssetsError):
            self._note(at(FailedStep.CHECK, self._org.place), failed, wanted)

    def _findings(self, wanted: Mapping[str, Collection[str]]) -> Iterator[Finding]:
        def asked(names: Container[str]) -> list[str]:
            return [slug for slug, some in wanted.items() if any(name in names for name in some)]

        specs = self._request.specs
        if slugs := asked(RAW_CHECKS):
            names = {name for some in wanted.values() for name in some}
            read = [specs[slug] for slug in slugs]
            yield from check_raw(self._raw, read, self._org.now(), self._errors, names)
        if self._closed:
            return
        # Silver that waits is older than raw.
        wanted = {slug: some for slug, some in wanted.items() if slug not in self._held}
        silver = {
            slug: [check for name, check in specs[slug].silver_checks.items() if name in some]
            for slug, some in wanted.items()
        }
        if silver := {slug: checks for slug, checks in silver.items() if checks}:
            yield from check_silver(self._org, self._raw, silver, self._errors)
        for name, check in _ORG_ANSWERS.items():
            if slugs := asked({name}):
                yield from check(self._org, [specs[slug] for slug in slugs])

    def _failures(self) -> Iterator[Event]:
        """What failed; the sync log keeps what is news."""
        news = {slug: error for slug, error in self._errors.items() if slug not in self._old}
        if news and not self._closed:
            with suppress(SfAssetsError):  # there may be no storage to say whose they are
                record_failures(self._org, self._raw.org_id, news)
        for slug, error in self._errors.items():
            layer = Layer.SILVER if slug in self._unmerged else Layer.RAW
            yield Failed(self._org.name, layer, slug, error, news=slug in news)
