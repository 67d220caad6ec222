"""Idle assets that are up to date: said by the hour, so that Dagster sees what is overdue."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from sf_assets.assets.objects import Objects
from sf_assets.assets.partitions import open_key
from sf_assets.errors import SfAssetsError, WarehouseError
from sf_assets.naming import Layer
from sf_assets.pipeline.checks.answers import check_raw
from sf_assets.pipeline.load import behind
from sf_assets.pipeline.lost_files import lost_files
from sf_assets.pipeline.org import Org

_RAW_EVERY = timedelta(minutes=50)
_SILVER_EVERY = timedelta(hours=5, minutes=50)  # runs come by the hour, and may come early
_KEPT = frozenset(
    {"dagster/row_count", "dagster/table_name", "dagster/column_schema", "dagster/uri"}
)


def still_fresh(
    instance: dg.DagsterInstance, objects: Objects, org: Org, failures: dict[str, SfAssetsError]
) -> Iterator[dg.AssetMaterialization]:
    """Materialize again, by what they are, the assets in which nothing has changed for hours.

    Raw is fresh while its coverage is, silver while it lacks nothing of raw. Nothing is read, the
    org is not asked, and gold is not built for it.

    Args:
        instance: Knows their last events.
        objects: The objects.
        org: The org.
        failures: Gets objects that could not be looked at.
    """
    raw = org.stored_raw
    found = check_raw(raw, objects.specs.values(), org.now(), failures, {"freshness"})
    fresh = {f.slug: f.facts for f in found if f.name == "freshness" and f.passed}
    every = {objects.key(Layer.RAW, slug): (slug, _RAW_EVERY) for slug in fresh}
    for place, mine in zip(org.places, objects.everywhere, strict=True):
        silver = fresh.keys() - _lacking(place, mine, failures)
        every |= {mine.key(Layer.SILVER, slug): (slug, _SILVER_EVERY) for slug in silver}
    for key, (slug, pause) in every.items():
        if slug in failures:
            continue
        event = instance.get_latest_materialization_event(key)
        known = event.asset_materialization if event else None
        if event is None or known is None:
            continue
        if datetime.now(UTC) - datetime.fromtimestamp(event.timestamp, UTC) >= pause:
            kept = {n: v for n, v in known.metadata.items() if n in _KEPT}
            partition = open_key(objects.specs[slug].grain)
            facts = {**fresh[slug], **kept}
            yield dg.AssetMaterialization(key, metadata=facts, partition=partition)


def _lacking(org: Org, objects: Objects, failures: dict[str, SfAssetsError]) -> set[str]:
    """Objects of which silver lacks something; all, where it cannot be looked at now.

    Of what raw has lost the files that silver was made of it is told, as no tick reads them.
    """
    raw = org.stored_raw
    try:
        if org.warehouse.exists():
            with org.reading(raw.org_id) as session:
                found = lost_files(raw, session.slices)
                failures |= {slug: error for slug, error in found.items() if slug in objects.specs}
        return behind(org, raw)
    except WarehouseError:
        return set(objects.specs)
