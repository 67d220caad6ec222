"""One value for one field: converted to what the store holds, or refused."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.ids import id18
from sf_assets.emulator.schema import Field

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_Convert = Callable[[Field, Any], Any]
_LARGEST_INT = 2**31 - 1
_SHORT_ID = 15


def converted(field: Field, value: Any) -> Any:
    """A value as the store holds it.

    Args:
        field: Where it goes.
        value: From JSON, or already a Python value of the right type. Empty strings are null.

    Raises:
        ApiError: With the code that Salesforce gives for a value of that kind.
    """
    if value is None or value == "":
        return None
    convert: _Convert = _CONVERT.get(field.type, _string)
    return convert(field, value)


def _boolean(_field: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _unreadable("boolean", value)


def _integer(field: Field, value: Any) -> int:
    number = _decimal(field, value)
    if number != number.to_integral_value():
        raise _unreadable("int", value)
    limit = _LARGEST_INT if field.type == "int" else 2**63 - 1
    digits = int(field.document["digits"] or 0)
    if abs(number) > limit or (digits and abs(number) >= 10**digits):
        raise _out_of_range(field, value)
    return int(number)


def _double(field: Field, value: Any) -> float:
    number = _decimal(field, value)
    precision, scale = int(field.document["precision"] or 0), int(field.document["scale"] or 0)
    if precision and abs(number) >= Decimal(10) ** (precision - scale):
        raise _out_of_range(field, value)
    if precision:
        number = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
    return float(number)


def _decimal(field: Field, value: Any) -> Decimal:
    if isinstance(value, bool):
        raise _unreadable(field.type, value)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise _unreadable("double", value) from None
    if not number.is_finite():
        raise _unreadable("double", value)
    return number


def _date(_field: Field, value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise _unreadable("date", value) from None


def _datetime(_field: Field, value: Any) -> datetime:
    """UTC without its zone, cut to seconds."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _unreadable("datetime", value) from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.replace(microsecond=0)


def _time(_field: Field, value: Any) -> time:
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    try:
        return time.fromisoformat(value).replace(tzinfo=None)
    except (TypeError, ValueError):
        raise _unreadable("time", value) from None


def _id(field: Field, value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise wrong_id(field, value)
    return id18(value) if len(value) == _SHORT_ID else value


def wrong_id(field: Field, value: Any) -> ApiError:
    """The error for an Id that is none, or of another object."""
    message = f"{field.document['label']}: id value of incorrect type: {value}"
    return ApiError(400, "MALFORMED_ID", message, [field.name])


def _string(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise _unreadable("string", value)
    length = int(field.document["length"] or 0)
    if length and len(value) > length:
        shown = value[:80]
        message = f"{field.document['label']}: data value too large: {shown} (max length={length})"
        raise ApiError(400, "STRING_TOO_LONG", message, [field.name])
    # JSON can carry halves of surrogate pairs, which are no text.
    return value.encode("utf-8", "replace").decode()


def _email(field: Field, value: Any) -> str:
    text = _string(field, value)
    if not _EMAIL.fullmatch(text):
        message = f"{field.document['label']}: invalid email address: {text}"
        raise ApiError(400, "INVALID_EMAIL_ADDRESS", message, [field.name])
    return text


def _picklist(field: Field, value: Any) -> str:
    text = _string(field, value)
    _check_choice(field, text)
    return text


def _multipicklist(field: Field, value: Any) -> str:
    text = _string(field, value)
    for choice in text.split(";"):
        _check_choice(field, choice)
    return text


def _check_choice(field: Field, choice: str) -> None:
    if field.document["restrictedPicklist"] and choice not in field.picklist:
        message = f"{field.document['label']}: bad value for restricted picklist field: {choice}"
        raise ApiError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, [field.name])


def _bytes(_field: Field, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _unreadable("base64Binary", "") from None


def _unreadable(kind: str, value: Any) -> ApiError:
    names = {bool: "BOOLEAN", str: "STRING", int: "NUMBER_INT", float: "NUMBER_FLOAT"}
    token = f"VALUE_{names.get(type(value), 'OBJECT')}"
    message = (
        f"Cannot deserialize instance of {kind} from {token} value {value} or request may be"
        " missing a required field"
    )
    return ApiError(400, "JSON_PARSER_ERROR", message)


def _out_of_range(field: Field, value: Any) -> ApiError:
    message = f"{field.document['label']}: value outside of valid range on numeric field: {value}"
    return ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", message, [field.name])


_CONVERT: dict[str, _Convert] = {
    "boolean": _boolean,
    "int": _integer,
    "long": _integer,
    "double": _double,
    "currency": _double,
    "percent": _double,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "id": _id,
    "reference": _id,
    "email": _email,
    "picklist": _picklist,
    "multipicklist": _multipicklist,
    "base64": _bytes,
}
