"""An open connection to Snowflake: rows go in as Parquet files by a stage, and come out as Arrow.

Snowflake's own connector is used, as its ADBC driver makes a stage of its own for each load: that
is DDL, and commits what is half done.
"""

import json
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import snowflake.connector
from snowflake.connector.constants import FIELD_ID_TO_NAME
from snowflake.connector.cursor import ResultMetadata, SnowflakeCursor
from sqlglot import exp

from sf_assets.errors import WarehouseLockedError
from sf_assets.naming import Names
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.snowflake.refusals import cause, refusal
from sf_assets.warehouse.snowflake.render import CAPABILITIES, HOME, SCRATCH, kept, render
from sf_assets.warehouse.sql.connection import (
    TEMPORARY,
    Cause,
    Values,
    add_each,
    comment_each,
    refill,
)
from sf_assets.warehouse.sql.portable import names

_OPTIONS = {"application": "sf_assets", "client_session_keep_alive": True}
_SESSION = {
    "TIMEZONE": "UTC",
    "QUERY_TAG": "sf_assets",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "JSON_INDENT": 0,
}

_TYPES = {
    "TEXT": "VARCHAR",
    "ARRAY": "VARCHAR[]",
    "VARIANT": "VARCHAR[]",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "FLOAT": "DOUBLE",
    "REAL": "DOUBLE",
    "TIMESTAMP_TZ": "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP_LTZ": "TIMESTAMP WITH TIME ZONE",
    "TIME": "TIME",
}
"""Snowflake's types as the shared SQL calls them."""

_LISTS = frozenset({"ARRAY", "VARIANT"})
_BIGINT = "DECIMAL(19,0)"
_ROWS_IN_FILE = 1_000_000
_DDL = ("CREATE", "ALTER", "DROP", "COMMENT", "TRUNCATE", "USE", "SHOW", "DESCRIBE")

_COLUMNS = """
SELECT table_name, column_name, data_type, numeric_precision, numeric_scale, comment
FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = {schema}
"""


