"""How a project has assets of this one be called and grouped."""

from dataclasses import dataclass

import dagster as dg

from sf_assets.catalog import ObjectSpec
from sf_assets.naming import Layer


@dataclass(frozen=True)
class SalesforceAsset:
    """What an asset is of.

    Attributes:
        org: Name of the org in the catalogue; `default` where it names none.
        layer: Its layer.
        name: Of the object, in lower case, or the gold table; `describe` in raw, `quality` in ops.
        spec: The asset as it is unless it is translated; its `deps` are added afterwards.
        object: The catalogue's entry of the object, for raw and silver.
        warehouse: Name of its warehouse; empty for the first, and for raw.
    """

    org: str
    layer: Layer
    name: str
    spec: dg.AssetSpec
    object: ObjectSpec | None = None
    warehouse: str = ""


class SalesforceTranslator:
    """Says how each asset appears in a project; override `get_asset_spec` for another way."""

    def get_asset_spec(self, asset: SalesforceAsset) -> dg.AssetSpec:
        """The spec of an asset, which is asked for once.

        Change what is wanted of `asset.spec` by `replace_attributes` or `merge_attributes`: key,
        group, description, owners, tags, kinds, metadata, freshness policy. Dependencies follow the
        keys. Partitions are to stay as they are.
        """
        return asset.spec
