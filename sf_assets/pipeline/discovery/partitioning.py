"""The grain and the first partition of each object of a fresh catalogue.

Each partition costs whoever runs the assets: Dagster takes its time to note one, on each layer. So
 days are for what changes by the day, no partition begins before the records do, and there is a
number of partitions that all objects share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from sf_assets.pipeline.discovery.activity import Activity
from sf_assets.windows import Grain, partition_starts, utc_day

BUSY = 300
"""Records that change in a month, from which on an object is cut by day: ten a day."""

SECONDS = 0.02
"""What Dagster takes to note a partition of one layer, at most."""

_ROOM, _OBJECTS = 30, 200
"""Partitions for each object, and for how many objects there is room in any case: 6,000, which
take four minutes to note on both layers."""

_REACHES = (((36, 24, 12), (12, 6, 3)), ((24, 12), (12, 6, 3)), *(
    ((12,), days) for days in ((12, 6, 3), (6, 3), (3,))
))  # fmt: skip
"""How many months ago objects may begin that are cut by month, and those cut by day: as long ago as
there is room for. Few different ones, because a range can be chosen of assets that share theirs."""

_WORTH = 0.1
"""Share of the records for which a start is put back."""


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How an object is cut into partitions.

    Attributes:
        grain: The grain.
        start: First partition; it holds what is older, too.
        crowded: Whether it would be cut by day if others did not change more.
    """

    grain: Grain
    start: date
    crowded: bool = False

    def partitions(self, today: date) -> int:
        """How many there are, the present one included."""
        if self.grain is Grain.NONE:
            return 0
        until = utc_day(today + timedelta(days=1))
        return sum(1 for _ in partition_starts(self.grain, self.start, until))


def partition(
    activities: Mapping[str, Activity], today: date, start: date | None = None
) -> dict[str, Partitioning]:
    """Choose the partitions of objects.

    Args:
        activities: How the objects change, by name.
        today: The day, UTC.
        start: First partition of all objects; None for one that suits each.
    """
    busy = sorted(filter(lambda name: _is_busy(activities[name]), activities),
                  key=lambda name: _changes(activities[name]), reverse=True)  # fmt: skip
    room = _ROOM * max(len(activities), _OBJECTS)
    reaches = _reaches(today) if start is None else [([start], [start])]
    for months, days in reaches:
        by_month = {n: _cut(Grain.MONTHLY, one, months) for n, one in activities.items()}
        by_day = {name: _cut(Grain.DAILY, activities[name], days) for name in busy}
        chosen = by_month | by_day
        needed = sum(one.partitions(today) for one in chosen.values())
        if needed <= room:
            return chosen
    while busy and needed > room:
        name = busy.pop()
        rarer = Partitioning(Grain.MONTHLY, by_month[name].start, crowded=True)
        needed += rarer.partitions(today) - chosen[name].partitions(today)
        chosen[name] = rarer
    return chosen


def _is_busy(activity: Activity) -> bool:
    return activity.has_cursor and _changes(activity) >= BUSY


def _changes(activity: Activity) -> float:
    """Changes in a month, as far as they are known; of what cannot be counted there are many."""
    return float("inf") if activity.too_many else activity.lately or 0


def _reaches(today: date) -> list[tuple[list[date], list[date]]]:
    return [([_back(today, n) for n in months], [_back(today, n) for n in days])
            for months, days in _REACHES]  # fmt: skip


def _back(today: date, months: int) -> date:
    """First day of the month so many months ago."""
    month = today.year * 12 + today.month - 1 - months
    return date(month // 12, month % 12 + 1, 1)


def _cut(grain: Grain, activity: Activity, starts: Sequence[date]) -> Partitioning:
    """Cut an object from the first of some starts, oldest first, that is worth it.

    It is worth it where a fair share of the records that changed since then did so before the next
    one.
    """
    grain = grain if activity.has_cursor else Grain.NONE
    for start, following in pairwise(starts):
        before, after = activity.since(start), activity.since(following)
        if before and before - after >= before * _WORTH:
            return Partitioning(grain, start)
    return Partitioning(grain, starts[-1])
