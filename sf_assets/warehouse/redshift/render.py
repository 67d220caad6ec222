"""The shared SQL, as Redshift takes it.

Names are lower case there, so that people need not quote them. Lists are arrays in `SUPER`, which
are written and told as JSON. Texts have at most 65,535 bytes, and blanks at their end do not count
where they are compared.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlglot import exp

from sf_assets.warehouse.sql.connection import TEMPORARY, Capabilities, Values
from sf_assets.warehouse.sql.portable import (
    Changes,
    argument,
    changed,
    compare_by_column,
    fill_in,
    literal,
    make_portable,
    members,
    name_subqueries,
    parsed,
    texts,
    with_native,
)
from sf_assets.warehouse.sql.types import LIST, TEXT

LONGEST_TEXT = 65_535
"""Bytes that `VARCHAR(MAX)` takes."""


def _content(column: str, kind: str) -> str:
    """What stands for a column where its content is compared: all of it, blanks at its end, too."""
    if kind == TEXT:
        return f"sha2({column}, 256)"
    return f"json_serialize({column})" if kind == LIST else column


CAPABILITIES = Capabilities(
    "Redshift",
    folds=str.lower,
    longest_name=127,
    longest_text=LONGEST_TEXT,
    content=_content,
    row_as_text=False,
)

kept = CAPABILITIES.kept

SCRATCH = "sf_assets_temp_"
"""What names of temporary tables begin with: nothing but their names tells them from others."""

_END_OF_TIME = "9999-12-31 23:59:59.999999+00:00"
_KEYS = "_keys"
_IN_A_TEXT = 1_000
"""Members of a list that one text tells: it must not get too long to be parsed."""


def render(sql: str, values: Values = ()) -> str:
    """A statement of the shared SQL for Redshift.

    Args:
        sql: One statement.
        values: What takes the place of `?`, `$1` or `$name`.

    Raises:
        ConfigError: A name in it is too long for Redshift, or it cannot be told to Redshift.
    """
    tree = parsed(sql, CAPABILITIES.engine).copy()
    with_native(tree, "redshift")
    fill_in(tree, values, _literal)
    changed(tree, _LISTS)
    make_portable(tree)
    name_subqueries(tree)
    changed(tree, _SHAPES)
    changed(tree, _FUNCTIONS)
    return changed(tree, _TYPES, _NAMES).sql(dialect="redshift", comments=False)


def _literal(value: Any) -> exp.Expr:
    """A value; of a moment date and time of day stand apart."""
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(" ")
        return exp.cast(exp.Literal.string(text), "timestamptz")
    return literal(value)


def _json(values: Sequence[str]) -> exp.Expr:
    """A list as a value of a row; several, put together, where one text has no room for it."""
    text = json.dumps(values, ensure_ascii=False)
    if len(text.encode()) > LONGEST_TEXT and len(values) > 1:
        middle = len(values) // 2
        halves = [_json(values[:middle]), _json(values[middle:])]
        return exp.Anonymous(this="ARRAY_CONCAT", expressions=halves)
    return exp.Anonymous(this="JSON_PARSE", expressions=[exp.Literal.string(text)])


def _literals(array: exp.Array) -> list[exp.Expr]:
    return [one.copy() for one in array.expressions]


def _is_in(value: exp.Expr, array: exp.Array) -> exp.Expr:
    """Whether a value is one of a list that is told."""
    if not array.expressions:
        return exp.false()
    return exp.In(this=value.copy(), expressions=_literals(array))


def _any(node: exp.Any) -> None:
    """`x = ANY(list)`, of a list that is told."""
    equals, array = node.parent, members(node.this)
    if isinstance(equals, exp.EQ) and array is not None:
        equals.replace(_is_in(equals.this, array))


def _unnest(node: exp.Unnest | exp.Explode) -> None:
    """`SELECT unnest(list)`, of a list that is told."""
    select, array = node.find_ancestor(exp.Select), members(argument(node))
    if select is None or array is None or len(select.expressions) != 1 or select.args.get("from_"):
        return
    outer = select.parent and select.parent.parent
    if isinstance(outer, exp.In):
        outer.replace(_is_in(outer.this, array))
    else:
        select.replace(_rows_of(array, select.expressions[0].alias or "value"))


def _rows_of(array: exp.Array, alias: str) -> exp.Expr:
    """A query of the members of a list, of which there may be many thousands."""
    every = texts(array)
    parts = [every[first : first + _IN_A_TEXT] for first in range(0, len(every), _IN_A_TEXT)]
    queries = [_rows_of_text(part, alias) for part in parts or [[]]]
    return exp.union(*queries, distinct=False) if len(queries) > 1 else queries[0]


def _rows_of_text(some: list[str], alias: str) -> exp.Select:
    told = exp.select(_json(some).as_("list")).subquery("told")
    each = exp.to_table("told.list", alias="one")
    value = exp.cast(exp.column("one"), "text").as_(alias)
    query = exp.select(value).from_(told)
    query.append("joins", exp.Join(this=each))
    return query


def _contains_all(node: exp.ArrayContainsAll) -> None:
    """Whether a list has no other members than those told."""
    column = node.expression
    if not isinstance(column, exp.Column) or not column.table:
        return
    each = exp.to_table(column.copy().sql("duckdb"), dialect="duckdb", alias="one")
    known = exp.In(this=exp.cast(exp.column("one"), "text"), expressions=_literals(node.this))
    others = exp.select("1").from_(each).where(exp.not_(known))
    node.replace(exp.not_(exp.Exists(this=others)))


def _in_query(node: exp.In) -> None:
    """`(a, b) IN (SELECT …)`: a query that is asked of has one column."""
    query, delete = node.args.get("query"), node.find_ancestor(exp.Delete)
    if not isinstance(node.this, exp.Tuple) or query is None or delete is None:
        return
    inner, mine = query.this.copy(), delete.this
    owner = f"{SCRATCH}{mine.name}" if mine.db.lower() == TEMPORARY else mine.name
    pairs = [
        exp.EQ(this=exp.column(name, table=_KEYS), expression=exp.column(own.name, table=owner))
        for name, own in zip(inner.named_selects, node.this.expressions, strict=True)
    ]
    keys = exp.select("1").from_(exp.Subquery(this=inner).as_(_KEYS, table=True))
    node.replace(exp.Exists(this=keys.where(exp.and_(*pairs))))


def _qualified(node: exp.Select) -> None:
    """What `QUALIFY` follows upon has a name of its own."""
    source = node.args.get("from_")
    table = source.this if node.args.get("qualify") and source else None
    if isinstance(table, exp.Table) and not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))


def _recursive(node: exp.With) -> None:
    """A query that repeats itself names its columns."""
    for query in node.expressions if node.recursive else ():
        alias = query.args["alias"]
        if not alias.columns:
            names = query.this.named_selects
            alias.set("columns", [exp.to_identifier(name) for name in names])


def _create(node: exp.Create) -> None:
    """Rows of one record lie on one node, in the order of Ids: that is how they are looked for.

    So a merge moves no rows of the table between nodes, nor does a join by references, and what it
    reads of the table are the blocks with Ids like those that it brings.
    """
    table = node.this.this if isinstance(node.this, exp.Schema) else node.this
    if node.kind != "TABLE" or table.db.lower() == TEMPORARY or not _has_records(node):
        return
    key = exp.to_identifier("id", quoted=True)
    by_id = [
        exp.DistKeyProperty(this=key.copy()),
        exp.SortKeyProperty(this=[key.copy()], compound=False),
    ]
    node.set("properties", exp.Properties(expressions=by_id))


def _has_records(node: exp.Create) -> bool:
    """Whether a table has records of Salesforce: as silver's have, or all versions of these."""
    columns = node.this.expressions if isinstance(node.this, exp.Schema) else []
    names = {column.name.lower() for column in columns}
    return names >= {"id", "_cursor", "_read_at"}


