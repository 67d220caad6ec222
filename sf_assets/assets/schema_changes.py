"""How an org's schema changes: one asset, made of the describes kept in raw."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from sf_assets.assets.integration import DESCRIBE, Integration
from sf_assets.errors import ConfigError
from sf_assets.naming import Layer, raw_name
from sf_assets.schema_diff import ADDED, GONE, Change

_SHOWN = 200
_EVERY = 300


def describe_asset(integration: Integration, org: str) -> dg.AssetsDefinition:
    """The asset of an org's schema."""
    spec = integration.spec(org, Layer.RAW, DESCRIBE)

    @dg.multi_asset(
        name=spec.key.to_python_identifier(),
        specs=[spec],
        required_resource_keys=integration.resource_keys(org),
    )
    def describe(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from sf_assets.pipeline.schema.schema_drift import schema_history

        history = list(schema_history(integration.org(context.resources, org).stored_raw))
        return dg.MaterializeResult(spec.key, metadata=_metadata(history))

    return describe


def describe_when_changed(integration: Integration, org: str) -> dg.SensorDefinition:
    """The sensor that makes the asset of an org's schema anew when a describe was kept."""
    key = integration.key(org, Layer.RAW, DESCRIBE)

    @dg.sensor(
        name=integration.named(f"schema_of_{raw_name(org)}"),
        target=dg.AssetSelection.assets(key),
        minimum_interval_seconds=_EVERY,
        default_status=integration.sensor_status,
        required_resource_keys=integration.resource_keys(org),
        description="Looks into raw alone: ticks keep there what describes say anew.",
    )
    def schema_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            raw = integration.org(context.resources, org).stored_raw
            newest = raw.describes.newest_change()
        except ConfigError as error:
            return dg.SkipReason(str(error))
        if newest is None:
            return dg.SkipReason("nothing was described yet")
        return dg.RunRequest(run_key=newest, asset_selection=[key])  # shown in the list of runs

    return schema_sensor


def _metadata(history: Sequence[tuple[datetime, Sequence[Change]]]) -> Mapping[str, Any]:
    """The changes as a table; of those told last, how many there are of each kind."""
    told = list(_rows(history))
    at, latest = history[-1] if history else (None, ())
    facts: dict[str, Any] = {
        "changes": dg.MetadataValue.md("\n".join([_HEAD, *told[:_SHOWN]])),
        "described": len(history),
        "latest/fields added": _count(latest, ADDED),
        "latest/fields gone": _count(latest, GONE),
        "latest/fields changed": sum(c.what not in {ADDED, GONE} and c.field != "" for c in latest),
        "latest/objects": sum(not c.field for c in latest),
    }
    return facts | ({"latest": dg.MetadataValue.timestamp(at)} if at else {})


_HEAD = (
    "| when (UTC) | object | field | what | before | after |\n| --- | --- | --- | --- | --- | --- |"
)


def _rows(history: Sequence[tuple[datetime, Sequence[Change]]]) -> Iterator[str]:
    for at, changes in reversed(history):
        for change in changes:
            cells = (change.object, change.field, change.what, change.before, change.after)
            spelt = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
            yield f"| {at:%Y-%m-%d %H:%M:%S} | {' | '.join(spelt)} |"


def _count(changes: Sequence[Change], what: str) -> int:
    return sum(change.what == what and change.field != "" for change in changes)
