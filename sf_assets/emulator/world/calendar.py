"""When things happen: in office hours, on weekdays, and more of them every year.

Moments are counted in weeks of work since the epoch: floats that grow evenly with what gets done,
not with the clock. So a moment between two others is in order and in office hours without looking.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

from sf_assets.emulator.world.seeded_random import Floats, Ints

WEEK = 7 * 86_400
DAY = 86_400
_HOUR = 3600
# The first Monday after the epoch.
_MONDAY = 4 * DAY
# What gets done in each hour of a day, UTC, by a company with offices on several continents.
_HOURS = np.array(
    [2, 1, 1, 1, 2, 4, 9, 18, 28, 34, 33, 28, 26, 34, 38, 36, 32, 26, 18, 12, 8, 6, 4, 3]
)
# Monday to Sunday.
_DAYS = np.array([1.0, 1.15, 1.1, 1.05, 0.85, 0.07, 0.05])

YEARS = 6
_OLD = datetime(2001, 3, 14, 9, 26, 53, tzinfo=UTC)
# How fast the company grows: the share of rows made by a time is the share of time to this power.
_GROWTH = 2.0


class Rhythm:
    """The company's years up to now.

    Args:
        now: The org's present.

    Attributes:
        now: The present, in weeks of work.
        start: When business began in earnest.
        old: A moment in 2001, from which a few rows are left; never after the start.
    """

    def __init__(self, now: datetime) -> None:
        work = np.outer(_DAYS, _HOURS).ravel()
        self._done = np.concatenate([[0.0], np.cumsum(work) / work.sum()])
        self._clock = np.arange(len(self._done)) * float(_HOUR)
        self.now_seconds = int(now.timestamp())
        self.now = self.work(now)
        self.start = self.work(now - timedelta(days=365 * YEARS))
        self.old = min(self.work(_OLD), self.start)

    def work(self, moment: datetime) -> float:
        """Weeks of work done by a moment; the inverse of `seconds`."""
        week, rest = divmod(moment.timestamp() - _MONDAY, WEEK)
        return float(week + np.interp(rest, self._clock, self._done))

    def seconds(self, work: Floats) -> Ints:
        """Whole seconds since the epoch, never after now."""
        week = np.floor(work)
        rest = np.interp(work - week, self._done, self._clock)
        seconds: Ints = (_MONDAY + week * WEEK + rest).astype(np.int64)
        return np.minimum(seconds, self.now_seconds, out=seconds)

    def grown(self, share: Floats) -> Floats:
        """When the company had made that share of the rows it has today."""
        return self.start + (self.now - self.start) * share ** (1 / _GROWTH)

    def existing(self, work: Floats, rows: int) -> Ints:
        """How many of an object's first rows are surely there at a moment: one at least."""
        share = np.clip((work - self.start) / (self.now - self.start), 0.0, 1.0)
        return np.maximum((share**_GROWTH * rows).astype(np.int64), 1)
