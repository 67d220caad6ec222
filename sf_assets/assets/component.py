"""The definitions as a component, for projects that are declared in YAML."""

from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from dagster.components.resolved.context import ResolutionContext

from sf_assets.assets.build import build_salesforce_definitions
from sf_assets.assets.resources import StorageResource, WarehouseResource
from sf_assets.assets.translator import SalesforceAsset, SalesforceTranslator
from sf_assets.catalog import Catalog
from sf_assets.catalog_file import catalog_within, load_catalog


def _catalog(context: ResolutionContext, value: Any) -> Catalog:
    """The catalogue that a path names, which begins at the folder of `defs.yaml`, or that is there.

    Raises:
        ConfigError: It is not valid; the message names the file and the line.
    """
    if isinstance(value, str):
        return load_catalog(context.resolve_source_relative_path(str(context.resolve_value(value))))
    tree = context.source_position_tree
    found = tree.lookup(context.path) if tree else None
    if found is None:
        raise dg.DagsterInvalidDefinitionError("an inline catalogue has to be in a YAML file")
    return catalog_within(
        Path(found.filename), str(context.path[-1]), found.start.line, context.resolve_value
    )


class SalesforceComponent(dg.Component, dg.Model, dg.Resolvable):
    """A catalogue's assets, checks, jobs, schedules, sensors and resources.

    Credentials are those of the environment: `SALESFORCE_*`, or `SALESFORCE_<ORG>_*` for the orgs
    that the catalogue names. For other keys and groups, override `get_asset_spec` in a subclass.

    Attributes:
        catalog: The catalogue: its file, or all that would be in one.
        storage_url: Where raw is kept; None for `SF_ASSETS_STORAGE_URL`.
        warehouse_url: Where silver and gold are; by name where there are several. None for
            `SF_ASSETS_WAREHOUSE_URL` and `SF_ASSETS_WAREHOUSES`.
        prefix: Begins keys and names, where there are two of these in one code location.
        schedules: Whether schedules and sensors run at once; else they wait to be switched on.
    """

    # A `Catalog`, which Dagster would resolve field by field if it were named.
    catalog: Annotated[Any, dg.Resolver(_catalog, model_field_type=str | dict[str, Any])]
    storage_url: str | None = None
    warehouse_url: str | dict[str, str] | None = None
    prefix: str = ""
    schedules: bool = False

    def get_asset_spec(self, asset: SalesforceAsset) -> dg.AssetSpec:
        """The spec of an asset, as of `SalesforceTranslator.get_asset_spec`."""
        return asset.spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002
        """The definitions, with no executor among them."""
        return build_salesforce_definitions(
            self.catalog,
            storage=StorageResource(url=self.storage_url) if self.storage_url else None,
            warehouse=_warehouse(self.warehouse_url),
            translator=_Translator(self),
            prefix=self.prefix,
            schedules=self.schedules,
        )


def _warehouse(
    url: str | dict[str, str] | None,
) -> WarehouseResource | dict[str, WarehouseResource] | None:
    if isinstance(url, dict):
        return {name: WarehouseResource(url=one) for name, one in url.items()}
    return WarehouseResource(url=url) if url else None


class _Translator(SalesforceTranslator):
    """The component's own say on its assets."""

    def __init__(self, component: SalesforceComponent) -> None:
        self._component = component

    def get_asset_spec(self, asset: SalesforceAsset) -> dg.AssetSpec:
        return self._component.get_asset_spec(asset)
