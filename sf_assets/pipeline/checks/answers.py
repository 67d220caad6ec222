"""The checks of raw, with what answers them, and those of silver, which know how they are asked."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from sf_assets.catalog import ObjectSpec
from sf_assets.checks.builtin import RAW_CHECKS
from sf_assets.checks.check import Check, Facts, Finding, Subject
from sf_assets.failures import Failures, Work, isolated
from sf_assets.naming import Names
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning import backoff
from sf_assets.pipeline.planning.backoff import FailedStep, LastingFailure
from sf_assets.pipeline.schema.stored_describes import StoredDescribes, newest_columns
from sf_assets.privacy import Treatment
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef, column_name
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.timetable import SHORTEST
from sf_assets.windows import BEGIN, Coverage

FRESH = timedelta(hours=1)
"""How old coverage may be, beyond what the catalogue's times make it."""
SNAPSHOT_FRESH = timedelta(days=1, hours=1)
"""Objects without a cursor are read whole, large ones once a day."""

_LATEST = 20


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
    org: Org, raw: RawLayer, wanted: Mapping[str, Sequence[Check]], failures: Failures
) -> Iterator[Finding]:
    """Ask checks of the silver tables of objects.

    Args:
        org: The org; it is not asked anything.
        raw: Its raw layer, which has the describes.
        wanted: The checks to ask, by lower-cased object name.
        failures: Gets the objects of which one could not be asked.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    if not org.warehouse.exists():
        yield from (_no_table(slug, check) for slug in wanted for check in wanted[slug])
        return
    describes, now = StoredDescribes(raw), org.now()
    read = {spec.slug for spec in org.catalog.objects.values()}
    with org.reading(raw.org_id) as session:
        noted = session.treated()
        for slug, checks in wanted.items():
            table = Subject(
                slug,
                session.silver,
                now,
                describes.info,
                read,
                partial(session.checks.readings, slug),
                partial(_newest_columns, raw, slug),
                _treated(noted.get(slug)),
            )
            for check in checks:
                with isolated(Work.CHECK_SILVER, slug, failures), session.explained():
                    there = slug in session.silver
                    yield check.ask(table) if there else _no_table(slug, check)


def _treated(noted: Names[str] | None) -> Names[Treatment]:
    """What was done to fields on their way to a table, by column, as merges noted it."""
    done = ((column_name(path), how.partition(" ")[0]) for path, how in (noted or {}).items())
    return Names((name, Treatment(how)) for name, how in done if how != Treatment.KEEP)


def _newest_columns(raw: RawLayer, slug: str) -> set[str] | None:
    return newest_columns(raw, raw.refs(slug).get(slug, []))


def _no_table(slug: str, check: Check) -> Finding:
    """It does not pass, and is not severe: why there is no table is said by whoever failed."""
    why = "there is no table yet"
    return Finding(
        slug, check.name, passed=False, severe=False, facts={"reason": why}, reason=why,
        definition=check.definition(lambda: None),
    )  # fmt: skip


def _formatted(moment: datetime) -> str:
    return "never read" if moment == BEGIN else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
