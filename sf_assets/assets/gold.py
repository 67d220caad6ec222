"""Gold assets: one for each `.sql` file."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from sf_assets.assets.integration import Integration
from sf_assets.errors import ConfigError, LeftOutError
from sf_assets.naming import Layer
from sf_assets.warehouse.gold_sql import GoldTable

if TYPE_CHECKING:
    from sf_assets.pipeline.org import Org
    from sf_assets.warehouse.port import Built

LEFT_OUT = "left out"
"""Metadata of an observation: why a packaged table is not built."""

_PATIENCE = 60.0
"""Seconds to wait for another run that builds the same table."""

_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"


def day_tags(days: Sequence[date]) -> dict[str, str]:
    """The tags of a run that builds these days, and those between; none where there are no days."""
    return {_RANGE_START: f"{days[0]}", _RANGE_END: f"{days[-1]}"} if days else {}


def lock_name(place: str, table: str) -> str:
    """What the lock is called of a gold table in a warehouse, by its name, empty for the first."""
    return f"{place}.{table}" if place else table


def gold_asset(
    integration: Integration, table: GoldTable, org: str, place: str
) -> dg.AssetsDefinition:
    """The asset of a gold table of one org in one warehouse."""
    spec = integration.spec(org, Layer.GOLD, table.name, place)
    deps = [  # a day is of all that was before it, whatever the partitions of what it reads
        dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping())
        for layer, names in (
            (Layer.SILVER, table.silver),
            (Layer.RAW, table.raw),
            (Layer.GOLD, table.gold),
        )
        for key in integration.keys(org, layer, names, place)
    ]

    @dg.multi_asset(
        name=spec.key.to_python_identifier(),
        specs=[spec.merge_attributes(deps=deps)],
        backfill_policy=dg.BackfillPolicy.single_run() if table.daily else None,
        op_tags={"sf_assets/layer": "gold"},
        required_resource_keys=integration.resource_keys(org),
    )
    def gold(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        from sf_assets.pipeline.events import day_facts
        from sf_assets.pipeline.gold.build import build_gold

        keys = context.partition_keys if table.daily else []
        home = integration.org(context.resources, org, place)
        try:
            raw, days = home.stored_raw, [date.fromisoformat(key) for key in keys]
            # Or the sensor takes this run for dead.
            with raw.building(lock_name(place, table.name), _PATIENCE):
                built = build_gold(home, raw, table, days)
        except LeftOutError as error:
            context.log.warning(str(error))
            context.log_event(dg.AssetObservation(spec.key, metadata={LEFT_OUT: str(error)}))
            return
        for day, facts in day_facts(built).items():
            context.add_asset_metadata(facts, spec.key, partition_key=f"{day:%Y-%m-%d}")
        metadata = gold_metadata(integration, home, table.name, built)
        yield dg.MaterializeResult(spec.key, metadata=metadata)
        home.warehouse.publish()

    return gold


def refused_asset(integration: Integration, name: str, org: str, place: str) -> dg.AssetsDefinition:
    """The asset of a gold file that cannot be used: it fails, and says why."""
    spec = integration.spec(org, Layer.GOLD, name, place)
    why = str(integration.refused(org, place)[name])

    @dg.multi_asset(
        name=spec.key.to_python_identifier(),
        specs=[spec],
        op_tags={"sf_assets/layer": "gold"},
    )
    def refused() -> None:
        raise ConfigError(f"{why}; correct the file, then reload the code location")

    return refused


def gold_metadata(
    integration: Integration, org: "Org", table: str, built: "Built"
) -> dict[str, Any]:
    """What to show of a gold table: its rows, its columns, and what these are made of."""
    from sf_assets.pipeline.events import building_facts

    columns = [
        dg.TableColumn(name, column.type, column.comment or None)
        for name, column in built.columns.items()
    ]
    lineage = {
        name: [
            dg.TableColumnDep(
                integration.key(org.name, source.layer, source.table, org.place), source.column
            )
            for source in column.sources
        ]
        for name, column in built.columns.items()
        if column.sources
    }
    return building_facts(built, f"{org.gold}.{table}") | {
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
    }
