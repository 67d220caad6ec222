"""Conditions that rows meet which offend against a check, as SQL.

The checks that every object has and those that a catalogue declares are made of the same.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from sf_assets.declared_checks import Bound
from sf_assets.sql import text_literal

MULTIPLE = "VARCHAR[]"

_STAMP = "TIMESTAMP WITH TIME ZONE"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_BIGINT_MOST = Decimal(2**63 - 1)


class UnaskableError(Exception):
    """The check makes no sense of this table; the message says why."""


def dangling(name: str, parents: Iterable[str]) -> str:
    """A reference leads to no record.

    Args:
        name: The column, as SQL writes it.
        parents: The tables or views of the objects that it may point at, likewise.
    """
    missing = [f"NOT EXISTS (SELECT 1 FROM {p} p WHERE p.Id = {name})" for p in parents]
    return " AND ".join([f"{name} IS NOT NULL", *missing])


def unlisted(name: str, kind: str, values: Sequence[str]) -> str:
    """A picklist value, or one of several, is not among those listed."""
    listed = ", ".join(map(text_literal, values))
    if kind == MULTIPLE:
        return f"NOT list_has_all([{listed}], {name})"
    return f"{name} NOT IN ({listed})"


def outside(name: str, column: str, kind: str, low: Bound, high: Bound) -> str:
    """The condition of a value outside of a range, in literals of the column's own type.

    Bounds of another type would have the engine convert the column, and fail on large values.
    """
    numeric = kind == "BIGINT" or kind.startswith("DECIMAL")
    given = low if low is not None else high
    if numeric and isinstance(given, Decimal):
        bounds = [_number(kind, low, upward=True), _number(kind, high, upward=False)]
    elif kind in {"DATE", _STAMP} and isinstance(given, date):
        if kind == "DATE" and isinstance(given, datetime):
            raise UnaskableError(f"{column} holds days; give the range in days, too")
        if kind == _STAMP and not isinstance(given, datetime):
            name = f"{name}::DATE"  # a day as an upper bound holds all of it
        bounds = [_moment(low), _moment(high)]
    elif numeric or kind in {"DATE", _STAMP}:
        what = "numbers" if numeric else "days" if kind == "DATE" else "times"
        raise UnaskableError(f"{column} holds {what}; give the range in {what}, too")
    else:
        raise UnaskableError(f"{column} is {kind}; `between` is for numbers, days and times")
    conditions = [f"{name} {sign} {b}" for sign, b in zip("<>", bounds, strict=True) if b]
    return f"({' OR '.join(conditions)})" if conditions else "false"


def _number(kind: str, bound: Bound, *, upward: bool) -> str:
    """A bound as the nearest number that the column can hold on the range's side of it.

    Returns:
        Empty when every number that the column can hold is on the range's side.
    """
    if not isinstance(bound, Decimal):
        return ""
    shape = _DECIMAL.match(kind)
    digits, scale = map(int, shape.groups()) if shape else (0, 0)
    with localcontext(prec=100):
        most = (10**digits - 1) * Decimal(1).scaleb(-scale) if shape else _BIGINT_MOST
        if (bound < -most) if upward else (bound > most):
            return ""
        if abs(bound) > most:  # no number of the column is on the range's side
            return f"{'-' if not upward else ''}'Infinity'::DOUBLE"
        rounding = ROUND_CEILING if upward else ROUND_FLOOR
        return f"{bound.quantize(Decimal(1).scaleb(-scale), rounding):f}::{kind}"


def _moment(bound: Bound) -> str:
    if isinstance(bound, datetime):
        return f"TIMESTAMPTZ '{bound.astimezone(UTC).isoformat()}'"
    return f"DATE '{bound}'" if bound is not None else ""
