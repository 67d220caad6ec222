"""Time as the pipeline sees it: half-open UTC windows, coverage, watermark, partition grains."""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

BEGIN = datetime.min.replace(tzinfo=UTC)
"""Minus infinity: before every stamp an org can hold."""

_COMPACT = "%Y%m%dT%H%M%SZ"
_FORM = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_LENGTH = len("20261121T100000Z")


class Grain(StrEnum):
    """How an object's rows are cut into partitions."""

    DAILY = "daily"
    MONTHLY = "monthly"
    NONE = "none"


def utc_day(day: date) -> datetime:
    """Midnight UTC at which the day begins."""
    return datetime.combine(day, time.min, UTC)


def compact(moment: datetime) -> str:
    """A moment as a sortable piece of a file name, `20261121T100000Z`; minus infinity is `begin`.

    Stamps have second precision in Salesforce, so nothing is lost.
    """
    # strftime does not pad years before 1000.
    return "begin" if moment == BEGIN else moment.astimezone(UTC).strftime(_COMPACT).zfill(_LENGTH)


def parse_compact(text: str) -> datetime:
    """Read back what `compact` wrote.

    Raises:
        ValueError: The text is not of that form.
    """
    if text == "begin":
        return BEGIN
    if not _FORM.fullmatch(text):
        raise ValueError(f"{text!r} does not match the form 20261121T100000Z")
    return datetime.fromisoformat(text)  # many times as fast as strptime; listings are long


@dataclass(frozen=True, order=True, slots=True)
class Window:
    """A half-open interval of UTC time, `[start, end)`, of whole seconds.

    Raises:
        ValueError: The end is not after the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"a window ends after it starts, not {self}")

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def __str__(self) -> str:
        start = "the beginning" if self.start == BEGIN else f"{self.start:%Y-%m-%d %H:%M:%S}"
        return f"{start} to {self.end:%Y-%m-%d %H:%M:%S} UTC"

    def overlaps(self, other: "Window") -> bool:
        """Whether the two share a moment."""
        return self.start < other.end and other.start < self.end

    def widened(self, back: timedelta) -> "Window":
        """The window begun earlier by `back`; one that begins at minus infinity stays."""
        return Window(BEGIN if self.start - BEGIN <= back else self.start - back, self.end)


OLDEST = datetime(1999, 1, 1, tzinfo=UTC)
"""When Salesforce was founded: no stamp of its own is older."""

ALWAYS = Window(BEGIN, datetime.max.replace(tzinfo=UTC))
"""All of time; a plan cuts it at the org's present."""


class Coverage:
    """A set of moments known to be extracted, as disjoint windows in order of time."""

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        merged: list[Window] = []
        for window in sorted(windows):
            if merged and window.start <= merged[-1].end:
                merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
            else:
                merged.append(window)
        self.windows = tuple(merged)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coverage) and self.windows == other.windows

    def __hash__(self) -> int:
        return hash(self.windows)

    def __or__(self, other: "Coverage") -> "Coverage":
        return Coverage(itertools.chain(self.windows, other.windows))

    def __repr__(self) -> str:
        return f"Coverage({', '.join(map(str, self.windows))})"

    @property
    def watermark(self) -> datetime:
        """End of the unbroken coverage from minus infinity on; `BEGIN` when there is none."""
        first = self.windows[0] if self.windows else None
        return first.end if first and first.start == BEGIN else BEGIN

    def gaps(self, end: datetime) -> list[Window]:
        """What is not covered before `end`, the newest first."""
        gaps, cursor = [], BEGIN
        for window in self.windows:
            if window.start >= end:
                break
            if window.start > cursor:
                gaps.append(Window(cursor, window.start))
            cursor = max(cursor, window.end)
        if cursor < end:
            gaps.append(Window(cursor, end))
        return gaps[::-1]

    def lacks(self, window: Window) -> list[Window]:
        """The parts of a window that are not covered, the newest first."""
        return [
            Window(max(gap.start, window.start), gap.end)
            for gap in self.gaps(window.end)
            if gap.end > window.start
        ]

    def covers(self, window: Window) -> bool:
        """Whether every moment of the window is covered."""
        return any(w.start <= window.start and window.end <= w.end for w in self.windows)


def partition_starts(grain: Grain, first: date, until: datetime) -> Iterator[datetime]:
    """Starts of the partitions from `first` on that begin before `until`, oldest first."""
    day = first.replace(day=1) if grain is Grain.MONTHLY else first
    while utc_day(day) < until:
        yield utc_day(day)
        day = next_start(grain, day)


def next_start(grain: Grain, day: date) -> date:
    """First day of the partition after the one that begins on `day`."""
    if grain is Grain.MONTHLY:
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=1)
