"""The checks of every object's tables, asked of raw and of the warehouse."""

from collections.abc import (
    Callable,
    Container,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sf_assets.builtin_checks import RAW_CHECKS, SILVER_CHECKS
from sf_assets.catalog import ObjectSpec
from sf_assets.describe import FieldInfo, ObjectInfo
from sf_assets.errors import SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning import backoff
from sf_assets.pipeline.planning.backoff import FailedStep, LastingFailure
from sf_assets.pipeline.schema.schema_cache import StoredDescribes, newest_columns
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.timetable import SHORTEST
from sf_assets.warehouse.port import Silver
from sf_assets.windows import BEGIN, Coverage

FRESH = timedelta(hours=1)
"""How old coverage may be, beyond what the catalogue's times make it."""
SNAPSHOT_FRESH = timedelta(days=1, hours=1)
"""Objects without a cursor are read whole, large ones once a day."""

LEFT_OUT = "not read any more; it keeps what was read last, until `sf-assets rebuild` removes it"
"""Of a column whose field the catalogue, or its query, leaves out by now."""

_LATEST = 20
_PICKLISTS = frozenset({"picklist", "multipicklist"})  # a combobox takes any text


Facts = dict[str, str | int | float]
"""Numbers and names to show; never values of records."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one check.

    Attributes:
        slug: Lower-cased object name.
        name: The check.
        passed: Whether all is well.
        severe: Whether a failure means that tables are wrong, not only that data looks odd.
        facts: What to show.
        offenders: Rows or values that offend; None when the table is judged as a whole.
        ids: Ids of some of the rows.
        reason: Why it could not be asked; empty when it could.
        definition: Digest of what a declared check asks.
    """

    slug: str
    name: str
    passed: bool
    severe: bool
    facts: Facts = field(default_factory=dict)
    offenders: int | None = None
    ids: tuple[str, ...] = ()
    reason: str = ""
    definition: str = ""


Failures = MutableMapping[str, SfAssetsError]
"""Objects of which something could not be asked, and why, by lower-cased name."""


def check_raw(
    raw: RawLayer,
    specs: Iterable[ObjectSpec],
    now: datetime,
    failures: Failures,
    names: Container[str] = RAW_CHECKS,
) -> Iterator[Finding]:
    """Check the raw layer of objects.

    Args:
        raw: The raw layer.
        specs: Which objects.
        now: The org's present, or ours when the org is not asked.
        failures: Gets those that could not be checked.
        names: Which checks.
    """
    found = raw.inventory()
    failing = backoff.lasting_failures(raw, FailedStep.EXTRACT)
    for spec in specs:
        slug = spec.slug
        with isolated(Work.CHECK_RAW, slug, failures):
            refs, covered = found.refs.get(slug, []), found.coverage.get(slug, Coverage())
            mine = sorted(refs, key=lambda ref: ref.id)
            if "ledger" in names:
                yield _ledger(slug, list(raw.read(mine[-_LATEST:])), len(mine))
            yield from _coverage(slug, covered)
            fault = failing.get(slug) or failing.get(backoff.ORG)
            yield _freshness(spec, mine, covered.watermark, now, fault)


def _freshness(
    spec: ObjectSpec,
    refs: Sequence[SliceRef],
    watermark: datetime,
    now: datetime,
    fault: LastingFailure | None,
) -> Finding:
    """Whether the coverage is as recent as its times allow, and nothing keeps it from going on."""
    whole = bool(refs) and refs[-1].kind is SliceKind.SNAPSHOT
    allowed = (SNAPSHOT_FRESH if whole else FRESH) + spec.refresh.pause - SHORTEST
    fresh = watermark > BEGIN and now - watermark <= allowed
    facts: Facts = {"watermark": _formatted(watermark)}
    if watermark > BEGIN:
        facts["minutes behind"] = round((now - watermark).total_seconds() / 60)
    if fault:
        facts |= {"failing since": _formatted(fault.since), "next try": _formatted(fault.next_try)}
        facts["error"] = fault.error
    return Finding(spec.slug, "freshness", fresh and not fault, severe=False, facts=facts)


def _ledger(slug: str, latest: list[Slice], slices: int) -> Finding:
    unequal = [piece.id for piece in latest if not piece.counts.agree]
    facts: Facts = {
        "slices": slices,
        "unequal": ", ".join(unequal) or "none",
    }
    if latest:
        counts = latest[-1].counts.model_dump()
        counts["deduplicated"] = counts.pop("known")
        facts |= {f"last slice, {name}": count for name, count in counts.items()}
    passed = bool(latest) and not unequal
    return Finding(slug, "ledger", passed, severe=bool(latest), facts=facts)


def _coverage(slug: str, covered: Coverage) -> Iterator[Finding]:
    gaps = covered.gaps(covered.windows[-1].end) if covered.windows else []
    facts: Facts = {
        "gaps": len(gaps),
        "watermark": _formatted(covered.watermark),
    }
    if gaps:
        facts["newest gap"] = str(gaps[0])
    passed = not gaps and covered.watermark > BEGIN
    # Not severe: a gap is no wrong row, and the next tick fills it.
    yield Finding(slug, "coverage", passed, severe=False, facts=facts)


def check_silver(
    org: Org, raw: RawLayer, slugs: Iterable[str], failures: Failures
) -> Iterator[Finding]:
    """Check the silver tables of objects.

    Args:
        org: The org; it is not asked anything.
        raw: Its raw layer, which has the describes.
        slugs: Which objects.
        failures: Gets those that could not be checked.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    slugs = list(slugs)
    if not org.warehouse.exists():
        yield from (finding for slug in slugs for finding in _no_table(slug))
        return
    kept = StoredDescribes(raw)
    read = {spec.slug for spec in org.catalog.objects.values()}
    with org.reading(raw.org_id) as session:
        silver = session.silver
        for slug in slugs:
            with isolated(Work.CHECK_SILVER, slug, failures), session.explained():
                if slug in silver:
                    newest = newest_columns(raw, raw.refs(slug).get(slug, []))
                    table = _Table(silver, slug, kept.info(slug), read, newest)
                    yield from (_ANSWERS[name](table) for name in SILVER_CHECKS)
                else:
                    yield from _no_table(slug)


def _no_table(slug: str) -> Iterator[Finding]:
    """No check passes, and none is severe: why there is no table is said by whoever failed."""
    for name in SILVER_CHECKS:
        facts: Facts = {"reason": "there is no table yet"}
        yield Finding(slug, name, passed=False, severe=False, facts=facts)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of silver that is checked.

    Attributes:
        silver: All tables.
        slug: Its object.
        info: Its describe, if there is one.
        read: Lower-cased names of the objects that are read; tables of others stand still.
        columns: Names of the columns that the newest slice has, lower-cased; None if none has any.
    """

    silver: Silver
    slug: str
    info: ObjectInfo | None
    read: Container[str]
    columns: Container[str] | None

    @property
    def fields(self) -> Sequence[FieldInfo]:
        return self.info.exportable if self.info else ()


def _ids(table: _Table) -> Finding:
    bad, rows = table.silver.bad_ids(table.slug), table.silver.rows(table.slug)
    facts: Facts = {"offenders": bad, "live rows": rows}
    return Finding(table.slug, "ids", bad == 0, severe=True, facts=facts, offenders=bad)


def _rejects(table: _Table) -> Finding:
    return _by_column(table.slug, "rejects", table.silver.rejects(table.slug))


def _references(table: _Table) -> Finding:
    leading = {
        field.name: field.reference_to
        for field in table.fields
        if field.reference_to and all(name.lower() in table.read for name in field.reference_to)
    }
    return _by_column(table.slug, "references", table.silver.dangling(table.slug, leading))


def _picklists(table: _Table) -> Finding:
    listed = {f.name: f.picklist for f in table.fields if f.picklist and f.type in _PICKLISTS}
    return _by_column(table.slug, "picklists", table.silver.unlisted(table.slug, listed))


def _by_column(slug: str, name: str, offenders: Mapping[str, int]) -> Finding:
    """A check that passes where no column has offenders."""
    count = sum(offenders.values())
    return Finding(slug, name, not count, severe=False, facts={**offenders}, offenders=count)


def _schema(table: _Table) -> Finding:
    """Columns that keep what was last known, because their fields are not read any more."""
    info, columns = table.info, table.silver.columns(table.slug)
    fields = info.fields if info else ()
    facts: Facts = {f.name: str(f.gone) for f in fields if f.gone and f.name in columns}
    if table.columns is not None:
        facts = facts | {
            name: LEFT_OUT
            for name in columns
            if not name.startswith("_") and name not in facts and name.lower() not in table.columns
        }
    if info and info.gone:
        facts = {info.name: str(info.gone)}
    return Finding(table.slug, "schema", not facts, severe=False, facts=facts)


_ANSWERS: Mapping[str, Callable[[_Table], Finding]] = {
    "ids": _ids,
    "rejects": _rejects,
    "references": _references,
    "picklists": _picklists,
    "schema": _schema,
}
"""What answers each of the checks that every table of silver has."""


def _formatted(moment: datetime) -> str:
    return "never read" if moment == BEGIN else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
