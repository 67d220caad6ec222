"""The tree of a SOQL query.

Positions are offsets in the text; two trees are equal when they differ only in positions.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "NOT IN", "INCLUDES", "EXCLUDES"]


@dataclass(frozen=True)
class FieldRef:
    """A field, perhaps of a parent: `Account.Owner.Name`."""

    path: tuple[str, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Call:
    """A function of fields: `COUNT()`, `CALENDAR_YEAR(CreatedDate)`, `FIELDS(ALL)`."""

    name: str
    arguments: "tuple[FieldRef | Call, ...]" = ()
    position: int = field(default=0, compare=False)


Expression = FieldRef | Call


@dataclass(frozen=True)
class StringLiteral:
    """A quoted string, its escapes still in place."""

    raw: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class NumberLiteral:
    """A number as it was written."""

    text: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class BooleanLiteral:
    """`TRUE` or `FALSE`."""

    value: bool
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class NullLiteral:
    """`NULL`."""

    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class DateLiteral:
    """A day."""

    value: date
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class DateTimeLiteral:
    """A moment, in UTC."""

    value: datetime
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class TimeLiteral:
    """A time of day."""

    value: time
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class DateFormula:
    """A span of days relative to today: `LAST_N_DAYS:30`, `TODAY`."""

    name: str
    count: int | None = None
    position: int = field(default=0, compare=False)


Value = (
    StringLiteral
    | NumberLiteral
    | BooleanLiteral
    | NullLiteral
    | DateLiteral
    | DateTimeLiteral
    | TimeLiteral
    | DateFormula
)


@dataclass(frozen=True)
class Comparison:
    """`left operator right`; the right side is a list for IN, NOT IN, INCLUDES, EXCLUDES."""

    left: Expression
    operator: Operator
    right: "Value | tuple[Value, ...] | Query"
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Not:
    """A negated condition."""

    condition: "Condition"


@dataclass(frozen=True)
class Junction:
    """Conditions joined by one word, `AND` or `OR`."""

    word: Literal["AND", "OR"]
    conditions: "tuple[Condition, ...]"


Condition = Comparison | Not | Junction


@dataclass(frozen=True)
class Selected:
    """One thing to select, with its alias if it has one."""

    what: "Expression | Query"
    alias: str | None = None


@dataclass(frozen=True)
class TypeOf:
    """`TYPEOF … END`, which this org knows only to refuse it."""

    reference: FieldRef
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Order:
    """One key of the order; nulls come first unless told otherwise."""

    what: Expression
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True)
class Query:
    """A whole query, or a sub-query: then `object_name` is a relationship or an object."""

    select: tuple[Selected | TypeOf, ...]
    object_name: str
    alias: str | None = None
    where: Condition | None = None
    group_by: tuple[Expression, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None
    security_enforced: bool = False
    all_rows: bool = False
    position: int = field(default=0, compare=False)
