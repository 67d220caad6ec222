"""Silver tables as checks ask of them, and copies of them, in files."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from sf_assets.columns.column import Column
from sf_assets.comparison.silver_copy import SilverCopy
from sf_assets.naming import Names
from sf_assets.sql import quoted
from sf_assets.warehouse.sql.connection import Connection
from sf_assets.warehouse.sql.tables import Table
from sf_assets.warehouse.sql.types import as_stored, type_of


class Silver:
    """The silver tables of one org, open for reading.

    Args:
        connection: Open on the warehouse.
        schema: `silver`, or `silver_<org>`.
        restricted: `restricted`, or `restricted_<org>`.
    """

    def __init__(self, connection: Connection, schema: str, restricted: str) -> None:
        self._restricted = restricted
        self.Error = connection.error
        self._connection = connection
        self._schema = schema

    def __contains__(self, slug: str) -> bool:
        return slug in self._types

    def tables(self) -> set[str]:
        """Names of the tables, those of rejects among them."""
        return self._connection.tables(self._schema)

    def columns(self, slug: str) -> Names[str]:
        """SQL types of an object's columns, by name."""
        return self._types[slug]

    @cached_property
    def _types(self) -> dict[str, Names[str]]:
        return self._connection.relations(self._schema)

    def table(self, slug: str) -> str:
        """An object's table, as SQL writes it."""
        return quoted(self._schema, slug)

    def live(self, slug: str) -> str:
        """An object's live view, as SQL writes it."""
        return quoted(self._schema, f"{slug}_live")

    def rejects(self, slug: str) -> list[str]:
        """The tables of an object's values that could not be typed: of silver, of restricted ones.

        Both as SQL writes them.
        """
        name = f"{slug}_rejects"
        homes = [self._schema, *([self._restricted] if name in self._restricted_tables else [])]
        return [quoted(home, name) for home in homes]

    @cached_property
    def _restricted_tables(self) -> set[str]:
        return self._connection.tables(self._restricted)

    def rows(self, slug: str) -> int:
        """Live rows of an object."""
        ((rows,),) = self.select(f"SELECT count(*) FROM {self.live(slug)}")
        return int(rows)

    def spelled(self, sql: str) -> str:
        """A query as the engine writes it, for people."""
        return self._connection.rendered(sql)

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._connection.execute(sql)

    def copy_keys(self, slug: str, path: Path) -> None:
        """Copy Id, cursor, read time and deletion marks of all rows into a Parquet file."""
        flagged = "IsDeleted" in self._types[slug]
        binned = "coalesce(IsDeleted, false)" if flagged else "false"
        self._connection.copy(
            'SELECT Id, _cursor AS "cursor", _read_at AS read_at, _deleted AS deleted, '
            f"{binned} AS binned FROM {self.table(slug)}",
            path,
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
            self._connection.temporary("wanted", "(Id VARCHAR)")
            self._connection.load("temp.wanted", only.select("Id"))
            query += " AND Id IN (SELECT Id FROM temp.wanted)"
        if sample is not None:
            live = self.live(slug)
            query = f"SELECT Id, _cursor, {chosen} FROM {live} ORDER BY random() LIMIT {sample}"
        rows = self._connection.copy(query, path)
        stored = {n: as_stored(c, types[n]) if n in there else c for n, c in columns.items()}
        longest = self._connection.capabilities.longest_text
        return SilverCopy(path, stored, cursor, rows, longest=longest)
