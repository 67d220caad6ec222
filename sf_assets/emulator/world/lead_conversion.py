"""Text and JSON values to the types in which the org keeps its records."""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sf_assets.emulator.ids import id18
from sf_assets.emulator.schema import Field
from sf_assets.emulator.world.columns import arrow_type

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDS = {"id", "reference"}


class BadValueError(ValueError):
    """A value that a field cannot hold.

    Attributes:
        position: Its place among the values, from 0.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def converted(
    field: Field, values: pa.Array | Sequence[Any], references: Mapping[str, str]
) -> pa.Array:
    """Values as the org keeps them.

    Args:
        field: What they are for.
        values: Text with nulls, or values read from JSON.
        references: What `@name` stands for in a reference.

    Returns:
        An array of the field's type; empty text is null.

    Raises:
        BadValueError: For the first value that the field cannot hold.
    """
    kind = arrow_type(field)
    if isinstance(values, pa.Array):
        quick = _quick(field, values, kind)
        if quick is not None:
            return quick
        values = values.to_pylist()
    parse: Callable[[Any], Any] = _PARSERS.get(field.type, _text)
    parsed: list[Any] = []
    for position, value in enumerate(values):
        if value is None or value == "":
            parsed.append(None)
            continue
        try:
            parsed.append(_record_id(value, references) if field.type in _IDS else parse(value))
            _check_characters(parsed[-1])
        except (ValueError, TypeError, OverflowError, InvalidOperation) as error:
            shown = f"{value!r:.60} is no {field.type}"
            raise BadValueError(shown, position) from error
        _check_length(field, parsed[-1], position)
    try:
        return pa.array(parsed, kind)
    except (pa.ArrowException, OverflowError) as error:
        raise BadValueError(f"out of range for {field.type}: {error}", 0) from error


def _quick(field: Field, values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """All values at once where Arrow reads them as Salesforce writes them; else None."""
    if field.type in _IDS or field.type in {"time", "base64"}:
        return None
    if kind == pa.string():
        lengths = pc.utf8_length(values)
        longest = pc.max(lengths).as_py() or 0
        return values if longest <= _most(field) else None
    try:
        quick = values.cast(kind)
    except pa.ArrowInvalid:
        return None
    if kind == pa.float64() and not pc.all(pc.is_finite(quick)).as_py():
        return None
    return quick


def _most(field: Field) -> int:
    """Characters that a text field takes; those without a length take any number."""
    return int(field.document["length"] or 0) or 1 << 31


def _check_length(field: Field, value: Any, position: int) -> None:
    if isinstance(value, str) and len(value) > _most(field):
        raise BadValueError(f"{len(value)} characters, {_most(field)} is the most", position)


def _check_characters(value: Any) -> None:
    """Refuse half a character, which no database keeps.

    Raises:
        UnicodeEncodeError: There is one.
    """
    if isinstance(value, str) and not value.isascii():
        value.encode()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(value)


def _record_id(value: Any, references: Mapping[str, str]) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    if value.startswith("@"):
        if value[1:] not in references:
            raise ValueError("no such reference")
        return references[value[1:]]
    return id18(value)


def _boolean(value: Any) -> bool:
    word = str(value).lower()
    if word not in {"true", "1", "false", "0"}:
        raise ValueError(word)
    return word in {"true", "1"}


def _whole(value: Any) -> int:
    number = Decimal(str(value))
    if number != number.to_integral_value():
        raise ValueError("not whole")
    return int(number)


def _number(value: Any) -> float:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError("no number")
    return float(number)


def _date(value: Any) -> date:
    return date.fromisoformat(value)


def _moment(value: Any) -> int:
    """Milliseconds since the epoch; without a zone, the time is UTC."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment - _EPOCH).total_seconds() * 1000)


def _time(value: Any) -> time:
    return time.fromisoformat(value).replace(tzinfo=None)


def _blob(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": _boolean,
    "int": _whole,
    "long": _whole,
    "double": _number,
    "currency": _number,
    "percent": _number,
    "date": _date,
    "datetime": _moment,
    "time": _time,
    "base64": _blob,
}
