"""SOQL text of a query's tree, for tests that go from tree to text and back."""

from functools import singledispatch
from typing import Any

from sf_assets.emulator.soql import nodes


@singledispatch
def spell(node: Any) -> str:
    """SOQL of a tree."""
    raise TypeError(type(node))


@spell.register
def _(node: nodes.FieldRef) -> str:
    return ".".join(node.path)


@spell.register
def _(node: nodes.Call) -> str:
    return f"{node.name}({', '.join(map(spell, node.arguments))})"


@spell.register
def _(node: nodes.StringLiteral) -> str:
    return f"'{node.raw}'"


@spell.register
def _(node: nodes.NumberLiteral) -> str:
    return node.text


@spell.register
def _(node: nodes.BooleanLiteral) -> str:
    return str(node.value).lower()


@spell.register
def _(_node: nodes.NullLiteral) -> str:
    return "null"


@spell.register
def _(node: nodes.DateLiteral) -> str:
    return node.value.isoformat()


@spell.register
def _(node: nodes.DateTimeLiteral) -> str:
    return f"{node.value:%Y-%m-%dT%H:%M:%S}Z"


@spell.register
def _(node: nodes.TimeLiteral) -> str:
    return f"{node.value:%H:%M:%S}Z"


@spell.register
def _(node: nodes.DateFormula) -> str:
    return node.name if node.count is None else f"{node.name}:{node.count}"


@spell.register
def _(node: nodes.Comparison) -> str:
    if isinstance(node.right, tuple):
        return f"{spell(node.left)} {node.operator} ({', '.join(map(spell, node.right))})"
    return f"{spell(node.left)} {node.operator} {spell(node.right)}"


@spell.register
def _(node: nodes.Not) -> str:
    return f"NOT ({spell(node.condition)})"


@spell.register
def _(node: nodes.Junction) -> str:
    return f" {node.word} ".join(f"({spell(c)})" for c in node.conditions)


@spell.register
def _(node: nodes.Selected) -> str:
    if isinstance(node.what, nodes.Query):
        return f"({spell(node.what)})"
    return spell(node.what) + (f" {node.alias}" if node.alias else "")


@spell.register
def _(node: nodes.Order) -> str:
    nulls = "LAST" if node.nulls_last else "FIRST"
    return f"{spell(node.what)} {'DESC' if node.descending else 'ASC'} NULLS {nulls}"


@spell.register
def _(node: nodes.Query) -> str:
    parts = [
        f"SELECT {', '.join(map(spell, node.select))} FROM {node.object_name}",
        node.alias or "",
        f"WHERE {spell(node.where)}" if node.where else "",
        "WITH SECURITY_ENFORCED" if node.security_enforced else "",
        f"GROUP BY {', '.join(map(spell, node.group_by))}" if node.group_by else "",
        f"HAVING {spell(node.having)}" if node.having else "",
        f"ORDER BY {', '.join(map(spell, node.order_by))}" if node.order_by else "",
        "" if node.limit is None else f"LIMIT {node.limit}",
        "" if node.offset is None else f"OFFSET {node.offset}",
        "ALL ROWS" if node.all_rows else "",
    ]
    return " ".join(part for part in parts if part)
