"""What the pipeline asks of a warehouse, whichever engine it is.

A `Warehouse` is opened in sessions. A session knows whose data it is asked about: the tables of one
org, and what is noted of them in `ops`. Each call is a transaction of its own, or none; what a call
changes is there when it returns, and nothing of it is there when it raises.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow as pa

from sf_assets.checks.check import CheckResult, Checks, Latest, Score, Tables
from sf_assets.columns.column import Column
from sf_assets.comparison.silver_copy import SilverCopy
from sf_assets.naming import Names
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef
from sf_assets.warehouse.builds import Attempt, Build
from sf_assets.warehouse.gold_columns import GoldColumn
from sf_assets.warehouse.gold_sql import GoldTable
from sf_assets.warehouse.ledger import Outcome

Reader = Callable[[Slice], Iterable[pl.DataFrame]]
"""Reads a slice's rows: text columns, with `_read_at` and `_slice` beside them."""

Refs = Mapping[str, Sequence[SliceRef]]
"""What raw lists, by lower-cased object name."""


Origins = Mapping[str, tuple[str, int]]
"""By slice id: the compacted slice that holds its rows now, and how many they are."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A slice that silver has taken up and raw does not list.

    Attributes:
        id: Slice id.
        kind: What it held.
        rows: How many versions it held.
    """

    id: str
    kind: SliceKind
    rows: int


@dataclass(frozen=True, slots=True)
class Versions:
    """All versions of an object that raw holds, for a gold table that reads them.

    Attributes:
        slug: Lower-cased object name.
        slices: The slices.
        columns: The columns to take of them.
        read: Reads some columns of a slice.
    """

    slug: str
    slices: Sequence[Slice]
    columns: Mapping[str, Column]
    read: Callable[[Slice, Sequence[str]], Iterable[pl.DataFrame]]

    def rows(self, piece: Slice) -> Iterable[pl.DataFrame]:
        """Rows of a slice, with those columns."""
        return self.read(piece, [name for name in piece.columns if name in self.columns])


@dataclass(frozen=True, slots=True)
class Built:
    """A gold table after it was built.

    Attributes:
        rows: Rows in it, all days together.
        columns: Its columns, by name.
        rows_by_day: Rows of each day built; empty for a table that is not daily.
    """

    rows: int
    columns: dict[str, GoldColumn]
    rows_by_day: dict[date, int]


class Silver(Tables, Protocol):
    """The silver tables of an org."""

    def tables(self) -> set[str]:
        """Names of the tables, those of rejects among them."""

    def copy_keys(self, slug: str, path: Path) -> None:
        """Copy Id, cursor, read time and deletion marks of all rows into a Parquet file."""

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
        """Copy columns of an object's table into a Parquet file.

        A column that the table has not, or has of another type, is null: every value differs from
        it.

        Args:
            slug: The object, which has a table.
            columns: As described: Id, cursor, and those to compare.
            cursor: Name of the cursor.
            path: The file to write.
            sample: So many live rows taken at random; None for all rows.
            only: Ids of the rows to copy; None for all.
        """


