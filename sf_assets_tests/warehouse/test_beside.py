"""An engine that commits at each DDL statement: merges and rebuilds are whole there, too."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from sf_assets.sql import quoted
from sf_assets.storage.manifest import Slice
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.sql import beside, history, ops
from sf_assets.warehouse.sql.connection import Values
from sf_assets.warehouse.sql.merge import merge, rebuild
from sf_assets.warehouse.sql.tables import Table
from sf_assets_tests.warehouse.test_patch import COLUMNS, deletions, export, fields

Made = tuple[Slice, pl.DataFrame]

FIRST = [export(10, ("a", 1, "A", "1"), ("b", 2, "B", "1"), ("c", 3, "C", "x"))]
LATER = [
    export(20, ("a", 15, "A2", "1"), ("b", 2, "B", "1"), ("b", 2, "B", "1"), ("d", 15, "D", "2")),
    fields(30, ("a", 15, "7")),
    deletions(40, "c"),
    export(50, ("a", 45, "A3", "x"), ("a", 44, "A2", "8")),
]
RELATIONS = ("account", "account_live", "account_rejects", "account_versions", "account_history")


class KilledError(Exception):
    """Nothing more is done."""


class Committing(DuckDBConnection):
    """DuckDB, as if it committed at DDL: what relies on DDL in a transaction fails.

    Attributes:
        left: How many statements are run before it is killed; None for all.
    """

    capabilities = replace(DuckDBConnection.capabilities, ddl_in_transaction=False, row="")

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        super().__init__(raw)
        self.left: int | None = None
        self._within = False

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        if self.left is not None:
            if self.left == 0:
                raise KilledError
            self.left -= 1
        verb = sql.split(maxsplit=1)[0]
        assert not (self._within and verb in {"CREATE", "ALTER", "DROP", "COMMENT"}), sql
        return super().execute(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            self._within = True
            try:
                yield
            finally:
                self._within = False

    def temporary(self, name: str, definition: str, values: Values = ()) -> None:
        if not self._within:
            super().temporary(name, definition, values)
            return
        self.execute(f"DELETE FROM temp.{quoted(name)}")
        if definition.startswith("AS "):
            query = definition.removeprefix("AS ")
            spelt = ", ".join(quoted(column) for column, _ in self.shape(query, values))
            self.execute(f"INSERT INTO temp.{quoted(name)} ({spelt}) {query}", values)


class Ahead(Committing):
    """The same, as if it loaded no rows of slices in a transaction either."""

    capabilities = replace(Committing.capabilities, load_in_transaction=False)

    def load(self, table: str, rows: pa.RecordBatchReader | pl.DataFrame) -> None:
        assert not self._within or table.startswith("ops."), table
        super().load(table, rows)


class Silver:
    """A silver table that keeps its history, in a file."""

    def __init__(self, path: Path, kind: type[DuckDBConnection]) -> None:
        self._path, self._kind = path, kind
        self.open()
        ops.bring_up(self.connection)

    def open(self) -> None:
        self._raw = duckdb.connect(str(self._path))
        self.connection = self._kind(self._raw)
        self._raw.execute("SET TimeZone = 'UTC'")
        self.table = Table(self.connection, "silver", "account", history=True)

    def reopen(self) -> None:
        """As the next program does."""
        self._raw.close()
        self.open()
        beside.finish(self.connection, "00D1")

    def load(self, made: Sequence[Made]) -> None:
        frames = {piece.id: frame for piece, frame in made}
        read = lambda piece: [frames[piece.id]]  # noqa: E731
        pieces = [piece for piece, _ in made]
        if history.must_rebuild(self.table, "00D1", pieces):
            rebuild(self.table, "00D1", pieces, COLUMNS, read)
        else:
            list(merge(self.table, pieces, COLUMNS, read))

    def rebuild(self, made: Sequence[Made], notes: Mapping[str, str] | None = None) -> None:
        frames = {piece.id: frame for piece, frame in made}
        pieces = [piece for piece, _ in made]
        read = lambda piece: [frames[piece.id]]  # noqa: E731
        rebuild(self.table, "00D1", pieces, COLUMNS, read, notes=notes)

    def contents(self) -> dict[str, list[Any]]:
        tables = {name: f"silver.{name}" for name in RELATIONS}
        asked = {name: f"SELECT * FROM {table}" for name, table in tables.items()}
        asked["slices"] = "SELECT slice FROM ops.slices"
        return {
            name: sorted(map(str, self._raw.execute(query).fetchall()))
            for name, query in asked.items()
        }


@pytest.mark.parametrize("kind", [Committing, Ahead])
def test_tables_are_those_of_an_engine_with_ddl_in_transactions(
    tmp_path: Path, kind: type[Committing]
) -> None:
    plain, strict = (Silver(tmp_path / one.__name__, one) for one in (DuckDBConnection, kind))
    for silver in (plain, strict):
        silver.load(FIRST)
        for made in LATER:
            silver.load([made])
    assert strict.contents() == plain.contents()
    for silver in (plain, strict):
        silver.rebuild([*FIRST, *LATER])
    assert strict.contents() == plain.contents()
    assert strict.connection.tables("rebuilt_silver") == set()


@pytest.mark.parametrize("kind", [DuckDBConnection, Committing, Ahead])
def test_a_history_that_is_kept_no_more_stays_until_it_has_what_is_to_be_hidden(
    tmp_path: Path, kind: type[DuckDBConnection]
) -> None:
    silver = Silver(tmp_path / "tables", kind)
    silver.load(FIRST)
    query = "SELECT * FROM silver.account_versions ORDER BY ALL"
    versions = silver.connection.execute(query)
    silver.table = replace(silver.table, history=False)
    silver.rebuild(FIRST, {"Name": "kept"})
    assert silver.connection.execute(query) == versions
    silver.rebuild(FIRST, {"Name": "hashed"})
    left = set(silver.connection.relations("silver"))
    assert left == {"account", "account_live", "account_rejects"}


@pytest.mark.more
@pytest.mark.parametrize("kind", [Committing, Ahead])
@pytest.mark.parametrize("work", ["merge", "rebuild"])
def test_a_kill_at_any_statement_leaves_all_or_nothing(
    tmp_path: Path, work: str, kind: type[Committing]
) -> None:
    def done(silver: Silver) -> None:
        if work == "merge":
            silver.load(LATER)
        else:
            silver.rebuild([*FIRST, *LATER])

    wanted = Silver(tmp_path / "whole", kind)
    wanted.load(FIRST)
    before = wanted.contents()
    done(wanted)
    after = wanted.contents()
    assert before != after
    seen = set()
    for statements in range(3, 400, 11):
        silver = Silver(tmp_path / f"killed{statements}", kind)
        silver.load(FIRST)
        assert isinstance(silver.connection, Committing)
        silver.connection.left = statements
        try:
            done(silver)
        except KilledError:
            silver.reopen()
            found = silver.contents()
            assert found in (before, after), statements
            seen.add("nothing" if found == before else "all")
            silver.rebuild([*FIRST, *LATER])
            assert silver.contents() == after, statements
        else:
            assert silver.contents() == after
            break
    else:
        pytest.fail("it was never let finish")
    assert "nothing" in seen
    assert work == "merge" or "all" in seen, "killed while it was put in its place, too"
