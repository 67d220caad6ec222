"""Idle assets that are up to date: said by the hour, so that Dagster sees what is overdue."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from sf_assets.assets.objects import Group
from sf_assets.errors import SfAssetsError, WarehouseError
from sf_assets.pipeline.checks.builtin import check_raw
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.lost_files import lost_files
from sf_assets.pipeline.org import Org

_RAW_EVERY = timedelta(minutes=50)
_SILVER_EVERY = timedelta(hours=5, minutes=50)  # runs come by the hour, and may come early
_KEPT = frozenset(
    {"dagster/row_count", "dagster/table_name", "dagster/column_schema", "dagster/uri"}
)


def still_fresh(
    context: dg.AssetExecutionContext, group: Group, org: Org, failures: dict[str, SfAssetsError]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Materialize again, by what they are, the assets in which nothing has changed for hours.

    Raw is fresh while its coverage is, silver while it lacks nothing of raw. Nothing is read, the
    org is not asked, and gold is not built for it.

    Args:
        context: The run.
        group: The objects.
        org: The org.
        failures: Gets objects that could not be looked at.
    """
    lake = org.kept_lake
    found = check_raw(lake, group.specs.values(), org.now(), failures, {"freshness"})
    fresh = {f.slug: f.facts for f in found if f.name == "freshness" and f.passed}
    lacking = _lacking(org, group, failures)
    for slug, facts in fresh.items():
        if slug in failures:
            continue
        layers = [(group.raw_key(slug), _RAW_EVERY)]
        if slug not in lacking:
            layers.append((group.silver_key(slug), _SILVER_EVERY))
        for key, every in layers:
            event = context.instance.get_latest_materialization_event(key)
            known = event.asset_materialization if event else None
            if event is None or known is None:
                continue
            if datetime.now(UTC) - datetime.fromtimestamp(event.timestamp, UTC) >= every:
                kept = {n: v for n, v in known.metadata.items() if n in _KEPT}
                yield dg.MaterializeResult(asset_key=key, metadata=facts | kept)


def _lacking(org: Org, group: Group, failures: dict[str, SfAssetsError]) -> set[str]:
    """Objects of which silver lacks something; all, where it cannot be looked at now.

    Of what raw has lost the files that silver was made of it is told, as no tick reads them.
    """
    lake = org.kept_lake
    try:
        if org.warehouse.exists():
            with org.reading(lake.org_id) as session:
                found = lost_files(lake, session.slices)
                failures |= {slug: error for slug, error in found.items() if slug in group.specs}
        return behind(org, lake)
    except WarehouseError:
        return set(group.specs)
