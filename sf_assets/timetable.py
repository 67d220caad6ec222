"""When something recurs, as people write it in the catalogue: in words, or as cron."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property, lru_cache
from itertools import pairwise

SHORTEST = timedelta(minutes=5)
"""How soon something may recur: the interval at which is looked for what is due."""

_HELP = (
    "write `every 5 minutes` (10, 15, 20, 30), `every hour`, `every 2 hours` (3, 4, 6, 8, 12), "
    '`at 05:30`, or five fields of cron in quotes, such as "0 5 * * 1-5"'
)
_EVERY = re.compile(r"every (?:([0-9]+) )?(minute|hour)s?")
_AT = re.compile(r"at ([0-9]{1,2}):([0-9]{2})")
_MINUTES, _HOURS = {5, 10, 15, 20, 30}, {1, 2, 3, 4, 6, 8, 12}

_PIECE = re.compile(r"(?:\*|([0-9]+|[a-z]{3})(?:-([0-9]+|[a-z]{3}))?)(?:/([0-9]+))?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {
    3: {name: str(number) for number, name in enumerate(_MONTHS, 1)},
    4: {name: str(number) for number, name in enumerate(_DAYS)},
}
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))

_FROM = date(2024, 1, 1)
_CYCLE = 28 * 365 + 7  # days after which dates are the same weekdays again


@dataclass(frozen=True)
class Times:
    """Points in time that recur.

    Attributes:
        cron: Five fields of cron.
    """

    cron: str

    def at(self, moment: datetime, zone: tzinfo) -> bool:
        """Whether a moment, by its minute, is one of them."""
        local = moment.astimezone(zone)
        return self._falls_on(local.date()) and local.hour * 60 + local.minute in self._minutes

    def last(self, now: datetime, zone: tzinfo) -> datetime:
        """The last of them that is not later than `now`, UTC."""
        day = now.astimezone(zone).date()
        while True:
            for minute in reversed(self._minutes if self._falls_on(day) else ()):
                at = datetime.combine(day, time(*divmod(minute, 60)), zone).astimezone(UTC)
                if at <= now:
                    return at
            day -= timedelta(days=1)

    @property
    def comes(self) -> bool:
        """Whether it is understood, and there are any."""
        return bool(self._fields and self._days)

    @property
    def shortest(self) -> timedelta:
        """The shortest time between two of them."""
        return self._gaps[0]

    @property
    def pause(self) -> timedelta:
        """The longest time between two of them."""
        return self._gaps[1]

    @property
    def a_day(self) -> float:
        """How many of them there are in a day, on average."""
        return len(self._minutes) * len(self._days) / self._cycle

    @cached_property
    def _fields(self) -> tuple[frozenset[int], ...]:
        """The values of each field; none at all where one is not understood."""
        fields = self.cron.lower().split()
        found = tuple(_values(n, field) for n, field in enumerate(fields[: len(_BOUNDS)]))
        return found if len(fields) == len(_BOUNDS) and all(found) else ()

    @cached_property
    def _minutes(self) -> tuple[int, ...]:
        """The minutes of a day, in order."""
        minutes, hours, *_ = self._fields
        return tuple(sorted(hour * 60 + minute for hour in hours for minute in minutes))

    @property
    def _cycle(self) -> int:
        """Days after which all is as before."""
        return 1 if self.cron.endswith(" * * *") else _CYCLE

    @cached_property
    def _days(self) -> tuple[date, ...]:
        days = (_FROM + timedelta(days=n) for n in range(self._cycle))
        return tuple(day for day in days if self._falls_on(day))

    @cached_property
    def _gaps(self) -> tuple[timedelta, timedelta]:
        """The shortest and the longest time between two of them."""
        within = [later - earlier for earlier, later in pairwise(self._minutes)]
        night = 24 * 60 - self._minutes[-1] + self._minutes[0]
        around = (*self._days, self._days[0] + timedelta(days=self._cycle))
        between = [((b - a).days - 1) * 24 * 60 + night for a, b in pairwise(around)]
        gaps = within + between
        return timedelta(minutes=min(gaps)), timedelta(minutes=max(gaps))

    def _falls_on(self, day: date) -> bool:
        _, _, of_month, months, of_week = self._fields
        weekday = day.isoweekday() % 7
        on_date, on_weekday = day.day in of_month, weekday in of_week or weekday + 7 in of_week
        _, _, written, _, written_weekday = self.cron.split()
        either = "*" not in (written, written_weekday)
        fits = on_date or on_weekday if either else on_date and on_weekday
        return day.month in months and fits


def parse_times(written: object) -> Times:
    """Read what somebody wrote.

    Raises:
        ValueError: It is not understood, never comes, or comes more often than is looked.
    """
    if isinstance(written, Times):
        return written
    return _parsed(" ".join(written.split()) if isinstance(written, str) else "")


@lru_cache(maxsize=256)  # of two hundred objects most say the same
def _parsed(text: str) -> Times:
    times = Times(_in_words(text.lower()) or text)
    if not times.comes:
        raise ValueError(_HELP)
    if times.shortest < SHORTEST:
        raise ValueError("nothing is looked for more often than every five minutes")
    return times


def _in_words(text: str) -> str | None:
    """Cron of what is written in words; None where it is not."""
    if match := _EVERY.fullmatch(text):
        number, is_minutes = int(match[1] or 1), match[2] == "minute"
        if number in (_MINUTES if is_minutes else _HOURS):
            step = f"*/{number}" if number > 1 else "*"
            return f"{step} * * * *" if is_minutes else f"0 {step} * * *"
    if match := _AT.fullmatch(text):
        return f"{int(match[2])} {int(match[1])} * * *"
    return None


def _values(place: int, field: str) -> frozenset[int]:
    """The values that a field of cron names; none where it is not understood."""
    lowest, highest = _BOUNDS[place]
    names = _NAMES.get(place, {})
    found: set[int] = set()
    for piece in field.split(","):
        match = _PIECE.fullmatch(piece)
        if match is None or (match[3] and match[1] and not match[2]):
            return frozenset()
        first, last = match[1] or str(lowest), match[2] or match[1] or str(highest)
        edges = [names.get(edge, edge) for edge in (first, last)]
        if any(edge.isalpha() for edge in edges):
            return frozenset()
        low, high, step = int(edges[0]), int(edges[1]), int(match[3] or 1)
        if not lowest <= low <= high <= highest or not step:
            return frozenset()
        found |= set(range(low, high + 1, step))
    return frozenset(found)
