"""An open connection to BigQuery: rows go in by load jobs of Parquet files, and come out as Arrow.

Statements outside a transaction are jobs of their own; those of a transaction are run in a session.
Temporary tables are tables of the dataset of `ops`, which load jobs can fill, with names of the
connection's own and an end; what they are loaded with is sent when the next statement is.
"""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud.bigquery import SchemaField
from sqlglot import exp

from sf_assets.errors import WarehouseLockedError
from sf_assets.naming import Names
from sf_assets.sql import quoted
from sf_assets.warehouse.bigquery.address import Address
from sf_assets.warehouse.bigquery.loading import Parts, spoken, unspoken
from sf_assets.warehouse.bigquery.refusals import BigQueryError, cause, is_missing, refusal, told
from sf_assets.warehouse.bigquery.render import CAPABILITIES, Lists, Statement, render
from sf_assets.warehouse.bigquery.service import Service
from sf_assets.warehouse.bigquery.types import (
    arrow,
    cast,
    shared,
    shared_text,
    spelt,
    without_empty_lists,
)
from sf_assets.warehouse.sql.connection import TEMPORARY, Cause, Values, refill
from sf_assets.warehouse.sql.portable import names, parsed
from sf_assets.warehouse.sql.types import as_decimal

SCRATCH = "sf_assets_temp_"
"""What names of temporary tables begin with."""

_HOME = "ops"
_DEFAULT_LOCATION = "US"  # Google's own
_ANY = pa.decimal128(38, 9)
"""The type of numbers of which no table tells the size."""

_DDL = ("CREATE", "ALTER", "DROP")


