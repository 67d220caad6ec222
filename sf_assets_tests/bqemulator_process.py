"""BigQuery by bqemulator, as a process of an environment that has it, and nothing of this project.

It prints its port, and ends when its standard input does. What bqemulator does otherwise than
BigQuery, and tests meet, is mended here; docs/warehouses.md lists what stays.
"""

import asyncio
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import bqemulator.api.routes.jobs as routes
import bqemulator.api.routes.tables as table_routes
import duckdb
from bqemulator.catalog.models import TableFieldSchema, TableSchema
from bqemulator.config import Settings
from bqemulator.domain.errors import InvalidQueryError, NotFoundError
from bqemulator.jobs import executor
from bqemulator.server import EmulatorServer
from bqemulator.storage.engine import DuckDBEngine

_SESSION: ContextVar[str] = ContextVar("session", default="")
_DDL = ("CREATE", "ALTER", "DROP")
_OF_ONE = "PARTITION BY `_from_s`.`object` ORDER BY `place` DESC, `read_at`"
_NOTHING = "SELECT 1 AS nothing LIMIT 0"

_ABORT = re.compile(r"CALL BQ\.ABORT_SESSION\('([^']*)'\)")
_COPY = re.compile(r"(CREATE OR REPLACE TABLE `([^`]+)`) COPY `([^`]+)`")
_ALTER = re.compile(r"(ALTER TABLE \S+) (?:ADD|RENAME) COLUMN ")
_MADE = re.compile(r"(?:CREATE (?:OR REPLACE )?|ALTER )(TABLE|VIEW) (?:IF NOT EXISTS )?(\S+)")
_FILLED = re.compile(
    r"CREATE OR REPLACE TABLE (`\w+`\.`\w+)` \((.*)\)(?: CLUSTER BY `Id`)? AS (.*)"
)
_TOLD = re.compile(r"`(\w+)`\.INFORMATION_SCHEMA\.(COLUMNS|COLUMN_FIELD_PATHS)")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_TYPES = {
    "VARCHAR": "STRING", "BIGINT": "INTEGER", "DOUBLE": "FLOAT", "BOOLEAN": "BOOLEAN",
    "DATE": "DATE", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "TIME": "TIME", "INTEGER": "INTEGER",
    "HUGEINT": "INTEGER",
}  # fmt: skip
_SPELT = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


