"""Queries of one day of a gold table, for one day or for many at once."""

from collections.abc import Sequence

import sqlglot
from sqlglot import exp

from sf_assets.naming import folded
from sf_assets.sql import quoted
from sf_assets.warehouse.gold_sql import DAY

NOT_ITS_DAY = "day is not $day"
"""What a query of a day raises whose column `day` holds another day."""

_DAYS = "_sf_assets_days"


def of_many_days(query: str, columns: Sequence[str]) -> str:
    """The query of one day as one query of all days of `$days`: for each of them its rows.

    A lateral join is just that, whatever the query does with its day. Where `day` is another day
    than was asked for, it raises `NOT_ITS_DAY`.

    Args:
        query: A query with the parameter `$day`, in DuckDB's SQL.
        columns: Its columns.
    """
    tree = sqlglot.parse_one(query, dialect="duckdb")
    for place in list(tree.find_all(exp.Parameter, exp.Placeholder)):
        if place.name == DAY:
            place.replace(exp.column(DAY, table=_DAYS, quoted=True))
    inner = tree.sql(dialect="duckdb", comments=False)
    day = f'"{_DAYS}"."{DAY}"'
    days = f'unnest($days::DATE[]) AS "{_DAYS}"("{DAY}")'
    return f"{_its_day(day, columns)} FROM {days}, LATERAL ({inner}) AS built"


def of_one_day(query: str, columns: Sequence[str]) -> str:
    """The query of one day, which raises `NOT_ITS_DAY` where `day` is another day."""
    return f"{_its_day(f'${DAY}::DATE', columns)} FROM ({query}) AS built"


def _its_day(day: str, columns: Sequence[str]) -> str:
    checked = (
        f'CASE WHEN built."{DAY}" = {day} THEN built."{DAY}" '
        f"ELSE error('{NOT_ITS_DAY}') END AS \"{DAY}\""
    )
    told = (checked if folded(name) == DAY else f"built.{quoted(name)}" for name in columns)
    return f"SELECT {', '.join(told)}"