class SnowflakeConnection:
    """A connection that renders the shared SQL; see `sql.connection.Connection`.

    Args:
        parameters: As Snowflake's connector takes them.

    Attributes:
        fence: A statement at the beginning of each transaction, which has to change a row; empty
            for none.
    """

    error: type[Exception] = snowflake.connector.errors.Error
    capabilities = CAPABILITIES

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._raw = snowflake.connector.connect(
            **{**_OPTIONS, **parameters},
            session_parameters=_SESSION | dict(parameters.get("session_parameters", {})),
            autocommit=True,
        )
        self._cursor: SnowflakeCursor = self._raw.cursor()
        self._within = False
        self._stage = ""
        self._scratch: dict[str, Names[str]] = {}
        self._known: dict[tuple[str, str], Names[str]] = {}
        self.fence = ""

    def close(self) -> None:
        """End it; what is not committed is gone, and so are temporary tables."""
        self._raw.close()

    def release(self, statement: str) -> None:
        """Run a last statement, as far as there still is a connection."""
        with suppress(snowflake.connector.errors.Error):
            self.run(statement)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in Snowflake's own SQL."""
        if sql.startswith(_DDL):
            if self._within:  # a mistake of ours: a merge would be there in half
                raise RuntimeError(f"this would commit a transaction: {sql[:200]}")
            self._known.clear()
        self._cursor.execute(sql)
        lists = [place for place, column in enumerate(self._cursor.description) if _is_list(column)]
        rows = self._cursor.fetchall()
        return [_row(row, lists) for row in rows]

    def rendered(self, sql: str, values: Values = ()) -> str:
        """A statement of the shared SQL as Snowflake writes it."""
        return render(sql, values)

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run a statement of the shared SQL."""
        return [row[:1] if self._changes else row for row in self.run(render(sql, values))]

    @property
    def _changes(self) -> bool:
        """Whether the last statement answered with how many rows it changed."""
        return str(self._cursor.description[0].name).startswith("number of ")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is run in the block, or nothing."""
        self._make_stage()
        try:
            self._begin()
            yield
            self.run("COMMIT")
        except BaseException:
            with suppress(snowflake.connector.errors.Error):  # a session that is lost rolls back
                self.run("ROLLBACK")
            raise
        finally:
            self._within = False

    def temporary(self, name: str, definition: str, values: Values = ()) -> None:
        """Make a temporary table, in the place of one of that name; in a transaction, empty it."""
        table = f"temp.{quoted(name)}"
        if self._within:
            self.execute(f"DELETE FROM {table}")
            if definition.startswith("AS ") and not definition.endswith(" LIMIT 0"):
                query = definition.removeprefix("AS ")
                spelt = ", ".join(quoted(column) for column, _ in self.shape(query, values))
                self.execute(f"INSERT INTO {table} ({spelt}) {query}", values)
            return
        self.execute(f"CREATE OR REPLACE TEMPORARY TABLE {table} {definition}", values)
        self._scratch[name.lower()] = Names(self.shape(f"SELECT * FROM {table}"))

    def replace(self, schema: str, name: str, query: str, values: Values = ()) -> None:
        """Have a table hold what answers a query.

        In a transaction one with the same columns stays. Where it has others it is made at once,
        and what was done before is committed.
        """
        table = quoted(schema, name)
        there = self._within and self.types(schema, name)
        if there and refill(self, table, query, values):
            return
        grants = " COPY GRANTS" if self.types(schema, name) else ""
        own = render(f"SELECT * FROM {table}").removeprefix("SELECT * FROM ")
        within = self._within
        if within:
            self.run("COMMIT")
            self._within = False
        self.run(f"CREATE OR REPLACE TABLE {own}{grants} AS {render(query, values)}")
        if within:
            self._begin()

    def add(self, schema: str, name: str, columns: Mapping[str, str]) -> None:
        """Give a table more columns, of these types."""
        add_each(self, quoted(schema, name), columns)

    def resize(self, schema: str, name: str, column: str, kind: str) -> None:
        """Give a column a type that has room for more.

        Snowflake changes no column's digits after the point: the table is made anew, at once.
        """
        types = self.types(schema, name)
        told = ", ".join(
            f"CAST({quoted(one)} AS {kind}) AS {quoted(one)}"
            if one == types.spelt(column)
            else quoted(one)
            for one in types
        )
        query = f"SELECT {told} FROM {quoted(schema, name)}"
        if schema == TEMPORARY:
            self.temporary(name, f"AS {query}")
            return
        said = self.comments(schema).get(name.lower(), {})
        self.replace(schema, name, query)
        self.comment(schema, name, {one: comment for one, comment in said.items() if comment})

    def comment(self, schema: str, name: str, comments: Mapping[str, str]) -> None:
        """Say what columns of a table are."""
        comment_each(self, quoted(schema, name), comments)

    def index(self, table: str, column: str) -> None:
        """Do nothing: there are none."""

    def load(self, table: str, rows: pa.RecordBatchReader | pl.DataFrame) -> None:
        """Append rows to a table by the names of their columns."""
        if isinstance(rows, pl.DataFrame):
            rows = rows.to_arrow().to_reader()
        self._make_stage()
        folder = uuid.uuid4().hex
        with tempfile.TemporaryDirectory(prefix="sf_assets_") as local:
            files = _write(rows, Path(local))
            for file in files:
                self.run(f"PUT {_file_url(file)} @{self._stage}/{folder} AUTO_COMPRESS = FALSE")
        if files:
            into = render(f"SELECT * FROM {table}").removeprefix("SELECT * FROM ").split(" AS ")[0]
            self.run(
                f"COPY INTO {into} FROM @{self._stage}/{folder} "
                "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) "
                "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE PURGE = TRUE"
            )

    def relations(self, schema: str) -> dict[str, Names[str]]:
        """Types of the columns of all tables and views of a schema."""
        if schema == TEMPORARY:
            return dict(self._scratch)
        columns: dict[str, list[tuple[str, str]]] = {}
        for relation, column, *kind, _ in self.run(f"{_columns(schema)} ORDER BY ordinal_position"):
            columns.setdefault(relation.lower(), []).append((column, _type(*kind)))
        return {relation: Names(some) for relation, some in columns.items()}

    def types(self, schema: str, relation: str) -> Names[str]:
        """Types of the columns of one table or view; empty where it is not there."""
        if schema == TEMPORARY:
            return self._scratch.get(relation.lower(), Names())
        if (place := (kept(schema), kept(relation))) not in self._known:
            named = f"{_columns(schema)} AND table_name = {text_literal(place[1])}"
            rows = self.run(f"{named} ORDER BY ordinal_position")
            found = Names((column, _type(*kind)) for _, column, *kind, _ in rows)
            self._known[place] = found
        return self._known[place]

    def tables(self, schema: str) -> set[str]:
        """Names of the tables of a schema."""
        rows = self.run(
            "SELECT table_name FROM INFORMATION_SCHEMA.TABLES "
            f"WHERE table_schema = {text_literal(kept(schema))} AND table_type <> 'VIEW'"
        )
        return {name.lower() for (name,) in rows if not name.startswith(SCRATCH)}

    def everything(self) -> list[tuple[str, str]]:
        """Schema and name of all tables there are, whosever they are."""
        found = self.run(
            "SELECT table_schema, table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_type <> "
            "'VIEW' AND table_schema <> 'INFORMATION_SCHEMA' ORDER BY 1, 2"
        )
        return [(schema, name) for schema, name in found if not name.startswith(SCRATCH)]

    def comments(self, schema: str) -> dict[str, dict[str, str]]:
        """Comments of columns, by table or view."""
        if schema == TEMPORARY:
            return {name: dict.fromkeys(types, "") for name, types in self._scratch.items()}
        found: dict[str, dict[str, str]] = {}
        for relation, column, *_, comment in self.run(_columns(schema)):
            found.setdefault(relation.lower(), {})[column] = comment or ""
        return found

    def shape(self, query: str, values: Values = ()) -> list[tuple[str, str]]:
        """Names and types of the columns of a query's answer, which is not asked for."""
        described = self._cursor.describe(render(f"SELECT * FROM ({query}) AS q", values))
        return [(column.name, _described(column)) for column in described]

    def copy(self, query: str, path: Path) -> int:
        """Write what answers a query into a Parquet file; how many rows."""
        table = self.answer(render(query))
        spelt = names(query)
        columns = [_exact(column) for column in table.columns]
        pq.write_table(pa.table(columns, names=spelt), path)
        return len(table)

    def answer(self, sql: str) -> pa.Table:
        """All rows that answer a query in Snowflake's own SQL."""
        self._cursor.execute(sql)
        described = self._cursor.description
        table = self._cursor.fetch_arrow_all(force_return_table=True)
        for place, column in enumerate(described):
            values = _plain(table[place], column)
            table = table.set_column(place, column.name, values)
        return table

    def cause(self, error: Exception) -> Cause:
        """Why a statement was refused."""
        return cause(error)

    def refusal(self, error: Exception, query: str = "") -> str:
        """What to say of a refused statement: nothing that may be a record's value."""
        return refusal(error, query)

    def _begin(self) -> None:
        self.run("BEGIN")
        self._within = True
        if self.fence and not self.run(self.fence)[0][0]:
            raise WarehouseLockedError(
                "another program has taken over the org's tables in Snowflake meanwhile; run again "
                "when it has ended, raw is kept"
            )

    def _make_stage(self) -> None:
        """Make the stage of this connection, which ends with it."""
        if not self._stage:
            name = f'"{HOME}"."SF_ASSETS_STAGE"'
            self.run(f"CREATE TEMPORARY STAGE IF NOT EXISTS {name}")
            self._stage = name