def _distinct(node: exp.NullSafeEQ | exp.NullSafeNEQ) -> None:
    """`IS [NOT] DISTINCT FROM`, which is true or false, never null."""
    left, right = node.this, node.expression
    neither = exp.and_(exp.Is(this=left.copy(), expression=exp.null()),
                       exp.Is(this=right.copy(), expression=exp.null()))  # fmt: skip
    same = exp.or_(exp.EQ(this=left.copy(), expression=right.copy()), neither)
    answers = (exp.true(), exp.false())
    if isinstance(node, exp.NullSafeNEQ):
        answers = (exp.false(), exp.true())
    case = exp.Case(ifs=[exp.If(this=same, true=answers[0])], default=answers[1])
    node.replace(exp.paren(case))


def _filter(node: exp.Filter) -> None:
    """What is counted or summed of some rows alone."""
    function, condition = node.this, node.expression.this
    what = function.this
    if isinstance(what, exp.Distinct):
        what.set("expressions", [_where(condition, one) for one in what.expressions])
    else:
        star = isinstance(what, exp.Star)
        function.set("this", _where(condition, exp.Literal.number(1) if star else what))
    node.replace(function)


def _where(condition: exp.Expr, value: exp.Expr) -> exp.Expr:
    return exp.Case(ifs=[exp.If(this=condition.copy(), true=value.copy())])


def _of_doubles(node: exp.Avg | exp.Median | exp.PercentileCont | exp.Quantile) -> None:
    """Of whole numbers Redshift's averages are whole numbers, too."""
    if not isinstance(node.this, exp.Distinct):
        node.set("this", exp.cast(node.this, "double", copy=False))


