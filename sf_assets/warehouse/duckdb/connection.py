"""An open DuckDB file, as the shared SQL sees it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from sf_assets.naming import Names
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.duckdb.refusals import refusal
from sf_assets.warehouse.sql.connection import (
    TEMPORARY,
    Capabilities,
    Cause,
    Values,
    add_each,
    comment_each,
)

_HOME = "database_name = current_database() AND schema_name = ?"
_TEMPORARY_HOME = "database_name = 'temp' AND schema_name = 'main' AND ? = 'temp'"


class DuckDBConnection:
    """A connection that runs the shared SQL as it is; see `sql.connection.Connection`.

    Attributes:
        raw: DuckDB's own.
    """

    error: type[Exception] = duckdb.Error
    capabilities = Capabilities("DuckDB", row="rowid")

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self.raw = raw

    def rendered(self, sql: str, values: Values = ()) -> str:  # noqa: ARG002
        """A statement as it is written."""
        return sql

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run a statement; the rows that answer it."""
        # To the end: a result that is not fetched whole keeps others from being registered.
        return self.raw.execute(sql, values or None).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is run in the block, or nothing."""
        self.raw.begin()
        try:
            yield
        except BaseException:
            self.raw.rollback()
            raise
        self.raw.commit()

    def temporary(self, name: str, definition: str, values: Values = ()) -> None:
        """Make a temporary table, in the place of one of that name."""
        self.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} {definition}", values)

    def replace(self, schema: str, name: str, query: str, values: Values = ()) -> None:
        """Have a table hold what answers a query, whatever it was before."""
        self.execute(f"CREATE OR REPLACE TABLE {quoted(schema, name)} AS {query}", values)

    def add(self, schema: str, name: str, columns: Mapping[str, str]) -> None:
        """Give a table more columns, of these types."""
        add_each(self, quoted(schema, name), columns)

    def resize(self, schema: str, name: str, column: str, kind: str) -> None:
        """Give a column of a table a type that has room for more."""
        table = quoted(schema, name)
        self.execute(f"ALTER TABLE {table} ALTER COLUMN {quoted(column)} TYPE {kind}")

    def comment(self, schema: str, name: str, comments: Mapping[str, str]) -> None:
        """Say what columns of a table are."""
        comment_each(self, quoted(schema, name), comments)

    def index(self, table: str, column: str) -> None:
        """Do nothing: what is joined is read column by column, and an index would slow loading."""

    def load(self, table: str, rows: pa.RecordBatchReader | pl.DataFrame) -> None:
        """Append rows to a table by the names of their columns."""
        self.raw.register("batch", rows)
        self.raw.execute(f"INSERT INTO {table} BY NAME FROM batch")
        self.raw.unregister("batch")

    def relations(self, schema: str) -> dict[str, Names[str]]:
        """Types of the columns of all tables and views of a schema."""
        columns: dict[str, list[tuple[str, str]]] = {}
        for relation, column, kind in self._columns("data_type", schema):
            columns.setdefault(relation, []).append((column, kind))
        return {relation: Names(some) for relation, some in columns.items()}

    def types(self, schema: str, relation: str) -> Names[str]:
        """Types of the columns of one table or view; empty where it is not there."""
        # A query that is refused would end a transaction. The list of columns is long.
        named = f"SELECT 1 FROM duckdb_tables() WHERE {_home(schema)} AND table_name = ?"
        view = f"SELECT 1 FROM duckdb_views() WHERE {_home(schema)} AND view_name = ?"
        place = [schema, relation]
        if not self.execute(f"{named} UNION ALL {view}", [*place, *place]):
            return Names()
        try:
            return Names(self.shape(f"SELECT * FROM {quoted(schema, relation)}"))
        except (duckdb.CatalogException, duckdb.BinderException):
            return Names()  # a view of what is no longer there

    def tables(self, schema: str) -> set[str]:
        """Names of the tables of a schema."""
        query = f"SELECT table_name FROM duckdb_tables() WHERE {_home(schema)}"
        return {name for (name,) in self.execute(query, [schema])}

    def everything(self) -> list[tuple[str, str]]:
        """Schema and name of all tables there are."""
        found = self.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            "WHERE database_name = current_database() ORDER BY ALL"
        )
        return [(schema, name) for schema, name in found]

    def comments(self, schema: str) -> dict[str, dict[str, str]]:
        """Comments of columns, by table or view."""
        found: dict[str, dict[str, str]] = {}
        for relation, column, comment in self._columns("coalesce(comment, '')", schema):
            found.setdefault(relation, {})[column] = comment
        return found

    def shape(self, query: str, values: Values = ()) -> list[tuple[str, str]]:
        """Names and types of the columns of a query's answer, which is not asked for."""
        result = self.raw.execute(f"SELECT * FROM ({query}) AS q LIMIT 0", values or None)
        shape = [(column[0], str(column[1])) for column in result.description or ()]
        result.fetchall()
        return shape

    def copy(self, query: str, path: Path) -> int:
        """Write what answers a query into a Parquet file; how many rows."""
        target = text_literal(str(path))
        ((rows,),) = self.execute(f"COPY ({query}) TO {target} (FORMAT parquet)")
        return int(rows)

    def cause(self, error: Exception) -> Cause:
        """Why a statement was refused."""
        if isinstance(error, duckdb.CatalogException):
            return Cause.NAME
        if isinstance(error, duckdb.BinderException):
            return Cause.MEANING
        return Cause.SYNTAX if isinstance(error, duckdb.ParserException) else Cause.DATA

    def refusal(self, error: Exception, query: str = "") -> str:
        """What to say of a refused statement: nothing that may be a record's value."""
        return refusal(error, query, known_names(self.raw))

    def _columns(self, what: str, schema: str) -> list[tuple[str, str, str]]:
        return self.execute(
            f"SELECT table_name, column_name, {what} FROM duckdb_columns() WHERE {_home(schema)}",
            [schema],
        )


def known_names(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Names of the schemas, tables, columns and functions there are, which errors may tell.

    None when the connection is broken.
    """
    try:
        rows = connection.execute(
            "SELECT unnest([schema_name, table_name, column_name]) FROM duckdb_columns() "
            "UNION SELECT function_name FROM duckdb_functions()"
        ).fetchall()
    except duckdb.Error:
        return set()
    return {name for (name,) in rows}


def _home(schema: str) -> str:
    """The condition that something is in a schema, which is its parameter."""
    return _TEMPORARY_HOME if schema == TEMPORARY else _HOME
