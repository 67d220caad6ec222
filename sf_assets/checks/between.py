"""The declared check of values that lie in a range."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sf_assets.checks.check import TableColumn, UnaskableError
from sf_assets.checks.expectation import Expectation, OfRows, refused
from sf_assets.naming import ApiName

Bound = Decimal | date | datetime | None
"""One end of a range; None where it is open."""

_WHOLE, _DAY, _MOMENT = "BIGINT", "DATE", "TIMESTAMP WITH TIME ZONE"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_BIGINT_MOST = Decimal(2**63 - 1)


def _end(value: Any) -> Bound:
    """A bound as YAML reads it; a datetime without a zone is UTC."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC)
    if value is None or isinstance(value, date):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = Decimal(str(value))
        if number.is_finite():
            return number
    raise refused("a bound is a number or a date; null leaves that end open")


def _range(value: Any) -> Any:
    """Two bounds of one kind, the lower one first."""
    if not isinstance(value, list | tuple) or len(value) != 2:  # noqa: PLR2004 (two ends)
        raise refused("a range is written [lowest, highest], both included")
    low, high = map(_end, value)
    if low is None and high is None:
        raise refused("a range has at least one end")
    if low is not None and high is not None:
        if type(low) is not type(high):
            raise refused("both ends of a range are numbers, or dates, or times")
        if low > high:  # type: ignore[operator]  # of one type, by the line before
            raise refused("the range is empty: its lowest is above its highest")
    return low, high


Range = Annotated[tuple[Bound, Bound], BeforeValidator(_range)]


class Between(OfRows):
    """The value lies in a range, both ends included; an empty field is passed over."""

    word = "between"
    claim = "{fields} lies {bound}."
    cure = "correct {fields} in these records, and set a validation rule"
    ranges: Annotated[Mapping[ApiName, Range], Field(alias="between", min_length=1)]

    def _fields(self) -> tuple[str, ...]:
        return tuple(self.ranges)

    def _bound(self) -> str:
        return ", ".join(map(_formatted, self.ranges.values()))

    def each(self) -> Iterator[Expectation]:
        """One check for each field."""
        for field, ends in self.ranges.items():
            yield self.model_copy(update={"ranges": {field: ends}})

    def offence(self, columns: Sequence[TableColumn]) -> str:
        """The value lies outside."""
        (column,), ((low, high),) = columns, self.ranges.values()
        ends = [(sign, end) for sign, end in (("<", low), (">", high)) if end is not None]
        return f"({' OR '.join(_beyond(column, sign, end) for sign, end in ends)})"


def _beyond(column: TableColumn, sign: str, end: Decimal | date) -> str:
    """The condition of a value below (<) or above (>) an end, in a literal of the column's type.

    An end of another type would have the engine convert the column, and fail on large values.
    """
    if column.type == _WHOLE or column.type.startswith("DECIMAL"):
        what, fits = "numbers", isinstance(end, Decimal)
    elif column.type == _DAY:
        what, fits = "days", isinstance(end, date) and not isinstance(end, datetime)
    elif column.type == _MOMENT:
        what, fits = "times", isinstance(end, date)
    else:
        raise UnaskableError(
            f"{column.name} is {column.type}; `between` is for numbers, days and times"
        )
    if not fits:
        raise UnaskableError(f"{column.name} holds {what}; give the range in {what}, too")
    if isinstance(end, Decimal):
        return _number_beyond(column, sign, end)
    if column.type == _DAY:
        return f"{column.sql} {sign} DATE '{end}'"
    if not isinstance(end, datetime):  # a day as an upper end holds all of it
        end = datetime.combine(end, time.min if sign == "<" else time.max, UTC)
    return f"{column.sql} {sign} TIMESTAMPTZ '{end.astimezone(UTC).isoformat()}'"


def _number_beyond(column: TableColumn, sign: str, end: Decimal) -> str:
    """The same of a number: beyond the nearest one on the range's side that the column can hold."""
    shape = _DECIMAL.match(column.type)
    digits, scale = map(int, shape.groups()) if shape else (0, 0)
    with localcontext(prec=100):
        step = Decimal(1).scaleb(-scale)
        most = (10**digits - 1) * step if shape else _BIGINT_MOST
        if abs(end) > most:  # all that the column can hold is on one side of it
            return f"{column.sql} IS NOT NULL" if (end > 0) == (sign == "<") else "false"
        nearest = end.quantize(step, ROUND_CEILING if sign == "<" else ROUND_FLOOR)
    return f"{column.sql} {sign} {nearest:f}::{column.type}"


def _formatted(ends: tuple[Bound, Bound]) -> str:
    low, high = ends
    if low is None or high is None:
        return f"at {high} or below" if low is None else f"at {low} or above"
    return f"between {low} and {high}"
