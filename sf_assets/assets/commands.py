"""What `refresh` and `backfill` do: the runs that schedules and the UI would launch, in order."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from sf_assets.assets.automation import tick_request
from sf_assets.assets.gold import gold_tables
from sf_assets.assets.objects import DERIVED_TAG, WINDOW_TAG, Group, group_objects
from sf_assets.assets.partitions import open_key
from sf_assets.assets.running import Runner
from sf_assets.catalog import Catalog
from sf_assets.errors import ConfigError
from sf_assets.naming import ONLY, gold_name, raw_name, silver_name
from sf_assets.pipeline.gold import missing_days, tables_there
from sf_assets.pipeline.org import Org, load_org
from sf_assets.warehouse.gold import GoldTable
from sf_assets.windows import ALWAYS, BEGIN, Grain, compact, utc_day

_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"


def refresh(runner: Runner, catalog: Catalog, names: Iterable[str]) -> None:
    """One incremental tick, then the gold tables whose sources changed.

    Args:
        runner: Where the runs go.
        catalog: The catalogue.
        names: Which objects; all of them when none is named.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    slugs = {spec.slug for spec in catalog.select(names)}
    for group in group_objects(catalog):
        wanted = [slug for slug in group.specs if slug in slugs]
        if wanted and (request := tick_request(group, wanted)):
            runner.run(request.asset_selection or (), request.tags, request.partition_key)
    _build_gold(runner, catalog)


def backfill(
    runner: Runner, catalog: Catalog, names: Iterable[str], first: date, last: date
) -> None:
    """Extract a range of days anew, merge it, and build the gold tables whose sources changed.

    Args:
        runner: Where the runs go.
        catalog: The catalogue.
        names: Which objects; all of them when none is named.
        first: First UTC day.
        last: Last UTC day, which is included.

    Raises:
        ConfigError: The range lies before an object's first partition.
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    slugs = {spec.slug for spec in catalog.select(names)}
    for group in group_objects(catalog):
        wanted = [slug for slug in group.specs if slug in slugs]
        if wanted:
            keys = [key(slug) for slug in wanted for key in (group.raw_key, group.silver_key)]
            runner.run(keys, {WINDOW_TAG: _window(group, first, last)}, open_key(group.grain))
    _build_gold(runner, catalog)


def refresh_derived(runner: Runner, catalog: Catalog, names: Iterable[str]) -> None:
    """Read derived fields of all rows again, and build the gold tables whose sources changed.

    Args:
        runner: Where the runs go.
        catalog: The catalogue.
        names: Which objects; all of them when none is named.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    slugs = {spec.slug for spec in catalog.select(names)}
    for group in group_objects(catalog):
        wanted = [slug for slug in group.specs if slug in slugs]
        if wanted:
            keys = [key(slug) for slug in wanted for key in (group.raw_key, group.silver_key)]
            runner.run(keys, {DERIVED_TAG: "all"}, open_key(group.grain))
    _build_gold(runner, catalog)


def _window(group: Group, first: date, last: date) -> str:
    """The window of a range of days, as the step reads it from the run's tag."""
    if group.grain is Grain.NONE:
        return f"{compact(ALWAYS.start)}/{compact(ALWAYS.end)}"
    if last < group.start:
        raise ConfigError(
            f"{', '.join(spec.name for spec in group.specs.values())}: partitions begin on "
            f"{group.start}, and the first holds everything before; name a range that touches it"
        )
    start = BEGIN if first <= group.start else utc_day(first)
    return f"{compact(start)}/{compact(utc_day(last + timedelta(days=1)))}"


def _build_gold(runner: Runner, catalog: Catalog) -> None:
    """Build the gold tables that read what was just changed, and those that are not there yet."""
    tables = gold_tables(catalog)
    for name in catalog.orgs or (ONLY,):
        org = load_org(name)
        layers = {raw_name(name), silver_name(name)}
        changed = {slug for layer, slug in runner.report.materialized if layer in layers}
        silver, built = tables_there(org)
        for table in tables:
            reads = table.silver | table.raw
            if table.name in built and not reads & changed and not table.gold & changed:
                continue
            key = dg.AssetKey([gold_name(name), table.name])
            if lacking := sorted(reads - silver):
                reason = f"not built: there is no {silver_name(name)}.{', '.join(lacking)}"
                runner.report.errors[key.to_user_string()] = reason
                continue
            runner.run([key], _day_tags(org, catalog, table))
            changed.add(table.name)


def _day_tags(org: Org, catalog: Catalog, table: GoldTable) -> dict[str, str]:
    """The partitions to build of a daily table: from the first day it lacks to today."""
    if not table.daily:
        return {}
    today = datetime.now(UTC).date()
    days = [catalog.start + timedelta(days=n) for n in range((today - catalog.start).days + 1)]
    missing = missing_days(org, table, days)
    return {_RANGE_START: f"{missing[0]}", _RANGE_END: f"{missing[-1]}"}
