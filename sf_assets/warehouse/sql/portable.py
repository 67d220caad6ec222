"""The shared SQL for other engines: read, filled in, and without what DuckDB alone has."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sf_assets.errors import ConfigError
from sf_assets.warehouse.gold_sql import NATIVE
from sf_assets.warehouse.sql.connection import Values

Changes = Mapping[type[exp.Expr], Callable[[Any], None]]
"""What is done to nodes of a statement, by their kind."""


def parsed(sql: str, engine: str) -> exp.Expr:
    """A statement, not to be changed.

    Raises:
        ConfigError: It cannot be told to the engine.
    """
    try:
        return _parsed(sql)
    except SqlglotError as error:
        brief = str(error).partition("\n")[0]
        raise ConfigError(f"this cannot be told to {engine}: {brief}") from None


@lru_cache(maxsize=1024)
def _parsed(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, dialect="duckdb")


def names(query: str) -> list[str]:
    """The columns of a query, as it spells them."""
    tree = _parsed(query)
    return tree.named_selects if isinstance(tree, exp.Query) else []


def literal(value: Any) -> exp.Expr:
    """A value as a statement has it: drivers agree little about parameters."""
    match value:
        case datetime():
            return exp.cast(exp.Literal.string(value.astimezone(UTC).isoformat()), "timestamptz")
        case date():
            return exp.cast(exp.Literal.string(value.isoformat()), "date")
        case list() | tuple():
            return exp.Array(expressions=[literal(one) for one in value])
        case str():  # the members of an enumeration, too
            return exp.Literal.string(str(value))
    return exp.convert(value)


def fill_in(tree: exp.Expr, values: Values, written: Callable[[Any], exp.Expr] = literal) -> None:
    """Put values, as an engine has them written, in the place of `?`, `$1` and `$name`."""
    named: Mapping[str, Any] = (
        values
        if isinstance(values, Mapping)
        else {str(place): value for place, value in enumerate(values, 1)}
    )
    places = list(tree.find_all(exp.Placeholder, exp.Parameter, bfs=False))
    for number, place in enumerate(places, 1):
        name = place.name if place.name != "?" else ""
        place.replace(written(named[name or str(number)]))


def changed(tree: exp.Expr, *several: Changes) -> exp.Expr:
    """The statement after its nodes were changed, by one lot of changes after the other."""
    for changes in several:
        for node in list(tree.walk()):
            if change := changes.get(type(node)):
                change(node)
    return tree


def with_native(tree: exp.Expr, dialect: str) -> exp.Expr:
    """The statement with the queries in it that are in the engine's own SQL."""
    for place in list(tree.find_all(exp.Table)):
        if isinstance(place.this, exp.Anonymous) and place.this.name.lower() == NATIVE:
            (text,) = place.this.expressions
            query = exp.Subquery(this=sqlglot.parse_one(text.name, dialect=dialect))
            if alias := place.args.get("alias"):
                query.set("alias", alias.copy())
            place.replace(query)
    return tree


def make_portable(tree: exp.Expr) -> None:
    """Replace in a query what only DuckDB needs, does fast, or does at all."""
    for found in list(tree.find_all(exp.CTE, exp.ArrayContainsAll, exp.RegexpFullMatch)):
        if isinstance(found, exp.CTE):
            found.set("materialized", None)
        elif isinstance(found, exp.RegexpFullMatch):
            whole = exp.Literal.string(f"^({found.expression.name})$")
            found.replace(exp.RegexpLike(this=found.this, expression=whole))
        else:
            values = ", ".join(value.sql("duckdb") for value in found.this.expressions)
            every = f"unnest({found.expression.sql('duckdb')}) AS v(value)"
            other = f"NOT EXISTS (SELECT 1 FROM {every} WHERE value NOT IN ({values}))"
            found.replace(sqlglot.parse_one(other, dialect="duckdb"))


def name_subqueries(tree: exp.Expr) -> None:
    """Name what is read from: some engines insist."""
    for number, node in enumerate(list(tree.find_all(exp.Subquery))):
        if isinstance(node.parent, exp.From | exp.Join) and not node.alias:
            node.set("alias", exp.TableAlias(this=exp.to_identifier(f"_q{number}")))


def members(node: exp.Expr) -> exp.Array | None:
    """The list that a literal is, cast or not."""
    node = node.unnest()
    while isinstance(node, exp.Cast):
        node = node.this
    return node if isinstance(node, exp.Array) else None


def texts(array: exp.Array) -> list[str]:
    """Members of a list, which are texts, or days, which are cast."""
    return [str(one.this.name if isinstance(one, exp.Cast) else one.name) for one in array]


def argument(node: exp.Unnest | exp.Explode) -> exp.Expr:
    """The list whose members are told as rows."""
    found: exp.Expr = node.expressions[0] if isinstance(node, exp.Unnest) else node.this
    return found


def compare_by_column(node: exp.GT | exp.LT | exp.GTE | exp.LTE) -> None:
    """Rows of several columns are compared column by column."""
    if isinstance(node.this, exp.Tuple) and isinstance(node.expression, exp.Tuple):
        left, right = node.this.expressions, node.expression.expressions
        node.replace(exp.paren(_lexical(type(node), left, right)))


def _lexical(kind: type[exp.Binary], left: list[exp.Expr], right: list[exp.Expr]) -> exp.Expr:
    first = kind(this=left[0].copy(), expression=right[0].copy())
    if len(left) == 1:
        return first
    same = exp.EQ(this=left[0].copy(), expression=right[0].copy())
    strict: type[exp.Binary] = {exp.GTE: exp.GT, exp.LTE: exp.LT}.get(kind, kind)
    first = strict(this=left[0].copy(), expression=right[0].copy())
    return exp.or_(first, exp.and_(same, _lexical(kind, left[1:], right[1:])))
