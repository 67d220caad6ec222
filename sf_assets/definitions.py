"""The code location of whoever has no other: the catalogue of the environment, all at work."""

import dagster as dg

from sf_assets.assets.build import build_salesforce_definitions
from sf_assets.catalog_file import load_catalog
from sf_assets.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """The code location; no org is asked.

    Raises:
        ConfigError: Settings, catalogue or gold files are not valid.
    """
    catalog = load_catalog(load_settings().catalog)
    return dg.Definitions.merge(
        build_salesforce_definitions(catalog, schedules=True),
        # Every process of its own would take a second to start, and wait for the others' warehouse.
        dg.Definitions(executor=dg.in_process_executor),
    )