class _Sessions:
    """The sessions there are: each a connection of its own to the one database."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        self._open: dict[str, duckdb.DuckDBPyConnection] = {}
        self._within: set[str] = set()

    def connection(self, session: str) -> duckdb.DuckDBPyConnection:
        """The connection of a session; the common one where a statement is in none."""
        if not session:
            common: duckdb.DuckDBPyConnection = self._engine._connection
            return common
        if session not in self._open:
            self._open[session] = self._engine._connection.cursor()
            self._open[session].execute("SET TimeZone = 'UTC'")
        return self._open[session]

    def run(self, session: str, sql: str) -> str:
        """Do what the emulator has not; what is left for it to do."""
        if abort := _ABORT.fullmatch(sql):
            return self._end(abort[1])
        verb = sql.split(maxsplit=1)[0]
        within = session in self._within
        if verb == "BEGIN":
            self.connection(session).begin()
            self._within.add(session)
        elif verb in {"COMMIT", "ROLLBACK"}:
            self._within.discard(session)
            getattr(self.connection(session), verb.lower())()
        elif "LATERAL (" in sql:
            raise InvalidQueryError("Syntax error: Unexpected keyword LATERAL at [1:1]")
        elif within and verb in _DDL:
            raise InvalidQueryError(f"{verb} is not supported in a transaction")
        else:
            return sql
        return _NOTHING

    def _end(self, session: str) -> str:
        if session not in routes._SESSION_CATALOG:
            raise InvalidQueryError(f"Session {session} does not exist")
        routes._SESSION_CATALOG.discard(session)
        self._within.discard(session)
        if connection := self._open.pop(session, None):
            with suppress(duckdb.Error):
                connection.rollback()
            connection.close()
        return _NOTHING


class _Tables:
    """What is told of tables: as they are, with the sizes of numbers, and what columns are."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine

    def look(self, project: str, sql: str, catalog: Any) -> None:
        """See what a statement has made of a table or view."""
        if not (made := _MADE.match(sql)):
            return
        dataset, table = made[2].replace("`", "").split(".")
        if (known := catalog.get_table(project, dataset, table)) is not None:
            said = {field.name.lower(): field.description for field in known.schema_.fields}
            if copied := _COPY.fullmatch(sql):
                source = catalog.get_table(project, *copied[3].split("."))
                said = {field.name.lower(): field.description for field in source.schema_.fields}
            fields = self._fields(f"{project}__{dataset}", table, said, sized=made[1] == "TABLE")
            schema = TableSchema(fields=tuple(fields))
            catalog.update_table(known.model_copy(update={"schema_": schema}))

    def _fields(
        self, schema: str, table: str, said: dict[str, Any], *, sized: bool
    ) -> Iterator[TableFieldSchema]:
        for name, kind, optional in self._engine._connection.execute(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
            [schema, table],
        ).fetchall():
            told = {"name": name, "description": said.get(name.lower())}
            base = kind.removesuffix("[]")
            if decimal := _DECIMAL.fullmatch(base):
                digits, scale = map(int, decimal.groups())
                small = scale <= 9 and digits - scale <= 29
                told["type"] = "NUMERIC" if small else "BIGNUMERIC"
                if sized and (digits, scale) != (38, 9):
                    told |= {"precision": digits, "scale": scale}
            else:
                told["type"] = _TYPES.get(base, base)
            mode = "REPEATED" if base != kind else "NULLABLE" if optional else "REQUIRED"
            yield TableFieldSchema(mode=mode, **told)

    def told(self, project: str, sql: str, catalog: Any) -> str:
        """A query of what there is, as one of a table in which that is written down."""
        if not (asked := _TOLD.search(sql)):
            return sql
        dataset = asked[1]
        if catalog.get_dataset(project, dataset) is None:
            raise NotFoundError(f"Not found: Dataset {project}:{dataset}")
        rows = [
            [table.table_id, field.name, field.name, place, _spelt(field), field.description]
            for table in catalog.list_tables(project, dataset)
            for place, field in enumerate(table.schema_.fields)
        ]
        run = self._engine._connection
        name = f'"{project}__{dataset}"."_told"'
        run.execute(
            f"CREATE OR REPLACE TABLE {name} (table_name VARCHAR, column_name VARCHAR, field_path "
            "VARCHAR, ordinal_position BIGINT, data_type VARCHAR, description VARCHAR)"
        )
        if rows:
            run.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?, ?)", rows)
        return _TOLD.sub(f"`{dataset}`.`_told`", sql)


def _sized(field: TableFieldSchema) -> dict[str, Any]:
    """A column as a request is answered, with the size of its numbers."""
    told: dict[str, Any] = _told(field)
    if field.precision is not None:
        told |= {"precision": str(field.precision), "scale": str(field.scale)}
    return told


_told = table_routes._field_to_rest
_schema = table_routes._rest_to_schema


def _with_sizes(raw: list[dict[str, Any]], existing: Any) -> TableSchema:
    """The columns of a request, with the size of their numbers."""
    sizes = {field["name"]: field for field in raw or ()}
    fields = [
        field.model_copy(
            update={
                part: int(sizes[field.name][part])
                for part in ("precision", "scale")
                if part in sizes.get(field.name, ())
            }
        )
        for field in _schema(raw, existing).fields
    ]
    return TableSchema(fields=tuple(fields))


def _spelt(field: TableFieldSchema) -> str:
    kind = _SPELT.get(field.type, field.type)
    if field.precision is not None:
        kind = f"{kind}({field.precision}, {field.scale})"
    return f"ARRAY<{kind}>" if field.mode == "REPEATED" else kind


