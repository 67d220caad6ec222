"""What type a field's column has: from the org's describe, never from guessing at values."""

from dataclasses import dataclass, replace
from enum import StrEnum

from sf_assets.describe import FieldInfo

MOST_DIGITS = 38
"""Digits that a DECIMAL can hold."""

BIGINT_DIGITS = 18
"""Digits that any BIGINT can hold."""

_DEFAULT_DIGITS = 18  # of a number that describe gives no precision


class ColumnKind(StrEnum):
    """Kinds of column."""

    TEXT = "text"
    ANY = "any"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIME = "time"
    LIST = "list"


NUMBERS = frozenset({ColumnKind.INTEGER, ColumnKind.DECIMAL})
"""Kinds of which every digit is kept, whatever describe says of them."""


_KINDS = {
    "anyType": ColumnKind.ANY,
    "boolean": ColumnKind.BOOLEAN,
    "int": ColumnKind.INTEGER,
    "long": ColumnKind.INTEGER,
    "double": ColumnKind.DECIMAL,
    "currency": ColumnKind.DECIMAL,
    "percent": ColumnKind.DECIMAL,
    "date": ColumnKind.DATE,
    "datetime": ColumnKind.TIMESTAMP,
    "time": ColumnKind.TIME,
    "multipicklist": ColumnKind.LIST,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a silver table.

    Attributes:
        name: Its name: the field's, or `Owner_Name` for a parent field `Owner.Name`.
        kind: Its kind.
        integers: For a number, digits before the point that it has room for.
        scale: For a number, digits after it.
        comment: Label and help text of the field.
        references: Objects that a reference may point at.
    """

    name: str
    kind: ColumnKind
    integers: int = 0
    scale: int = 0
    comment: str = ""
    references: tuple[str, ...] = ()

    def fits(self, integers: int, scale: int) -> bool:
        """Whether there is room for so many digits before and after the point."""
        return integers <= self.integers and scale <= self.scale

    def resized(self, integers: int, scale: int) -> "Column":
        """The column with room for so many digits, as far as a DECIMAL goes.

        Digits before the point come first; an integer becomes a decimal where it must.
        """
        if self.kind is ColumnKind.INTEGER and scale == 0 and integers <= BIGINT_DIGITS:
            return self
        integers = min(integers, MOST_DIGITS)
        scale = min(scale, MOST_DIGITS - integers)
        return replace(self, kind=ColumnKind.DECIMAL, integers=integers, scale=scale)


def column_of(field: FieldInfo, name: str | None = None) -> Column:
    """The column of a field.

    Args:
        field: As described.
        name: Column name, where it is not the field's.
    """
    kind = _KINDS.get(field.type, ColumnKind.TEXT)
    comment = ": ".join(filter(None, (field.label, field.help)))
    column = Column(name or field.name, kind, comment=comment, references=field.reference_to)
    if kind is ColumnKind.INTEGER:
        return replace(column, integers=BIGINT_DIGITS)
    if kind is ColumnKind.DECIMAL:
        scale = max(field.scale, 0)
        digits = field.precision or _DEFAULT_DIGITS
        return column.resized(max(digits - scale, 0 if scale else 1), scale)
    return column
