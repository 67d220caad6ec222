"""What type a column has, in the SQL that all engines share."""

import re
from dataclasses import replace

from sf_assets.columns.column import BIGINT_DIGITS, NUMBERS, Column, ColumnKind

_TYPES = {
    ColumnKind.TEXT: "VARCHAR",
    ColumnKind.ANY: "VARCHAR",
    ColumnKind.BOOLEAN: "BOOLEAN",
    ColumnKind.INTEGER: "BIGINT",
    ColumnKind.DATE: "DATE",
    ColumnKind.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    ColumnKind.TIME: "TIME",
    ColumnKind.LIST: "VARCHAR[]",
}

TEXT, LIST = _TYPES[ColumnKind.TEXT], _TYPES[ColumnKind.LIST]
TIMESTAMP = _TYPES[ColumnKind.TIMESTAMP]

_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


def type_of(column: Column) -> str:
    """The type of a column, as SQL writes it."""
    if column.kind is ColumnKind.DECIMAL:
        return decimal(column.integers, column.scale)
    return _TYPES[column.kind]


def same_kind(column: Column, stored: str) -> bool:
    """Whether a column is of the kind that its type in a table says, whatever room it has there."""
    if column.kind in NUMBERS:
        return stored == "BIGINT" or stored.startswith("DECIMAL")
    return stored == type_of(column)


def as_stored(column: Column, stored: str) -> Column:
    """The column with the room that its type in a table has."""
    if (room := as_decimal(stored)) and stored != "BIGINT":
        return replace(column, kind=ColumnKind.DECIMAL, integers=room[0], scale=room[1])
    if stored == "BIGINT":
        return replace(column, kind=ColumnKind.INTEGER, integers=BIGINT_DIGITS, scale=0)
    return column


def decimal(integers: int, scale: int) -> str:
    """The type of numbers with so many digits before and after the point."""
    return f"DECIMAL({integers + scale}, {scale})"


def as_decimal(stored: str) -> tuple[int, int] | None:
    """Digits before and after the point that a type has room for; None where it is no number."""
    if stored == "BIGINT":
        return BIGINT_DIGITS, 0
    if match := _DECIMAL.match(stored):
        digits, scale = map(int, match.groups())
        return digits - scale, scale
    return None
