"""An open connection to PostgreSQL, by its ADBC driver: rows go in and out as Arrow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as driver
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from adbc_driver_manager import dbapi
from sqlglot import exp

from sf_assets.naming import Names
from sf_assets.sql import quoted
from sf_assets.warehouse.postgres.refusals import cause, refusal
from sf_assets.warehouse.postgres.render import CAPABILITIES, kept, render
from sf_assets.warehouse.sql.connection import (
    TEMPORARY,
    Cause,
    Values,
    add_each,
    comment_each,
    refill,
)
from sf_assets.warehouse.sql.portable import names

_MANY = 10_000
"""Rows from which on the planner is told of a temporary table, which nothing else does."""

_TYPES = {
    "text": "VARCHAR",
    "text[]": "VARCHAR[]",
    "boolean": "BOOLEAN",
    "bigint": "BIGINT",
    "integer": "INTEGER",
    "date": "DATE",
    "date[]": "DATE[]",
    "double precision": "DOUBLE",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "time without time zone": "TIME",
}
"""PostgreSQL's types as the shared SQL calls them."""

_RELATIONS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    coalesce(col_description(c.oid, a.attnum), '')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = {home} AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND a.attnum > 0
    AND NOT a.attisdropped
"""


class PostgresConnection:
    """A connection that renders the shared SQL; see `sql.connection.Connection`.

    Args:
        url: As libpq takes it.
    """

    error: type[Exception] = dbapi.Error
    capabilities = CAPABILITIES

    def __init__(self, url: str) -> None:
        self._raw = driver.connect(url, autocommit=True)
        self._cursor = self._raw.cursor()
        self.run("SET TimeZone = 'UTC'")
        # Else a backslash in a literal would be no backslash, where a database is set so.
        self.run("SET standard_conforming_strings = on")
        self.run("SET client_min_messages = warning")

    def close(self) -> None:
        """End it; what is not committed is gone."""
        self._cursor.close()
        self._raw.close()

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in PostgreSQL's own SQL."""
        self._cursor.execute(sql)
        if not self._cursor.description:
            count = self._cursor.rowcount
            return [(count,)] if count >= 0 else []
        return list(zip(*(c.to_pylist() for c in _table(self._cursor).columns), strict=True))

    def rendered(self, sql: str, values: Values = ()) -> str:
        """A statement of the shared SQL as PostgreSQL writes it."""
        return render(sql, values)

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run a statement of the shared SQL."""
        return self.run(render(sql, values))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is run in the block, or nothing."""
        self._raw.adbc_connection.set_autocommit(False)
        try:
            yield
            self._raw.commit()
        except BaseException:
            self._raw.rollback()
            raise
        finally:
            self._raw.adbc_connection.set_autocommit(True)

    def temporary(self, name: str, definition: str, values: Values = ()) -> None:
        """Make a temporary table, in the place of one of that name."""
        self.execute(f'DROP TABLE IF EXISTS temp."{name}"')
        made = self.execute(f'CREATE TEMP TABLE "{name}" {definition}', values)
        if made and made[0][0] >= _MANY:
            self._analyze(name)

    def replace(self, schema: str, name: str, query: str, values: Values = ()) -> None:
        """Have a table hold what answers a query.

        One with the same columns stays, so that views which people made of it stay, too.
        """
        table = quoted(schema, name)
        if self.types(schema, name) and refill(self, table, query, values):
            return
        self.execute(f"DROP TABLE IF EXISTS {table}")
        self.execute(f"CREATE TABLE {table} AS {query}", values)

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
        """Have rows of a table found by a column."""
        at = exp.to_table(table, dialect="duckdb")
        place = f'"{kept(at.db)}"."{kept(at.name)}"'
        name = kept(f"{at.name[:50]}_by_{column}")
        self.run(f'CREATE INDEX IF NOT EXISTS "{name}" ON {place} ("{kept(column)}")')

    def load(self, table: str, rows: pa.RecordBatchReader | pl.DataFrame) -> None:
        """Append rows to a table by the names of their columns."""
        if isinstance(rows, pl.DataFrame):
            rows = rows.to_arrow().to_reader()
        into = exp.to_table(table, dialect="duckdb")
        temporary = into.db == TEMPORARY
        count = self._cursor.adbc_ingest(
            kept(into.name),
            _ingestible(rows),
            mode="append",
            temporary=temporary,
            db_schema_name=None if temporary else kept(into.db),
        )
        if temporary and count >= _MANY:
            self._analyze(into.name)

    def relations(self, schema: str) -> dict[str, Names[str]]:
        """Types of the columns of all tables and views of a schema."""
        columns: dict[str, list[tuple[str, str]]] = {}
        for relation, column, kind, _ in self.run(f"{_columns(schema)} ORDER BY 1, a.attnum"):
            columns.setdefault(relation, []).append((column, _type(kind)))
        return {relation: Names(some) for relation, some in columns.items()}

    def types(self, schema: str, relation: str) -> Names[str]:
        """Types of the columns of one table or view; empty where it is not there."""
        named = exp.Literal.string(kept(relation)).sql("postgres")
        rows = self.run(f"{_columns(schema)} AND c.relname = {named} ORDER BY a.attnum")
        return Names((column, _type(kind)) for _, column, kind, _ in rows)

    def tables(self, schema: str) -> set[str]:
        """Names of the tables of a schema."""
        query = f"SELECT relname FROM pg_class WHERE relnamespace = {_home(schema)}"
        return {name for (name,) in self.run(f"{query} AND relkind IN ('r', 'p', 'f')")}

    def everything(self) -> list[tuple[str, str]]:
        """Schema and name of all tables and materialized views there are."""
        found = self.run(
            "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE relkind IN ('r', 'm') AND nspname NOT LIKE 'pg\\_%' "
            "AND nspname <> 'information_schema' ORDER BY 1, 2"
        )
        return [(schema, name) for schema, name in found]

    def comments(self, schema: str) -> dict[str, dict[str, str]]:
        """Comments of columns, by table or view."""
        found: dict[str, dict[str, str]] = {}
        for relation, column, _, comment in self.run(_columns(schema)):
            found.setdefault(relation, {})[column] = comment
        return found

    def shape(self, query: str, values: Values = ()) -> list[tuple[str, str]]:
        """Names and types of the columns of a query's answer, which is not asked for."""
        self._cursor.execute(render(f"SELECT * FROM ({query}) AS q LIMIT 0", values))
        schema = self._cursor.fetch_record_batch().read_all().schema
        return [(field.name, f"{field.type} {_typmod(field)}") for field in schema]

    def copy(self, query: str, path: Path) -> int:
        """Write what answers a query into a Parquet file; how many rows."""
        self._cursor.execute(render(query))
        reader = self._cursor.fetch_record_batch()
        spelt = names(query)
        fields = [
            pa.field(name, _plain(field)) for name, field in zip(spelt, reader.schema, strict=True)
        ]
        rows = 0
        with pq.ParquetWriter(path, schema := pa.schema(fields)) as writer:
            for batch in reader:
                columns = [
                    pc.cast(_storage(column), field.type)
                    for column, field in zip(batch.columns, schema, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                rows += len(batch)
        return rows

    def answer(self, sql: str) -> pa.Table:
        """All rows that answer a query in PostgreSQL's own SQL."""
        self._cursor.execute(sql)
        return _table(self._cursor)

    def cause(self, error: Exception) -> Cause:
        """Why a statement was refused."""
        return cause(error)

    def refusal(self, error: Exception, query: str = "") -> str:
        """What to say of a refused statement: nothing that may be a record's value."""
        return refusal(error, query)

    def _analyze(self, name: str) -> None:
        self.run(f'ANALYZE pg_temp."{kept(name)}"')


def _home(schema: str) -> str:
    """The schema's row, as SQL writes it."""
    if schema == TEMPORARY:
        return "pg_my_temp_schema()"
    name = exp.Literal.string(kept(schema)).sql("postgres")
    return f"(SELECT oid FROM pg_namespace WHERE nspname = {name})"


def _columns(schema: str) -> str:
    return _RELATIONS.format(home=_home(schema))


def _type(kind: str) -> str:
    if kind.startswith("numeric("):
        return kind.replace("numeric", "DECIMAL")
    return _TYPES.get(kind, kind.upper())


def _is_numeric(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.OpaqueType) and kind.type_name == "numeric"


def _typmod(field: pa.Field) -> str:
    """What PostgreSQL says of a type's size; empty for most types."""
    size: bytes = (field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")
    return "" if size == b"-1" else size.decode()


def _plain(field: pa.Field) -> pa.DataType:
    """The type that a column has for people: numbers come as texts, as they can have any size."""
    if not _is_numeric(field.type):
        return field.type
    if not (size := _typmod(field)):
        return pa.decimal128(38, 9)
    packed = int(size) - 4
    return pa.decimal128(packed >> 16 & 0xFFFF, packed & 0x7FF)


def _storage(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _table(cursor: dbapi.Cursor) -> pa.Table:
    """What a cursor has, with numbers as numbers."""
    table = cursor.fetch_arrow_table()
    for place, field in enumerate(table.schema):
        if _is_numeric(field.type):
            texts = pa.chunked_array(map(_storage, table[place].chunks), pa.string())
            table = table.set_column(place, field.name, _decimals(texts, field))
    return table


def _decimals(texts: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Numbers that come as texts; they stay so where one is none, or has more than 38 digits."""
    kind = _plain(field)
    if not _typmod(field):
        scale = max((len(t.partition(".")[2]) for t in texts.to_pylist() if t), default=0)
        kind = pa.decimal128(38, min(scale, 37))
    try:
        return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        return texts


def _ingestible(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Rows as the driver takes them: names as kept, times of day in microseconds."""
    fields = [
        pa.field(
            kept(field.name), pa.time64("us") if pa.types.is_time64(field.type) else field.type
        )
        for field in rows.schema
    ]
    schema = pa.schema(fields)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            columns = [
                pc.cast(column, field.type) if column.type != field.type else column
                for column, field in zip(batch.columns, schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())