def _columns(schema: str) -> str:
    return _COLUMNS.format(schema=text_literal(kept(schema))).strip()


def _type(kind: str, precision: int | None, scale: int | None) -> str:
    if kind == "NUMBER":
        decimal = f"DECIMAL({precision},{scale})"
        return "BIGINT" if decimal == _BIGINT else decimal
    return _TYPES.get(kind, kind)


def _described(column: ResultMetadata) -> str:
    kind = FIELD_ID_TO_NAME[column.type_code]
    return _type("NUMBER" if kind == "FIXED" else kind, column.precision, column.scale)


def _is_list(column: ResultMetadata) -> bool:
    return FIELD_ID_TO_NAME[column.type_code] in _LISTS


def _row(row: Any, lists: Iterable[int]) -> tuple[Any, ...]:
    """A row with lists as lists, and times in UTC."""
    values: list[Any] = [v.astimezone(UTC) if isinstance(v, datetime) else v for v in row]
    for place in lists:
        if values[place] is not None:
            values[place] = json.loads(values[place])
    return tuple(values)


def _plain(values: pa.ChunkedArray, column: ResultMetadata) -> pa.ChunkedArray:
    """Values as they are for people: lists as lists, times in UTC."""
    if _is_list(column):
        lists = [None if text is None else json.loads(text) for text in values.to_pylist()]
        if all(isinstance(one, list) for one in lists if one is not None):
            return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])
        return values
    if pa.types.is_timestamp(values.type):
        zone = "UTC" if FIELD_ID_TO_NAME[column.type_code] != "TIMESTAMP_NTZ" else None
        return pc.cast(values, pa.timestamp("us", zone))
    if pa.types.is_time64(values.type):
        return pc.cast(values, pa.time64("us"))
    return values


def _exact(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers come in as few bits as they need: as many as any needs are told."""
    return pc.cast(values, pa.int64()) if pa.types.is_integer(values.type) else values


def _write(rows: pa.RecordBatchReader, folder: Path) -> list[Path]:
    """Rows as Parquet files, of which each is loaded by a thread of its own."""
    fields = [pa.field(kept(field.name), _loadable(field.type)) for field in rows.schema]
    schema = pa.schema(fields)
    files: list[Path] = []
    writer, room = None, 0
    for batch in rows:
        if not len(batch):
            continue
        if writer is None or room <= 0:
            if writer is not None:
                writer.close()
            files.append(folder / f"{len(files)}.parquet")
            writer, room = pq.ParquetWriter(files[-1], schema, compression="snappy"), _ROWS_IN_FILE
        columns = [
            pc.cast(column, field.type) if column.type != field.type else column
            for column, field in zip(batch.columns, schema, strict=True)
        ]
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        room -= len(batch)
    if writer is not None:
        writer.close()
    return files


def _loadable(kind: pa.DataType) -> pa.DataType:
    """The type by which a column is loaded: plain ones, times of day in microseconds."""
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_loadable(kind.value_type))
    return kind


def _file_url(path: Path) -> str:
    return exp.Literal.string(f"file://{path}").sql("snowflake")
