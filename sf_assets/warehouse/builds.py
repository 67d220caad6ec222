"""By what a gold table was built last, and builds that came to nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

SHORTEST = timedelta(seconds=30)
LONGEST = timedelta(hours=1)
"""Pauses after a build that came to nothing: twice as long after each."""


@dataclass(frozen=True, slots=True)
class Build:
    """The last build of a gold table.

    Attributes:
        sql_hash: Of the query that it was built by.
        sources: What was newest then of all that it reads; of a daily table also by
            `gold.<table>/<source>` what the gold tables were built of that it reads.
        built_at: When.
        rows: Rows of the table; None where it was left out.
        days: Days that were built by this query; empty for a table that is not daily.
        left_out: Why there was nothing to build, though nothing is wrong.
    """

    sql_hash: str
    sources: Mapping[str, str]
    built_at: datetime
    rows: int | None
    days: frozenset[date] = frozenset()
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Builds in a row, or askings of a check, that came to nothing so far.

    Attributes:
        of: What was tried: the hash of a query, or the merge that a check was to be asked of.
        tries: How many times.
        since: When first.
        tried_at: When last.
        error: What was said then; None where the run is at work, or broke off.
    """

    of: str
    tries: int
    since: datetime
    tried_at: datetime
    error: str | None

    @property
    def next_try(self) -> datetime:
        """When it may be tried again by itself."""
        doublings = min(self.tries - 1, 10)  # beyond the longest pause
        pause = timedelta(seconds=SHORTEST.total_seconds() * 2**doublings)
        return self.tried_at + min(pause, LONGEST)
