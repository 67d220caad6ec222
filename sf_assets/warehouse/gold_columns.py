"""The columns of a gold table: what its file says of them, and what they are made of."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from sf_assets.naming import Layer, Names
from sf_assets.warehouse.gold_sql import CURRENCY, GoldTable, raw_relation

if TYPE_CHECKING:
    from sqlglot.lineage import Node

log = logging.getLogger(__name__)

_PLAIN = exp.Column | exp.Table
_SUFFIXES = ("_live", "", "_history", "_rejects")

Comments = Mapping[tuple[str, str], Mapping[str, str]]
"""By schema and table or view: its columns, each with its comment."""


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A column that another is made of.

    Attributes:
        layer: Of its table.
        table: Object of silver or raw, by lower-cased name, or gold table.
        column: Its name.
    """

    layer: Layer
    table: str
    column: str


@dataclass(frozen=True, slots=True)
class GoldColumn:
    """A column of a gold table.

    Attributes:
        type: SQL type.
        comment: What the file says of it, or else what is said of the column that it copies.
        sources: What its values are made of, as far as the query tells.
    """

    type: str
    comment: str = ""
    sources: tuple[Source, ...] = ()


def relations(table: GoldTable) -> dict[tuple[str, str], tuple[Layer, str]]:
    """What a query may read, by schema and table or view, and what users call it.

    Schemas are `silver` and `gold`, whatever the org's own are called, and `temp` for raw.
    """
    silver = {("silver", f"{s}{x}"): (Layer.SILVER, s) for s in table.silver for x in _SUFFIXES}
    raw = {("temp", raw_relation(slug)): (Layer.RAW, slug) for slug in table.raw}
    return silver | raw | {("gold", name): (Layer.GOLD, name) for name in table.gold}


def gold_columns(
    table: GoldTable, types: Mapping[str, str], comments: Comments
) -> dict[str, GoldColumn]:
    """The columns of a gold table.

    Args:
        table: The table.
        types: SQL types of its columns, as built.
        comments: Columns of what it reads.
    """
    try:
        nodes = Names(_lineage(table, comments).items())
    except Exception as error:  # noqa: BLE001 (of a query that is built, whatever sqlglot raises)
        log.debug("no lineage of the columns of gold.%s: %s", table.name, type(error).__name__)
        nodes = Names()
    said = Names((column.alias_or_name, _said(column)) for column in table.query.selects)
    return {
        name: _column(table, kind, said.get(name, ""), nodes.get(name), comments)
        for name, kind in types.items()
    }


def _lineage(table: GoldTable, comments: Comments) -> "dict[str, Node]":
    from sqlglot.lineage import lineage  # with much that only a build needs
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, Any] = {}
    for (home, relation), columns in comments.items():
        # A query may name the currency where an org has one, and no such column.
        named = Names((name, "text") for name in (CURRENCY, *columns))
        schema.setdefault(home, {})[relation] = dict(named)
    dialect = table.dialect
    query: Any = qualify(
        table.resolved("silver", "gold"),
        schema=schema,
        dialect=dialect,
        validate_qualify_columns=False,
        identify=False,
    )
    names, scope = query.named_selects, build_scope(query)
    return {name: lineage(name, query, schema, scope=scope, dialect=dialect) for name in names}


def _said(column: Any) -> str:
    """The comment at a column, which is kept where its expression begins."""
    while isinstance(column, exp.Expression) and not column.comments:
        column = column.args.get("this")
    found = column.comments if isinstance(column, exp.Expression) else ()
    return " ".join(" ".join(found or ()).split())


def _column(
    table: GoldTable, kind: str, said: str, node: "Node | None", comments: Comments
) -> GoldColumn:
    nodes = list(node.walk()) if node else []
    found: dict[Source, str] = {}
    for leaf in nodes:
        if isinstance(leaf.source, exp.Table):
            relation = leaf.source.db, leaf.source.name
            columns, name = Names(comments.get(relation, {}).items()), leaf.name.split(".")[-1]
            if name in columns:
                source = Source(*relations(table)[relation], columns.spelt(name))
                found[source] = columns[name]
    copied = len(found) == 1 and all(isinstance(one.expression.unalias(), _PLAIN) for one in nodes)
    inherited = "".join(found.values()) if copied else ""
    return GoldColumn(kind, said or inherited, tuple(sorted(found)))
