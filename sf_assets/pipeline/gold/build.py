"""Gold tables, built from silver and, where they ask for it, from all versions that raw holds."""

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import duckdb

from sf_assets.catalog import PACKAGED_GOLD
from sf_assets.errors import (
    ConfigError,
    HeldError,
    LeftOutError,
    SfAssetsError,
    WarehouseError,
    WarehouseLockedError,
)
from sf_assets.failures import Work, named
from sf_assets.naming import Layer, folded
from sf_assets.pipeline.gold.due import next_build, refuse_held
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.schema_cache import as_described
from sf_assets.sql import quoted
from sf_assets.storage.lake import Lake
from sf_assets.storage.parquet_reader import scan
from sf_assets.warehouse.duckdb.builds import note_attempt, note_build
from sf_assets.warehouse.duckdb.database import known_names, transaction
from sf_assets.warehouse.duckdb.refusals import refusal
from sf_assets.warehouse.duckdb.stage import fill, make_rejects
from sf_assets.warehouse.duckdb.tables import TEMPORARY, Table
from sf_assets.warehouse.gold_columns import GoldColumn, gold_columns, relations
from sf_assets.warehouse.gold_sql import (
    CURRENCY,
    DAY,
    NOT_ITS_DAY,
    GoldTable,
    of_many_days,
    of_one_day,
    raw_relation,
)

log = logging.getLogger(__name__)

_DAYS_AT_ONCE = 100
"""Days that one query builds: what it keeps of each in memory has a bound."""


@dataclass(frozen=True, slots=True)
class Built:
    """A gold table after it was built.

    Attributes:
        rows: Rows in it, all days together.
        columns: Its columns, by name.
        rows_by_day: Rows of each day built; empty for a table that is not daily.
    """

    rows: int
    columns: dict[str, GoldColumn]
    rows_by_day: dict[date, int]


def build_gold(org: Org, lake: Lake, table: GoldTable, days: Sequence[date] = ()) -> Built:
    """Build one gold table anew, or some of its days; the old one is there until the new one is.

    What it was built by is noted in the same transaction, in `ops.gold_builds`; if it fails, why
    is noted in `ops.gold_attempts`.

    Raises:
        HeldError: A blocking check of what it reads did not pass, or was not asked.
        LeftOutError: A packaged table reads what this org, or its user, does not have.
        ConfigError: It reads an object that is not in silver, or a column that is not there.
        WarehouseError: The warehouse is locked or refuses the query.
    """
    try:
        with named(Work.BUILD, table.name), org.writing(lake.org_id) as connection:
            return _build(org, lake, table, days, connection)
    except (HeldError, LeftOutError, WarehouseLockedError):
        raise
    except SfAssetsError as error:
        with suppress(SfAssetsError), org.writing(lake.org_id) as connection:
            said, now = str(error), datetime.now(UTC)
            note_attempt(connection, lake.org_id, table.name, table.sql_hash, now, said)
        raise


def _build(
    org: Org,
    lake: Lake,
    table: GoldTable,
    days: Sequence[date],
    connection: duckdb.DuckDBPyConnection,
) -> Built:
    if held := refuse_held(connection, org, lake.org_id, table):
        raise HeldError(held)
    name = quoted(org.gold, table.name)
    run = connection.execute
    if _is_view(connection, org.gold, table.name):
        raise ConfigError(
            f"{org.gold}.{table.name} is a view, which stands where the table should be: drop or "
            f"rename the view, or rename {table.path}"
        )
    run(f"CREATE SCHEMA IF NOT EXISTS {quoted(org.gold)}")
    build = next_build(connection, org, lake.org_id, table, days)
    try:
        for slug in sorted(table.raw):
            _load_versions(connection, lake, slug, table.columns_used())
        query = table.rendered(org.schema, org.gold, _without_currency(connection, org.schema))
        at_once = _DAYS_AT_ONCE if table.daily and _takes_many_days(connection, query) else 1
        with transaction(connection):
            if not table.daily:
                run(f"CREATE OR REPLACE TABLE {name} AS {query}")
            elif _make_daily(connection, table, org.gold, query, days[0]):
                build = replace(build, days=frozenset(days))
            by_day = _build_days(connection, name, query, days, at_once) if table.daily else {}
            rows = _count(connection, name)
            note_build(connection, lake.org_id, table.name, replace(build, rows=rows))
    except duckdb.Error as error:
        refused = _refused(table, error, known_names(connection))
        if isinstance(refused, LeftOutError):
            left_out = replace(build, days=frozenset(), left_out=str(refused))
            with transaction(connection):
                note_build(connection, lake.org_id, table.name, left_out)
        raise refused from None
    types = {row[0]: row[1] for row in run(f"DESCRIBE {name}").fetchall()}
    return Built(rows, gold_columns(table, types, _comments(connection, org, table)), by_day)


