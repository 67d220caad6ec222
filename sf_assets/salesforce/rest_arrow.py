"""REST records as columns: the same text that Bulk API would have written."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from sf_assets.errors import PageBrokenError

_REST_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\+0000$")


def to_batch(
    records: Iterable[Mapping[str, Any]],
    fields: Sequence[str],
    columns: Sequence[str],
    stamps: Collection[str],
) -> pa.RecordBatch:
    """Turn records of a query answer into text columns.

    Numbers must have been parsed as text. Stamps are written as Bulk writes them, with `Z`, so that
    one version reads the same whichever way it came.

    Args:
        records: As the answer holds them.
        fields: Fields and parent fields selected.
        columns: What to call them, in the same order.
        stamps: Those of `columns` that are datetimes, or may hold one.

    Raises:
        PageBrokenError: A record lacks a field.
    """
    rows = list(records)
    arrays = []
    for field, column in zip(fields, columns, strict=True):
        path = field.split(".")
        values = [_text(_dig(row, path)) for row in rows]
        if column in stamps:
            values = [v and _REST_STAMP.sub(r"\1Z", v) for v in values]
        arrays.append(_array(values))
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _array(values: Sequence[str | None]) -> pa.Array:
    """A column. Half of a surrogate pair is no character, and nothing can hold it: U+FFFD does.

    An org cuts texts by UTF-16 units, so that one may end in half an emoji.
    """
    # Not `pa.array`: it takes ten times as long, and imports pandas where there is one.
    try:
        texts = pl.Series(values, dtype=pl.String)
    except UnicodeEncodeError:
        whole = (v and v.encode("utf-16", "surrogatepass") for v in values)
        texts = pl.Series([v and v.decode("utf-16", "replace") for v in whole], dtype=pl.String)
    return texts.to_arrow().cast(pa.string())


def _dig(record: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = record
    for name in path:
        if value is None:
            return None
        value = value[name] if name in value else _in_any_case(value, name, path)
    return value


def _in_any_case(record: Mapping[str, Any], name: str, path: Sequence[str]) -> Any:
    """The value of a name that a user's query spells in another case than the org."""
    for key, value in record.items():
        if key.lower() == name.lower():
            return value
    raise PageBrokenError(f"a record of the answer lacks {'.'.join(path)}, which was selected")


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
