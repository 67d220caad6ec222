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

_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


def type_of(column: Column) -> str:
    """The type of a column, as SQL writes it."""
    if column.kind is ColumnKind.DECIMAL:
        return f"DECIMAL({column.integers + column.scale}, {column.scale})"
    return _TYPES[column.kind]


def same_kind(column: Column, stored: str) -> bool:
    """Whether a column is of the kind that its type in a table says, whatever room it has there."""
    if column.kind in NUMBERS:
        return stored == "BIGINT" or stored.startswith("DECIMAL")
    return stored == type_of(column)


def as_stored(column: Column, stored: str) -> Column:
    """The column with the room that its type in a table has."""
    if match := _DECIMAL.match(stored):
        digits, scale = map(int, match.groups())
        return replace(column, kind=ColumnKind.DECIMAL, integers=digits - scale, scale=scale)
    if stored == "BIGINT":
        return replace(column, kind=ColumnKind.INTEGER, integers=BIGINT_DIGITS, scale=0)
    return column
