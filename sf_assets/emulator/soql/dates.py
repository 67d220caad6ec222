"""Date literals: `TODAY`, `LAST_N_DAYS:30`, `THIS_FISCAL_QUARTER` and their spans.

Weeks begin on Sunday and the fiscal year on 1 January, the defaults of a US org; days are UTC.
"""

import re
from datetime import date, timedelta

_DAYS_IN_WEEK = 7
_DAYS = {
    "YESTERDAY": (-1, 0),
    "TODAY": (0, 1),
    "TOMORROW": (1, 2),
    "LAST_90_DAYS": (-90, 1),
    "NEXT_90_DAYS": (1, 91),
}
_PERIOD = re.compile(r"(THIS|LAST|NEXT)_(WEEK|(?:FISCAL_)?(?:QUARTER|YEAR)|MONTH)")
_COUNTED = re.compile(
    r"(?:(LAST|NEXT)_N_(DAY|WEEK|MONTH|(?:FISCAL_)?(?:QUARTER|YEAR))S"
    r"|N_(DAY|WEEK|MONTH|(?:FISCAL_)?(?:QUARTER|YEAR))S_AGO)"
)
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


def is_date_formula(name: str) -> bool:
    """Whether the upper-cased word is a date literal without a number."""
    return name in _DAYS or _PERIOD.fullmatch(name) is not None


def is_counted_formula(name: str) -> bool:
    """Whether the upper-cased word is a date literal that takes `:n`."""
    return _COUNTED.fullmatch(name) is not None


def span(name: str, count: int | None, today: date) -> tuple[date, date]:
    """Days that a date literal covers.

    Args:
        name: The literal in upper case, without its number.
        count: The number after the colon, if the literal takes one.
        today: The org's present day.

    Returns:
        First day, and the day after the last.
    """
    if name in _DAYS:
        first, end = _DAYS[name]
        return today + timedelta(days=first), today + timedelta(days=end)
    if match := _PERIOD.fullmatch(name):
        offset = {"THIS": 0, "LAST": -1, "NEXT": 1}[match[1]]
        return _periods(match[2], offset, offset + 1, today)
    match = _COUNTED.fullmatch(name)
    if match is None or count is None:
        raise ValueError(name)
    if match[3]:
        return _periods(match[3], -count, -count + 1, today)
    if match[1] == "NEXT":
        return _periods(match[2], 1, count + 1, today)
    # The last n days include today; the last n weeks, months and so on end before the present one.
    return _periods(match[2], -count, 1 if match[2] == "DAY" else 0, today)


def _periods(unit: str, first: int, end: int, today: date) -> tuple[date, date]:
    """From the beginning of one period to that of another, counted from the present one."""
    unit = unit.removeprefix("FISCAL_")
    if unit == "DAY":
        return _moved(today, first), _moved(today, end)
    if unit == "WEEK":
        sunday = _moved(today, -(today.isoweekday() % _DAYS_IN_WEEK))
        return _moved(sunday, first * _DAYS_IN_WEEK), _moved(sunday, end * _DAYS_IN_WEEK)
    months = _MONTHS[unit]
    present = (today.year * 12 + today.month - 1) // months
    return _month((present + first) * months), _month((present + end) * months)


def _moved(day: date, days: int) -> date:
    """Another day, kept inside the calendar."""
    ordinal = min(max(day.toordinal() + days, 1), date.max.toordinal())
    return date.fromordinal(ordinal)


def _month(index: int) -> date:
    """First day of a month counted from the year 0, kept inside the calendar."""
    year, month = divmod(index, 12)
    if year < date.min.year:
        return date.min
    return date(year, month + 1, 1) if year <= date.max.year else date.max
