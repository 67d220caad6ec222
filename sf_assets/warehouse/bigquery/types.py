"""BigQuery's types, as the shared SQL calls them, and as Arrow does."""

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from google.cloud.bigquery import SchemaField

from sf_assets.warehouse.sql.types import LIST, TEXT, TIMESTAMP, as_decimal

_NAMES = {
    "STRING": TEXT,
    "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN",
    "INT64": "BIGINT",
    "INTEGER": "BIGINT",
    "FLOAT64": "DOUBLE",
    "FLOAT": "DOUBLE",
    "DATE": "DATE",
    "TIMESTAMP": TIMESTAMP,
    "TIME": "TIME",
    "NUMERIC": "DECIMAL(38,9)",
    "BIGNUMERIC": "DECIMAL(76,38)",
}
"""What the shared SQL calls them; numbers of no size have room for as many digits as there are."""

_SPELT = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""How SQL spells types that tables call otherwise."""

_ARROW: Mapping[str, pa.DataType] = {
    TEXT: pa.string(),
    LIST: pa.list_(pa.string()),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    TIMESTAMP: pa.timestamp("us", "UTC"),
    "TIME": pa.time64("us"),
}

_SIZED = re.compile(r"(?:BIG)?NUMERIC\((\d+)(?:,\s*(\d+))?\)")
_REPEATED = re.compile(r"ARRAY<(.+)>")
_MOST_DIGITS = 38  # that Arrow's smaller decimals have


def shared(field: SchemaField) -> str:
    """The type of a column of a table or an answer."""
    kind = _NAMES.get(field.field_type, field.field_type)
    if field.precision is not None:
        kind = f"DECIMAL({field.precision},{field.scale or 0})"
    return f"{kind}[]" if field.mode == "REPEATED" else kind


def spelt(field: SchemaField) -> str:
    """The type of a column as BigQuery's SQL spells it, without its size."""
    kind = _SPELT.get(field.field_type, field.field_type)
    return f"ARRAY<{kind}>" if field.mode == "REPEATED" else kind


def shared_text(kind: str) -> str:
    """A type as `INFORMATION_SCHEMA` spells it."""
    if repeated := _REPEATED.fullmatch(kind):
        return f"{shared_text(repeated[1])}[]"
    if sized := _SIZED.fullmatch(kind):
        return f"DECIMAL({sized[1]},{sized[2] or 0})"
    return _NAMES.get(kind, kind)


def arrow(kind: str) -> pa.DataType | None:
    """The type by which values of a column are loaded and told; None where that is as they come."""
    if kind.startswith("DECIMAL") and (room := as_decimal(kind)):
        digits = sum(room)
        return pa.decimal128(digits, room[1]) if digits <= _MOST_DIGITS else None
    return _ARROW.get(kind)


def cast(values: Any, kind: pa.DataType | None) -> Any:
    """Values of another type, none of which may be lost."""
    return values if kind is None or values.type == kind else pc.cast(values, kind)


def without_empty_lists(values: Any) -> Any:
    """Lists as they were before BigQuery kept them: one without members is none."""
    if not pa.types.is_list(values.type):
        return values
    return pc.if_else(pc.equal(pc.list_value_length(values), 0), None, values)
