"""What `query?…&columns=true` tells of a query's columns, without running it."""

from typing import Any

from sf_assets.emulator.schema import NUMBER_TYPES
from sf_assets.emulator.soql.plan import Output, Plan

_APEX_TYPES = {
    "id": "Id",
    "reference": "Id",
    "boolean": "Boolean",
    "int": "Integer",
    "long": "Long",
    "double": "Double",
    "currency": "Double",
    "percent": "Double",
    "date": "Date",
    "datetime": "Datetime",
    "time": "Time",
    "base64": "Blob",
    "address": "Address",
    "location": "Location",
}
_NOT_TEXT = {*NUMBER_TYPES, "boolean", "date", "datetime", "time", "base64"}


def column_metadata(plan: Plan) -> dict[str, Any]:
    """The document that describes what a query selects.

    Args:
        plan: The query. Parent paths and subqueries nest in `joinColumns`.
    """
    sobject = plan.scope.sobject
    return {
        "columnMetadata": _columns(plan),
        "entityName": sobject.name,
        "groupBy": bool(plan.group),
        "idSelected": any(output.path == ("Id",) for output in plan.outputs),
        "keyPrefix": sobject.key_prefix,
    }


def _columns(plan: Plan) -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = []
    for output in plan.outputs:
        if output.children is not None:
            children = _columns(output.children)
            columns.append(_column(output.path[-1], aggregate=True, join_columns=children))
        else:
            _place(columns, output, 0)
    return columns


def _place(columns: list[dict[str, Any]], output: Output, depth: int) -> None:
    """Put a column where its path of parents leads."""
    name = output.path[depth]
    if depth == len(output.path) - 1:
        columns.append(_leaf(output))
        return
    parent = next((c for c in columns if c["columnName"] == name and c["joinColumns"]), None)
    if parent is None:
        parent = _column(name, aggregate=False, join_columns=[])
        columns.append(parent)
    _place(parent["joinColumns"], output, depth + 1)


def _leaf(output: Output) -> dict[str, Any]:
    name = output.path[-1]
    document = output.column.field.document if output.column else {}
    described = {
        "apexType": _APEX_TYPES.get(output.type, "String"),
        "booleanType": output.type == "boolean",
        "custom": bool(document.get("custom")),
        "foreignKeyName": document.get("relationshipName"),
        "insertable": bool(document.get("createable")),
        "numberType": output.type in NUMBER_TYPES,
        "textType": output.type not in _NOT_TEXT,
        "updatable": bool(document.get("updateable")),
    }
    return _column(name, aggregate=output.column is None, join_columns=[]) | described


def _column(name: str, *, aggregate: bool, join_columns: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "aggregate": aggregate,
        "apexType": None,
        "booleanType": False,
        "columnName": name,
        "custom": False,
        "displayName": name,
        "foreignKeyName": None,
        "insertable": False,
        "joinColumns": join_columns,
        "numberType": False,
        "textType": False,
        "updatable": False,
    }
