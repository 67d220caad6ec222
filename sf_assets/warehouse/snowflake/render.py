"""The shared SQL, as Snowflake takes it.

Names are in capital letters there, so that people need not quote them: Salesforce tells none apart
by case.
"""

import json

from sqlglot import exp

from sf_assets.warehouse.sql.connection import TEMPORARY, Capabilities, Values
from sf_assets.warehouse.sql.portable import (
    Changes,
    argument,
    changed,
    compare_by_column,
    fill_in,
    make_portable,
    members,
    parsed,
    texts,
    with_native,
)

CAPABILITIES = Capabilities(
    "Snowflake", folds=str.upper, longest_name=255, ddl_in_transaction=False
)
"""It commits at each statement of DDL, `CREATE TEMPORARY TABLE` among them."""

kept = CAPABILITIES.kept

HOME = "OPS"
"""The schema of temporary tables."""

SCRATCH = "SF_ASSETS_TEMP_"
"""What names of temporary tables begin with."""

_END_OF_TIME = "9999-12-31 23:59:59.999999+00:00"
_WHOLE = {"BIGINT": "NUMBER(19, 0)", "INT": "NUMBER(10, 0)"}
"""As few digits as it has, so that a whole number is told from a decimal without a fraction."""


def render(sql: str, values: Values = ()) -> str:
    """A statement of the shared SQL for Snowflake.

    Args:
        sql: One statement.
        values: What takes the place of `?`, `$1` or `$name`.

    Raises:
        ConfigError: A name in it is too long for Snowflake, or it cannot be told to Snowflake.
    """
    tree = parsed(sql, CAPABILITIES.engine).copy()
    with_native(tree, "snowflake")
    fill_in(tree, values)
    tree = changed(tree, _LISTS)
    make_portable(tree)
    return changed(tree, _FUNCTIONS, _TYPES, _NAMES).sql(dialect="snowflake", comments=False)


def _rows_of(array: exp.Array, alias: str) -> exp.Expr:
    """A query of the members of a list, of which there may be many thousands."""
    text = exp.Literal.string(json.dumps(texts(array)))
    rows = exp.Anonymous(
        this="FLATTEN",
        expressions=[exp.Kwarg(this=exp.var("INPUT"), expression=exp.func("PARSE_JSON", text))],
    )
    table = exp.Anonymous(this="TABLE", expressions=[rows])
    value = exp.cast(exp.column("VALUE"), "varchar")
    if any(isinstance(one, exp.Cast) for one in array):
        value = exp.cast(value, "date")
    return exp.select(value.as_(alias)).from_(table)


def _any(node: exp.Any) -> None:
    """`x = ANY(list)`, of a list that is told."""
    equals, array = node.parent, members(node.this)
    if not isinstance(equals, exp.EQ) or array is None:
        return
    if not array.expressions:
        equals.replace(exp.false())
        return
    rows = _rows_of(array, "value")
    equals.replace(exp.In(this=equals.this.copy(), query=exp.Subquery(this=rows)))


def _unnest(node: exp.Unnest | exp.Explode) -> None:
    """`SELECT unnest(list)`, of a list that is told."""
    select, array = node.find_ancestor(exp.Select), members(argument(node))
    if select is None or array is None or len(select.expressions) != 1 or select.args.get("from_"):
        return
    alias = select.expressions[0].alias or "value"
    select.replace(_rows_of(array, alias))


def _contains_all(node: exp.ArrayContainsAll) -> None:
    """Whether a list has no other members than those told."""
    known = exp.Anonymous(this="ARRAY_CONSTRUCT", expressions=node.this.expressions)
    others = exp.Anonymous(this="ARRAY_EXCEPT", expressions=[node.expression.copy(), known])
    node.replace(exp.EQ(this=exp.func("ARRAY_SIZE", others), expression=exp.Literal.number(0)))


def _array(node: exp.Array) -> None:
    """A list as a value of a row."""
    text = exp.Literal.string(json.dumps(texts(node)))
    node.replace(exp.cast(exp.func("PARSE_JSON", text), exp.DataType(this=exp.DType.ARRAY)))


def _values(node: exp.Insert) -> None:
    """`VALUES` takes constants alone, and no list."""
    rows = node.expression
    if isinstance(rows, exp.Values) and len(rows.expressions) == 1:
        node.set("expression", exp.select(*rows.expressions[0].expressions))


