"""From numpy to Arrow: columns of the types in which the org keeps its records."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sf_assets.emulator.ids import fixed_text, ids_at
from sf_assets.emulator.schema import Field, SObject
from sf_assets.emulator.world.seeded_random import Bools, Dice, Floats, Ints

_TYPES = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "currency": pa.float64(),
    "percent": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("ms", "UTC"),
    "time": pa.time32("ms"),
    "base64": pa.binary(),
}

Columns = Mapping[str, pa.Array]


def arrow_type(field: Field) -> pa.DataType:
    """Type in which a field is kept; text unless it is a number, a time, a flag or a blob."""
    return _TYPES.get(field.type, pa.string())


def table(sobject: SObject, columns: Columns, length: int) -> pa.Table:
    """Puts columns in describe's order and fills in the ones not given.

    Args:
        sobject: Whose rows they are.
        columns: By API name; those that the object does not store are left out.
        length: Number of rows.

    Returns:
        One column for each stored field: those not given are false for a checkbox, else null.
    """
    arrays, fields = [], []
    for field in sobject.fields.values():
        if not field.stored:
            continue
        kind = arrow_type(field)
        fields.append(pa.field(field.name, kind))
        given = columns.get(field.name)
        if given is None:
            given = pa.repeat(pa.scalar(False if kind == pa.bool_() else None, kind), length)
        arrays.append(given if given.type == kind else given.cast(kind))
    return pa.table(arrays, schema=pa.schema(fields))


def reference(prefix: str, counters: Ints) -> pa.Array:
    """Ids; a negative counter is null."""
    return ids_at(prefix, counters)


def text(pool: pa.Array, positions: Ints, valid: Bools | None = None) -> pa.Array:
    """Values of a pool by position."""
    return pool.take(pa.array(positions, mask=None if valid is None else ~valid))


def flag(values: Bools) -> pa.Array:
    """A checkbox."""
    return pa.array(values)


def whole(values: Ints, valid: Bools | None = None) -> pa.Array:
    """An int field."""
    return pa.array(values.astype(np.int32), mask=None if valid is None else ~valid)


def number(values: Floats, valid: Bools | None = None) -> pa.Array:
    """A double, currency or percent field."""
    return pa.array(values.astype(np.float64), mask=None if valid is None else ~valid)


def date(days: Ints, valid: Bools | None = None) -> pa.Array:
    """A date, from days since the epoch."""
    return pa.array(days.astype(np.int32), mask=None if valid is None else ~valid).view(pa.date32())


def moment(seconds: Ints, valid: Bools | None = None) -> pa.Array:
    """A datetime, from seconds since the epoch."""
    values = pa.array(seconds * 1000, mask=None if valid is None else ~valid)
    return values.view(pa.timestamp("ms", "UTC"))


def where(condition: Bools, then: Any, otherwise: Any) -> pa.Array:
    """Values of one column where a condition holds, of another where it does not; None is null."""
    return pc.if_else(pa.array(condition), then, otherwise)


def replaced(values: pa.Array, condition: Bools, replacements: pa.Array) -> pa.Array:
    """Values with some of them replaced.

    Args:
        values: All of them.
        condition: Which ones to replace.
        replacements: As many values as the condition holds for.
    """
    return pc.replace_with_mask(values, pa.array(condition), replacements)


def filled(values: pa.Array, otherwise: pa.Array) -> pa.Array:
    """Values, with others in the place of nulls."""
    return pc.coalesce(values, otherwise)


def joined(*parts: Any, separator: str = "") -> pa.Array:
    """Texts put together; nulls are skipped."""
    return pc.binary_join_element_wise(*parts, separator, null_handling="skip")


def is_text(values: pa.Array, text: str) -> Bools:
    """Which values are that text; nulls are not."""
    return np.asarray(pc.fill_null(pc.equal(values, text), fill_value=False))


def digits(dice: Dice, column: str, pattern: str, valid: Bools | None = None) -> pa.Array:
    """Text with random digits.

    Args:
        dice: The rows.
        column: What the digits are for.
        pattern: ASCII text; each `#` becomes a digit.
        valid: Which rows have a value.
    """
    rolled = np.empty((len(dice), len(pattern)), dtype=np.uint8)
    bits = dice.bits(column)
    for place, character in enumerate(pattern.encode()):
        if character == ord("#"):
            bits, digit = np.divmod(bits, np.uint64(10))
            rolled[:, place] = digit.astype(np.uint8) + np.uint8(ord("0"))
        else:
            rolled[:, place] = character
    return fixed_text(rolled, np.ones(len(dice), np.bool_) if valid is None else valid)


def numbered(pattern: str, numbers: Ints, width: int) -> pa.Array:
    """Text with a number in it, as autonumbers have.

    Args:
        pattern: ASCII text with one `{}`.
        numbers: What to put there.
        width: Digits, filled up with zeros; the number must fit.
    """
    before, after = (part.encode() for part in pattern.split("{}"))
    line = np.frombuffer(before + b"0" * width + after, dtype=np.uint8)
    characters = np.tile(line, (len(numbers), 1))
    rest = numbers
    for place in range(len(before) + width - 1, len(before) - 1, -1):
        rest, digit = np.divmod(rest, 10)
        characters[:, place] += digit.astype(np.uint8)
    return fixed_text(characters, np.ones(len(numbers), np.bool_))


def as_words(values: Ints) -> pa.Array:
    """Whole numbers as text."""
    return pa.array(values).cast(pa.string())
