"""The records of an org, by Id and cursor, against those of silver or raw: which differ, and how.

All sides are files. The warehouse is open only while silver's keys are copied; the comparison is
made in a database of its own, on disk and in little memory.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl
import pyarrow as pa

from sf_assets.sql import text_literal

SILVER, RAW = "silver.parquet", "raw.parquet"
"""Files of a folder with the keys of each side."""

_MEMORY_LIMIT = "400MB"
_TOLD = "Id VARCHAR, cursor TIMESTAMPTZ, binned BOOLEAN"

# How a record differs.
MISSING = "missing"  # only the org has it
OUTDATED = "outdated"  # the org has a newer version
AHEAD = "ahead"  # the org's present version has an older stamp
CHANGED = "changed"  # the org says something else under the same stamp
BACK = "back"  # silver holds it for gone
GONE = "gone"  # only silver has it, live
PURGED = "purged"  # only silver has it, as deleted

DIFFERENT = frozenset({MISSING, OUTDATED, AHEAD, CHANGED, BACK, GONE})
"""What makes the two sides unequal; that a deleted record was purged does not."""

SUSPECT = DIFFERENT | {PURGED}
"""What is asked again before it is believed."""


@dataclass(frozen=True, slots=True)
class Day:
    """What both sides have of one UTC day of the present cursor.

    Attributes:
        day: The day; None for an object without a cursor.
        org: Records of the org.
        silver: Records of silver.
        digests_equal: Whether Ids and cursors are the same on both sides.
    """

    day: date | None
    org: int
    silver: int
    digests_equal: bool


def write_newest(
    folder: Path,
    *,
    versions: Iterable[pl.DataFrame],
    deletions: Iterable[pl.DataFrame],
    snapshot: datetime | None,
) -> None:
    """Work out the newest version of each record, and write its keys into a folder as raw's.

    Args:
        folder: Where to, and where there is room to spill.
        versions: Id, cursor, `_read_at`, `_slice` and `binned` of all versions, in any order.
        deletions: Id and `_read_at` of records found to be gone.
        snapshot: When the last full snapshot was read; what it had not is gone.
    """
    target = text_literal(str(folder / RAW))
    with _scratch(folder) as database:
        version = "Id VARCHAR, cursor TIMESTAMPTZ, _read_at TIMESTAMPTZ, _slice VARCHAR"
        _fill(database, "versions", f"{version}, binned BOOLEAN", versions)
        _fill(database, "deletions", "Id VARCHAR, _read_at TIMESTAMPTZ", deletions)
        database.execute("CREATE TABLE snapshot AS SELECT $at::TIMESTAMPTZ AS at", {"at": snapshot})
        database.execute(
            f"""
            COPY (
                WITH newest AS (
                    SELECT Id, max((_read_at, cursor, _slice, binned)) AS v
                    FROM versions GROUP BY Id
                ), gone AS (SELECT Id, max(_read_at) AS at FROM deletions GROUP BY Id)
                SELECT n.Id, v[2] AS cursor, v[1] AS read_at, v[4] AS binned,
                    coalesce(v[1] < g.at, false) OR coalesce(v[1] < s.at, false) AS deleted
                FROM newest n LEFT JOIN gone g USING (Id) CROSS JOIN snapshot s
            ) TO {target} (FORMAT parquet)
            """
        )


def differing(folder: Path) -> int:
    """Records of which silver's keys, copied into a folder, are not raw's newest."""
    with _scratch(folder) as database:
        silver, raw = (text_literal(str(folder / side)) for side in (SILVER, RAW))
        ((count,),) = database.execute(
            f"SELECT count(*) FROM read_parquet({raw}) r FULL JOIN read_parquet({silver}) s "
            "ON r.Id = s.Id WHERE r.Id IS NULL OR s.Id IS NULL OR r.cursor <> s.cursor "
            "OR r.deleted <> s.deleted"
        ).fetchall()
        return int(count)


class Comparison:
    """One comparison of an object.

    Args:
        database: A database for it alone.
        keys: The file with the keys of our side, `SILVER` or `RAW`.
        began: The org was read after this; younger rows of ours are not judged.
        horizon: Records whose cursor in the org lies behind it are not judged; None for an object
            without a cursor.
    """

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        keys: Path,
        began: datetime,
        horizon: datetime | None,
    ) -> None:
        self._database = database
        self._run = database.execute
        self._keys = keys
        self._began = began
        self._horizon = horizon

    def judge(self, org: Iterable[pl.DataFrame]) -> int:
        """Compare; how many records differ, purged ones included.

        Args:
            org: What the org has: frames of Id, `cursor`, a UTC time or null, and `binned`.
        """
        _fill(self._database, "org", _TOLD, org)
        self._judge()
        return sum(n for what, n in self.counts().items() if what in SUSPECT)

    def amend(self, again: Iterable[pl.DataFrame]) -> None:
        """Compare again, with another answer of the org about the records that differ.

        What differs for the first time now is taken for equal: it was not asked again.
        """
        kinds = {"kinds": sorted(SUSPECT)}
        self._run("CREATE TABLE suspects AS SELECT Id FROM judged WHERE what = ANY($kinds)", kinds)
        _fill(self._database, "again", _TOLD, again)
        self._run("DELETE FROM org WHERE Id IN (FROM suspects)")
        self._run("INSERT INTO org FROM again WHERE Id IN (FROM suspects)")
        self._judge()
        self._run(
            "UPDATE judged SET what = 'equal' WHERE what = ANY($kinds) "
            "AND Id NOT IN (FROM suspects)",
            kinds,
        )

    def _judge(self) -> None:
        keys = text_literal(str(self._keys))
        same = "o.cursor = s.cursor AND o.binned = s.binned"
        judged = "coalesce(o.cursor < $horizon, true)" if self._horizon else "true"
        horizon = {"horizon": self._horizon} if self._horizon else {}
        self._run(
            f"""
            CREATE OR REPLACE TABLE judged AS
            SELECT coalesce(o.Id, s.Id) AS Id, o.cursor AS org_cursor, s.cursor AS cursor, CASE
                WHEN s.Id IS NULL THEN '{MISSING}'
                WHEN s.read_at >= $began AND (o.Id IS NULL OR NOT ({same})) THEN 'young'
                WHEN o.Id IS NULL AND s.deleted THEN 'known'
                WHEN o.Id IS NULL AND s.binned THEN '{PURGED}'
                WHEN o.Id IS NULL THEN '{GONE}'
                WHEN s.deleted THEN '{BACK}'
                WHEN o.cursor > s.cursor THEN '{OUTDATED}'
                WHEN o.cursor < s.cursor THEN '{AHEAD}'
                WHEN NOT ({same}) THEN '{CHANGED}'
                ELSE 'equal' END AS what
            FROM org o FULL JOIN read_parquet({keys}) s ON o.Id = s.Id
            WHERE {judged}
            """,
            {"began": self._began} | horizon,
        )

    def counts(self) -> dict[str, int]:
        """Records by how they differ."""
        return dict(self._run("SELECT what, count(*) FROM judged GROUP BY 1").fetchall())

    def ids(self, kinds: Iterable[str]) -> Iterator[pl.DataFrame]:
        """Ids and `org_cursor` of the records that differ in one of these ways, in batches."""
        reader = self._database.sql(
            "SELECT Id, org_cursor FROM judged WHERE what = ANY($kinds) ORDER BY org_cursor, Id",
            params={"kinds": list(kinds)},
        ).to_arrow_reader(1000)
        for batch in reader:
            yield _frame(batch)

    def sample(self, count: int) -> pl.DataFrame:
        """Id and `org_cursor` of so many records that are equal, half of them the newest."""
        equal = "SELECT Id, org_cursor FROM judged WHERE what = 'equal'"
        return frame_of(
            self._database,
            f"FROM ({equal} ORDER BY org_cursor DESC LIMIT {count // 2}) UNION "
            f"FROM (FROM ({equal}) USING SAMPLE {count // 2} ROWS)",
        )

    def stamped(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Id and `org_cursor` of some records."""
        self._database.register("chosen", ids)
        query = "SELECT Id, org_cursor FROM judged SEMI JOIN chosen USING (Id)"
        return frame_of(self._database, query)

    def mark_changed(self, ids: pl.DataFrame) -> None:
        """Judge of some records that they say something else in the org, under the same stamp."""
        self._database.register("chosen", ids)
        self._run(
            f"UPDATE judged SET what = '{CHANGED}' "
            "WHERE what = 'equal' AND Id IN (SELECT Id FROM chosen)"
        )

    def days(self) -> list[Day]:
        """Both sides by day of the cursor, as they were judged."""
        there = f"what NOT IN ('{GONE}', '{PURGED}', 'known', 'young')"
        ours = f"what NOT IN ('{MISSING}', '{BACK}', '{PURGED}', 'known', 'young')"
        digest = "bit_xor(hash(Id, {0}))"
        rows = self._run(
            f"""
            SELECT day, sum(org)::BIGINT, sum(silver)::BIGINT, bit_xor(a) = bit_xor(b) FROM (
                SELECT org_cursor::DATE AS day, count(*) AS org, 0 AS silver,
                    {digest.format("org_cursor")} AS a, 0::UBIGINT AS b
                FROM judged WHERE {there} GROUP BY 1
                UNION ALL
                SELECT CASE WHEN $dated THEN cursor::DATE END, 0, count(*), 0,
                    {digest.format("CASE WHEN $dated THEN cursor END")}
                FROM judged WHERE {ours} GROUP BY 1
            ) GROUP BY 1 ORDER BY 1 NULLS FIRST
            """,
            {"dated": self._horizon is not None},
        ).fetchall()
        return [Day(*row) for row in rows]


def frame_of(database: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    """All rows of a query."""
    return _frame(database.sql(query).to_arrow_table())


def _frame(rows: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 (for the type checker)
    return frame


@contextmanager
def comparison(keys: Path, began: datetime, horizon: datetime | None) -> Iterator[Comparison]:
    """A comparison with the keys of one side, forgotten when the block ends."""
    with _scratch(keys.parent) as database:
        yield Comparison(database, keys, began, horizon)


@contextmanager
def _scratch(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in a folder, new and forgotten when the block ends."""
    with (
        TemporaryDirectory(dir=folder) as own,
        duckdb.connect(f"{own}/scratch.duckdb", config={"memory_limit": _MEMORY_LIMIT}) as database,
    ):
        database.execute("SET TimeZone = 'UTC'")
        database.execute("SET preserve_insertion_order = false")
        yield database


def _fill(
    database: duckdb.DuckDBPyConnection, table: str, columns: str, frames: Iterable[pl.DataFrame]
) -> None:
    database.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")
    for frame in frames:
        database.register("batch", frame)
        database.execute(f"INSERT INTO {table} BY NAME FROM batch")
        database.unregister("batch")
