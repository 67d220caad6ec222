"""Gold tables, built from silver and, where they ask for it, from all versions that raw holds."""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256

import duckdb

from sf_assets.catalog import PACKAGED_GOLD
from sf_assets.errors import ConfigError, LeftOutError, SfAssetsError, WarehouseError
from sf_assets.failures import Work, named
from sf_assets.naming import folded
from sf_assets.pipeline.describes import as_described
from sf_assets.pipeline.org import Org
from sf_assets.storage.lake import Lake
from sf_assets.storage.scan import scan
from sf_assets.warehouse.builds import note_build
from sf_assets.warehouse.duckdb import known_names, quoted, text_literal, transaction
from sf_assets.warehouse.gold import CURRENCY, DAY, GoldTable, raw_relation
from sf_assets.warehouse.refusals import refusal
from sf_assets.warehouse.stage import fill, make_rejects
from sf_assets.warehouse.tables import TEMPORARY, Table

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Built:
    """A gold table after it was built.

    Attributes:
        rows: Rows in it, all days together.
        columns: SQL types by column name.
        rows_by_day: Rows of each day built; empty for a table that is not daily.
    """

    rows: int
    columns: dict[str, str]
    rows_by_day: dict[date, int]


def build_gold(org: Org, lake: Lake, table: GoldTable, days: Sequence[date] = ()) -> Built:
    """Build one gold table anew, or some of its days; the old one is there until the new one is.

    Raises:
        LeftOutError: A packaged table reads what this org, or its user, does not have.
        ConfigError: It reads an object that is not in silver, or a column that is not there.
        WarehouseError: The warehouse is locked or refuses the query.
    """
    name = quoted(org.gold, table.name)
    with named(Work.BUILD, table.name), org.writing(lake.org_id) as connection:
        run = connection.execute
        run(f"CREATE SCHEMA IF NOT EXISTS {quoted(org.gold)}")
        try:
            for slug in sorted(table.raw):
                _load_versions(connection, lake, slug, table.columns_used())
            query = table.rendered(org.schema, org.gold, _without_currency(connection, org.schema))
            by_day: dict[date, int] = {}
            with transaction(connection):
                if not table.daily:
                    run(f"CREATE OR REPLACE TABLE {name} AS {query}")
                else:
                    _make_daily(connection, table, name, query, days[0])
                    by_day = {day: _build_day(connection, name, query, day) for day in days}
                run(f"COMMENT ON TABLE {name} IS {text_literal(_built_by(table))}")
                counted = run(f"SELECT count(*) FROM {name}").fetchone()
                rows = int(counted[0]) if counted else 0
                note_build(connection, lake.org_id, table.name, rows, datetime.now(UTC))
        except duckdb.Error as error:
            raise _refused(table, error, known_names(connection)) from None
        columns = {row[0]: row[1] for row in run(f"DESCRIBE {name}").fetchall()}
        return Built(rows, columns, by_day)


def _refused(table: GoldTable, error: duckdb.Error, names: Collection[str]) -> SfAssetsError:
    """What to say of a table that cannot be built."""
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
    connection: duckdb.DuckDBPyConnection, table: GoldTable, name: str, query: str, day: date
) -> None:
    """Make the table of a daily query; anew where its file asks for other columns than it has."""
    wanted = f"SELECT * FROM ({query}) LIMIT 0"
    connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS {wanted}", {DAY: day})
    there = connection.execute(f"SELECT * FROM {name} LIMIT 0").description
    asked = connection.execute(wanted, {DAY: day}).description
    if there != asked:
        log.info("gold.%s has other columns now; its days are built anew", table.name)
        connection.execute(f"CREATE OR REPLACE TABLE {name} AS {wanted}", {DAY: day})


def _built_by(table: GoldTable) -> str:
    """Which text of the file a table was built by; it is kept as the table's comment."""
    return f"sf_assets {sha256(table.sql.encode()).hexdigest()[:16]}"


def tables_there(org: Org, tables: Iterable[GoldTable]) -> tuple[set[str], set[str]]:
    """Objects that have a silver table, and gold tables that are built as their files say now.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    if not org.warehouse.path.exists():
        return set(), set()
    with org.warehouse.connect(read_only=True) as connection:
        rows = connection.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables()"
        ).fetchall()
    silver = {table for schema, table, _ in rows if schema == org.schema}
    built = {(name, comment) for schema, name, comment in rows if schema == org.gold}
    return silver, {table.name for table in tables if (table.name, _built_by(table)) in built}


def missing_days(org: Org, table: GoldTable, days: Iterable[date]) -> list[date]:
    """Those of the days that a daily table does not have, and the last two in any case.

    A day is final once the next one has begun and what was late is in raw. All are missing where
    the file has changed since.
    """
    days = sorted(days)
    have: set[date] = set()
    if table.name in tables_there(org, [table])[1]:
        query = f"SELECT DISTINCT {quoted(DAY)} FROM {quoted(org.gold, table.name)}"
        with org.warehouse.connect(read_only=True) as connection:
            have = {row[0] for row in connection.execute(query).fetchall()}
    return [day for day in days if day not in have or day in days[-2:]]


def _build_day(connection: duckdb.DuckDBPyConnection, name: str, query: str, day: date) -> int:
    connection.execute(f"DELETE FROM {name} WHERE {quoted(DAY)} = ?", [day])
    row = connection.execute(f"INSERT INTO {name} {query}", {DAY: day}).fetchone()
    return int(row[0]) if row else 0


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
