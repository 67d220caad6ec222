"""A small org's data, and SQL over it."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.world import generate

NOW = datetime(2026, 11, 20, 12, 0, 7, tzinfo=UTC)


class World:
    """Everything that was generated, by object and as tables of a database."""

    def __init__(self, schema: Schema, **more: Any) -> None:
        self.schema = schema
        parts: dict[str, list[pa.Table]] = defaultdict(list)
        arguments: dict[str, Any] = {"seed": 7, "scale": 1, "now": NOW} | more
        for name, rows in generate(schema, **arguments):
            parts[name].append(rows)
        self.tables = {name: pa.concat_tables(tables) for name, tables in parts.items()}
        self._database = duckdb.connect()
        self._database.execute("SET TimeZone = 'UTC'")
        for name, rows in self.tables.items():
            self._database.register(name, rows)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._database.sql(sql).fetchall()

    def number(self, sql: str) -> Any:
        """The one value that a query gives."""
        return self.rows(sql)[0][0]

    def column(self, name: str, field: str) -> list[Any]:
        """All values of a field."""
        values: list[Any] = self.tables[name][field].to_pylist()
        return values


@pytest.fixture(scope="session")
def world() -> World:
    """The demo org."""
    return World(standard_schema())
