"""Which objects a tick has work for; the others are recorded as covered."""

import logging
from collections.abc import Iterable

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import WarehouseError
from sf_assets.pipeline.estimate import fitting
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.org import load_org
from sf_assets.pipeline.plan import plan_tick
from sf_assets.pipeline.told import keep_told

log = logging.getLogger(__name__)


def due(org_name: str, specs: Iterable[ObjectSpec]) -> list[str]:
    """Probe objects and record those in which nothing changed.

    Returns:
        Lower-cased names of the objects to run for: those that changed, those that fail, and those
        whose silver lags behind raw. Not those of which the budget carries nothing now.

    Raises:
        BudgetExhaustedError: There is work, and the budget carries none of it.
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    specs = list(specs)
    org = load_org(org_name)
    try:
        plan = plan_tick(org, specs)
    finally:
        keep_told(org.lake, org.client.budget)
    plan.record(org.lake, org.now())
    ready = {slug for slug, orders in fitting(org.client.budget, plan.orders).items() if orders}
    waiting = plan.orders.keys() - ready
    asked = plan.failed.keys() | ready | plan.deletions.slugs
    try:
        asked |= behind(org, org.lake)
    except WarehouseError as error:  # the warehouse is busy; the next tick will ask again
        log.debug("silver was not looked at: %s", error)
    if waiting and not asked:
        raise org.client.budget.refusal(f"the query for {', '.join(sorted(waiting))}")
    return [spec.slug for spec in specs if spec.slug in asked]
