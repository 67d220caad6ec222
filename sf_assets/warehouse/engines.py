"""The engines that a warehouse can be of, by what they are called in names of files."""

from urllib.parse import urlsplit

ENGINES = {
    "duckdb": "DuckDB",
    "postgres": "PostgreSQL",
    "snowflake": "Snowflake",
    "redshift": "Redshift",
    "bigquery": "BigQuery",
}
"""What people call each."""

_SCHEMES = {engine: engine for engine in ENGINES} | {"postgresql": "postgres"}


def engine_of(url: str) -> str | None:
    """The engine that an address leads to; None where it is of none there is."""
    return _SCHEMES.get(urlsplit(url).scheme)
