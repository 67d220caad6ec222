"""Checks that ask the org, at the cost of calls: once a day, not whenever a table is loaded."""

from collections.abc import Collection, Iterator

from sf_assets.catalog import ObjectSpec
from sf_assets.pipeline.checks.builtin import Facts, Finding
from sf_assets.pipeline.extraction.formula_drift import check_derived
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.reconciliation.reconcile import Reconciled, reconcile


def check_org(org: Org, specs: Collection[ObjectSpec], names: Collection[str]) -> Iterator[Finding]:
    """Answer those of the checks that ask the org which are wanted.

    Args:
        org: The org.
        specs: Which objects.
        names: Which checks.
    """
    if "derived" in names:
        yield from check_derived(org, specs)
    if "reconciled" in names:
        for found in reconcile(org, specs):
            yield Finding(
                found.slug,
                "reconciled",
                found.as_asked,
                severe=not (found.error or found.standing),
                facts=_facts(found),
                reason=str(found.error or found.standing),
            )


def _facts(found: Reconciled) -> Facts:
    if found.error:
        return {"reason": str(found.error)}
    horizon = f"{found.horizon:%Y-%m-%d %H:%M:%S} UTC" if found.horizon else "none"
    facts: Facts = {
        "horizon": horizon,
        "records in the org": found.org,
        "in silver": found.silver,
        "days that differ": len(found.differences),
        "differ from raw": found.replayed,
    }
    facts |= found.kinds
    if found.unasked:  # they are asked for hourly, or swept daily
        facts["gone, not asked for yet"] = found.unasked
    if found.compared:
        facts["all fields compared of"] = found.compared.records
        facts |= {f"{name} differs in": n for name, n in found.compared.changed.items()}
    if found.standing:
        facts["reason"] = found.standing
    return facts | ({"such as": ", ".join(found.examples)} if found.examples else {})
