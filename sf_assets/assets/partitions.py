"""Partitions: UTC days or months of the cursor, from the catalogue's start to the present."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from sf_assets.windows import BEGIN, Grain, Window, next_start, partition_starts, utc_day

_SECOND = timedelta(seconds=1)


def partitions_def(grain: Grain, start: date) -> dg.TimeWindowPartitionsDefinition | None:
    """The partitions of a grain; None for objects that have none. The present one is open."""
    if grain is Grain.DAILY:
        return dg.DailyPartitionsDefinition(f"{start:%Y-%m-%d}", end_offset=1)
    if grain is Grain.MONTHLY:
        return dg.MonthlyPartitionsDefinition(f"{start:%Y-%m}-01", end_offset=1)
    return None


def window_of(grain: Grain, start: date, first: str, last: str) -> Window:
    """The window of a range of partition keys, both ends included.

    The first partition holds everything before it, too.
    """
    begin = date.fromisoformat(first)
    end = utc_day(next_start(grain, date.fromisoformat(last)))
    return Window(BEGIN if begin <= _first_day(grain, start) else utc_day(begin), end)


def keys_touched(grain: Grain, start: date, windows: Iterable[Window]) -> list[str]:
    """Partition keys that windows touch, oldest first; none where there are no partitions."""
    if grain is Grain.NONE:
        return []
    keys: set[str] = set()
    earliest = _first_day(grain, start)
    for window in windows:
        low = max(window.start, utc_day(earliest)).date()
        end = min(window.end, datetime.now(UTC) + _SECOND)
        keys |= {_key(grain, moment) for moment in partition_starts(grain, low, end)}
    return sorted(keys)


def open_key(grain: Grain) -> str | None:
    """Key of the partition that is open; None where there are no partitions."""
    return None if grain is Grain.NONE else _key(grain, datetime.now(UTC))


def _first_day(grain: Grain, start: date) -> date:
    return start.replace(day=1) if grain is Grain.MONTHLY else start


def _key(grain: Grain, moment: datetime) -> str:
    return f"{moment:%Y-%m}-01" if grain is Grain.MONTHLY else f"{moment:%Y-%m-%d}"
