"""The shared SQL, as PostgreSQL takes it.

Names are lower case there, so that people need not quote them: Salesforce tells none apart by case.
Values are written into a statement as literals, since drivers agree little about parameters.
"""

from typing import Any

from sqlglot import exp

from sf_assets.warehouse.sql.connection import TEMPORARY, Capabilities, Values
from sf_assets.warehouse.sql.portable import (
    Changes,
    changed,
    fill_in,
    literal,
    make_portable,
    name_subqueries,
    parsed,
    with_native,
)

CAPABILITIES = Capabilities("PostgreSQL", folds=str.lower, longest_name=63, row="ctid")
"""Longer names it would cut off."""

kept = CAPABILITIES.kept

_ORDERED = frozenset({"id", "_slice", "slice", "object", "merge"})
"""Columns of text that are put in order, which a database's own collation must not decide."""


def render(sql: str, values: Values = ()) -> str:
    """A statement of the shared SQL for PostgreSQL.

    Args:
        sql: One statement.
        values: What takes the place of `?`, `$1` or `$name`.

    Raises:
        ConfigError: A name in it is too long for PostgreSQL, or it cannot be told to PostgreSQL.
    """
    tree = parsed(sql, CAPABILITIES.engine).copy()
    with_native(tree, "postgres")
    fill_in(tree, values, _literal)
    make_portable(tree)
    name_subqueries(tree)
    changed(tree, _FUNCTIONS, _NAMES)
    return tree.sql(dialect="postgres", comments=False)


def _literal(value: Any) -> exp.Expr:
    """A value; an empty list is of whatever type is wanted there."""
    return exp.Literal.string("{}") if value in ([], ()) else literal(value)


def _identifier(node: exp.Identifier) -> None:
    node.set("this", kept(node.this))
    node.set("quoted", True)


def _table(node: exp.Table) -> None:
    if node.db.lower() == TEMPORARY:
        node.set("db", exp.to_identifier("pg_temp", quoted=True))


def _definition(node: exp.ColumnDef) -> None:
    if node.name.lower() in _ORDERED:
        collation = exp.CollateColumnConstraint(this=exp.to_identifier("C", quoted=True))
        node.append("constraints", exp.ColumnConstraint(kind=collation))


def _function(node: exp.Anonymous) -> None:
    """Functions that PostgreSQL calls otherwise, or has not."""
    if node.name.lower() == "hash":
        said = node.expressions
        one = said[0] if len(said) == 1 else exp.Anonymous(this="ROW", expressions=said)
        text = [exp.cast(one, "text"), exp.Literal.number(0)]
        node.replace(exp.Anonymous(this="HASHTEXTEXTENDED", expressions=text))
    elif node.name.lower() == "error":
        # The planner works out what is constant, and would raise at once; what is random is not.
        nothing = exp.Left(this=exp.cast(exp.Rand(), "text"), expression=exp.Literal.number(0))
        node.replace(exp.cast(exp.DPipe(this=node.expressions[0], expression=nothing), "date"))


_FUNCTIONS: Changes = {exp.Anonymous: _function}

_NAMES: Changes = {
    exp.Identifier: _identifier,
    exp.Table: _table,
    exp.ColumnDef: _definition,
}
