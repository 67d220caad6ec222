"""Salesforce as Dagster assets: every object a partitioned, typed, checked table."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sf_assets.assets.build import build_salesforce_assets, build_salesforce_definitions
    from sf_assets.assets.component import SalesforceComponent
    from sf_assets.assets.resources import SalesforceResource, StorageResource, WarehouseResource
    from sf_assets.assets.translator import SalesforceAsset, SalesforceTranslator

__version__ = "0.1.0"

__all__ = [
    "SalesforceAsset",
    "SalesforceComponent",
    "SalesforceResource",
    "SalesforceTranslator",
    "StorageResource",
    "WarehouseResource",
    "build_salesforce_assets",
    "build_salesforce_definitions",
]

_HOMES = {
    "SalesforceAsset": "translator",
    "SalesforceComponent": "component",
    "SalesforceResource": "resources",
    "SalesforceTranslator": "translator",
    "StorageResource": "resources",
    "WarehouseResource": "resources",
    "build_salesforce_assets": "build",
    "build_salesforce_definitions": "build",
}
"""Modules of what is public. They are imported by its first use: the command line has no need of
Dagster."""


if not TYPE_CHECKING:  # else any name at all would be one

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"sf_assets.assets.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
