"""Functions of fields: aggregates, parts of dates, labels."""

from collections.abc import Callable

from sf_assets.emulator.schema import NUMBER_TYPES, Field
from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.scope import Column, Scope
from sf_assets.emulator.soql.values import Typed

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})
_DATE_PARTS = {
    "CALENDAR_YEAR": "year({0})",
    "CALENDAR_QUARTER": "quarter({0})",
    "CALENDAR_MONTH": "month({0})",
    "FISCAL_YEAR": "year({0})",
    "FISCAL_QUARTER": "quarter({0})",
    "FISCAL_MONTH": "month({0})",
    "DAY_IN_MONTH": "day({0})",
    "DAY_IN_WEEK": "(dayofweek({0}) + 1)",
    "DAY_IN_YEAR": "dayofyear({0})",
    "WEEK_IN_MONTH": "((day({0}) - 1) // 7 + 1)",
    "WEEK_IN_YEAR": "((dayofyear({0}) - 1) // 7 + 1)",
    "HOUR_IN_DAY": "hour({0})",
    "DAY_ONLY": "CAST({0} AS DATE)",
}


def typed_column(column: Column) -> Typed:
    """A column as a value to compare."""
    return Typed(
        column.sql,
        column.field.type,
        column.field.name,
        exact=bool(column.field.document["caseSensitive"]),
    )


def is_aggregate(expression: nodes.Expression) -> bool:
    """Whether it sums up several rows."""
    return isinstance(expression, nodes.Call) and expression.name in AGGREGATES


def aggregate(scope: Scope, call: nodes.Call) -> Typed:
    """`COUNT(Id)`, `MAX(CreatedDate)` and their like.

    Raises:
        ApiError: INVALID_FIELD for a field that cannot be summed up so.
    """
    if call.name == "COUNT" and not call.arguments:
        return Typed("count(*)", "int", "COUNT")
    column = field_argument(scope, call)
    numeric = column.field.type in NUMBER_TYPES
    allowed = numeric if call.name in ("SUM", "AVG") else column.field.document["aggregatable"]
    if not allowed or not column.sql or (call.name in ("MIN", "MAX") and _has_no_order(column)):
        message = f"field {column.field.name} does not support aggregate operator {call.name}"
        raise scope.source.malformed(message, call.position)
    return _sum(call.name, column)


def _sum(name: str, column: Column) -> Typed:
    if name == "COUNT" and column.path == ("Id",):
        # Every record has one; computing millions of them to see that takes long.
        return Typed("count(*)", "int", name)
    if name in ("COUNT", "COUNT_DISTINCT"):
        counted = column.sql if name == "COUNT" else f"DISTINCT {typed_column(column).folded}"
        return Typed(f"count({counted})", "int", name)
    if name == "SUM" and column.field.type in ("int", "long"):
        return Typed(f"CAST(sum({column.sql}) AS BIGINT)", "long", name)
    if name == "SUM":
        # The org adds decimals; the error that adding doubles makes is rounded away.
        scale = int(column.field.document["scale"])
        return Typed(f"round(sum({column.sql}), {scale})", "double", name)
    kind = "double" if name == "AVG" else column.field.type
    return Typed(f"{name.lower()}({column.sql})", kind, column.field.name)


def _has_no_order(column: Column) -> bool:
    return column.field.type in ("boolean", "multipicklist", "base64")


def date_part(scope: Scope, call: nodes.Call) -> Typed | None:
    """`CALENDAR_YEAR(CreatedDate)` and its like; None if the function is none of these.

    Raises:
        ApiError: INVALID_FIELD for a field that is no date.
    """
    template = _DATE_PARTS.get(call.name)
    if template is None:
        return None
    inner = call.arguments[0] if call.arguments else None
    if isinstance(inner, nodes.Call) and inner.name == "CONVERTTIMEZONE":
        # The time zone of the org's user is UTC.
        call = nodes.Call(call.name, inner.arguments, call.position)
    column = field_argument(scope, call)
    only_moments = call.name in ("DAY_ONLY", "HOUR_IN_DAY")
    if column.field.type not in (("datetime",) if only_moments else ("date", "datetime")):
        message = f"field {column.field.name} does not support function {call.name}"
        raise scope.source.malformed(message, call.position)
    kind = "date" if call.name == "DAY_ONLY" else "int"
    return Typed(template.format(column.sql), kind, column.field.name)


def field_argument(scope: Scope, call: nodes.Call) -> Column:
    """The one field that a function takes.

    Raises:
        ApiError: MALFORMED_QUERY when it was given anything else.
    """
    if len(call.arguments) != 1 or not isinstance(call.arguments[0], nodes.FieldRef):
        message = f"Invalid arguments for function {call.name}"
        raise scope.source.malformed(message, call.position)
    return scope.column(call.arguments[0])


def label(field: Field, sql: str) -> str:
    """SQL for the label of a picklist's value."""
    values = field.document["picklistValues"] or []
    branches = " ".join(
        f"WHEN {_text(v['value'])} THEN {_text(v['label'])}" for v in values if v["label"]
    )
    return f"CASE {sql} {branches} ELSE {sql} END" if branches else sql


def formatted(field: Field, sql: str) -> str:
    """SQL for a value as a US user sees it."""
    spell = _FORMATS.get(field.type)
    return spell(field, sql) if spell else f"CAST({sql} AS VARCHAR)"


def _number(field: Field, sql: str) -> str:
    scale = int(field.document["scale"])
    sign = "$" if field.type == "currency" else ""
    percent = "%" if field.type == "percent" else ""
    spelled = f"format('{{:,.{scale}f}}', abs({sql}))"
    return f"if({sql} < 0, '-', '') || '{sign}' || {spelled} || '{percent}'"


_FORMATS: dict[str, Callable[[Field, str], str]] = {
    "int": lambda _, sql: f"format('{{:,}}', {sql})",
    "long": lambda _, sql: f"format('{{:,}}', {sql})",
    "double": _number,
    "currency": _number,
    "percent": _number,
    "date": lambda _, sql: f"strftime({sql}, '%-m/%-d/%Y')",
    "datetime": lambda _, sql: f"strftime({sql}, '%-m/%-d/%Y, %-I:%M %p')",
}


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
