"""The quality of an org's tables as an asset: scores to plot, and a list of what to fix."""

from typing import Any

import dagster as dg

from sf_assets.assets.integration import QUALITY, Integration
from sf_assets.naming import Layer, ops_name


def quality_asset(integration: Integration, org: str) -> dg.AssetsDefinition:
    """The quality asset of one org."""
    spec = integration.spec(org, Layer.OPS, QUALITY)
    slugs = [found.slug for found in integration.catalog.objects.values()]

    @dg.multi_asset(
        name=spec.key.to_python_identifier(),
        specs=[spec.merge_attributes(deps=integration.keys(org, Layer.SILVER, slugs))],
        required_resource_keys=integration.resource_keys(org),
    )
    def score(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from sf_assets.pipeline.checks.results import score_facts

        home = integration.org(context.resources, org)
        facts = score_facts(home, home.stored_raw)
        home.warehouse.publish()
        return dg.MaterializeResult(spec.key, metadata=facts)

    return score


def score_when_checked(
    integration: Integration, org: str
) -> dg.AutomationConditionSensorDefinition:
    """The sensor that builds the quality asset when checks ran."""
    return dg.AutomationConditionSensorDefinition(
        integration.named(f"score_{ops_name(org)}"),
        target=dg.AssetSelection.assets(integration.key(org, Layer.OPS, QUALITY)),
        default_status=integration.sensor_status,
        description="Scores the tables anew when checks ran.",
    )
