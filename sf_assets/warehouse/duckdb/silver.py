"""Questions that silver tables are asked, as SQL, and copies of them, in files."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import duckdb
import polars as pl

from sf_assets.columns.column import Column
from sf_assets.comparison.silver_copy import SilverCopy
from sf_assets.naming import Names
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.duckdb.conditions import dangling, unlisted
from sf_assets.warehouse.duckdb.tables import Table, as_stored
from sf_assets.warehouse.duckdb.types import type_of


class Silver:
    """The silver tables of one org, open for reading.

    Args:
        connection: Open on the warehouse.
        schema: `silver`, or `silver_<org>`.
    """

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

    def rows(self, slug: str) -> int:
        """Rows of an object's live view."""
        return self._count(f"SELECT count(*) FROM {self.live(slug)}")

    def bad_ids(self, slug: str) -> int:
        """Rows without an Id, or with one that another row has, too."""
        return self._count(f"SELECT count(*) - count(DISTINCT Id) FROM {self.table(slug)}")

    def rejects(self, slug: str) -> dict[str, int]:
        """Values that could not be typed, by column."""
        table = quoted(self._schema, f"{slug}_rejects")
        return dict(self._run(f'SELECT "column", count(*) FROM {table} GROUP BY 1').fetchall())

    def dangling(self, slug: str, references: Mapping[str, Iterable[str]]) -> dict[str, int]:
        """Live rows whose reference leads to no record, by column; see `port.Silver`."""
        parents = {name: [target.lower() for target in some] for name, some in references.items()}
        return self._offenders(
            slug,
            {
                name: dangling(f"t.{quoted(name)}", map(self.table, slugs))
                for name, slugs in parents.items()
                if all(target in self for target in slugs)
            },
        )

    def unlisted(self, slug: str, picklists: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """Live rows with a picklist value that describe does not list, by column; only with any."""
        types = self._types[slug]
        return self._offenders(
            slug,
            {
                name: unlisted(f"t.{quoted(name)}", types[name], values)
                for name, values in picklists.items()
                if name in types
            },
        )

    def _offenders(self, slug: str, conditions: Mapping[str, str]) -> dict[str, int]:
        """Live rows that meet a condition on a column, by column; only columns with any."""
        found = {}
        for column, condition in conditions.items():
            if column not in self._types[slug]:
                continue
            query = f"SELECT count(*) FROM {self.live(slug)} t WHERE {condition}"
            if count := self._count(query):
                found[column] = count
        return found

    def _count(self, query: str) -> int:
        row = self._run(query).fetchone()
        return int(row[0]) if row else 0

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
