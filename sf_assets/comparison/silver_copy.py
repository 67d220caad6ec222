"""A copy of some columns of silver, so that the org's answers can be held against it.

The warehouse is not to be held while the org is asked; and it is a file, as it may be of any size.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

from sf_assets.columns.cast import cast, needs
from sf_assets.columns.column import NUMBERS, Column
from sf_assets.columns.treated import Treated
from sf_assets.sql import quoted, text_literal

_MEMORY_LIMIT = "512MB"


@dataclass(frozen=True, slots=True)
class SilverCopy:
    """Columns of the rows of one silver table.

    Attributes:
        path: The Parquet file.
        columns: The columns: Id, cursor, and those to compare.
        cursor: Name of the cursor.
        rows: How many rows there are.
        treated: How what the org tells is treated before it is held against them.
        longest: Bytes that a text may have there; None where there is no bound.
    """

    path: Path
    columns: Mapping[str, Column]
    cursor: str
    rows: int
    treated: Treated = field(default_factory=Treated)
    longest: int | None = None

    @property
    def compared(self) -> tuple[str, ...]:
        """Names of the columns to compare."""
        return tuple(name for name in self.columns if name not in {"Id", self.cursor})

    def ids(self) -> list[str]:
        """Ids of all rows; to be asked of a sample."""
        with engine(self.path.parent) as run:
            return [row[0] for row in run.execute(f"SELECT Id FROM {self._held}").fetchall()]

    def drift(self, texts: pl.DataFrame) -> tuple[int, dict[str, int]]:
        """Hold rows that the org told against ours.

        Args:
            texts: The rows, all text, with all of the columns.

        Returns:
            How many rows are of the very version that we have; and how many of those differ, by
            column.
        """
        with self._against(texts) as (run, both, differ):
            counts = [f"count(*) FILTER ({differs})" for differs in differ]
            ((rows, *differing),) = run.execute(
                f"SELECT count(*), {', '.join(counts)} FROM {both}"
            ).fetchall()
        return rows, dict(zip(self.compared, differing, strict=True))

    def unlike(self, rows: pa.Table) -> pa.Table:
        """Those of the org's rows that are of a version that we have, and say something else."""
        with self._against(pl.DataFrame(rows)) as (run, both, differ):
            differs = " OR ".join(differ)
            found = run.execute(f"SELECT n FROM {both} WHERE {differs} ORDER BY n").fetchnumpy()
        return rows.take(pa.array(found["n"]))

    @contextmanager
    def _against(
        self, texts: pl.DataFrame
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, str, list[str]]]:
        """An engine, what to select from, and for each column the condition that rows differ.

        It has the rows that both sides have, as `told` and `held`.
        """
        with engine(self.path.parent) as run:
            run.register("batch", self.typed(texts))
            run.execute("CREATE TEMP TABLE told AS FROM batch")  # of known size: the smaller side
            differ = [_differs(run, self.columns[name], self._held) for name in self.compared]
            yield run, f"told JOIN {self._held} USING (Id, _cursor)", differ

    @property
    def source(self) -> str:
        """The copy, as SQL reads it."""
        return f"read_parquet({text_literal(str(self.path))})"

    @property
    def _held(self) -> str:
        return f"{self.source} AS held"

    def typed(self, texts: pl.DataFrame) -> pl.DataFrame:
        """The rows as silver would hold them, and their numbers `n`."""
        texts = self.treated.rows(texts)
        texts = texts.select(pl.col(self.columns).str.replace_all("\x00", "", literal=True))
        columns = dict(self.columns)
        tight = set()
        for name, need in needs(texts, columns.values()).items():
            columns[name] = columns[name].resized(*need)
            if not columns[name].fits(*need):
                tight.add(name)
        sliced = texts.with_columns(_slice=pl.lit(""))
        rows, _ = cast(sliced, columns.values(), tight, self.longest)
        told = rows.select("Id", pl.col(self.cursor).alias("_cursor"), *self.compared)
        return told.with_row_index("n")


def _differs(run: duckdb.DuckDBPyConnection, column: Column, held: str) -> str:
    """The condition that a column differs.

    Numbers of different room are compared as they are spelt: in a type that holds both they may
    have more digits than a number can.
    """
    sides = f"told.{quoted(column.name)}", f"held.{quoted(column.name)}"
    types = [
        run.execute(f"SELECT {side} FROM {table} LIMIT 0").description
        for side, table in zip(sides, ("told", held), strict=True)
    ]
    if column.kind in NUMBERS and types[0] != types[1]:
        sides = spelt(sides[0]), spelt(sides[1])
    return f"{sides[0]} IS DISTINCT FROM {sides[1]}"


def spelt(number: str) -> str:
    """A number as a text that is the same in whatever room it has."""
    text = f"{number}::VARCHAR"
    return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"


@contextmanager
def engine(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills into a folder."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY_LIMIT,
        "temp_directory": str(folder),
    }
    connection = duckdb.connect(config=config)
    try:
        yield connection
    finally:
        connection.close()
