"""What was made where this Dagster did not see it, as by the command line without `DAGSTER_HOME`.

An asset that nobody told of looks as if it were never made, and somebody would make it again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from sf_assets.assets.objects import Objects
from sf_assets.assets.partitions import keys_touched
from sf_assets.errors import ConfigError, WarehouseError
from sf_assets.naming import Layer, silver_name
from sf_assets.windows import Coverage, Grain

if TYPE_CHECKING:
    from sf_assets.pipeline.org import Org


def never_seen(
    instance: dg.DagsterInstance, objects: Objects, org: "Org"
) -> Iterator[dg.AssetMaterialization]:
    """Tell of what raw covers of assets of which nothing was ever told, in each warehouse.

    Args:
        instance: Knows what was told.
        objects: The objects.
        org: Their org, which is not asked anything.
    """
    for there, place in zip(objects.everywhere, org.places, strict=True):
        slugs = there.slugs_by_key()
        if new := {slugs[key] for key in without_events(instance, slugs)}:
            yield from _unseen(instance, there, place, new)


def unseen(
    instance: dg.DagsterInstance, objects: Objects, org: "Org"
) -> Iterator[dg.AssetMaterialization]:
    """Tell of partitions that raw covers, and of which nothing was ever told; else like those."""
    for there, place in zip(objects.everywhere, org.places, strict=True):
        yield from _unseen(instance, there, place, there.specs)


def _unseen(
    instance: dg.DagsterInstance, objects: Objects, org: "Org", slugs: Collection[str]
) -> Iterator[dg.AssetMaterialization]:
    """Those of some objects in one warehouse: of silver, where it lacks nothing of raw."""
    from sf_assets.pipeline.load import behind

    try:
        raw = org.stored_raw
        coverage, lacking = raw.coverage(), behind(org, raw)
    except (ConfigError, WarehouseError):  # nothing was ever read, or it cannot be looked at now
        return
    for slug in slugs:
        if slug not in coverage:
            continue
        table = f"{silver_name(objects.org)}.{slug}"
        facts = {Layer.SILVER: {"dagster/table_name": table}} if slug not in lacking else {}
        if not objects.place:
            facts[Layer.RAW] = {"dagster/uri": raw.store.public_uri(raw.raw_folder(slug))}
        for layer, metadata in facts.items():
            key = objects.key(layer, slug)
            for partition in _lacking(instance, key, objects, slug, coverage[slug]):
                yield dg.AssetMaterialization(key, metadata=metadata, partition=partition)


def _lacking(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    objects: Objects,
    slug: str,
    coverage: Coverage,
) -> Iterator[str | None]:
    """Partitions of an asset that are covered, and not told; None for an asset without any."""
    spec = objects.specs[slug]
    if spec.grain is Grain.NONE:
        if instance.get_latest_materialization_event(key) is None:
            yield None
        return
    told = instance.get_materialized_partitions(key)
    for partition in keys_touched(spec.grain, spec.start, coverage.windows):
        if partition not in told:
            yield partition


def unseen_gold(
    instance: dg.DagsterInstance, built: Mapping[dg.AssetKey, Collection[str]]
) -> list[dg.AssetMaterialization]:
    """Tell of gold tables that are built, and of which nothing was ever told.

    Args:
        instance: Knows what was told.
        built: The tables, each with the days that it has; none where it is not daily.
    """
    return [
        dg.AssetMaterialization(key, partition=day)
        for key in sorted(without_events(instance, built))
        for day in (built[key] or (None,))
    ]


def without_events(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> set[dg.AssetKey]:
    """Those of some assets that were never materialized; it is one question."""
    keys = set(keys)
    told = {
        record.asset_entry.asset_key
        for record in instance.get_asset_records(list(keys))
        if record.asset_entry.last_materialization_record
    }
    return keys - told
