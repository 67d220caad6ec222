"""The warehouse of an address: by its scheme, which engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sf_assets.addresses import shown
from sf_assets.errors import ConfigError
from sf_assets.warehouse.engines import ENGINES, engine_of
from sf_assets.warehouse.port import Warehouse


def open_warehouse(url: str, credentials: Any = None) -> Warehouse:
    """A warehouse by URL; nothing is opened before it is used.

    Args:
        url: `duckdb:///path/to/file`, `postgresql://user:password@host/database`,
            `snowflake://user:password@account/database?warehouse=…&role=…`,
            `redshift://user:password@host/database?staging=s3://…&iam_role=…` or
            `bigquery://project/prefix?location=…`.
        credentials: Of google-auth, for BigQuery; None for those that the address names, or the
            application's default ones. For Redshift, how its staging folder is reached and entered
            (`Access`); None for what AWS' own tools find. Others have theirs in the address.

    Raises:
        ConfigError: The URL is of no engine there is, or not of its form, or what the engine needs
            is not installed.
    """
    engine = engine_of(url)
    if engine == "duckdb":
        from sf_assets.warehouse.duckdb.warehouse import DuckDBWarehouse

        return DuckDBWarehouse(url)
    if engine == "postgres":
        with _needing_more(engine):
            from sf_assets.warehouse.postgres.warehouse import PostgresWarehouse
        return PostgresWarehouse(url)
    if engine == "snowflake":
        with _needing_more(engine):
            from sf_assets.warehouse.snowflake.warehouse import SnowflakeWarehouse
        return SnowflakeWarehouse(url)
    if engine == "redshift":
        with _needing_more(engine):
            from sf_assets.warehouse.redshift.warehouse import RedshiftWarehouse
        return RedshiftWarehouse(url, credentials)
    if engine == "bigquery":
        from sf_assets.warehouse.bigquery.warehouse import BigQueryWarehouse

        return BigQueryWarehouse(url, credentials)
    raise ConfigError(
        f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; it must be like duckdb:////path/to/file, "
        "postgresql://user:password@host:5432/database, "
        "snowflake://user:password@account/database?warehouse=…&role=…, "
        "redshift://user:password@host:5439/database?staging=s3://bucket/prefix&iam_role=… or "
        "bigquery://project/prefix?location=…"
    )


@contextmanager
def _needing_more(engine: str) -> Iterator[None]:
    """Tell which extra is to be installed, where a package of an engine is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a warehouse in {ENGINES[engine]} needs {error.name}; install it: pip install "
            f"'sf-assets[{engine}]'"
        ) from None
