"""The shared SQL, as BigQuery takes it.

Names are as they are spelt: BigQuery tells none of columns apart by case. Lists of values go beside
a statement, as there may be many thousands; other values are written into it.

BigQuery keeps no list that is none: it is one without members. So where a list is asked whether it
is there, or held against another, it is asked whether it has members, or by how JSON spells it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlglot
from sqlglot import ErrorLevel, exp

from sf_assets.warehouse.sql.connection import TEMPORARY, Capabilities, Values
from sf_assets.warehouse.sql.portable import (
    Changes,
    changed,
    compare_by_column,
    fill_in,
    literal,
    make_portable,
    parsed,
    with_native,
)

CAPABILITIES = Capabilities(
    "BigQuery",
    longest_name=300,
    ddl_in_transaction=False,
    load_in_transaction=False,
    empty_lists=False,
    sized_views=False,
)
"""A transaction takes DML alone, and does not see what load jobs bring while it goes on."""

LIFE = timedelta(days=2)
"""After which a temporary table is gone, of a program that was killed."""

_END_OF_TIME = "9999-12-31 23:59:59.999999+00:00"
kept = CAPABILITIES.kept

_DAYS = {"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"}
_NUMERIC_INTEGERS, NUMERIC_SCALE = 29, 9
"""Digits that `NUMERIC` has before and after the point; else it is `BIGNUMERIC`, 38 of each."""

_AS_TEXT = "TO_JSON_STRING"
_BIGNUMERIC_SCALE = 38
_SIZES = 2

_ORDERED = "ARRAY_AGG(CAST(value AS FLOAT64) IGNORE NULLS ORDER BY CAST(value AS FLOAT64))"
_PLACE = "(share * (COUNT(value) - 1))"
_BELOW, _ABOVE = (
    f"{_ORDERED}[SAFE_OFFSET(CAST({nearest}({_PLACE}) AS INT64))]" for nearest in ("FLOOR", "CEIL")
)
_BETWEEN = f"({_BELOW} + ({_ABOVE} - {_BELOW}) * ({_PLACE} - FLOOR({_PLACE})))"
"""The value of which a share of all lies below."""

Place = Callable[[str, str], str]
"""Tells dataset and table of a schema and a table, joined by a dot."""


Lists = Mapping[str, tuple[str, Sequence[Any]]]
"""Values of parameters that are lists, with the type of their members, by name."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of BigQuery's SQL.

    Attributes:
        sql: Its text.
        lists: Its parameters.
    """

    sql: str
    lists: Lists = field(default_factory=dict)


def number(digits: int, scale: int) -> str:
    """The type of numbers with so many digits, so many of them after the point."""
    small = scale <= NUMERIC_SCALE and digits - scale <= _NUMERIC_INTEGERS
    return f"{'NUMERIC' if small else 'BIGNUMERIC'}({digits}, {scale})"


def render(
    sql: str, values: Values, place: Place, lists: Callable[[exp.Expr], Collection[str]]
) -> Statement:
    """A statement of the shared SQL for BigQuery.

    Args:
        sql: One statement.
        values: What takes the place of `?`, `$1` or `$name`.
        place: Where tables are.
        lists: Tells of a statement how columns of its tables are called that are lists.

    Raises:
        ConfigError: A name in it is none for BigQuery, or it cannot be told to BigQuery.
    """
    tree = parsed(sql, CAPABILITIES.engine).copy()
    tree = changed(tree, {exp.Literal: _decimal})
    beside: dict[str, Sequence[Any]] = {}
    fill_in(tree, values, lambda value: _value(value, beside))
    make_portable(tree)
    if any(_asked(node) for node in tree.walk()):
        _ask_lists(tree, lists(tree))
    types = {name: _members(tree, name, members) for name, members in beside.items()}
    for changes in (_LISTS, _FUNCTIONS, _QUANTILES, _TYPES):
        _change_upward(tree, changes)
    with_native(tree, "bigquery")  # in which everything is as it is meant
    fill_in(tree, values)
    named = {column.table.lower() for column in tree.find_all(exp.Column)} | _rows(tree)
    tree = changed(tree, {exp.Table: lambda node: _table(node, place, named)}, _NAMES)
    # Where nulls come in an order is said as far as BigQuery lets one.
    text = tree.sql(dialect="bigquery", comments=False, unsupported_level=ErrorLevel.IGNORE)
    return Statement(text, {name: (types[name], members) for name, members in beside.items()})


def _change_upward(tree: exp.Expr, changes: Changes) -> None:
    """Change nodes of a statement, those in others first, as these may be told several times."""
    for node in reversed(list(tree.walk())):
        if change := changes.get(type(node)):
            change(node)


def _value(value: Any, beside: dict[str, Sequence[Any]]) -> exp.Expr:
    if not isinstance(value, list | tuple):
        return literal(value)
    if not value:
        return exp.Array(expressions=[])
    beside[name := f"list_{len(beside)}"] = value
    return exp.var(f"@{name}")


def _members(tree: exp.Expr, name: str, members: Sequence[Any]) -> str:
    """The type of a list's members: as it is cast to, else as they are."""
    (found,) = (node for node in tree.find_all(exp.Var) if node.name == f"@{name}")
    if isinstance(cast := found.parent, exp.Cast):
        cast.replace(found)
        return str(cast.to.expressions[0].sql("bigquery"))
    return "STRING" if isinstance(members[0], str) else "DATE"


