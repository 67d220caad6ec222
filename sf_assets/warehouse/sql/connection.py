"""What one engine owes the SQL that all of them share.

That SQL is DuckDB's, as far as other engines can do the same, and so are the names of types; a
connection of another engine renders both. A relation is a table or a view.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from sf_assets.naming import Names

TEMPORARY = "temp"
"""As a schema, where temporary tables are."""

Values = Sequence[Any] | Mapping[str, Any]
"""What takes the place of `?`, `$1` or `$name` in a statement."""


class Cause(Enum):
    """Why an engine refused a statement."""

    NAME = auto()  # it knows no such table
    MEANING = auto()  # nor such a column or function, or types do not go together
    SYNTAX = auto()
    DATA = auto()  # of a row, or of the machine


class Connection(Protocol):
    """An open connection.

    Attributes:
        error: What it raises when the engine refuses.
    """

    error: type[Exception]

    def kept(self, name: str) -> str:
        """A column's name as the engine keeps it: some know none with capital letters."""

    def rendered(self, sql: str, values: Values = ()) -> str:
        """A statement as the engine writes it."""

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run a statement.

        Returns:
            The rows that answer it; of a change one row, with how many rows it changed.
        """

    def transaction(self) -> AbstractContextManager[None]:
        """All of what is run in the block, or nothing."""

    def temporary(self, name: str, definition: str, values: Values = ()) -> None:
        """Make a temporary table, in the place of one of that name: `AS SELECT …` or `(…)`."""

    def replace(self, schema: str, name: str, query: str, values: Values = ()) -> None:
        """Have a table hold what answers a query, whatever it was before."""

    def index(self, table: str, column: str) -> None:
        """Have rows of a table found by a column without reading all, where an engine can."""

    def load(self, table: str, rows: pa.RecordBatchReader | pl.DataFrame) -> None:
        """Append rows to a table, named as SQL writes it, by the names of their columns."""

    def relations(self, schema: str) -> dict[str, Names[str]]:
        """Types of the columns of all relations of a schema."""

    def types(self, schema: str, relation: str) -> Names[str]:
        """Types of the columns of one relation, in their order; empty where it is not there."""

    def tables(self, schema: str) -> set[str]:
        """Names of the tables of a schema, without its views."""

    def comments(self, schema: str) -> dict[str, dict[str, str]]:
        """Comments of columns, by relation."""

    def shape(self, query: str, values: Values = ()) -> list[tuple[str, str]]:
        """Names and types of the columns of a query's answer, which is not asked for."""

    def copy(self, query: str, path: Path) -> int:
        """Write what answers a query into a Parquet file; how many rows."""

    def cause(self, error: Exception) -> Cause:
        """Why a statement was refused."""

    def refusal(self, error: Exception, query: str = "") -> str:
        """What to say of a refused statement: nothing that may be a record's value."""
