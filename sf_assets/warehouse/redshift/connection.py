"""An open connection to Redshift, by its own connector."""

import json
import logging
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import redshift_connector
from redshift_connector.error import Error, InterfaceError

from sf_assets.naming import Names
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.redshift import loading
from sf_assets.warehouse.redshift.refusals import cause, refusal
from sf_assets.warehouse.redshift.render import CAPABILITIES, kept, render
from sf_assets.warehouse.sql.connection import (
    TEMPORARY,
    Cause,
    Values,
    add_each,
    comment_each,
    refill,
)
from sf_assets.warehouse.sql.portable import names

# At levels below it logs all that the server says, which may be a record's value.
logging.getLogger("redshift_connector").setLevel(logging.INFO)

_OPTIONS = {
    "application_name": "sf_assets",
    # Texts: of what it reads in binary form, dates before 1582 and fractions of seconds are wrong.
    "client_protocol_version": 0,
    "max_prepared_statements": 0,  # else each statement's text would be kept
    "tcp_keepalive_idle": 60,
}

_LOST = (OSError, AttributeError, struct.error)
"""What the connector raises where the connection is lost, beside errors of its own."""

_AT_ONCE = 1_000
"""Rows that a cursor tells at once; a cluster of one node tells no more."""

_SUPER, _NUMERIC = 4000, 1700
_KINDS = {
    16: ("BOOLEAN", pa.bool_()),
    20: ("BIGINT", pa.int64()),
    21: ("SMALLINT", pa.int16()),
    23: ("INTEGER", pa.int32()),
    700: ("REAL", pa.float32()),
    701: ("DOUBLE", pa.float64()),
    1082: ("DATE", pa.date32()),
    1083: ("TIME", pa.time64("us")),
    1114: ("TIMESTAMP", pa.timestamp("us")),
    1184: ("TIMESTAMP WITH TIME ZONE", pa.timestamp("us", "UTC")),
    _SUPER: ("VARCHAR[]", pa.list_(pa.string())),
}
"""Types by their numbers, as the shared SQL and as Arrow calls them; others are texts."""

_TYPES = {
    "character varying(65535)": "VARCHAR",
    "super": "VARCHAR[]",
    "boolean": "BOOLEAN",
    "bigint": "BIGINT",
    "integer": "INTEGER",
    "date": "DATE",
    "double precision": "DOUBLE",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "time without time zone": "TIME",
}
"""Redshift's types as the shared SQL calls them."""

_RELATIONS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), d.description
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum
WHERE n.nspname = {schema} AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
"""

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
""".strip()

LOCKS = "sf_assets_lock"
"""What names of tables begin with that are only there to be locked."""


@dataclass(frozen=True, slots=True)
class _Field:
    """A column of an answer."""

    name: str
    oid: int
    size: int

    @property
    def is_list(self) -> bool:
        return self.oid == _SUPER

    @property
    def type(self) -> str:
        """As the shared SQL calls it."""
        if self.oid == _NUMERIC and (room := self._room):
            return f"DECIMAL({room[0]},{room[1]})"
        return _KINDS.get(self.oid, ("VARCHAR",))[0]

    @property
    def arrow(self) -> pa.DataType:
        """As Arrow calls it."""
        if self.oid == _NUMERIC:
            return pa.decimal128(*(self._room or (38, 9)))
        return _KINDS[self.oid][1] if self.oid in _KINDS else pa.string()

    @property
    def _room(self) -> tuple[int, int] | None:
        """All digits of a number, and those after the point."""
        packed = self.size - 4
        return (packed >> 16 & 0xFFFF, packed & 0xFFFF) if packed >= 0 else None


