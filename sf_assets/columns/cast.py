"""Text becomes typed columns. What cannot be typed is told apart, never changed or rounded."""

from collections.abc import Callable, Collection, Mapping

import polars as pl

from sf_assets.columns.column import MOST_DIGITS, NUMBERS, Column, ColumnKind
from sf_assets.columns.decimals import decimal, digits, fitting

_STAMP = "%Y-%m-%dT%H:%M:%S%.f"
_WHOLE_SECONDS = "%Y-%m-%dT%H:%M:%S.000Z"
_STAMP_LENGTH = len("2026-01-31T10:00:00.000Z")
_REASONS = {
    ColumnKind.BOOLEAN: "neither true nor false",
    ColumnKind.INTEGER: f"not a number of at most {MOST_DIGITS} digits",
    ColumnKind.DECIMAL: f"not a number of at most {MOST_DIGITS} digits",
    ColumnKind.DATE: "not a date",
    ColumnKind.TIMESTAMP: "not a time with its zone",
    ColumnKind.TIME: "not a time of day",
}


def needs(texts: pl.DataFrame, columns: Collection[Column]) -> Mapping[str, tuple[int, int]]:
    """Digits before and after the point that a batch needs, where a column has no room for them."""
    needed = {
        column.name: digits(texts[column.name], column.integers, column.scale)
        for column in columns
        if column.kind in NUMBERS
    }
    room = {column.name: column for column in columns}
    return {name: need for name, need in needed.items() if not room[name].fits(*need)}


def cast(
    texts: pl.DataFrame,
    columns: Collection[Column],
    tight: Collection[str] = (),
    longest: int | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Type a batch of rows.

    Args:
        texts: The rows, all text, with every one of `columns` and `_slice`; others stay as they
            are.
        columns: What to make of them, with room for the batch's numbers.
        tight: Number columns that have no room for all of the batch's numbers.
        longest: Bytes that a text may have; None where there is no bound.

    Returns:
        The rows, null where a value could not be typed; and those values, as Id, column, text,
        reason and _slice.
    """
    rows = texts.with_columns(
        _expression(column, column.name in tight).alias(column.name) for column in columns
    )
    slow = [c for c in columns if c.kind in _SLOW and _lost(texts, rows, c) is not None]
    if slow:
        again = texts.select(_SLOW[c.kind](pl.col(c.name)).alias(c.name) for c in slow)
        rows = rows.with_columns(pl.col(c.name).fill_null(again[c.name]) for c in slow)
    lost = [_lost(texts, rows, column) for column in columns]
    if longest is not None:
        for column in columns:
            if (long := _long(rows, column, longest)) is not None:
                rows = rows.with_columns(_short(column, longest))
                lost.append(long)
    schema = dict.fromkeys(("Id", "column", "text", "reason", "_slice"), pl.String)
    return rows, pl.concat([pl.DataFrame(schema=schema), *(r for r in lost if r is not None)])


def _expression(column: Column, tight: bool) -> pl.Expr:
    text = pl.col(column.name)
    if column.kind is ColumnKind.DECIMAL and tight:
        text = fitting(text, column.scale)
    if column.kind is ColumnKind.DECIMAL:
        return decimal(text, column.scale, column.integers + column.scale)
    return _CASTS[column.kind](text)


def _boolean(text: pl.Expr) -> pl.Expr:
    return pl.when(text == "true").then(statement=True).when(text == "false").then(statement=False)


def _timestamp(text: pl.Expr) -> pl.Expr:
    # Salesforce stamps are of whole seconds; this form is read several times as fast.
    usual = pl.when(text.str.len_bytes() == _STAMP_LENGTH).then(text)
    stamp = usual.str.to_datetime(_WHOLE_SECONDS, time_unit="us", strict=False, cache=False)
    return stamp.dt.replace_time_zone("UTC")


def _any_timestamp(text: pl.Expr) -> pl.Expr:
    # Bulk writes `Z`, REST `+0000`.
    bulk = text.str.to_datetime(_STAMP + "Z", time_unit="us", strict=False)
    rest = text.str.to_datetime(_STAMP + "%z", time_unit="us", strict=False)
    return bulk.dt.replace_time_zone("UTC").fill_null(rest)


def _any(text: pl.Expr) -> pl.Expr:
    # A history's old and new values are of any type; a stamp among them has one spelling.
    return text.str.replace(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\+0000$", "${1}Z")


_CASTS: Mapping[ColumnKind, Callable[[pl.Expr], pl.Expr]] = {
    ColumnKind.TEXT: lambda text: text,
    ColumnKind.ANY: _any,
    ColumnKind.LIST: lambda text: text.str.split(";"),
    ColumnKind.BOOLEAN: _boolean,
    ColumnKind.INTEGER: lambda text: text.cast(pl.Int64, strict=False),
    ColumnKind.DATE: lambda text: text.str.to_date("%Y-%m-%d", strict=False),
    ColumnKind.TIMESTAMP: _timestamp,
    ColumnKind.TIME: lambda text: text.str.strip_suffix("Z").str.to_time(
        "%H:%M:%S%.f", strict=False
    ),
}

_SLOW: Mapping[ColumnKind, Callable[[pl.Expr], pl.Expr]] = {
    ColumnKind.BOOLEAN: lambda text: _boolean(text.str.to_lowercase()),
    ColumnKind.TIMESTAMP: _any_timestamp,
    # `15.0` and `1.5E3` occur; nearly all are plain.
    ColumnKind.INTEGER: lambda text: decimal(text, 0).cast(pl.Int64, strict=False),
}
"""Other forms of a value, tried only where the usual one did not fit."""


def _short(column: Column, longest: int) -> pl.Expr:
    text = pl.col(column.name)
    return pl.when(text.str.len_bytes() <= longest).then(text)


def _long(rows: pl.DataFrame, column: Column, longest: int) -> pl.DataFrame | None:
    """The texts that are too long, which are told of without themselves; None where there are none.

    What is cut off would be missed by nobody.
    """
    if rows.schema[column.name] != pl.String:
        return None
    length = rows[column.name].str.len_bytes()
    most = length.max()
    if not isinstance(most, int) or most <= longest:
        return None
    reason = pl.format("{} bytes, and a text has at most {}", "length", pl.lit(longest))
    return (
        rows.with_columns(length=length)
        .filter(pl.col("length") > longest)
        .select(
            pl.col("Id"),
            pl.lit(column.name).alias("column"),
            pl.lit(None, pl.String).alias("text"),
            reason.alias("reason"),
            pl.col("_slice"),
        )
    )


def _lost(texts: pl.DataFrame, rows: pl.DataFrame, column: Column) -> pl.DataFrame | None:
    """The values of a column that typing lost; None when there are none, which is usual."""
    before, after = texts[column.name], rows[column.name]
    if before.null_count() == after.null_count():
        return None
    return texts.filter(before.is_not_null() & after.is_null()).select(
        pl.col("Id"),
        pl.lit(column.name).alias("column"),
        pl.col(column.name).alias("text"),
        pl.lit(_REASONS[column.kind]).alias("reason"),
        pl.col("_slice"),
    )
