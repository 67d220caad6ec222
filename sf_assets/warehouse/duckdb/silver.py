"""Silver tables as checks ask of them, and copies of them, in files."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from sf_assets.columns.column import Column
from sf_assets.comparison.silver_copy import SilverCopy
from sf_assets.naming import Names
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.duckdb.tables import Table, as_stored
from sf_assets.warehouse.duckdb.types import type_of


class Silver:
    """The silver tables of one org, open for reading.

    Args:
        connection: Open on the warehouse.
        schema: `silver`, or `silver_<org>`.
    """

    Error: type[Exception] = duckdb.Error

    def __init__(self, connection: duckdb.DuckDBPyConnection, schema: str) -> None:
        self._connection = connection
        self._run = connection.execute
        self._schema = schema

    def __contains__(self, slug: str) -> bool:
        return slug in self._types

    def tables(self) -> set[str]:
        """Names of the tables, those of rejects among them."""
        rows = self._run(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? "
            "AND database_name = current_database()",
            [self._schema],
        ).fetchall()
        return {name for (name,) in rows}

    def columns(self, slug: str) -> Names[str]:
        """SQL types of an object's columns, by name."""
        return self._types[slug]

    @cached_property
    def _types(self) -> dict[str, Names[str]]:
        rows = self._run(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE "
            "database_name = current_database() AND schema_name = ?",
            [self._schema],
        ).fetchall()
        columns: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in rows:
            columns.setdefault(table, []).append((column, kind))
        return {table: Names(some) for table, some in columns.items()}

    def table(self, slug: str) -> str:
        """An object's table, as SQL writes it."""
        return quoted(self._schema, slug)

    def live(self, slug: str) -> str:
        """An object's live view, as SQL writes it."""
        return quoted(self._schema, f"{slug}_live")

    def rejects(self, slug: str) -> str:
        """The table of an object's values that could not be typed, as SQL writes it."""
        return quoted(self._schema, f"{slug}_rejects")

    def rows(self, slug: str) -> int:
        """Live rows of an object."""
        ((rows,),) = self.select(f"SELECT count(*) FROM {self.live(slug)}")
        return int(rows)

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._run(sql).fetchall()

    def copy_keys(self, slug: str, path: Path) -> None:
        """Copy Id, cursor, read time and deletion marks of all rows into a Parquet file."""
        flagged = "IsDeleted" in self._types[slug]
        binned = "coalesce(IsDeleted, false)" if flagged else "false"
        self._run(
            f"COPY (SELECT Id, _cursor AS cursor, _read_at AS read_at, _deleted AS deleted, "
            f"{binned} AS binned FROM {self.table(slug)}) "
            f"TO {text_literal(str(path))} (FORMAT parquet)"
        )

    def copy_columns(
        self,
        slug: str,
        columns: Mapping[str, Column],
        cursor: str,
        path: Path,
        *,
        sample: int | None = None,
        only: pl.DataFrame | None = None,
    ) -> SilverCopy:
        """Copy columns of an object's table into a Parquet file; see `port.Silver`."""
        table = Table(self._connection, self._schema, slug)
        types, conflicts = table.types(), table.conflicts(columns.values())
        there = {name for name in columns if name in types} - set(conflicts)
        chosen = ", ".join(
            f"{quoted(name) if name in there else f'NULL::{type_of(column)}'} AS {quoted(name)}"
            for name, column in columns.items()
            if name not in {"Id", cursor}
        )
        query = f"SELECT Id, _cursor, {chosen} FROM {table.name} WHERE NOT _deleted"
        if only is not None:
            self._connection.register("wanted", only)
            query += " AND Id IN (SELECT Id FROM wanted)"
        if sample is not None:
            live = self.live(slug)
            query = f"FROM (SELECT Id, _cursor, {chosen} FROM {live}) USING SAMPLE {sample} ROWS"
        ((rows,),) = self._run(
            f"COPY ({query}) TO {text_literal(str(path))} (FORMAT parquet)"
        ).fetchall()
        stored = {n: as_stored(c, types[n]) if n in there else c for n, c in columns.items()}
        return SilverCopy(path, stored, cursor, rows)