class BigQueryConnection:
    """A connection that renders the shared SQL; see `sql.connection.Connection`.

    Args:
        address: Where.
        credentials: Of google-auth; None for those of the address.

    Attributes:
        service: What is asked.
        found: Where the datasets are; None where there are none yet.
        fence: A statement at the beginning of each transaction, which has to change a row; empty
            for none.

    Raises:
        BigQueryError: It is not to be had.
    """

    error: type[Exception] = BigQueryError
    capabilities = CAPABILITIES

    def __init__(self, address: Address, credentials: Any = None) -> None:
        self._address = address
        self._within = False
        self._token = uuid.uuid4().hex[:8]
        self._made = 0
        self._scratch: dict[str, str] = {}
        self._there: list[str] = []
        self._used: set[str] = set()
        self._known: dict[str, list[SchemaField]] = {}
        self._made_later: list[str] = []
        self._parts = Parts()
        self.fence = ""
        self.service = Service(address, credentials)
        self.found = self.service.place_of(address.dataset(_HOME))
        self.service.location = address.location or self.found or _DEFAULT_LOCATION

    def close(self) -> None:
        """End it; what is not committed is gone, and so are temporary tables."""
        self._parts.close()
        with suppress(BigQueryError):
            self.service.answered_all(f"DROP TABLE IF EXISTS `{place}`" for place in self._there)
        self.service.close()

    def release(self, statement: str) -> None:
        """Run a last statement, as far as there still is a connection."""
        with suppress(BigQueryError):
            self.run(statement)

    def run(self, sql: str, lists: Lists | None = None) -> list[tuple[Any, ...]]:
        """Run a statement in BigQuery's own SQL, and with values of its parameters."""
        self._send()
        if sql.startswith(_DDL):
            if self._within:  # a mistake of ours: BigQuery refuses it, and the merge with it
                raise RuntimeError(f"not in a transaction: {sql[:200]}")
            self._known.clear()
        answer = self.service.answered(Statement(sql, lists or {}), in_session=self._within)
        if answer.num_dml_affected_rows is not None:
            return [(answer.num_dml_affected_rows,)]
        with told():
            return [tuple(None if value == [] else value for value in row) for row in answer]

    def rendered(self, sql: str, values: Values = ()) -> str:
        """A statement of the shared SQL as BigQuery writes it."""
        return self._rendered(sql, values).sql

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run a statement of the shared SQL."""
        statement = self._rendered(sql, values)
        return self.run(statement.sql, statement.lists)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is run in the block, or nothing."""
        self._send()
        try:
            self._begin()
            yield
            self.run("COMMIT TRANSACTION")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._within = False

    def temporary(self, name: str, definition: str, values: Values = ()) -> None:
        """Make a temporary table, in the place of one of that name; in a transaction, empty it."""
        table = f"temp.{quoted(name)}"
        if not self._within:
            self._made += 1
            mine = f"{SCRATCH}{self._token}_{self._made}_{name}"
            self._scratch[name] = f"{self._address.dataset(_HOME)}.{mine}"
            self._there.append(self._scratch[name])
            self._used.discard(name)
            made = self._rendered(f"CREATE TABLE {table} {definition}", values)
            self._made_later.append(made.sql)
            return
        if name in self._used:
            self.execute(f"DELETE FROM {table}")
        self._used.add(name)
        if definition.startswith("AS "):
            query = definition.removeprefix("AS ")
            columns = names(query)
            if "*" in columns:
                columns = [column for column, _ in self.shape(query, values)]
            into = ", ".join(map(quoted, columns))
            self.execute(f"INSERT INTO {table} ({into}) {query}", values)

    def replace(self, schema: str, name: str, query: str, values: Values = ()) -> None:
        """Have a table hold what answers a query.

        In a transaction one with the same columns stays. Where it has others it is made at once,
        and what was done before is committed.
        """
        table = quoted(schema, name)
        there = self._within and self.types(schema, name)
        if there and refill(self, table, query, values):
            return
        within = self._within
        if within:
            self.run("COMMIT TRANSACTION")
            self._within = False
        if whole := _whole(query):  # with its types, comments and clusters
            into = self._place(schema, name), self._place(whole.db, whole.name)
            self.run(f"CREATE OR REPLACE TABLE `{into[0]}` COPY `{into[1]}`")
        else:
            self.execute(f"CREATE OR REPLACE TABLE {table} AS {query}", values)
        if within:
            self._begin()

    def add(self, schema: str, name: str, columns: Mapping[str, str]) -> None:
        """Give a table more columns by one statement: five in ten seconds are what it takes."""
        added = ", ".join(f"ADD COLUMN {quoted(column)} {kind}" for column, kind in columns.items())
        self.execute(f"ALTER TABLE {quoted(schema, name)} {added}")

    def resize(self, schema: str, name: str, column: str, kind: str) -> None:
        """Give a column a type that has room for more.

        BigQuery takes no digit away: where one before the point is given up, the table is made
        anew, at once.
        """
        types, table = self.types(schema, name), quoted(schema, name)
        before, after = as_decimal(types[column]), as_decimal(kind)
        if before and after and all(b <= a for b, a in zip(before, after, strict=True)):
            self.execute(f"ALTER TABLE {table} ALTER COLUMN {quoted(column)} TYPE {kind}")
            return
        said = {} if schema == TEMPORARY else self.comments(schema).get(name, {})
        kinds = {one: kind if one == types.spelt(column) else types[one] for one in types}
        declared = ", ".join(f"{quoted(one)} {its}" for one, its in kinds.items())
        chosen = ", ".join(f"CAST({quoted(one)} AS {its})" for one, its in kinds.items())
        self.execute(
            f"CREATE OR REPLACE TABLE {table} ({declared}) AS SELECT {chosen} FROM {table}"
        )
        self.comment(schema, name, {one: comment for one, comment in said.items() if comment})

    def comment(self, schema: str, name: str, comments: Mapping[str, str]) -> None:
        """Say what columns of a table are."""
        if comments:
            self.service.describe(self._place(schema, name), comments)
            self._known.clear()

    def index(self, table: str, column: str) -> None:
        """Do nothing: tables of records are clustered by their Ids."""

    def load(self, table: str, rows: pa.RecordBatchReader | pl.DataFrame) -> None:
        """Append rows to a table by the names of their columns."""
        if isinstance(rows, pl.DataFrame):
            rows = rows.to_arrow().to_reader()
        into = exp.to_table(table, dialect="duckdb")
        place = self._place(into.db, into.name)
        if into.db == TEMPORARY and not self._within:
            self._used.add(into.name)
            self._parts.append(place, self.types(into.db, into.name), rows)
            return
        kinds = Names((field.name, spelt(field)) for field in self._columns(place))
        columns = rows.schema.names
        into_columns = ", ".join(f"`{kinds.spelt(name)}`" for name in columns)
        values = ", ".join(unspoken(columns, kinds))
        sql = f"INSERT INTO `{place}` ({into_columns}) SELECT {values} FROM UNNEST(@rows) AS r"
        for some in spoken(rows):
            self.run(sql, {"rows": ("STRING", some)})

    def relations(self, schema: str) -> dict[str, Names[str]]:
        """Types of the columns of all tables and views of a schema."""
        if schema == TEMPORARY:
            return {name: self.types(schema, name) for name in self._scratch}
        columns: dict[str, list[tuple[str, str]]] = {}
        query = "SELECT table_name, column_name, data_type FROM {} ORDER BY 1, ordinal_position"
        for relation, column, kind in self._told(schema, "COLUMNS", query):
            if not relation.startswith(SCRATCH):
                columns.setdefault(relation, []).append((column, shared_text(kind)))
        return {relation: Names(some) for relation, some in columns.items()}

    def types(self, schema: str, relation: str) -> Names[str]:
        """Types of the columns of one table or view; empty where it is not there."""
        columns = self._columns(self._place(schema, relation))
        return Names((field.name, shared(field)) for field in columns)

    def tables(self, schema: str) -> set[str]:
        """Names of the tables of a schema."""
        found = self.service.tables(self._address.dataset(schema))
        return {name for name in found if not name.startswith(SCRATCH)}

    def everything(self) -> list[tuple[str, str]]:
        """Schema and name of all tables in datasets of ours: the project may have any others."""
        schemas = sorted(filter(None, map(self._address.schema, self.service.datasets())))
        return [(schema, name) for schema in schemas for name in sorted(self.tables(schema))]

    def comments(self, schema: str) -> dict[str, dict[str, str]]:
        """Comments of columns, by table or view."""
        if schema == TEMPORARY:
            return {name: dict.fromkeys(self.types(schema, name), "") for name in self._scratch}
        found: dict[str, dict[str, str]] = {}
        query = "SELECT table_name, column_name, description FROM {} WHERE field_path = column_name"
        for relation, column, comment in self._told(schema, "COLUMN_FIELD_PATHS", query):
            found.setdefault(relation, {})[column] = comment or ""
        return found

    def shape(self, query: str, values: Values = ()) -> list[tuple[str, str]]:
        """Names and types of the columns of a query's answer, which is not asked for."""
        self._send()
        looked_at = self._rendered(f"SELECT * FROM ({query}) AS q", values)
        columns = self.service.looked_at(looked_at).schema or ()
        return [(field.name, shared(field)) for field in columns]

    def copy(self, query: str, path: Path) -> int:
        """Write what answers a query into a Parquet file; how many rows."""
        self._send()
        sizes = {
            name.lower(): kind
            for table in parsed(query, CAPABILITIES.engine).find_all(exp.Table)
            for name, kind in self.types(table.db, table.name).items()
        }
        answer = self.service.answered(self._rendered(query))
        kinds = [
            arrow(sizes.get(name.lower(), kind) if kind.startswith("DECIMAL") else kind) or _ANY
            for name, kind in zip(names(query), map(shared, answer.schema), strict=True)
        ]
        schema = pa.schema(list(zip(names(query), kinds, strict=True)))
        rows = 0
        with told(), pq.ParquetWriter(path, schema) as writer:
            for batch in answer.to_arrow_iterable():
                columns = [
                    cast(without_empty_lists(column), kind)
                    for column, kind in zip(batch.columns, kinds, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                rows += len(batch)
        return rows

    def answer(self, sql: str) -> pa.Table:
        """All rows that answer a query in BigQuery's own SQL."""
        with told():
            return self.service.answered(Statement(sql)).to_arrow(create_bqstorage_client=False)

    def kind_of(self, sql: str) -> str:
        """What a statement is, as BigQuery calls it, such as `SELECT`; it is not run."""
        return str(self.service.looked_at(Statement(sql)).statement_type)

    def cause(self, error: Exception) -> Cause:
        """Why a statement was refused."""
        return cause(error)

    def refusal(self, error: Exception, query: str = "") -> str:
        """What to say of a refused statement: nothing that may be a record's value."""
        return refusal(error, query)

    def _begin(self) -> None:
        self.service.answered(Statement("BEGIN TRANSACTION"), in_session=True)
        self._within = True
        if self.fence and not self.run(self.fence)[0][0]:
            raise WarehouseLockedError(
                "another program has taken over the org's tables in BigQuery meanwhile; run again "
                "when it has ended, raw is kept"
            )

    def _roll_back(self) -> None:
        """Have nothing of a transaction; where that cannot be said, the session is ended."""
        try:
            self.service.answered(Statement("ROLLBACK TRANSACTION"), in_session=True)
        except BigQueryError:
            with suppress(BigQueryError):
                self.service.end_session()

    def _send(self) -> None:
        """Make the temporary tables that were asked for, together, and send what they hold."""
        later, self._made_later = self._made_later, []
        self.service.answered_all(later)
        for place, path in self._parts.take():
            self.service.load(place, path)

    def _rendered(self, sql: str, values: Values = ()) -> Statement:
        return render(sql, values, self._place, self._lists)

    def _place(self, schema: str, name: str) -> str:
        """Dataset and name of a table."""
        if schema.lower() == TEMPORARY:
            nowhere = f"{self._address.dataset(_HOME)}.{SCRATCH}{self._token}_{name}"
            return self._scratch.get(name.lower(), nowhere)
        return f"{self._address.dataset(schema)}.{name}"

    def _lists(self, tree: exp.Expr) -> set[str]:
        """Names of the columns of a statement's tables that are lists."""
        return {
            name
            for table in tree.find_all(exp.Table)
            if table.db and not table.catalog
            for name, kind in self.types(table.db, table.name).items()
            if kind.endswith("[]")
        }

    def _columns(self, place: str) -> list[SchemaField]:
        if place not in self._known:
            self._send()
            self._known[place] = self.service.columns(place)
        return self._known[place]

    def _told(self, schema: str, view: str, query: str) -> list[tuple[Any, ...]]:
        """What BigQuery tells of all relations of a schema; nothing where it is not there."""
        where = f"`{self._address.dataset(schema)}`.INFORMATION_SCHEMA.{view}"
        try:
            with told():
                answer = self.service.answered(Statement(query.format(where)))
                return [tuple(row) for row in answer]
        except BigQueryError as error:
            if not is_missing(error):
                raise
            return []


def _whole(query: str) -> exp.Table | None:
    """The table of which a query tells all; None where it tells anything else."""
    tree = parsed(query, CAPABILITIES.engine)
    source = tree.args.get("from_")
    parts = {name for name, part in tree.args.items() if part} - {"expressions", "from_", "kind"}
    if source is None or parts or not isinstance(source.this, exp.Table):
        return None
    stars = [isinstance(one, exp.Star) and not one.args.get("except_") for one in tree.expressions]
    return source.this if stars == [True] and source.this.db else None
