"""The declared checks of silver, and what its checks come to: scores, and what to fix."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sf_assets.builtin_checks import ORG_CHECKS, REMEDIES, SILVER_CHECKS
from sf_assets.catalog import Catalog, ObjectSpec
from sf_assets.declared_checks import Expectation, Severity
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.checks.builtin import Facts, Failures, Finding
from sf_assets.pipeline.checks.gates import gates
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.schema_cache import StoredDescribes
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.warehouse.check_results import CheckResult, Score
from sf_assets.warehouse.questions import Answer, Subject
from sf_assets.windows import BEGIN

UNASKED, UNASKED_OF = "never asked", "never asked of"
"""Facts: how many checks no score counts, because they could never be asked, and of what."""


def check_declared(
    org: Org, raw: RawLayer, wanted: Mapping[str, Sequence[Expectation]], failures: Failures
) -> Iterator[Finding]:
    """Ask declared checks of silver.

    Args:
        org: The org; it is not asked anything.
        raw: Its raw layer, which has the describes.
        wanted: The checks to ask, by lower-cased object name.
        failures: Gets the objects of which they could not be asked.

    Raises:
        WarehouseError: The warehouse is locked.
    """
    if not org.warehouse.exists():
        yield from (_no_table(slug, check) for slug in wanted for check in wanted[slug])
        return
    kept = StoredDescribes(raw)
    prefixes = {slug: i.key_prefix for slug in kept.names if (i := kept.info(slug))}
    known = {slug: prefix for slug, prefix in prefixes.items() if prefix}
    read = {spec.slug for spec in org.catalog.objects.values()}
    with org.reading(raw.org_id) as session:
        silver, now = session.silver, org.now()
        earlier = session.checks.readings(wanted)
        for slug, checks in wanted.items():
            with isolated(Work.CHECK_DECLARED, slug, failures), session.explained():
                if slug not in silver:
                    yield from (_no_table(slug, check) for check in checks)
                    continue
                rows = silver.rows(slug)
                subject = Subject(slug, kept.info(slug), known, earlier.get(slug, ()), read)
                for check in checks:
                    yield _finding(slug, check, session.ask(check, subject, now), rows)


def _no_table(slug: str, check: Expectation) -> Finding:
    answer = Answer(passed=False, reason="there is no table yet")
    return replace(_finding(slug, check, answer, 0), severe=False)


def _finding(slug: str, check: Expectation, answer: Answer, rows: int) -> Finding:
    facts: Facts = {"live rows": rows, **answer.facts}
    if answer.offenders is not None:
        facts["offenders"] = answer.offenders
        facts["share"] = round(answer.offenders / rows, 6) if rows else 0.0
    if answer.ids:
        facts["ids"] = ", ".join(answer.ids)
    if answer.reason:
        facts["reason"] = answer.reason
    if answer.sql:
        facts["sql"] = answer.sql
    return Finding(
        slug,
        check.name,
        answer.passed,
        severe=check.severe,
        facts=facts,
        offenders=answer.offenders,
        ids=answer.ids,
        reason=answer.reason,
        definition=check.definition,
    )


def record(
    org: Org,
    raw: RawLayer,
    findings: Collection[Finding],
    asked_at: datetime,
    failures: Failures,
) -> None:
    """Keep what checks of silver found, and list in `ops.to_fix` what is to be fixed.

    Of objects without a table there is nothing to keep.

    Args:
        org: The org; it is not asked anything.
        raw: Its raw layer.
        findings: What they found.
        asked_at: When they were asked, by our clock, which merges are noted by as well: an answer
            says nothing of what was merged since.
        failures: Gets objects of which it could not be kept.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    if not findings or not org.warehouse.exists():
        return
    blocking = gates(org.catalog)
    with org.writing(raw.org_id) as session:
        silver = session.silver
        rows: dict[str, int] = {}
        for slug in {found.slug for found in findings if found.slug in silver}:
            with isolated(Work.KEEP, slug, failures), session.explained():
                rows[slug] = silver.rows(slug)
        kept = [
            CheckResult(
                checked_at=asked_at,
                org_id=raw.org_id,
                object=found.slug,
                check=found.name,
                severity=Severity.ERROR if found.severe else Severity.WARN,
                blocking=(found.slug, found.name) in blocking,
                passed=found.passed,
                offenders=found.offenders,
                rows=rows[found.slug],
                ids=found.ids,
                reason=found.reason,
                definition=found.definition,
            )
            for found in findings
            if found.slug in rows
        ]
        session.checks.keep(kept, _remedies(org.catalog))


def score(org: Org, raw: RawLayer) -> list[Score]:
    """Score the org's objects anew, keep the scores, and bring `ops.to_fix` up to the catalogue.

    Returns:
        The scores, overall first; none where nothing was checked yet.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    if not org.warehouse.exists():
        return []
    with org.writing(raw.org_id) as session:
        return session.checks.score(datetime.now(UTC), _remedies(org.catalog))


def score_facts(org: Org, raw: RawLayer) -> Facts:
    """Score the org's objects anew; what to show of it, of the whole and of each object.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    facts: Facts = {}
    for one in score(org, raw):
        if one.object is None:
            facts |= {"score": one.score, "checks": one.checks, "to fix": one.failed}
        else:
            facts[f"score/{one.object}"] = one.score
    if never := unasked(org, raw):
        facts |= {UNASKED: never.total(), UNASKED_OF: ", ".join(sorted(never))}
    return facts


def unasked(org: Org, raw: RawLayer) -> Counter[str]:
    """How many checks of silver were never asked, by lower-cased object; no score counts them.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    wanted = {check for check in _remedies(org.catalog) if check[1] not in ORG_CHECKS}
    if org.warehouse.exists():
        with org.reading(raw.org_id) as session:
            wanted -= session.checks.last_run().keys()
    return Counter(slug for slug, _ in wanted)


def due_checks(org: Org, specs: Iterable[ObjectSpec]) -> dict[str, set[str]]:
    """Checks of silver that were not run, as they are now, since the last merge of their object.

    So one that is new or changed, and those that a killed run left out, are run by the next tick.

    Args:
        org: The org; it is not asked anything.
        specs: Of which objects; nothing is said of those that have no table yet.

    Returns:
        Names of checks by lower-cased object.

    Raises:
        ConfigError: Nothing was ever read.
        WarehouseError: The warehouse is locked or refuses.
    """
    if not org.warehouse.exists():
        return {}
    with org.reading(org.stored_raw.org_id) as session:
        tables, last_run = session.silver.tables(), session.checks.last_run()
        there = [spec for spec in specs if spec.slug in tables]
        merged_at = session.gold.merged_at([spec.slug for spec in there])
    found: dict[str, set[str]] = {}
    for spec in there:
        merged = merged_at.get(spec.slug, BEGIN)
        declared = {check.name: check.definition for check in spec.expectations}
        for name, definition in (dict.fromkeys(SILVER_CHECKS, "") | declared).items():
            at, asked = last_run.get((spec.slug, name), (None, None))
            if at is None or at < merged or (asked or "") != definition:
                found.setdefault(spec.slug, set()).add(name)
    return found


def _remedies(catalog: Catalog) -> dict[tuple[str, str], str]:
    """What to do when a check does not pass, for every check of silver there is."""
    every = {name: REMEDIES.get(name, asks) for name, asks in (SILVER_CHECKS | ORG_CHECKS).items()}
    found: dict[tuple[str, str], str] = {}
    for spec in catalog.objects.values():
        found |= {(spec.slug, name): remedy for name, remedy in every.items()}
        found |= {(spec.slug, check.name): check.remedy for check in spec.expectations}
    return found