class SilverTable(Protocol):
    """A table of one object, which may be there or not, to be loaded."""

    @property
    def noted(self) -> str:
        """What `ops` calls it: as the object, lower-cased, unless it is its restricted table."""

    def types(self) -> Names[str]:
        """SQL types of the fields' columns; empty when there is no table yet."""

    def is_empty(self) -> bool:
        """Whether it has no row."""

    def conflicts(self, columns: Iterable[Column]) -> list[str]:
        """Columns whose kind is no longer what the table has: the org changed the field's type."""

    def changed(self) -> str:
        """What others have dropped or changed of it; empty where it is as merges left it."""

    def treated(self) -> Names[str] | None:
        """How its fields were treated, as merges noted it; None where that is not known."""

    def drop(self) -> None:
        """Remove it, and what is noted of it."""

    def must_rebuild(self, slices: Iterable[Slice]) -> bool:
        """Whether its history cannot just be added to: it is not complete, or slices come late."""

    def merge(
        self,
        slices: Sequence[Slice],
        columns: Mapping[str, Column],
        read: Reader,
        *,
        notes: Mapping[str, str] | None = None,
    ) -> Iterator[Outcome]:
        """Merge slices, oldest reading first; each yield is one committed transaction.

        Args:
            slices: Slices not yet merged, and patches that may concern their rows.
            columns: Columns of the object as described; those that a slice does not have stay as
                they are.
            read: Reads a slice.
            notes: How each field of the slices is treated, to be noted.

        Raises:
            CountMismatchError: A slice does not hold the rows that its manifest says.
            WarehouseError: The warehouse refused; what was committed before stays.
        """

    def rebuild(
        self,
        slices: Sequence[Slice],
        columns: Mapping[str, Column],
        read: Reader,
        *,
        notes: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Make it anew from all slices of the object; the old one stays if this fails.

        Raises:
            CountMismatchError: A slice does not hold the rows that its manifest says.
            WarehouseError: The warehouse refused.
        """


class SliceLog(Protocol):
    """Which slices silver has taken up, and what it knows of them."""

    def merged(self, slug: str, slices: Iterable[str]) -> set[str]:
        """Those of some slices of an object, by Id, that silver has taken up."""

    def missing(self, refs: Refs) -> dict[str, list[Missing]]:
        """Slices that silver has taken up, and raw neither lists nor is known to have replaced.

        They are lost, or were compacted more than once while this warehouse was away: then no
        manifest names them any more, and `held` tells.

        Args:
            refs: What raw lists; objects of which it lists nothing are not looked at.

        Returns:
            By object; those of which there are none are left out.
        """

    def held(self, slug: str, slices: Iterable[Missing], origins: Origins) -> set[str]:
        """Those of missing slices, by Id, whose rows compacted slices of raw hold; it is noted.

        Args:
            slug: Lower-cased object name.
            slices: Slices that no manifest names.
            origins: Whose rows the compacted slices of raw hold.
        """

    def waive(self, slug: str, slices: Sequence[str]) -> None:
        """Note that slices, by Id, are missed no more: silver keeps what they said."""

    def resized(self, refs: Refs) -> dict[str, set[str]]:
        """Slices whose manifests are not as large as when they were merged, by object."""

    def part_bytes(self, refs: Refs) -> dict[str, dict[str, int]]:
        """How large the files were of slices that silver has taken up, by object and slice Id."""

    def note_sizes(self, slug: str, refs: Iterable[SliceRef]) -> None:
        """Note how large the manifests are of slices that were read, and are merged."""

    def note_rewritten(self, slug: str, slices: Iterable[Slice]) -> None:
        """Note what slices hold now that rows were removed from them for good."""

    def note_replacements(self, slug: str, slices: Iterable[Slice]) -> None:
        """Note that silver has slices, because it has all those whose place they take."""


class GoldLog(Protocol):
    """The gold tables of an org, and by what each was built."""

    def tables(self) -> set[str]:
        """Names of the tables there are."""

    def newest(self) -> dict[str, str]:
        """What is newest of everything that a gold table may read.

        Returns:
            By `silver.<object>` the merge that was committed last, by `raw.<object>` the slice that
            was taken up last, and by `gold.<table>` when it was built last. Told by the order in
            which the warehouse committed them, so that no clock that goes back hides any.
        """

    def merged_at(self, slugs: Collection[str]) -> dict[str, datetime]:
        """When something was merged last into each of the objects' tables."""

    def rows(self, names: Sequence[str]) -> dict[str, int]:
        """How many rows tables have."""

    def late_rows(self, noted: Mapping[str, Mapping[str, str]]) -> dict[str, date]:
        """Tell of tables on which day of the cursor the oldest version lies that is new to them.

        A slice that took the place of others brings none, nor does a patch. Where the day is not
        known, as of slices that an earlier release merged, it is the first there is.

        Args:
            noted: By table what was newest of its sources when it was built, as `Build` has it.

        Returns:
            By table; those for which nothing was merged since are left out.
        """

    def builds(self) -> dict[str, Build]:
        """The last build of each table whose query is known."""

    def attempts(self) -> dict[str, Attempt]:
        """What was tried and came to nothing so far, by name."""

    def note_attempt(self, name: str, of: str, now: datetime, error: str | None = None) -> None:
        """Note that something is tried, or with an error what came of it.

        Args:
            name: A gold table, or `<object>.<check>`.
            of: What is tried; tries of something else before do not count.
            now: When.
            error: Why it came to nothing; None where it is about to be tried.
        """

    def build(
        self, table: GoldTable, note: Build, days: Sequence[date], versions: Iterable[Versions]
    ) -> Built:
        """Build a table anew, or some of its days, and note by what.

        The old one is there until the new one is.

        Args:
            table: The table.
            note: What to note; its rows, and its days where all are built anew, are put right.
            days: Days to build of a daily table.
            versions: What it reads of raw.

        Raises:
            LeftOutError: A packaged table reads what this org, or its user, does not have; noted.
            ConfigError: It reads what is not there, or is no SQL that the engine knows.
            WarehouseError: The warehouse refuses the query.
        """


class CheckLog(Protocol):
    """What checks of silver found, and the scores that follow."""

    def keep(self, found: Sequence[CheckResult], remedies: Mapping[tuple[str, str], str]) -> None:
        """Keep what checks found, and list what to fix now.

        Args:
            found: What they found.
            remedies: As of `score`.
        """

    def readings(self, slug: str) -> list[int]:
        """Live rows of an object at its last runs of checks, latest first."""

    def latest(self, checks: Checks) -> dict[tuple[str, str], Latest]:
        """The latest answer to each of the checks; nothing of those that were never asked."""

    def last_run(self) -> dict[tuple[str, str], tuple[datetime, str | None]]:
        """When each check was run last, and what it asked, of all that ever were."""

    def score(self, now: datetime, remedies: Mapping[tuple[str, str], str]) -> list[Score]:
        """Score the org's objects by the latest outcome of each check, and list what to fix.

        Args:
            now: When.
            remedies: What to do about the offenders of each check that counts; others, which are
                no longer declared, do not count.

        Returns:
            The scores, overall first; none where nothing was checked yet.
        """


class Session(Protocol):
    """A warehouse while it is open, for one org."""

    @property
    def silver(self) -> Silver:
        """Its silver tables."""

    @property
    def slices(self) -> SliceLog:
        """Which slices these are made of."""

    @property
    def gold(self) -> GoldLog:
        """Its gold tables."""

    @property
    def checks(self) -> CheckLog:
        """What checks found."""

    def table(self, slug: str, *, history: bool) -> SilverTable:
        """An object's table, to be loaded; whether all versions are kept, too."""

    def restricted(self, slug: str) -> SilverTable:
        """The table of an object's restricted fields, to be loaded."""

    def treated(self) -> dict[str, Names[str] | None]:
        """How fields of tables were treated, by what `ops` calls these; None if not known."""

    def forget(
        self, slug: str, ids: Collection[str], derived: Mapping[str, Collection[str]]
    ) -> dict[str, int]:
        """Remove records, and what leads to them, from all tables; gold is to be built anew.

        Args:
            slug: Lower-cased object name.
            ids: Their Ids, as long and as short ones.
            derived: Columns, lower-cased, that the org works out, by object: where a row led to
                one of the records, they are emptied, too.

        Returns:
            How many rows were removed or emptied, by table.
        """

    def ids_beginning(self, prefix: str) -> Iterator[str]:
        """Short forms of all Ids in the org's tables that begin with some letters."""

    def forgotten(self, slug: str) -> set[str]:
        """Digests of the Ids of records that the tables have no more, as was noted."""

    def note_forgotten(self, slug: str, digests: AbstractSet[str]) -> None:
        """Note that the tables have no more of some records, by digests of their Ids."""

    def search(self, ids: Collection[str]) -> dict[str, int | None]:
        """In how many rows of which tables some texts are; None where one cannot be read.

        All tables of the warehouse are looked at, whosever they are.
        """

    def has_leftovers(self) -> bool:
        """Whether files may have something of rows that were removed for good."""

    def orgs(self) -> list[str]:
        """Names of all orgs that have silver tables in this warehouse."""

    def is_united(self, orgs: Sequence[str]) -> bool:
        """Whether `unite` would find all as it should be."""

    def unite(self, orgs: Sequence[str]) -> list[str]:
        """Have `silver_all.<object>` and its `_live` show the rows of all orgs together.

        Columns are united by name; one has the type that holds what it holds in each org.

        Args:
            orgs: Names of the orgs; those that have no table of an object are left out.

        Returns:
            Views that were made, changed or dropped: none where all were as the tables are.
        """

    def changed(self) -> dict[str, str]:
        """What others have dropped or changed, by object; nothing of what is as merges left it."""

    def histories(self) -> set[str]:
        """Objects whose history is complete: kept since their first slice."""

    def note_failures(self, errors: Mapping[str, str]) -> None:
        """Note in `ops.sync_log` what failed, by object."""

    def explained(self) -> AbstractContextManager[None]:
        """Turn what the engine refuses in the block into a `WarehouseError`; it stays open."""


class Warehouse(Protocol):
    """Where silver and gold live.

    Attributes:
        url: Its address, without what is secret.
        engine: What it is called in the names of gold files, such as `postgres`.
    """

    url: str
    engine: str

    def __str__(self) -> str:
        """Where it is, for people."""

    def exists(self) -> bool:
        """Whether anything was ever written."""

    def reading(
        self, org_id: str, name: str, *, wait: bool = True
    ) -> AbstractContextManager[Session]:
        """Open it for reading.

        Args:
            org_id: Id of the org whose data is asked for.
            name: What the catalogue calls that org.
            wait: Whether to wait a while if another program holds it.

        Raises:
            WarehouseLockedError: It is held, and stays so.
            WarehouseDamagedError: It cannot be read; a rebuild makes another.
            WarehouseError: It cannot be opened, or refuses something inside the block.
        """

    def writing(
        self, org_id: str, name: str, *, wait: bool = True
    ) -> AbstractContextManager[Session]:
        """Open it for writing, claimed for an org; else like `reading`.

        Raises:
            WrongOrgError: It holds another org's data under that name.
        """

    def query(self, sql: str) -> pa.Table:
        """All rows that answer a question, as Arrow; nothing is changed."""

    def publish(self) -> None:
        """Show what is committed to readers who may hold it open for as long as they like.

        Nothing where they see all of it already. Before that, files are freed of what they have
        of rows that were removed for good, where that is noted.

        Raises:
            WarehouseError: It cannot be; they see what they saw before.
        """

    def check_writing(self) -> None:
        """Open it for writing, whosever it is.

        Raises:
            WarehouseError: It cannot be written.
        """

    def check(self) -> None:
        """Read everything there is.

        Raises:
            WarehouseDamagedError: Something cannot be read.
        """

    def quarantined(self) -> list[Path]:
        """What was given another name, and is there still."""

    def stale_copies(self) -> list[Path]:
        """Copies of its tables that nobody makes anew, as of runs that died."""

    def remove_stale_copies(self) -> list[Path]:
        """Remove them; which there were.

        Raises:
            WarehouseError: It is held by another program, or one cannot be removed.
        """

    def quarantine(self) -> Path:
        """Give it another name, so that a new one can be made; the new name.

        Raises:
            WarehouseError: It cannot be renamed.
        """