def _matched(node: exp.RegexpLike) -> None:
    """A pattern is found anywhere in a text; of Redshift's dialects Perl's has most of RE2's."""
    options = ["1", "1", "0"]
    found = exp.Anonymous(
        this="REGEXP_INSTR",
        expressions=[
            node.this.copy(),
            node.expression.copy(),
            *map(exp.Literal.number, options),
            exp.Literal.string("p"),
        ],
    )
    node.replace(exp.GT(this=found, expression=exp.Literal.number(0)))


def _array(node: exp.Array) -> None:
    node.replace(_json(texts(node)))


def _joined(node: exp.ArrayToString) -> None:
    """Members of a list as one text, out of its JSON."""
    told = exp.Anonymous(this="JSON_SERIALIZE", expressions=[node.this.copy()])
    inner = exp.Substring(
        this=told.copy(),
        start=exp.Literal.number(3),
        length=exp.Sub(this=exp.Length(this=told), expression=exp.Literal.number(4)),
    )
    steps = [('","', node.expression.name), ('\\"', '"'), ("\\\\", "\\")]
    text: exp.Expr = inner
    for old, new in steps:
        text = exp.func("REPLACE", text, exp.Literal.string(old), exp.Literal.string(new))
    empty = exp.EQ(
        this=exp.Anonymous(this="GET_ARRAY_LENGTH", expressions=[node.this.copy()]),
        expression=exp.Literal.number(0),
    )
    some = exp.Is(this=node.this.copy(), expression=exp.null())
    node.replace(
        exp.Case(
            ifs=[
                exp.If(this=some, true=exp.null()),
                exp.If(this=empty, true=exp.Literal.string("")),
            ],
            default=text,
        )
    )


def _cast(node: exp.Cast) -> None:
    """There is no end of time but the last day that people write."""
    if node.this.unnest().is_string and node.this.unnest().name.lower() == "infinity":
        node.set("this", exp.Literal.string(_END_OF_TIME))


def _now(node: exp.Expr) -> None:
    """Redshift has now() on its leader alone, where no rows are."""
    node.replace(exp.cast(exp.var("SYSDATE"), "timestamptz"))


def _function(node: exp.Anonymous) -> None:
    """Functions that Redshift calls otherwise, or has not."""
    name = node.name.lower()
    if name in {"now", "get_current_timestamp"}:
        _now(node)
    elif name == "hash":
        node.replace(_hash(node.expressions))
    elif name == "error":
        # What is constant would be worked out, and raise, at once; what is random is not.
        nothing = exp.Left(this=exp.cast(exp.Rand(), "text"), expression=exp.Literal.number(0))
        node.replace(exp.cast(exp.DPipe(this=node.expressions[0], expression=nothing), "date"))


def _hash(values: list[exp.Expr]) -> exp.Expr:
    """A digest of several values, of which each may be null."""
    each = [exp.Anonymous(this="FNV_HASH", expressions=[value.copy()]) for value in values]
    if len(each) == 1:
        return each[0]
    told = [exp.func("COALESCE", exp.cast(one, "text"), exp.Literal.string("")) for one in each]
    text: exp.Expr = told[0]
    for one in told[1:]:
        comma = exp.DPipe(this=text, expression=exp.Literal.string(","))
        text = exp.DPipe(this=comma, expression=one)
    return exp.func("MD5", text)


def _type(node: exp.DataType) -> None:
    if node.this is exp.DType.ARRAY:
        node.replace(exp.DataType(this=exp.DType.SUPER))


def _identifier(node: exp.Identifier) -> None:
    node.set("this", kept(node.this))
    node.set("quoted", True)


def _table(node: exp.Table) -> None:
    """A temporary table is in no schema that has a name."""
    if node.db.lower() == TEMPORARY:
        if not node.alias and isinstance(node.parent, exp.From | exp.Join):
            node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name)))
        node.set("this", exp.to_identifier(f"{SCRATCH}{node.name}"))
        node.set("db", None)


_LISTS: Changes = {
    exp.Any: _any,
    exp.Unnest: _unnest,
    exp.Explode: _unnest,
    exp.ArrayContainsAll: _contains_all,
}

_SHAPES: Changes = {
    exp.In: _in_query,
    exp.Select: _qualified,
    exp.With: _recursive,
    exp.Create: _create,
    exp.NullSafeEQ: _distinct,
    exp.NullSafeNEQ: _distinct,
    **dict.fromkeys((exp.GT, exp.LT, exp.GTE, exp.LTE), compare_by_column),
}

_FUNCTIONS: Changes = {
    exp.Filter: _filter,
    exp.Array: _array,
    exp.ArrayToString: _joined,
    exp.Avg: _of_doubles,
    exp.Median: _of_doubles,
    exp.PercentileCont: _of_doubles,
    exp.Quantile: _of_doubles,
    exp.RegexpLike: _matched,
    exp.Cast: _cast,
    exp.CurrentTimestamp: _now,
    exp.Anonymous: _function,
}

_TYPES: Changes = {exp.DataType: _type}

_NAMES: Changes = {exp.Table: _table, exp.Identifier: _identifier}
