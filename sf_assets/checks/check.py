"""What a check is, what it is asked of, what it finds, and how that is kept.

SQL is written here as DuckDB writes it, in words that sqlglot knows of other engines, too: names
are quoted, for engines fold them differently, and `warehouse/sql/portable.py` replaces what other
engines lack.
"""

import math
from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

from sf_assets.describe import FieldInfo, ObjectInfo
from sf_assets.naming import Names, folded
from sf_assets.privacy import Treatment
from sf_assets.sql import quoted

Described = Callable[[], ObjectInfo | None]
"""Reads an object's last describe, where it matters what that says."""

Facts = dict[str, str | int | float]
"""Numbers and names to show; never values of records."""

LEFT_OUT = "not read any more; it keeps what was read last, until `sf-assets rebuild` removes it"

Checks = Collection[tuple[str, str]]
"""Checks as (lower-cased object name, check name)."""


class Severity(StrEnum):
    """How bad a failure is: `error` means that the data must not be trusted."""

    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one check.

    Attributes:
        slug: Lower-cased object name.
        name: The check.
        passed: Whether all is well.
        severe: Whether a failure means that tables are wrong, not only that data looks odd.
        facts: What to show.
        offenders: Rows or values that offend; None when the table is judged as a whole.
        ids: Ids of some of the rows.
        reason: Why it could not be asked; empty when it could.
        definition: Digest of what a declared check asks.
    """

    slug: str
    name: str
    passed: bool
    severe: bool
    facts: Facts = field(default_factory=dict)
    offenders: int | None = None
    ids: tuple[str, ...] = ()
    reason: str = ""
    definition: str = ""


class UnaskableError(Exception):
    """The check makes no sense of this table; the message says why."""


class Tables(Protocol):
    """The silver tables of an org, as checks ask of them, whichever engine has them.

    Attributes:
        Error: What the engine raises when it refuses a query.
    """

    Error: type[Exception]

    def __contains__(self, slug: str) -> bool:
        """Whether an object has a table."""

    def columns(self, slug: str) -> Names[str]:
        """Types of an object's columns, as DuckDB's SQL writes them, by name."""

    def table(self, slug: str) -> str:
        """An object's table, as SQL writes it."""

    def live(self, slug: str) -> str:
        """An object's rows that are not deleted, as SQL writes it."""

    def rejects(self, slug: str) -> list[str]:
        """The tables of an object's values that could not be typed, as SQL writes them."""

    def rows(self, slug: str) -> int:
        """Live rows of an object."""

    def spelled(self, sql: str) -> str:
        """A query as the engine writes it, for people."""

    def select(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """The rows of a query."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column that is asked about.

    Attributes:
        table: Where it is.
        name: Its name.
        type: Its type, as DuckDB's SQL writes it.
        field: Its field, as described; None where no describe knows it.
    """

    table: "Subject"
    name: str
    type: str
    field: FieldInfo | None

    @property
    def sql(self) -> str:
        """The column of the row that is judged, which is called t, as SQL writes it."""
        return f"t.{quoted(self.name)}"


@dataclass(frozen=True)
class Subject:
    """An object that has a table, whose checks are asked.

    Attributes:
        slug: Lower-cased name.
        silver: The tables of its org.
        now: The present.
        describe: The last describe of an object, if there is one.
        read: Lower-cased names of the objects that are read: tables of others stand still.
        earlier_rows: Its live rows at earlier runs of checks, latest first.
        newest_columns: Lower-cased names of the columns that are read now; None if none ever was.
        treated: What was done to fields on their way to the table, by column; of most, nothing.
    """

    slug: str
    silver: Tables
    now: datetime
    describe: Callable[[str], ObjectInfo | None]
    read: Container[str]
    earlier_rows: Callable[[], Sequence[int]] = tuple
    newest_columns: Callable[[], Container[str] | None] = lambda: None
    treated: Names[Treatment] = field(default_factory=Names)

    @property
    def info(self) -> ObjectInfo | None:
        """Its describe, if there is one."""
        return self.describe(self.slug)

    @property
    def live(self) -> str:
        """Its rows that are not deleted, as SQL writes it."""
        return self.silver.live(self.slug)

    @cached_property
    def rows(self) -> int:
        """How many these are."""
        return self.silver.rows(self.slug)

    @property
    def columns(self) -> Names[str]:
        """Types of its columns, by name."""
        return self.silver.columns(self.slug)

    @cached_property
    def _newest(self) -> Container[str] | None:
        return self.newest_columns()

    def stale(self, name: str) -> str:
        """Why a column keeps what was read last; empty where its field is read as ever."""
        described = self.info.field(name) if self.info else None
        if described and described.gone:
            return str(described.gone)
        read = self._newest is None or name.startswith("_") or folded(name) in self._newest
        return "" if read else LEFT_OUT

    def column(self, name: str) -> TableColumn:
        """The column of that name in any case.

        Raises:
            UnaskableError: There is none, or it keeps what was read last.
        """
        described = self.info.field(name) if self.info else None
        if name in self.columns:
            if why := self.stale(name):
                raise UnaskableError(f"{name} is {why}")
            return TableColumn(self, self.columns.spelt(name), self.columns[name], described)
        if self.info and described and described.is_compound:
            components = ", ".join(self.info.parts_of(described))
            raise UnaskableError(
                f"{described.name} is compound and has no column of its own; name its components"
                f"{components and f': {components}'}"
            )
        if name in self.treated:
            raise UnaskableError(f"the catalogue keeps {name} out of silver ({self.treated[name]})")
        if described:
            raise UnaskableError(
                f"the org has {name}, the table has not: see fields and exclude in the catalogue"
            )
        raise UnaskableError(f"describe knows no field {name}; correct it in the catalogue")

    def has(self, name: str) -> bool:
        """Whether an object of that name is read, and has a table."""
        return name.lower() in self.silver and name.lower() in self.read

    def ids(self, condition: str) -> str:
        """The query of the Ids of live rows that meet a condition."""
        return f'SELECT t."Id" FROM {self.live} AS t WHERE {condition}'

    def value(self, sql: str) -> Any:
        """The one value that a query gives."""
        ((value,),) = self.silver.select(sql)
        return value

    def count(self, query: str) -> int:
        """How many rows a query gives."""
        return int(self.value(f"SELECT count(*) FROM ({query}) AS found"))


class Check(Protocol):
    """One question about an object's table."""

    @property
    def name(self) -> str:
        """What it is called, once for each object."""

    @property
    def asks(self) -> str:
        """What must hold, for people."""

    @property
    def remedy(self) -> str:
        """What to do where it does not."""

    @property
    def severe(self) -> bool:
        """Whether a failure is an error."""

    def definition(self, describe: Described) -> str:
        """What it asks of an object, as a digest: an answer to something else counts no more."""

    @property
    def of_others(self) -> bool:
        """Whether the answer can change when other objects are loaded."""

    @property
    def good_for(self) -> timedelta | None:
        """How long an answer counts while nothing changes; None for as long as that is."""

    def ask(self, table: Subject) -> Finding:
        """Ask it of an object."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One row of `ops.quality`: one check at one time; columns in the table's order."""

    checked_at: datetime
    org_id: str
    object: str
    check: str
    severity: Severity
    blocking: bool
    passed: bool
    offenders: int | None
    rows: int
    ids: tuple[str, ...]
    reason: str
    definition: str
    """What was asked, by digest; empty for built-in checks, whose names say it."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest answer to a check.

    Attributes:
        passed: Whether it passed.
        checked_at: When it was asked.
        offenders: Rows that offend; None when it is asked of the table, or could not be asked.
        reason: Why it could not be asked; empty when it could, or nothing of that was kept.
        since: When it first did not pass since it last did; None where it passes.
        definition: What was asked, by digest; None where an earlier release asked.
    """

    passed: bool
    checked_at: datetime
    offenders: int | None
    reason: str | None
    since: datetime | None
    definition: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """How good an object's rows are by its latest checks, from 0 to 100.

    A check's share is the share of live rows that do not offend; of a check that is asked of the
    table as a whole, or that could not be asked, it is all or nothing. An object's score is the
    mean of its checks' shares, in which an `error` weighs three times as much as a `warn`. The
    overall score is the plain mean of the objects' scores: a small object counts like a large one.

    Attributes:
        object: Lower-cased name; None for all objects together.
        score: The score.
        checks: How many checks it rests on.
        failed: How many of them did not pass.
        rows: Live rows.
    """

    object: str | None
    score: float
    checks: int
    failed: int
    rows: int


def format_score(score: float) -> str:
    """A score for people, cut off rather than rounded: 100.00 says that nothing is to fix."""
    return f"{math.floor(score * 100) / 100:.2f}"
