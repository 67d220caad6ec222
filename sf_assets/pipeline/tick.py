"""Which objects a tick has work for; the others are recorded as covered."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import WarehouseError
from sf_assets.pipeline import aside
from sf_assets.pipeline.aside import Aside
from sf_assets.pipeline.estimate import fitting
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.org import load_org
from sf_assets.pipeline.plan import plan_tick
from sf_assets.pipeline.told import keep_told

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """What a tick has to do.

    Attributes:
        slugs: Objects to run for: those that changed, those that fail, and those whose silver lags
            behind raw. Not those of which the budget carries nothing now.
        aside: Objects that keep failing, and are not tried before their time.
    """

    slugs: list[str]
    aside: dict[str, Aside]


def due(org_name: str, specs: Iterable[ObjectSpec], *, anyway: bool = False) -> Due:
    """Probe objects and record those in which nothing changed.

    Args:
        org_name: Name of the org.
        specs: Which objects.
        anyway: Whether objects are tried that have been set aside, as when they are named.

    Raises:
        BudgetExhaustedError: There is work, and the budget carries none of it.
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    org = load_org(org_name)
    now = datetime.now(UTC)
    failing = aside.kept(org.lake)
    late = {slug for slug, note in failing.items() if not anyway and note.next_try > now}
    specs = list(specs)
    left = {spec.slug: failing[spec.slug] for spec in specs if spec.slug in late}
    specs = [spec for spec in specs if spec.slug not in left]
    try:
        plan = plan_tick(org, specs)
    finally:
        keep_told(org.lake, org.client.budget)
    org.lake.proofs.add(plan.idle, plan.deletions.none, org.now())
    ready = {slug for slug, orders in fitting(org.client.budget, plan.orders).items() if orders}
    waiting = plan.orders.keys() - ready
    asked = plan.failed.keys() | ready | plan.deletions.slugs
    try:
        asked |= behind(org, org.lake)
        idle = {spec.slug for spec in specs} - asked - waiting
    except WarehouseError as error:  # the warehouse is busy; the next tick will ask again
        log.debug("silver was not looked at: %s", error)
        idle = set()
    aside.note(org.lake, {}, idle | {aside.ORG}, now)
    if waiting and not asked:
        raise org.client.budget.refusal(f"the query for {', '.join(sorted(waiting))}")
    return Due([spec.slug for spec in specs if spec.slug in asked], left)
