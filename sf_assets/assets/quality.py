"""The quality of an org's tables as an asset: scores to plot, and a list of what to fix."""

from typing import Any

import dagster as dg

from sf_assets.assets.integration import QUALITY, Integration
from sf_assets.naming import Layer, ops_name


def quality_asset(integration: Integration, org: str, place: str) -> dg.AssetsDefinition:
    """The quality asset of one org in one warehouse."""
    spec = integration.spec(org, Layer.OPS, QUALITY, place)
    slugs = [found.slug for found in integration.of(org).objects.values()]

    @dg.multi_asset(
        name=spec.key.to_python_identifier(),
        specs=[spec.merge_attributes(deps=integration.keys(org, Layer.SILVER, slugs, place))],
        required_resource_keys=integration.resource_keys(org),
    )
    def score(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from sf_assets.pipeline.checks.results import score_facts

        home = integration.org(context.resources, org, place)
        facts = score_facts(home, home.stored_raw)
        home.warehouse.publish()
        return dg.MaterializeResult(spec.key, metadata=facts)

    return score


def score_when_checked(
    integration: Integration, org: str, place: str
) -> dg.AutomationConditionSensorDefinition:
    """The sensor that builds the quality asset when checks ran."""
    return dg.AutomationConditionSensorDefinition(
        integration.named("_".join(filter(None, ("score", place, ops_name(org))))),
        target=dg.AssetSelection.assets(integration.key(org, Layer.OPS, QUALITY, place)),
        default_status=integration.sensor_status,
        description="Scores the tables anew when checks ran.",
    )