def _filter(node: exp.Filter) -> None:
    """What is counted or summed of some rows alone."""
    function, condition = node.this, node.expression.this
    if isinstance(function, exp.Count) and isinstance(function.this, exp.Star):
        # Not COUNT_IF, of which not all that speak this SQL say 0 where there is no row.
        one = exp.If(this=condition, true=exp.Literal.number(1), false=exp.null())
        node.replace(exp.Count(this=one))


def _division(node: exp.Div) -> None:
    """Numbers are divided as floating-point numbers are: else a few digits would be cut off."""
    node.set("this", exp.cast(node.this, "double", copy=False))


def _of_doubles(node: exp.Median | exp.PercentileCont | exp.Quantile) -> None:
    node.set("this", exp.cast(node.this, "double", copy=False))


def _matched(node: exp.RegexpLike) -> None:
    """A pattern is found anywhere in a text, which in Snowflake it has to be all of."""
    around = exp.Literal.string(r"[\s\S]*")
    if node.expression.is_string:
        node.set("expression", exp.Literal.string(rf"[\s\S]*({node.expression.name})[\s\S]*"))
    else:
        node.set("expression", exp.func("CONCAT", around, node.expression, around.copy()))


def _cast(node: exp.Cast) -> None:
    """There is no end of time but the last day that there is; and a whole row is an object."""
    if node.this.is_string and node.this.name.lower() == "infinity":
        node.set("this", exp.Literal.string(_END_OF_TIME))
    elif isinstance(node.this, exp.Column) and not node.this.table and _is_row(node):
        node.set("this", exp.Anonymous(this="OBJECT_CONSTRUCT", expressions=[exp.Star()]))


def _is_row(node: exp.Cast) -> bool:
    """Whether what is cast has the name of the table that is read."""
    select = node.find_ancestor(exp.Select)
    source = select.args.get("from_") if select else None
    return source is not None and source.alias_or_name == node.this.name


def _function(node: exp.Anonymous) -> None:
    """Functions that Snowflake calls otherwise, or has not."""
    name = node.name.lower()
    if name == "now":
        node.replace(exp.CurrentTimestamp())
    elif name == "error":
        # What is constant would be worked out, and raise, at once; what is random is not.
        nothing = exp.Left(this=exp.cast(exp.Rand(), "text"), expression=exp.Literal.number(0))
        before, _, after = node.expressions[0].name.partition("$")  # which begins a variable
        said = exp.func("CONCAT", *map(exp.Literal.string, (before, "$", after)), nothing)
        node.replace(exp.cast(said, "date"))


def _type(node: exp.DataType) -> None:
    kind = node.this
    if kind is exp.DType.ARRAY:
        node.replace(exp.DataType(this=exp.DType.ARRAY))
    elif getattr(kind, "name", "") in _WHOLE:
        node.replace(exp.DataType.build(_WHOLE[kind.name], dialect="snowflake"))
    elif kind is exp.DType.DECIMAL and [p.name for p in node.expressions] == ["19", "0"]:
        node.replace(exp.DataType.build("NUMBER(20, 0)", dialect="snowflake"))


def _identifier(node: exp.Identifier) -> None:
    node.set("this", kept(node.this))
    node.set("quoted", True)


def _named(name: str) -> exp.Identifier:
    return exp.to_identifier(kept(name), quoted=True)


def _table(node: exp.Table) -> None:
    if node.db.lower() == TEMPORARY:
        if not node.alias and isinstance(node.parent, exp.From | exp.Join):
            node.set("alias", exp.TableAlias(this=_named(node.name)))
        node.set("this", _named(SCRATCH + node.name))
        node.set("db", _named(HOME))


def _create(node: exp.Create) -> None:
    """A view is never away, and stays readable to those who may read it."""
    if node.kind == "VIEW":
        node.set("replace", True)
        grants = exp.CopyGrantsProperty()
        node.set("properties", exp.Properties(expressions=[grants]))


_LISTS: Changes = {
    exp.Insert: _values,
    exp.Any: _any,
    exp.Unnest: _unnest,
    exp.Explode: _unnest,
    exp.ArrayContainsAll: _contains_all,
}

_FUNCTIONS: Changes = {
    exp.Array: _array,
    exp.Filter: _filter,
    exp.Div: _division,
    exp.Median: _of_doubles,
    exp.PercentileCont: _of_doubles,
    **dict.fromkeys((exp.GT, exp.LT, exp.GTE, exp.LTE), compare_by_column),
    exp.Cast: _cast,
    exp.RegexpLike: _matched,
    exp.Anonymous: _function,
    exp.Create: _create,
}

_TYPES: Changes = {exp.DataType: _type}

_NAMES: Changes = {exp.Table: _table, exp.Identifier: _identifier}
