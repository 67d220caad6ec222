"""Gold assets: one for each `.sql` file."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from sf_assets.catalog import Catalog
from sf_assets.errors import LeftOutError
from sf_assets.naming import gold_name, raw_name, silver_name
from sf_assets.warehouse.gold_sql import GoldTable

if TYPE_CHECKING:
    from sf_assets.pipeline.gold.build import Built

LEFT_OUT = "left out"
"""Metadata of an observation: why a packaged table is not built."""

_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"


def day_tags(days: Sequence[date]) -> dict[str, str]:
    """The tags of a run that builds these days, and those between; none where there are no days."""
    return {_RANGE_START: f"{days[0]}", _RANGE_END: f"{days[-1]}"} if days else {}


def gold_asset(catalog: Catalog, table: GoldTable, org: str) -> dg.AssetsDefinition:
    """The asset of a gold table of one org."""
    key = dg.AssetKey([gold_name(org), table.name])
    deps = [
        *(dg.AssetKey([silver_name(org), slug]) for slug in sorted(table.silver)),
        *(dg.AssetKey([raw_name(org), slug]) for slug in sorted(table.raw)),
        *(dg.AssetKey([gold_name(org), name]) for name in sorted(table.gold)),
    ]
    days = dg.DailyPartitionsDefinition(f"{catalog.start:%Y-%m-%d}", end_offset=1)

    @dg.asset(
        key=key,
        deps=deps,
        partitions_def=days if table.daily else None,
        backfill_policy=dg.BackfillPolicy.single_run() if table.daily else None,
        description=f"{table.description}\n\n```sql\n{table.sql}\n```",
        kinds={"gold", "sql"},
        group_name=gold_name(org),
        owners=list(catalog.owners),
        op_tags={"sf_assets/layer": "gold"},
        output_required=False,
    )
    def gold(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        from sf_assets.pipeline.events import day_facts
        from sf_assets.pipeline.gold.build import build_gold
        from sf_assets.pipeline.org import load_org

        keys = context.partition_keys if table.daily else []
        home = load_org(org)
        try:
            built = build_gold(home, home.kept_lake, table, [date.fromisoformat(k) for k in keys])
        except LeftOutError as error:
            context.log.warning(str(error))
            context.log_event(dg.AssetObservation(key, metadata={LEFT_OUT: str(error)}))
            return
        for day, facts in day_facts(built).items():
            context.add_asset_metadata(facts, partition_key=f"{day:%Y-%m-%d}")
        yield dg.MaterializeResult(metadata=gold_metadata(key, built))

    return gold


def gold_metadata(key: dg.AssetKey, built: "Built") -> dict[str, Any]:
    """What to show of a gold table: its rows and columns."""
    from sf_assets.pipeline.events import building_facts

    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in built.columns.items()])
    return building_facts(built, ".".join(key.path)) | {"dagster/column_schema": schema}
