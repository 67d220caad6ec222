"""What a gold query reads of whose changes nothing tells: files, tables of others, the clock.

Whatever is not known to be watched counts as not watched: the table is then built anew once a day,
which is dear, where it would be old for good.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel
from sqlglot.tokenizer_core import Token, TokenType

CLOCK = frozenset(
    {
        "ago", "current_date", "current_localtime", "current_localtimestamp", "current_time",
        "current_timestamp", "get_current_time", "get_current_timestamp", "localtime",
        "localtimestamp", "now", "today", "transaction_timestamp",
    }
)  # fmt: skip
"""Functions that tell the time."""

CHANCE = frozenset({"gen_random_uuid", "random", "setseed", "uuid", "uuidv4", "uuidv7"})
"""Functions that say something else each time, which is no reason to ask again."""

_TABLES = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"}
)
_SYNTAX = frozenset(
    {
        "all", "and", "any", "array", "as", "bernoulli", "between", "by", "case", "cast",
        "coalesce", "columns", "cube", "decimal", "distinct", "else", "end", "enum", "except",
        "exclude", "exists", "extract", "filter", "from", "glob", "group", "grouping", "having",
        "ilike", "in", "intersect", "interval", "is", "join", "lateral", "like", "limit", "map",
        "not", "offset", "on", "or", "over", "pivot", "qualify", "rename", "replace", "reservoir",
        "rollup", "select", "sets", "similar", "some", "struct", "system", "text", "then", "to",
        "try_cast", "union", "unpack", "using", "values", "varchar", "when", "where", "window",
        "with", "within",
    }
)  # fmt: skip
"""Words that may stand before a parenthesis and call nothing."""

_BARE = ("current_", "local")  # of the clock's, they need no parentheses
_MOMENTS = frozenset({"now", "today", "tomorrow", "yesterday"})


@cache
def pure() -> frozenset[str]:
    """The functions of DuckDB that make the same of the same, whenever they are asked."""
    return frozenset(Path(__file__).with_name("pure_functions.txt").read_text("utf-8").split())


def unwatched(query: exp.Query, layers: Collection[str]) -> set[str]:
    """What a query reads and nobody notes a change of, as it names it.

    Args:
        query: The query.
        layers: Schemas of whose tables every change is noted.
    """
    words = _words(query)
    found = {*_tables(query, layers), *_functions(words)}
    return found | {"the clock"} if _tells_time(query, words) else found


def _tables(query: exp.Query, layers: Collection[str]) -> Iterator[str]:
    for table in query.find_all(exp.Table, exp.Lateral):
        if isinstance(table.this, exp.Func):
            if (name := _called(table.this)) not in _TABLES | CLOCK:
                yield f"{name}()"
        elif isinstance(table, exp.Table):
            of_query = not table.db and table.name.lower() in _queries(table)
            if table.db.lower() not in layers and not of_query:
                yield ".".join(part.name for part in table.parts)


def _queries(table: exp.Table) -> Iterator[str]:
    """Lower-cased names of the queries (CTEs) that can be read where a table stands."""
    below: exp.Expr = table
    while here := below.parent:
        seen: list[exp.Expr] = []
        if isinstance(here, exp.With):
            place = next(n for n, cte in enumerate(here.expressions) if cte is below)
            seen = here.expressions[: place + bool(here.recursive)]
        elif (clause := here.args.get("with_")) is not below:
            seen = clause.expressions if clause else []
        yield from (cte.alias.lower() for cte in seen)
        below = here


def _functions(words: Sequence[tuple[Token, bool]]) -> Iterator[str]:
    """Functions that are called, by the names under which DuckDB gets them."""
    known = pure() | _TABLES | CLOCK | CHANCE | _SYNTAX
    for word, called in words:
        name = word.text.lower()
        if word.token_type is not TokenType.IDENTIFIER:
            name = name.rpartition(" ")[2]  # of `GROUPING SETS`
        may_be_one = name.isidentifier() or word.token_type is TokenType.IDENTIFIER
        if called and may_be_one and name not in known:
            yield f"{name}()"


def _tells_time(query: exp.Query, words: Sequence[tuple[Token, bool]]) -> bool:
    clock = ((word.text.lower(), called) for word, called in words if word.text.lower() in CLOCK)
    ages = (f for f in query.find_all(exp.Anonymous) if f.name.lower() == "age")
    return (
        any(called or name.startswith(_BARE) for name, called in clock)
        or any(len(age.expressions) <= 1 for age in ages)
        or any(text.name.lower() in _MOMENTS for text in query.find_all(exp.Literal))
    )


def _words(query: exp.Query) -> list[tuple[Token, bool]]:
    """The query in words as DuckDB gets it, each with whether a parenthesis follows."""
    tree = query.copy()
    for alias in tree.find_all(exp.TableAlias):
        alias.set("columns", None)  # which look like a call
    sql = tree.sql(dialect="duckdb", comments=False, unsupported_level=ErrorLevel.IGNORE)
    tokens = sqlglot.tokenize(sql, dialect="duckdb")
    called = [token.token_type is TokenType.L_PAREN for token in tokens[1:]]
    return list(zip(tokens, [*called, False], strict=True))


def _called(function: exp.Func) -> str:
    """The name by which a function is called."""
    anonymous = isinstance(function, exp.Anonymous)
    return (function.name if anonymous else function.sql_name()).lower()