def _decimal(node: exp.Literal) -> None:
    """A number with a point is exact, and not a floating-point number."""
    if node.is_string or "." not in node.name or "e" in node.name.lower():
        return
    if not isinstance(node.parent, exp.PercentileCont):
        small = len(node.name.partition(".")[2]) <= NUMERIC_SCALE
        kind = "NUMERIC" if small else "BIGNUMERIC"
        node.replace(exp.cast(exp.Literal.string(node.name), kind, dialect="bigquery"))


# Lists that are none, and lists without members.


def _asked(node: exp.Expr) -> bool:
    """Whether a node tells a list from none, or from another."""
    if isinstance(node, exp.Is):
        return isinstance(node.this, exp.Column) and isinstance(node.expression, exp.Null)
    if isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ):
        return isinstance(node.this, exp.Column)
    return isinstance(node, exp.Count) and isinstance(node.this, exp.Column)


def _ask_lists(tree: exp.Expr, lists: Collection[str]) -> None:
    """Have columns that may be lists asked by how JSON spells them, which suits all types."""
    names = {name.lower() for name in lists}
    for alias in tree.find_all(exp.Alias):
        if isinstance(alias.this, exp.Column) and alias.this.name.lower() in names:
            names.add(alias.alias.lower())
    for node in [node for node in tree.walk() if _asked(node)]:
        for side in ("this", "expression"):
            column = node.args.get(side)
            if isinstance(column, exp.Column) and column.name.lower() in names:
                node.set(side, _spelt(column))


def _spelt(column: exp.Column) -> exp.Expr:
    text: exp.Expr = exp.Anonymous(this=_AS_TEXT, expressions=[column.copy()])
    for nothing in ("null", "[]"):
        text = exp.Nullif(this=text, expression=exp.Literal.string(nothing))
    return text


def _any(node: exp.Any) -> None:
    """`x = ANY(list)`."""
    if isinstance(equals := node.parent, exp.EQ):
        array = node.this.unnest()
        members = array.this if isinstance(array, exp.Cast) else array
        if isinstance(members, exp.Array) and not members.expressions:
            equals.replace(exp.false())
            return
        rows = exp.Unnest(expressions=[array.copy()])
        equals.replace(exp.In(this=equals.this.copy(), unnest=rows))


def _unnest(node: exp.Unnest | exp.Explode) -> None:
    """`SELECT unnest(list)`."""
    select = node.find_ancestor(exp.Select)
    if select is None or len(select.expressions) != 1 or select.args.get("from_"):
        return
    name = select.expressions[0].alias or "value"
    array = node.expressions[0] if isinstance(node, exp.Unnest) else node.this
    alias = exp.TableAlias(columns=[exp.to_identifier(name)])
    rows = exp.Unnest(expressions=[array.copy()], alias=alias)
    select.replace(exp.select(exp.column(name)).from_(rows))


# Functions that BigQuery has otherwise, or has not.


def _filter(node: exp.Filter) -> None:
    """What is counted or summed of some rows alone."""
    function, condition = node.this, node.expression.this
    if isinstance(function, exp.Count) and isinstance(function.this, exp.Star):
        node.replace(exp.CountIf(this=condition))
        return
    counted = function.this
    function.set("this", exp.If(this=condition, true=counted, false=exp.null()))
    node.replace(function)


