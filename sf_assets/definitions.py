"""Everything that Dagster shows and runs, made from the catalogue alone: no org is asked."""

import warnings
from urllib.parse import urlsplit

import dagster as dg

from sf_assets.assets.gold import gold_asset
from sf_assets.assets.gold_sensor import rebuild_gold
from sf_assets.assets.objects import group_objects, object_assets
from sf_assets.assets.quality import quality
from sf_assets.assets.schedules import daily_checks, derived, fresh, tick
from sf_assets.assets.schema_changes import schema_changes
from sf_assets.catalog import load_catalog
from sf_assets.naming import ONLY
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """The code location.

    Raises:
        ConfigError: Settings, catalogue or gold files are not valid.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", dg.BetaWarning
        )  # backfill policies work, and are documented
        return _definitions()


def _definitions() -> dg.Definitions:
    settings = load_settings()
    catalog = load_catalog(settings.catalog)
    orgs = catalog.orgs or (ONLY,)
    tables = gold_tables(catalog)
    warehouse_kind = urlsplit(settings.warehouse_url).scheme
    parts = [daily_checks(catalog.daily_checks, catalog.timezone)]
    for group in group_objects(catalog):
        assets = object_assets(group, warehouse_kind)
        parts += [
            dg.Definitions(assets=[assets]),
            tick(group, assets),
            fresh(group, assets),
            derived(group, assets, catalog.timezone),
        ]
    parts += [schema_changes(org) for org in orgs]
    for org in orgs if tables else ():
        parts += [
            dg.Definitions(assets=[gold_asset(catalog, table, org) for table in tables]),
            rebuild_gold(catalog, tables, org),
        ]
    parts += [quality(catalog, org) for org in orgs]
    return dg.Definitions.merge(*parts, dg.Definitions(executor=dg.in_process_executor))
