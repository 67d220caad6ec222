"""What a gold query names, and whether it reads columns that it does not name."""

from collections.abc import Iterable

import sqlglot
from sqlglot import exp

_WHOLE = (exp.Columns, exp.Describe, exp.Pivot, exp.PositionalColumn, exp.Summarize)
"""What may mean any column of what it stands beside."""


def words(sql: str, dialect: str) -> frozenset[str]:
    """Every word of a query, lower-cased: whatever it names is among them."""
    return frozenset(token.text.lower() for token in sqlglot.tokenize(sql, dialect=dialect))


def names(query: exp.Query) -> frozenset[str]:
    """Lower-cased names in a query, without those that it gives itself to its columns."""
    return frozenset(
        identifier.name.lower()
        for identifier in query.find_all(exp.Identifier)
        if not isinstance(identifier.parent, exp.Alias)
        or isinstance(identifier.parent.parent, exp.Star)  # it replaces one that is there
    )


def reads_unnamed(query: exp.Query, schema: str) -> bool:
    """Whether a query may read columns of a schema's tables that it does not name.

    It does not only where each of these tables stands in a SELECT that has no star, and nothing
    else is in the query that may mean a whole row.
    """
    tables = [table for table in query.find_all(exp.Table) if table.db.lower() == schema]
    if not tables:
        return False
    rows = {table.alias_or_name.lower() for table in tables}
    return (
        query.find(*_WHOLE) is not None
        or any(join.method == "NATURAL" for join in query.find_all(exp.Join))
        or any(map(_renames, tables))
        or any(_is_whole(column, rows) for column in query.find_all(exp.Column))
        or any(_has_star(table.find_ancestor(exp.Select)) for table in tables)
    )


def _renames(table: exp.Table) -> bool:
    """Whether columns of a table are named by their places."""
    alias = table.args.get("alias")
    return bool(alias and alias.columns)


def _is_whole(column: exp.Column, rows: Iterable[str]) -> bool:
    """Whether a column may be a whole row, or all of its columns."""
    star = isinstance(column.this, exp.Star)
    return (column.table if star else column.name).lower() in rows


def _has_star(select: exp.Select | None) -> bool:
    """Whether a SELECT has a star that is its own, other than of `count(*)` and of a name."""
    return select is None or any(
        star.find_ancestor(exp.Select) is select
        and not isinstance(star.parent, exp.Column | exp.Count)
        for star in select.find_all(exp.Star)
    )