def _quantile(node: exp.Median | exp.PercentileCont | exp.Quantile) -> None:
    """The value between the two nearest ones, of all values in their order.

    BigQuery has that for windows alone.
    """
    share: exp.Expr = exp.Literal.number("0.5")
    if not isinstance(node, exp.Median):
        share = node.args.get("expression") or node.args["quantile"]
    between = sqlglot.parse_one(_BETWEEN, dialect="bigquery")
    for place in list(between.find_all(exp.Column)):
        place.replace((node.this if place.name == "value" else share).copy())
    node.replace(between)


def _division(node: exp.Div) -> None:
    """Numbers are divided as floating-point numbers are: else a few digits would be cut off."""
    node.set("this", exp.cast(node.this, "double", copy=False))


def _in(node: exp.In) -> None:
    """Rows of several columns are looked for as one value."""
    query = node.args.get("query")
    if isinstance(node.this, exp.Tuple) and query is not None:
        select = query.unnest()
        row = exp.Tuple(expressions=[column.unalias().copy() for column in select.expressions])
        select.set("expressions", [row])


def _extreme(node: exp.Least | exp.Greatest) -> None:
    """What is null does not count."""
    first, *others = node.this, *node.expressions
    if not others:
        return
    every = [first, *others]
    known = [
        exp.Coalesce(this=one.copy(), expressions=[o.copy() for o in every if o is not one])
        for one in every
    ]
    node.set("this", known[0])
    node.set("expressions", known[1:])


def _cast(node: exp.Cast) -> None:
    """There is no end of time but the last moment that there is; a whole row is told as JSON."""
    if node.this.is_string and node.this.name.lower() == "infinity":
        node.set("this", exp.Literal.string(_END_OF_TIME))
    elif isinstance(node.this, exp.Column) and not node.this.table and _is_row(node):
        node.replace(exp.Anonymous(this=_AS_TEXT, expressions=[node.this.copy()]))
    elif node.to.this is exp.DType.DECIMAL and len(node.to.expressions) == _SIZES:
        _rounded(node)
    elif isinstance(node.this, exp.Array) and not node.this.expressions:
        kind = node.to.expressions[0].copy()
        _type(kind)
        node.replace(exp.var(f"ARRAY<{kind.sql('bigquery')}>[]"))


def _rounded(node: exp.Cast) -> None:
    """A number of so many digits after the point: only columns have a size."""
    digits, scale = (int(size.name) for size in node.to.expressions)
    node.set("to", exp.DataType.build(number(digits, scale).partition("(")[0], dialect="bigquery"))
    if scale not in {NUMERIC_SCALE, _BIGNUMERIC_SCALE}:
        told = node.copy()
        node.replace(exp.Round(this=told, decimals=exp.Literal.number(scale)))


def _is_row(node: exp.Cast) -> bool:
    """Whether what is cast has the name of the table that is read."""
    select = node.find_ancestor(exp.Select)
    source = select.args.get("from_") if select else None
    return source is not None and source.this.alias_or_name == node.this.name


def _truncated(node: exp.TimestampTrunc | exp.DateTrunc) -> None:
    """`DATE_TRUNC` takes days and times."""
    unit = node.text("unit").upper()
    unit = "ISOWEEK" if unit == "WEEK" else unit
    node.replace(exp.Anonymous(this="DATE_TRUNC", expressions=[node.this.copy(), exp.var(unit)]))


def _difference(node: exp.DateDiff) -> None:
    """How often one unit ends and the next begins between two times."""
    unit = node.text("unit").upper() or "DAY"
    sides = [node.this.copy(), node.expression.copy()]
    if unit in _DAYS:
        name = "DATE_DIFF"
        parts: list[exp.Expr] = [exp.cast(side, "date") for side in sides]
        unit = "ISOWEEK" if unit == "WEEK" else unit
    else:
        name = "TIMESTAMP_DIFF"
        parts = [_whole(exp.cast(side, "timestamptz"), unit) for side in sides]
    node.replace(exp.Anonymous(this=name, expressions=[*parts, exp.var(unit)]))


def _whole(side: exp.Expr, unit: str) -> exp.Expr:
    return exp.Anonymous(this="TIMESTAMP_TRUNC", expressions=[side, exp.var(unit)])


def _function(node: exp.Anonymous) -> None:
    name = node.name.lower()
    if name == "now":
        node.replace(exp.CurrentTimestamp())
    elif name == "hash":
        row = exp.Anonymous(this="STRUCT", expressions=node.expressions)
        text = exp.Anonymous(this=_AS_TEXT, expressions=[row])
        node.replace(exp.Anonymous(this="FARM_FINGERPRINT", expressions=[text]))


