"""Names and texts as SQL writes them, and queries as other engines write them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def quoted(*names: str) -> str:
    """Names as SQL identifiers, joined by dots."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def text_literal(text: str) -> str:
    """A text as an SQL literal, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def in_dialect(sql: str, dialect: str) -> str:
    """A query as another engine writes it.

    Args:
        sql: The query as DuckDB writes it.
        dialect: What sqlglot calls the other engine.
    """
    import sqlglot  # with much that only other engines need
    from sqlglot import ErrorLevel

    tree = sqlglot.parse_one(sql, dialect="duckdb")
    make_portable(tree)
    return tree.sql(dialect, unsupported_level=ErrorLevel.RAISE)


def make_portable(tree: "exp.Expr") -> None:
    """Replace in a query what only DuckDB needs, does fast, or does at all."""
    import sqlglot
    from sqlglot import exp

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