def _comments(
    connection: duckdb.DuckDBPyConnection, org: Org, table: GoldTable
) -> dict[tuple[str, str], dict[str, str]]:
    """Columns of what a table reads, with their comments, which views have from their tables."""
    read = relations(table)
    homes = {org.schema: "silver", org.gold: "gold", "main": TEMPORARY}
    rows = connection.execute(
        "SELECT schema_name, table_name, column_name, coalesce(comment, '') FROM duckdb_columns() "
        "WHERE schema_name IN (?, ?) OR database_name = 'temp'",
        [org.schema, org.gold],
    ).fetchall()
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for schema, relation, column, comment in rows:
        if (place := (homes[schema], relation)) in read:
            found[place][column] = comment
    for place, columns in found.items():
        layer, name = read[place]
        told = found.get((layer, name), {}) if layer is Layer.SILVER else {}
        columns |= {column: told[column] for column in columns if column in told}
    return found


def _is_view(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    views = "SELECT 1 FROM duckdb_views() WHERE schema_name = ? AND lower(view_name) = ? "
    found = connection.execute(views + "AND database_name = current_database()", [schema, name])
    return found.fetchone() is not None


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    counted = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    return int(counted[0]) if counted else 0


def _refused(table: GoldTable, error: duckdb.Error, names: Collection[str]) -> SfAssetsError:
    """What to say of a table that cannot be built."""
    if NOT_ITS_DAY in str(error):
        return ConfigError(f"{table.path}: its column day must be $day in every row")
    said = refusal(error, table.sql, names)
    unknown = isinstance(error, duckdb.CatalogException | duckdb.BinderException)
    if unknown and table.path.parent == PACKAGED_GOLD:
        return LeftOutError(
            f"gold.{table.name} is left out: this org, or its user, lacks what it reads ({said})"
        )
    if isinstance(error, duckdb.CatalogException):
        return ConfigError(f"{table.path}: {said}; load what it reads first")
    if isinstance(error, duckdb.BinderException | duckdb.ParserException):
        return ConfigError(f"{table.path}: {said}")
    return WarehouseError(f"{table.path}: {said}; the table is as it was")


def _without_currency(connection: duckdb.DuckDBPyConnection, silver: str) -> set[str]:
    """Tables and views that a query may read, and that have no column for the currency."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_columns() WHERE schema_name = ? OR database_name = 'temp' "
        "GROUP BY ALL HAVING NOT bool_or(lower(column_name) = lower(?))",
        [silver, CURRENCY],
    ).fetchall()
    return {name for (name,) in rows}


def _make_daily(
    connection: duckdb.DuckDBPyConnection, table: GoldTable, schema: str, query: str, day: date
) -> bool:
    """Make the table of a daily query; anew where its file asks for other columns than it has.

    Returns:
        Whether it is empty now.
    """
    name, wanted = quoted(schema, table.name), f"SELECT * FROM ({query}) LIMIT 0"
    there = "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?"
    if connection.execute(there, [schema, table.name]).fetchone():
        has = connection.execute(f"SELECT * FROM {name} LIMIT 0").description
        if has == connection.execute(wanted, {DAY: day}).description:
            return False
        log.info("gold.%s has other columns now; its days are built anew", table.name)
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS {wanted}", {DAY: day})
    return True


def _takes_many_days(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Whether the engine can plan the query of a day for many days at once."""
    try:
        connection.execute(f"EXPLAIN {of_many_days(query)}", {"days": []})
    except duckdb.Error as error:
        log.debug("a query is run day by day: %s", type(error).__name__)
        return False
    return True


def _build_days(
    connection: duckdb.DuckDBPyConnection, name: str, query: str, days: Sequence[date], at_once: int
) -> dict[date, int]:
    """Build days of a daily table, so many by one query; how many rows each has."""
    run, day = connection.execute, quoted(DAY)
    for first in range(0, len(days), at_once):
        some = list(days[first : first + at_once])
        run(f"DELETE FROM {name} WHERE {day} = ANY($days::DATE[])", {"days": some})
        if at_once > 1:
            run(f"INSERT INTO {name} {of_many_days(query)}", {"days": some})
        else:
            run(f"INSERT INTO {name} {of_one_day(query)}", {DAY: some[0]})
    counts = run(
        f"SELECT {day}::DATE, count(*) FROM {name} WHERE {day} = ANY($days::DATE[]) GROUP BY 1",
        {"days": list(days)},
    ).fetchall()
    return dict.fromkeys(days, 0) | dict(counts)


def _load_versions(
    connection: duckdb.DuckDBPyConnection, lake: Lake, slug: str, used: Collection[str]
) -> None:
    """Put all versions of an object that raw holds, typed, where the query looks for them."""
    pieces = [piece for piece in lake.slices(slug) if not piece.kind.patches]
    slices, columns = as_described(lake, slug, pieces)
    wanted = {"id"} | {folded(column) for column in used} | {folded(s.cursor or "") for s in slices}
    columns = {name: column for name, column in columns.items() if folded(name) in wanted}
    versions = Table(connection, TEMPORARY, raw_relation(slug))
    connection.execute(f"DROP TABLE IF EXISTS {versions.name}")
    actual = versions.ensure(list(columns.values()))
    make_rejects(connection)
    for piece in slices:
        names = [name for name in piece.columns if name in columns]
        some = {name: actual[name] for name in names}
        fill(versions, [versions], some, piece, scan(lake.store, piece, names))
        actual |= some
