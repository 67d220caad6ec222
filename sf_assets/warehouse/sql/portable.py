"""What DuckDB alone understands of the shared SQL, in words that other engines have, too."""

import sqlglot
from sqlglot import exp

from sf_assets.warehouse.gold_sql import NATIVE


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
