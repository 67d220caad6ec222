"""What one engine owes the SQL that all of them share.

That SQL is DuckDB's, as far as other engines can do the same, and so are the names of types; a
connection of another engine renders both. A relation is a table or a view.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from sf_assets.errors import ConfigError
from sf_assets.naming import Names
from sf_assets.sql import quoted, text_literal

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


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What of an engine is not as it is with DuckDB.

    Attributes:
        engine: Which, as people call it.
        folds: What becomes of names, so that nobody needs to quote them.
        longest_name: Bytes that a name may have; None where there is no bound.
        ddl_in_transaction: Whether tables may be made and changed in a transaction, and are as they
            were where that comes to nothing. Where not, as the engine commits at each such
            statement, they are made before; and a table that is made anew, beside the old one.
        load_in_transaction: Whether rows can be loaded in a transaction, however many. Where not,
            rows of slices are loaded before it.
        row: What names a row within one statement; empty where rows are found by what they hold,
            which takes longer.
        empty_lists: Whether a list without members is told from none.
        sized_views: Whether a view tells for how many digits its numbers have room.
        row_as_text: Whether all of a row can be cast to a text.
        longest_text: Bytes that a text may have; None where there is no bound that matters. Longer
            ones are rejected.
        content: What stands for a column of a type, as SQL writes both, where its content is
            compared, and not only what the engine takes for equal.
    """

    engine: str
    folds: Callable[[str], str] = str
    longest_name: int | None = None
    ddl_in_transaction: bool = True
    load_in_transaction: bool = True
    row: str = ""
    empty_lists: bool = True
    sized_views: bool = True
    row_as_text: bool = True
    longest_text: int | None = None
    content: Callable[[str, str], str] = lambda column, _: column

    def kept(self, name: str) -> str:
        """A name as the engine keeps it.

        Raises:
            ConfigError: It is too long.
        """
        if self.longest_name is not None and len(name.encode()) > self.longest_name:
            raise ConfigError(
                f"{name} is longer than the {self.longest_name} bytes that a name in {self.engine} "
                "may have; leave the field out of the catalogue (`exclude`)"
            )
        return self.folds(name)


class Connection(Protocol):
    """An open connection.

    Attributes:
        error: What it raises when the engine refuses.
        capabilities: What of the engine is not as it is with DuckDB.
    """

    error: type[Exception]
    capabilities: Capabilities

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

    def add(self, schema: str, name: str, columns: Mapping[str, str]) -> None:
        """Give a table more columns, of these types."""

    def resize(self, schema: str, name: str, column: str, kind: str) -> None:
        """Give a column of a table a type that has room for more."""

    def comment(self, schema: str, name: str, comments: Mapping[str, str]) -> None:
        """Say what columns of a table are."""

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

    def everything(self) -> list[tuple[str, str]]:
        """Schema and name of all tables there are, whosever they are."""

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


def add_each(connection: Connection, table: str, columns: Mapping[str, str]) -> None:
    """Give a table more columns, one by one."""
    for column, kind in columns.items():
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(column)} {kind}")


def comment_each(connection: Connection, table: str, comments: Mapping[str, str]) -> None:
    """Say what columns of a table are, one by one."""
    for column, comment in comments.items():
        connection.execute(f"COMMENT ON COLUMN {table}.{quoted(column)} IS {text_literal(comment)}")


def refill(connection: Connection, table: str, query: str, values: Values) -> bool:
    """Have a table hold what answers a query, if it has the same columns; whether it has.

    It stays, and so does what others made of it or may do with it.
    """
    if connection.shape(f"SELECT * FROM {table}") != connection.shape(query, values):
        return False
    connection.execute(f"DELETE FROM {table}")
    connection.execute(f"INSERT INTO {table} {query}", values)
    return True


def changing_tables(connection: Connection) -> AbstractContextManager[None]:
    """A transaction in which tables are changed; none where the engine commits each change."""
    return connection.transaction() if connection.capabilities.ddl_in_transaction else nullcontext()


@contextmanager
def with_scratch(connection: Connection, tables: Callable[[], Mapping[str, str]]) -> Iterator[None]:
    """A transaction that makes temporary tables.

    Args:
        connection: Open, outside a transaction.
        tables: Tells their columns, as SQL writes them, by name. Where none can be made in a
            transaction these are made before, and made in it they are filled anew.
    """
    if not connection.capabilities.ddl_in_transaction:
        for name, columns in tables().items():
            connection.temporary(name, f"({columns})")
    with connection.transaction():
        yield
