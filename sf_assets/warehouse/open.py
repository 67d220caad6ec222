"""The warehouse of an address: by its scheme, which engine."""

from urllib.parse import urlsplit

from sf_assets.addresses import shown
from sf_assets.errors import ConfigError
from sf_assets.warehouse.port import Warehouse


def open_warehouse(url: str) -> Warehouse:
    """A warehouse by URL; nothing is opened before it is used.

    Args:
        url: `duckdb:///path/to/file`.

    Raises:
        ConfigError: The URL is of no engine there is, or not of its form.
    """
    if urlsplit(url).scheme == "duckdb":
        from sf_assets.warehouse.duckdb.warehouse import DuckDBWarehouse

        return DuckDBWarehouse(url)
    raise ConfigError(
        f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; it must be like duckdb:////path/to/file"
    )