def _group(node: exp.Group) -> None:
    """What is told is grouped by its place: by its name it could be taken for a column."""
    if isinstance(select := node.parent, exp.Select):
        told = [one.unalias() for one in select.expressions]
        by = [
            exp.Literal.number(told.index(one) + 1) if one in told else one
            for one in node.expressions
        ]
        node.set("expressions", by)


def _everywhere(node: exp.Delete | exp.Update) -> None:
    """What is done to all rows has to say so."""
    if node.args.get("where") is None:
        node.set("where", exp.Where(this=exp.true()))


def _create(node: exp.Create) -> None:
    """A view is never away; rows of records are found by their Ids; what is temporary ends."""
    table = node.find(exp.Table)
    if node.kind == "VIEW":
        node.set("replace", True)
    elif table is not None and table.db.lower() == TEMPORARY:
        until = exp.cast(exp.Literal.string((datetime.now(UTC) + LIFE).isoformat()), "timestamptz")
        ends = exp.Property(this=exp.var("expiration_timestamp"), value=until)
        node.set("properties", exp.Properties(expressions=[ends]))
    elif isinstance(node.this, exp.Schema) and "Id" in {c.name for c in node.this.expressions}:
        by = exp.ClusterProperty(expressions=[exp.column("Id")])
        node.set("properties", exp.Properties(expressions=[by]))


def _rename(node: exp.Alter) -> None:
    """A column that is only spelt otherwise is renamed twice: both names are one to BigQuery."""
    for action in node.args["actions"]:
        if isinstance(action, exp.RenameColumn):
            between = exp.column(f"{action.this.name}_renamed")
            second = exp.RenameColumn(this=between.copy(), to=action.args["to"].copy())
            action.set("to", between)
            node.append("actions", second)
            return


def _type(node: exp.DataType) -> None:
    if node.this is exp.DType.DECIMAL and node.expressions:
        digits, scale = ([int(size.name) for size in node.expressions] + [0])[:2]
        node.replace(exp.DataType.build(number(digits, scale), dialect="bigquery"))


def _rows(tree: exp.Expr) -> set[str]:
    """Names of the tables of which whole rows are told."""
    functions = (f for f in tree.find_all(exp.Anonymous) if f.name == _AS_TEXT)
    told = (one for function in functions for one in function.expressions)
    return {one.name.lower() for one in told if isinstance(one, exp.Column) and not one.table}


def _table(node: exp.Table, place: Place, named: Collection[str]) -> None:
    """Where a table is, by the name that the rest of the statement knows it by.

    Where that does not name it, it gets a name that no column has: BigQuery takes a column that is
    called as its table for the whole row.
    """
    if not node.db or node.catalog:
        return
    read = isinstance(node.parent, exp.From | exp.Join | exp.Update | exp.Delete)
    if read:
        known = node.alias_or_name
        known = known if known.lower() in named else f"_from_{known}"
        node.set("alias", exp.TableAlias(this=exp.to_identifier(known)))
    dataset, _, table = place(node.db, node.name).rpartition(".")
    node.set("db", exp.to_identifier(dataset))
    if table:  # else it is a schema
        node.set("this", exp.to_identifier(table))


def _identifier(node: exp.Identifier) -> None:
    node.set("this", kept(node.this))
    node.set("quoted", True)


_LISTS: Changes = {
    exp.Any: _any,
    exp.Unnest: _unnest,
    exp.Explode: _unnest,
}

_FUNCTIONS: Changes = {
    exp.Filter: _filter,
    exp.Div: _division,
    exp.In: _in,
    exp.Least: _extreme,
    exp.Greatest: _extreme,
    **dict.fromkeys((exp.GT, exp.LT, exp.GTE, exp.LTE), compare_by_column),
    exp.Cast: _cast,
    exp.TimestampTrunc: _truncated,
    exp.DateTrunc: _truncated,
    exp.DateDiff: _difference,
    exp.Anonymous: _function,
    exp.Group: _group,
    exp.Delete: _everywhere,
    exp.Update: _everywhere,
    exp.Create: _create,
    exp.Alter: _rename,
}

_QUANTILES: Changes = dict.fromkeys((exp.Median, exp.PercentileCont, exp.Quantile), _quantile)

_TYPES: Changes = {exp.DataType: _type}

_NAMES: Changes = {exp.Identifier: _identifier}
