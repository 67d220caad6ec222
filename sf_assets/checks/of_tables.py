"""Declared checks of a table as a whole: how many rows it has, how old the newest is."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sf_assets.checks.check import Facts, Finding, Subject
from sf_assets.checks.expectation import Expectation, refused

FEWEST_READINGS = 5
"""Readings of the row count without which no change can be called unusual."""


def _percent(value: Any) -> Decimal:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", value) if isinstance(value, str) else None
    if not match or not (percent := Decimal(match.group(1))):
        raise refused("a change is written as a percentage above zero, such as 20%")
    return percent


class Change(BaseModel):
    """How far a number may be from what it was.

    Attributes:
        change: Percent of the earlier number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: Annotated[Decimal, BeforeValidator(_percent)]


class RowCount(Expectation):
    """The number of rows is near the median of its last readings."""

    word = "rows"
    claim = "The live rows are within {bound} of the median of earlier readings."
    cure = "look for a mass delete, a mass load or a lost permission; what stays becomes the rule"
    rows: Change

    def _bound(self) -> str:
        return f"{self.rows.change}%"

    def query(self, table: Subject) -> tuple[str, Facts]:
        """The query of the number of live rows."""
        return f"SELECT count(*) FROM {table.live}", {}

    def _answer(self, table: Subject, sql: str, facts: Facts) -> Finding:
        earlier = table.earlier_rows()
        if len(earlier) < FEWEST_READINGS:
            few = f"{len(earlier)}; a change is judged from {FEWEST_READINGS} on"
            return self._finding(table, passed=True, facts={"earlier readings": few}, sql=sql)
        rows, usual = table.rows, median(earlier)
        facts |= {"median of earlier readings": float(usual)}
        facts |= {"change": f"{(rows - usual) / usual:+.2%}"} if usual else {}
        passed = abs(rows - usual) * 100 <= float(self.rows.change) * usual
        return self._finding(table, passed=passed, facts=facts, sql=sql)


_LONGEST = timedelta(hours=1)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> timedelta:
    match = re.fullmatch(r"(\d{1,5}) ?([mhd])", value) if isinstance(value, str) else None
    if not match or not int(match.group(1)):
        raise refused("a time is written as a whole number of m, h or d, such as 2h")
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


class Fresh(Expectation):
    """The newest change in the table is not older than this."""

    word = "fresh"
    claim = "The newest live row changed at most {bound} ago."
    cure = "see whether the tick runs (sf-assets status), and whether the org still changes"
    within: Annotated[timedelta, BeforeValidator(_duration), Field(alias="fresh")]

    @property
    def good_for(self) -> timedelta:
        """A quarter of the time, an hour at most: an idle table grows old unseen."""
        return min(self.within / 4, _LONGEST)

    def _bound(self) -> str:
        return f"{self.within.total_seconds() / 3600:g} hours"

    def query(self, table: Subject) -> tuple[str, Facts]:
        """The query of the newest change."""
        return f'SELECT max("_cursor") FROM {table.live}', {}

    def _answer(self, table: Subject, sql: str, facts: Facts) -> Finding:
        newest: datetime | None = table.value(sql)
        if newest is None:
            return self._finding(table, facts={"newest change": "none"}, sql=sql)
        age = table.now - newest
        facts |= {
            "newest change": f"{newest.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "hours old": round(age.total_seconds() / 3600, 2),
        }
        return self._finding(table, passed=age <= self.within, facts=facts, sql=sql)
