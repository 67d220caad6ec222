"""Assets as they are before a project translates them; their dependencies are added afterwards."""

from datetime import timedelta
from itertools import dropwhile
from typing import Any

import dagster as dg

from sf_assets.assets.partitions import partitions_def
from sf_assets.catalog import Catalog, ObjectSpec
from sf_assets.naming import Layer
from sf_assets.warehouse.gold_sql import GoldTable

_FRESH_RAW = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=2), fail_window=timedelta(hours=3)
)
_FRESH_SILVER = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=8), fail_window=timedelta(hours=9)
)
"""What is idle is said to be fresh, raw once an hour and silver, whose many checks are shown again
with each event, once in six, for as long as its coverage is up to date; see `fresh`."""

SCORED_WHEN_CHECKED = (
    dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.any_checks_match(dg.AutomationCondition.newly_updated())
    ).since_last_handled()
    & ~dg.AutomationCondition.in_progress()
)
"""Checks may run with nothing loaded, as every morning."""


def object_spec(
    key: dg.AssetKey, group: str, layer: Layer, spec: ObjectSpec, *, warehouse_kind: str, tick: str
) -> dg.AssetSpec:
    """The raw or silver asset of an object, both partitioned by the cursor.

    A partition of silver is materialized once all that raw holds of its window is merged. A
    record's row moves on with its cursor, so it is then in the partition of its last change.

    Args:
        key: Its key.
        group: Its group.
        layer: Raw or silver.
        spec: The object.
        warehouse_kind: What silver lives in.
        tick: The schedule that reads and merges it. Dagster shows only those that launch runs of
            assets, and says of this one that nothing automates it.
    """
    common: dict[str, Any] = {
        "group_name": group,
        "skippable": True,
        "owners": list(spec.owners),
        "tags": {"salesforce/object": spec.name, **spec.tags},
        "partitions_def": partitions_def(spec.grain, spec.start),
    }
    if layer is Layer.RAW:
        return dg.AssetSpec(
            key,
            description=f"{spec.name} as Salesforce said it: every version read, all text. "
            f"The schedule `{tick}` reads what changed.",
            kinds={"salesforce", "parquet"},
            freshness_policy=_FRESH_RAW,
            **common,
        )
    return dg.AssetSpec(
        key,
        description=f"{spec.name}, typed by describe: one row for each record Id. "
        f"The schedule `{tick}` merges what it read.",
        kinds={"silver", warehouse_kind},
        freshness_policy=_FRESH_SILVER,
        **common,
    )


def gold_spec(key: dg.AssetKey, group: str, table: GoldTable, catalog: Catalog) -> dg.AssetSpec:
    """The asset of a gold table."""
    days = dg.DailyPartitionsDefinition(f"{catalog.start:%Y-%m-%d}", end_offset=1)
    return dg.AssetSpec(
        key,
        partitions_def=days if table.daily else None,
        description=f"{table.description}\n\n```sql\n{_without_heading(table.sql)}\n```",
        kinds={"gold", "sql"},
        group_name=group,
        owners=list(catalog.owners),
        skippable=True,
    )


def _without_heading(sql: str) -> str:
    """A query without the comment that it begins with, which is the asset's description."""
    lines = dropwhile(lambda line: not line.strip() or line.startswith("--"), sql.splitlines())
    return "\n".join(lines)


def refused_spec(key: dg.AssetKey, group: str, why: Exception, catalog: Catalog) -> dg.AssetSpec:
    """The asset of a gold file that cannot be used, to be seen where its table is looked for."""
    return dg.AssetSpec(
        key,
        description=f"**Its file cannot be used**, so the table stays as it is. {why}",
        metadata={"refused": str(why)},
        kinds={"gold", "sql"},
        group_name=group,
        owners=list(catalog.owners),
    )


def describe_spec(key: dg.AssetKey, group: str) -> dg.AssetSpec:
    """The asset of an org's schema."""
    return dg.AssetSpec(
        key,
        group_name=group,
        kinds={"salesforce"},
        description="What changed in the objects and fields that are exported, newest first.",
    )


def quality_spec(key: dg.AssetKey, group: str, catalog: Catalog) -> dg.AssetSpec:
    """The asset of the quality of an org's tables."""
    return dg.AssetSpec(
        key,
        description=(
            "How good the tables are by their latest checks, from 0 to 100. History is in "
            "ops.quality_scores, what to fix in ops.to_fix, worst first."
        ),
        kinds={"sql"},
        group_name=group,
        owners=list(catalog.owners),
        automation_condition=SCORED_WHEN_CHECKED,
    )