class RedshiftConnection:
    """A connection that renders the shared SQL; see `sql.connection.Connection`.

    Args:
        parameters: As Redshift's connector takes them.
        staging: Where files can be put for Redshift; None for nowhere.

    Attributes:
        begin: Statements that each transaction begins with.
        before_commit: Is called before each commit.
    """

    error: type[Exception] = Error
    capabilities = CAPABILITIES

    def __init__(
        self, parameters: Mapping[str, Any], staging: loading.Staging | None = None
    ) -> None:
        self._raw = redshift_connector.connect(**{**_OPTIONS, **parameters})
        self._raw.autocommit = True
        self._cursor = self._raw.cursor()
        self._cursor.paramstyle = "qmark"
        self._staging = staging
        self._scratch: dict[str, Names[str]] = {}
        self.begin: Sequence[str] = ()
        self.before_commit: Callable[[], object] = lambda: None
        self.run("SET timezone TO 'UTC'")

    def close(self) -> None:
        """End it; what is not committed is gone, and so are temporary tables."""
        with suppress(Error, *_LOST):
            self._raw.close()

    def run(self, sql: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement in Redshift's own SQL, with values in the place of `?`."""
        fields = self._ask(sql, values)
        if not fields:
            count = self._cursor.rowcount
            return [(count,)] if count >= 0 else []
        lists = [place for place, field in enumerate(fields) if field.is_list]
        return [_row(row, lists) for row in self._cursor.fetchall()]

    def rendered(self, sql: str, values: Values = ()) -> str:
        """A statement of the shared SQL as Redshift writes it."""
        return render(sql, values)

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run a statement of the shared SQL."""
        return self.run(render(sql, values))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is run in the block, or nothing."""
        self.run("BEGIN")
        try:
            for statement in self.begin:
                self.run(statement)
            yield
            self.before_commit()
            self.run("COMMIT")
        except BaseException:
            with suppress(Error):  # a session that is lost rolls back
                self.run("ROLLBACK")
            raise

    def temporary(self, name: str, definition: str, values: Values = ()) -> None:
        """Make a temporary table, in the place of one of that name."""
        table = f"temp.{quoted(name)}"
        self.execute(f"DROP TABLE IF EXISTS {table}")
        self.execute(f"CREATE TEMP TABLE {table} {definition}", values)
        self._scratch[name.lower()] = Names(self.shape(f"SELECT * FROM {table}"))

    def replace(self, schema: str, name: str, query: str, values: Values = ()) -> None:
        """Have a table hold what answers a query.

        One with the same columns stays, so that views and grants which people made stay, too.
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
        """Give a column of a table a type that has room for more.

        Redshift changes the size of texts alone, and not in a transaction: so another column takes
        its place, the last. The table stays, with what others may do with it.
        """
        table, new = quoted(schema, name), '"sf_assets_resized"'
        said = self.comments(schema).get(name.lower(), {}).get(kept(column))
        for statement in (
            f"ALTER TABLE {table} ADD COLUMN {new} {kind}",
            f"UPDATE {table} SET {new} = CAST({quoted(column)} AS {kind})",
            f"ALTER TABLE {table} DROP COLUMN {quoted(column)}",
            f"ALTER TABLE {table} RENAME COLUMN {new} TO {quoted(column)}",
        ):
            self.execute(statement)
        if said:
            self.comment(schema, name, {column: said})
        if schema == TEMPORARY:
            self._scratch[name.lower()] = Names(self.shape(f"SELECT * FROM {table}"))

    def comment(self, schema: str, name: str, comments: Mapping[str, str]) -> None:
        """Say what columns of a table are."""
        comment_each(self, quoted(schema, name), comments)

    def index(self, table: str, column: str) -> None:
        """Do nothing: there are none; tables of records are in the order of Ids."""

    def load(self, table: str, rows: pa.RecordBatchReader | pl.DataFrame) -> None:
        """Append rows to a table by the names of their columns."""
        if isinstance(rows, pl.DataFrame):
            rows = rows.to_arrow().to_reader()
        into = render(f"DROP TABLE {table}").removeprefix("DROP TABLE ")
        loading.load(self.run, self._staging, into, rows)

    def relations(self, schema: str) -> dict[str, Names[str]]:
        """Types of the columns of all tables and views of a schema."""
        if schema == TEMPORARY:
            return dict(self._scratch)
        columns: dict[str, list[tuple[str, str]]] = {}
        for relation, column, kind, _ in self.run(f"{_columns(schema)} ORDER BY 1, a.attnum"):
            columns.setdefault(relation, []).append((column, _type(kind)))
        return {name: Names(some) for name, some in columns.items() if not name.startswith(LOCKS)}

    def types(self, schema: str, relation: str) -> Names[str]:
        """Types of the columns of one table or view; empty where it is not there."""
        if schema == TEMPORARY:
            return self._scratch.get(relation.lower(), Names())
        named = text_literal(kept(relation))
        rows = self.run(f"{_columns(schema)} AND c.relname = {named} ORDER BY a.attnum")
        return Names((column, _type(kind)) for _, column, kind, _ in rows)

    def tables(self, schema: str) -> set[str]:
        """Names of the tables of a schema."""
        rows = self.run(f"{_TABLES} AND n.nspname = {text_literal(kept(schema))}")
        return {name for _, name in rows if not name.startswith(LOCKS)}

    def everything(self) -> list[tuple[str, str]]:
        """Schema and name of all tables there are, whosever they are."""
        found = self.run(
            f"{_TABLES} AND n.nspname NOT IN ('information_schema', 'catalog_history') "
            "AND substring(n.nspname, 1, 3) <> 'pg_' ORDER BY 1, 2"
        )
        return [(schema, name) for schema, name in found if not name.startswith(LOCKS)]

    def comments(self, schema: str) -> dict[str, dict[str, str]]:
        """Comments of columns, by table or view."""
        if schema == TEMPORARY:
            return {name: dict.fromkeys(types, "") for name, types in self._scratch.items()}
        found: dict[str, dict[str, str]] = {}
        for relation, column, _, comment in self.run(_columns(schema)):
            found.setdefault(relation, {})[column] = comment or ""
        return found

    def shape(self, query: str, values: Values = ()) -> list[tuple[str, str]]:
        """Names and types of the columns of a query's answer, which is not asked for."""
        fields = self._ask(render(f"SELECT * FROM ({query}) AS q LIMIT 0", values))
        return [(field.name, field.type) for field in fields]

    def copy(self, query: str, path: Path) -> int:
        """Write what answers a query into a Parquet file; how many rows."""
        rows = 0
        spelt = names(query)
        with self._told(render(query)) as (fields, portions):
            pairs = zip(spelt, fields, strict=True)
            schema = pa.schema([pa.field(name, field.arrow) for name, field in pairs])
            with pq.ParquetWriter(path, schema) as writer:
                for some in portions:
                    writer.write_table(_arrow(some, schema))
                    rows += len(some)
        return rows

    def answer(self, sql: str) -> pa.Table:
        """All rows that answer a query in Redshift's own SQL; nothing is changed."""
        with self._reading():
            fields = self._ask(sql)
            lists = [place for place, field in enumerate(fields) if field.is_list]
            rows = [_row(row, lists) for row in self._cursor.fetchall()]
        schema = pa.schema([pa.field(field.name, field.arrow) for field in fields])
        return _arrow(rows, schema)

    def cause(self, error: Exception) -> Cause:
        """Why a statement was refused."""
        return cause(error)

    def refusal(self, error: Exception, query: str = "") -> str:
        """What to say of a refused statement: nothing that may be a record's value."""
        return refusal(error, query)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A transaction that changes nothing."""
        self.run("BEGIN READ ONLY")
        try:
            yield
        finally:
            with suppress(Error):
                self.run("ROLLBACK")

    @contextmanager
    def _told(self, sql: str) -> Iterator[tuple[list[_Field], Iterator[list[tuple[Any, ...]]]]]:
        """The columns of an answer, and its rows, some at a time: the connector keeps all it gets.

        Nothing else is asked before the block ends.
        """
        fetch = f"FETCH FORWARD {_AT_ONCE} FROM sf_assets_rows"
        with self._reading():
            self.run(f"DECLARE sf_assets_rows CURSOR FOR {sql}")
            fields = self._ask(fetch)
            lists = [place for place, field in enumerate(fields) if field.is_list]

            def portions() -> Iterator[list[tuple[Any, ...]]]:
                while some := [_row(row, lists) for row in self._cursor.fetchall()]:
                    yield some
                    self._ask(fetch)

            yield fields, portions()

    def _ask(self, sql: str, values: Sequence[Any] | None = None) -> list[_Field]:
        """Run a statement; the columns of its answer."""
        try:
            self._cursor.execute(sql, values)
        except _LOST:
            raise InterfaceError("the connection was lost") from None
        described: list[Mapping[str, Any]] = (self._cursor.ps or {}).get("row_desc", [])
        return [
            _Field(column["label"].decode(), column["type_oid"], column["type_modifier"])
            for column in described
        ]


def _columns(schema: str) -> str:
    return _RELATIONS.format(schema=text_literal(kept(schema))).strip()


def _type(kind: str) -> str:
    if kind.startswith("numeric("):
        return kind.replace("numeric", "DECIMAL")
    return _TYPES.get(kind, kind.replace("character varying", "VARCHAR").upper())


def _row(row: Sequence[Any], lists: Sequence[int]) -> tuple[Any, ...]:
    """A row with lists as lists."""
    values = list(row)
    for place in lists:
        if values[place] is not None:
            values[place] = json.loads(values[place])
    return tuple(values)


def _arrow(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
