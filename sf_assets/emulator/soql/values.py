"""Whether a literal suits a field, and its SQL."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.ids import id18
from sf_assets.emulator.schema import NUMBER_TYPES
from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.lexer import unescape
from sf_assets.emulator.soql.source import Source

_SHORT_ID = 15
_LONG_ID = 18
# Names of the types in error messages, where they are not the field's own.
_XSD = {"datetime": "dateTime", "currency": "double", "percent": "double", "reference": "ID"}


@dataclass
class Parameters:
    """Values bound to a statement by name."""

    values: dict[str, Any] = field(default_factory=dict)

    def add(self, value: Any) -> str:
        """Bind a value; the answer stands for it in SQL."""
        name = f"soql_{len(self.values)}"
        self.values[name] = value
        return f"${name}"


@dataclass(frozen=True)
class Typed:
    """A value in SQL with what SOQL must know of it.

    Attributes:
        sql: The expression.
        type: Salesforce type.
        name: The field's name, for messages.
        exact: Whether strings compare by case.
    """

    sql: str
    type: str
    name: str
    exact: bool = False

    @property
    def is_id(self) -> bool:
        """Whether it holds record Ids."""
        return self.type in ("id", "reference")

    @property
    def is_text(self) -> bool:
        """Whether it holds text that is compared as text."""
        return not self.is_id and self.type not in (
            *NUMBER_TYPES,
            "boolean",
            "date",
            "datetime",
            "time",
        )

    @property
    def folded(self) -> str:
        """The expression as it is compared: text without regard to case."""
        return f"lower({self.sql})" if self.is_text and not self.exact else self.sql


def literal(left: Typed, value: nodes.Value, source: Source, parameters: Parameters) -> str | None:
    """A literal as SQL to compare with `left.folded`; None for null and the empty string.

    Raises:
        ApiError: INVALID_FIELD or INVALID_QUERY_FILTER_OPERATOR when the literal is of another
            type than the field.
    """
    if isinstance(value, nodes.NullLiteral):
        return None
    if isinstance(value, nodes.StringLiteral):
        return _string(left, value, source, parameters)
    plain = _plain(left, value)
    if plain is None:
        quotes = " and should be enclosed in quotes" if left.is_text or left.is_id else ""
        raise mismatch(left, source, value.position, quotes)
    return parameters.add(plain)


def mismatch(left: Typed, source: Source, position: int, more: str = "") -> ApiError:
    """The error for a literal of the wrong type."""
    kind = _XSD.get(left.type, "string" if left.is_text else left.type)
    message = f"value of filter criterion for field '{left.name}' must be of type {kind}{more}"
    return source.error("INVALID_FIELD", message, position)


def _string(
    left: Typed, value: nodes.StringLiteral, source: Source, parameters: Parameters
) -> str | None:
    if not (left.is_text or left.is_id):
        more = " and should not be enclosed in quotes"
        raise mismatch(left, source, value.position, more)
    text = unescape(value.raw, source, value.position)
    if not text:
        return None
    if left.is_id:
        if len(text) not in (_SHORT_ID, _LONG_ID) or not text.isalnum():
            message = f"invalid ID field: {text}"
            raise source.error("INVALID_QUERY_FILTER_OPERATOR", message, value.position)
        return parameters.add(id18(text[:_SHORT_ID]) if len(text) == _SHORT_ID else text)
    bound = parameters.add(text)
    return bound if left.exact else f"lower({bound})"


def _plain(left: Typed, value: nodes.Value) -> Any:
    """The Python value of an unquoted literal, None when the field is of another type."""
    match value:
        case nodes.NumberLiteral(text=text) if left.type in NUMBER_TYPES:
            return float(text) if any(c in text for c in ".eE") else int(text)
        case nodes.BooleanLiteral(value=plain) if left.type == "boolean":
            return plain
        case nodes.DateLiteral(value=plain) if left.type == "date":
            return plain
        case nodes.TimeLiteral(value=plain) if left.type == "time":
            return plain
        case nodes.DateTimeLiteral(value=plain) if left.type == "datetime":
            # Comparisons are made to the second; what is finer is cut off.
            return without_zone(plain.replace(microsecond=0))
    return None


def without_zone(moment: datetime) -> datetime:
    """The same UTC moment as the database holds it."""
    return moment.replace(tzinfo=None)
