"""The quality of an org's tables as an asset: scores to plot, and a list of what to fix."""

from typing import Any

import dagster as dg

from sf_assets.catalog import Catalog
from sf_assets.naming import ops_name, silver_name

SCORED_WHEN_CHECKED = (
    dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.any_checks_match(dg.AutomationCondition.newly_updated())
    ).since_last_handled()
    & ~dg.AutomationCondition.in_progress()
)
"""Checks may run with nothing loaded, as every morning."""


def quality_key(org: str) -> dg.AssetKey:
    """Key of an org's quality asset."""
    return dg.AssetKey([ops_name(org), "quality"])


def quality(catalog: Catalog, org: str) -> dg.Definitions:
    """The quality asset of one org, and the sensor that builds it when checks ran."""
    key = quality_key(org)

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([silver_name(org), spec.slug]) for spec in catalog.objects.values()],
        description=(
            "How good the tables are by their latest checks, from 0 to 100. History is in "
            "ops.quality_scores, what to fix in ops.to_fix, worst first."
        ),
        kinds={"sql"},
        group_name=ops_name(org),
        owners=list(catalog.owners),
        automation_condition=SCORED_WHEN_CHECKED,
    )
    def score() -> dg.MaterializeResult[Any]:
        from sf_assets.pipeline.checks.declared import score_facts
        from sf_assets.pipeline.org import load_org

        home = load_org(org)
        return dg.MaterializeResult(metadata=score_facts(home, home.kept_lake))

    sensor = dg.AutomationConditionSensorDefinition(
        f"score_{key.path[0]}",
        target=dg.AssetSelection.assets(key),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    return dg.Definitions(assets=[score], sensors=[sensor])
