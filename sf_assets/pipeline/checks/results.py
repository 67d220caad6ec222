"""What checks of silver come to: what is kept, what is due again, scores, and what to fix."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from functools import partial

from sf_assets.catalog import Catalog, ObjectSpec
from sf_assets.checks.builtin import ORG_CHECKS
from sf_assets.checks.check import (
    Check,
    CheckResult,
    Facts,
    Finding,
    Latest,
    Score,
    Severity,
)
from sf_assets.errors import ConfigError
from sf_assets.failures import Failures, Work, isolated
from sf_assets.pipeline.checks.gates import gates
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.stored_describes import StoredDescribes
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.windows import BEGIN

UNASKED, UNASKED_OF = "never asked", "never asked of"
"""Facts: how many checks no score counts, because they could never be asked, and of what."""


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

    So one that is new or changed, and those that a killed run left out, are run by the next tick;
    and those that time alone may have changed, now and then.

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
    raw = org.stored_raw
    with org.reading(raw.org_id) as session:
        tables, last_run = session.silver.tables(), session.checks.last_run()
        there = [spec for spec in specs if spec.slug in tables]
        merged_at = session.gold.merged_at(tables)
    now, describes = datetime.now(UTC), StoredDescribes(raw)
    newest = max(merged_at.values(), default=BEGIN)
    found: dict[str, set[str]] = {}
    for spec in there:
        for name, check in spec.silver_checks.items():
            at, asked = last_run.get((spec.slug, name), (BEGIN, None))
            merged = newest if check.of_others else merged_at.get(spec.slug, BEGIN)
            old = check.good_for is not None and now - at >= check.good_for
            definition = check.definition(partial(describes.info, spec.slug))
            if at == BEGIN or at < merged or old or (asked or "") != definition:
                found.setdefault(spec.slug, set()).add(name)
    return found


def standing_errors(
    org: Org, specs: Iterable[ObjectSpec]
) -> dict[tuple[str, str], tuple[Check, Latest]]:
    """Checks of silver that are errors and did not pass when they were asked last, as they are now.

    Args:
        org: The org; it is not asked anything.
        specs: Of which objects.

    Returns:
        Check and answer, by lower-cased object and name.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    severe = {
        (spec.slug, name): check
        for spec in specs
        for name, check in spec.silver_checks.items()
        if check.severe
    }
    if not org.warehouse.exists():
        return {}
    try:
        raw = org.stored_raw
    except ConfigError:  # nothing was ever read
        return {}
    with org.reading(raw.org_id) as session:
        answers = session.checks.latest(severe)
    describes = StoredDescribes(raw)
    return {
        which: (severe[which], answer)
        for which, answer in answers.items()
        if not answer.passed
        and (answer.definition or "") == severe[which].definition(partial(describes.info, which[0]))
    }


def _remedies(catalog: Catalog) -> dict[tuple[str, str], str]:
    """What to do when a check does not pass, for every check of silver there is."""
    found: dict[tuple[str, str], str] = {}
    for spec in catalog.objects.values():
        found |= {(spec.slug, name): check.remedy for name, check in ORG_CHECKS.items()}
        found |= {(spec.slug, name): check.remedy for name, check in spec.silver_checks.items()}
    return found
