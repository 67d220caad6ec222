"""What records say in all their columns: the org's rows against those of a silver table.

Only rows of one version, by Id and cursor, are held against each other: what else differs is told
by the keys. Values are compared as they are typed, so it does not matter how they were spelt.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from sf_assets.columns.column import NUMBERS, Column, ColumnKind
from sf_assets.comparison.keys import frame_of
from sf_assets.comparison.silver_copy import SilverCopy, engine, spelt
from sf_assets.sql import quoted

_NAMED = 1_000
"""Rows that differ are held against each other column by column, up to so many."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a comparison of rows found.

    Attributes:
        records: Rows compared: of one version on both sides.
        unlike: Ids of those that differ in a column that only a new version may change.
        changed: How many rows differ, by such a column that does.
        derived: The same of columns that change without a new version.
    """

    records: int
    unlike: pl.DataFrame
    changed: dict[str, int]
    derived: dict[str, int]


def compare_content(
    held: SilverCopy,
    rows: Callable[[], Iterable[pl.DataFrame]],
    derived: Collection[str],
    folder: Path,
) -> Content:
    """Hold rows that the org told against a copy of silver's.

    Args:
        held: The copy.
        rows: Gives the rows, all text, with all of the columns. They are gone through again to
            name the columns that differ.
        derived: Columns that change without a new version.
        folder: Where there is room for a digest of each row.
    """
    data = [name for name in held.compared if name not in derived]
    also = [name for name in held.compared if name in derived]
    with TemporaryDirectory(dir=folder) as own, engine(Path(own)) as connection:
        run = connection.execute
        run(f"ATTACH '{own}/digests.duckdb' AS digests")
        digests = f"Id, _cursor, {_digest(held, data)} AS data, {_digest(held, also)} AS also"
        run(
            "CREATE TABLE digests.told "
            "(Id VARCHAR, _cursor TIMESTAMPTZ, data UBIGINT, also UBIGINT)"
        )
        for frame in rows():
            connection.register("told_rows", held.typed(frame))
            run(f"INSERT INTO digests.told SELECT {digests} FROM told_rows")
            connection.unregister("told_rows")
        run(
            "CREATE TABLE digests.pairs AS SELECT Id, t.data <> h.data AS data, "
            "t.also <> h.also AS also FROM digests.told t "
            f"JOIN (SELECT {digests} FROM {held.source}) h USING (Id, _cursor)"
        )
        ((records,),) = run("SELECT count(*) FROM digests.pairs").fetchall()
        unlike = frame_of(connection, "SELECT Id FROM digests.pairs WHERE data")
        differing = "FROM digests.pairs WHERE data OR also ORDER BY data DESC"
        named = frame_of(connection, f"SELECT Id {differing} LIMIT {_NAMED}")
    counts: Mapping[str, int] = {}
    if len(named):
        again = pl.concat([frame.join(named, on="Id", how="semi") for frame in rows()])
        counts = held.drift(again)[1]
    changed, drifted = ({n: counts[n] for n in names if counts.get(n)} for names in (data, also))
    return Content(records, unlike, changed, drifted)


def _digest(held: SilverCopy, names: Iterable[str]) -> str:
    """An expression that is the same for the same values, in whatever room numbers have."""
    values = [_canonical(held.columns[name]) for name in names]
    return f"hash({', '.join(values)})" if values else "0::UBIGINT"


def _canonical(column: Column) -> str:
    name = quoted(column.name)
    if column.kind is ColumnKind.TIME:
        return f"{name}::TIME::VARCHAR"
    if column.kind not in NUMBERS:
        return name
    return spelt(name)