def _exact(sql: str, project: str) -> str:
    """A statement of DuckDB, in which numbers of no size have as many digits as BigQuery's."""
    sql = _qualified(sql, project)
    return sql.replace("AS DECIMAL(18, 3))", "AS DECIMAL(38, 9))").replace(
        "AS DECIMAL(38, 5))", "AS DECIMAL(38, 20))"
    )


_qualified = executor.rewrite_table_refs


def _as_bigquery_says(said: str) -> str:
    """What is said of a query, begun as BigQuery begins it."""
    if "Binder Error: " in said:
        return f"Unrecognized name: {said} at [1:1]"
    if "Conversion Error" in said or "Could not convert" in said:
        return f"Bad value: {said}"
    return said


def _statements(sql: str) -> Iterator[str]:
    """A statement as those that the emulator takes."""
    sql = sql.replace("BIGNUMERIC(", "NUMERIC(")  # whose digits it would choose by itself
    # Of columns that two tables are joined by, it says in most places only of which it means one.
    sql = sql.replace("PARTITION BY `object` ORDER BY `place` DESC, `read_at`", _OF_ONE)
    if copied := _COPY.fullmatch(sql):
        yield f"{copied[1]} AS SELECT * FROM `{copied[3]}`"
    elif filled := _FILLED.fullmatch(sql):
        table, columns, query = filled.groups()
        yield f"CREATE OR REPLACE TABLE {table}_was` AS SELECT * FROM {table}`"
        yield f"CREATE OR REPLACE TABLE {table}` ({columns})"
        yield f"INSERT INTO {table}` {query.replace(f'{table}`', f'{table}_was`')}"
        yield f"DROP TABLE {table}_was`"
    elif alter := _ALTER.match(sql):
        for action in re.split(r", (?=(?:ADD|RENAME) COLUMN )", sql.removeprefix(f"{alter[1]} ")):
            yield f"{alter[1]} {action}"
    else:
        yield sql


def _mend(engine: DuckDBEngine) -> None:
    sessions, tables = _Sessions(engine), _Tables(engine)
    validate, execute = routes._validate_session_id, routes.execute_query_job

    def validated(config: dict[str, Any]) -> None:
        validate(config)
        told = config.get("connectionProperties") or ()
        _SESSION.set(next((p["value"] for p in told if p.get("key") == "session_id"), ""))

    async def executed(
        project: str, job: str, sql: str, params: Any, ctx: Any, **kwargs: Any
    ) -> Any:
        try:
            for part in sql.split(";\n"):
                left = sessions.run(_SESSION.get(), tables.told(project, part, ctx.catalog))
                for statement in _statements(left):
                    done = await execute(project, job, statement, params, ctx, **kwargs)
                tables.look(project, left, ctx.catalog)
        except duckdb.TransactionException as error:
            raise InvalidQueryError(
                f"Transaction is aborted due to concurrent update: {error}"
            ) from None
        except InvalidQueryError as error:
            raise InvalidQueryError(_as_bigquery_says(error.message)) from None
        return done

    async def nothing(*_: Any) -> None:
        """No copies of tables for time travel."""

    routes._validate_session_id = validated
    routes.execute_query_job = executed
    routes._SQL_EXECUTION_DOMAIN_ERRORS = ()  # a query that fails is an error of its request
    executor._capture_dml_snapshots = nothing
    executor.rewrite_table_refs = _exact
    table_routes._field_to_rest = _sized
    table_routes._rest_to_schema = _with_sizes
    DuckDBEngine.connection = property(lambda _: sessions.connection(_SESSION.get()))


async def _serve() -> None:
    server = EmulatorServer(Settings(rest_port=0, grpc_port=0, enable_format_extensions=False))
    DuckDBEngine._load_spatial = lambda _: None  # it would be downloaded
    await server.start()
    _mend(server._engine)
    logging.disable(logging.CRITICAL)
    sys.stdout.write(f"{server.rest_port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    asyncio.run(_serve())
