"""Redshift's SQL as PostgreSQL takes it, and what Redshift refuses though PostgreSQL would not.

What it refuses is listed once, by what AWS says: its Database Developer Guide, pages "Unsupported
PostgreSQL features", "… data types" and "… functions", "Correlated subqueries", and those of the
statements themselves.
"""

import re
from collections.abc import Callable, Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

SET_UP = """
CREATE DOMAIN super AS jsonb;
CREATE FUNCTION json_parse(told text) RETURNS super LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT told::jsonb $$;
CREATE FUNCTION json_serialize(list super) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN list IS NULL THEN 'null' WHEN jsonb_typeof(list) <> 'array' THEN
        list::text ELSE '[' || coalesce((SELECT string_agg(one::text, ',' ORDER BY place)
        FROM jsonb_array_elements(list) WITH ORDINALITY AS e(one, place)), '') || ']' END $$;
CREATE FUNCTION array_concat(one super, other super) RETURNS super LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT (one || other)::super $$;
CREATE FUNCTION get_array_length(list super) RETURNS int LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT jsonb_array_length(list) $$;
CREATE FUNCTION fnv_hash(value anyelement) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT hashtextextended(value::text, 0) $$;
CREATE FUNCTION sha2(told text, bits int) RETURNS text LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT encode(sha256(convert_to(told, 'UTF8')), 'hex') $$;
CREATE FUNCTION datediff(part text, since timestamptz, until timestamptz) RETURNS bigint
    LANGUAGE sql STABLE STRICT AS $$ SELECT CASE part
        WHEN 'day' THEN date_trunc('day', until)::date - date_trunc('day', since)::date
        ELSE (extract(epoch FROM date_trunc(part, until) - date_trunc(part, since))
            / extract(epoch FROM ('1 ' || part)::interval))::bigint END $$;
"""
"""What of Redshift a database of PostgreSQL is given."""

_UNPARSED = ("BEGIN", "COMMIT", "ROLLBACK", "SET", "LOCK", "FETCH", "CLOSE", "SHOW")
_CURSOR = re.compile(r"(DECLARE \w+ CURSOR FOR )(.*)", re.DOTALL)
_VACUUM = re.compile(r"VACUUM DELETE ONLY (.*) TO 100 PERCENT")
_MOST_FETCHED = 1000


class RefusedError(Exception):
    """What Redshift does not take."""


def translated(sql: str, *, within: bool) -> str:
    """A statement of Redshift's as PostgreSQL takes it.

    Args:
        sql: The statement.
        within: Whether it is in a transaction.

    Raises:
        RefusedError: Redshift refuses it.
    """
    if (told := _as_it_is(sql, within=within)) is not None:
        return told
    if match := _CURSOR.fullmatch(sql):
        return match[1] + translated(match[2], within=within)
    try:
        tree = sqlglot.parse_one(sql, dialect="redshift")
    except SqlglotError:
        raise RefusedError("syntax") from None
    for table in list(tree.find_all(exp.Table)):
        _as_list(table)
    for node in tree.walk():
        for kind, refuse in _REFUSED:
            if isinstance(node, kind) and (why := refuse(node)):
                raise RefusedError(why)
    if isinstance(tree, exp.Alter) and within and tree.find(exp.AlterColumn):
        raise RefusedError("ALTER COLUMN in a transaction")
    return _told(tree)


def _as_it_is(sql: str, *, within: bool) -> str | None:
    """A statement that is about no rows; None where it is about some."""
    word = sql.split(maxsplit=1)[0].upper()
    if word == "FETCH" and int(sql.split()[2]) > _MOST_FETCHED:
        raise RefusedError("FETCH of more than 1,000 rows, where there is one node")
    if word in {"TRUNCATE", "VACUUM"} and within:
        raise RefusedError(f"{word} in a transaction: it would be committed")
    if match := _VACUUM.fullmatch(sql):
        return f"VACUUM {match[1]}"
    return sql if word in _UNPARSED else None


def _told(tree: exp.Expr) -> str:
    for node in list(tree.walk()):
        if change := _CHANGES.get(type(node)):
            change(node)
    return tree.sql(dialect="postgres")


def _always(why: str) -> Callable[[exp.Expr], str]:
    return lambda _: why


def _is_array(node: exp.Expr) -> str:
    return "arrays" if node.this is exp.DType.ARRAY else ""


def _function(node: exp.Expr) -> str:
    return f"{node.name}()" if node.name.lower() in _FUNCTIONS else ""


_FUNCTIONS = frozenset(
    {"now", "generate_series", "array_agg", "string_agg", "unnest", "array_to_string",
     "pg_try_advisory_lock", "pg_advisory_lock", "col_description", "pg_my_temp_schema",
     "clock_timestamp", "transaction_timestamp", "hashtext", "hashtextextended", "format",
     "ctid", "regexp_matches", "jsonb_array_elements"}
)  # fmt: skip
"""Unsupported PostgreSQL functions; `now` is to be had on the leader node alone."""


def _rows(node: exp.Expr) -> str:
    """Row constructors; a list of them is what `VALUES` and `IN` have."""
    inside = isinstance(node.parent, exp.Values | exp.In | exp.Schema)
    asked = isinstance(node.parent, exp.In) and node.parent.args.get("query")
    return "" if inside and not asked else "row constructors"


def _values(node: exp.Expr) -> str:
    return "" if isinstance(node.parent, exp.Insert) else "VALUES as a table"


def _column(node: exp.Expr) -> str:
    return "system columns" if node.name.lower() in {"ctid", "xmin", "xmax"} else ""


def _whole_row(node: exp.Expr) -> str:
    """A cast of what has the name of a table that is read."""
    select, what = node.find_ancestor(exp.Select), node.this
    source = select.args.get("from_") if select else None
    if not isinstance(what, exp.Column) or what.table or source is None:
        return ""
    named = source.alias_or_name == what.name and isinstance(source.this, exp.Table)
    return "a whole row as a value" if named else ""


def _create(node: exp.Expr) -> str:
    if node.args.get("kind") == "INDEX":
        return "indexes"
    if node.find(exp.PartitionedByProperty, exp.CollateColumnConstraint):
        return "partitions and collations"
    return ""


def _with(node: exp.Expr) -> str:
    if any(cte.args.get("materialized") is not None for cte in node.expressions):
        return "MATERIALIZED queries"
    if node.args.get("recursive") and not all(
        cte.args["alias"].columns for cte in node.expressions
    ):
        return "a recursive query without names of its columns"
    return "WITH in a query of WITH" if node.find_ancestor(exp.CTE) else ""


def _select(node: exp.Expr) -> str:
    source = node.args.get("from_")
    if node.args.get("distinct") and node.args["distinct"].args.get("on"):
        return "DISTINCT ON"
    if node.args.get("qualify") and source and not source.this.alias:
        return "QUALIFY after a relation without an alias"
    return _sorted_aggregates(node) or _correlated(node)


def _sorted_aggregates(node: exp.Expr) -> str:
    """Aggregates that sort must all sort by the same."""
    orders = set()
    for one in node.find_all(exp.Median, exp.WithinGroup):
        if one.find_ancestor(exp.Select) is node:
            by = one.this if isinstance(one, exp.Median) else one.expression.expressions[0].this
            orders.add(by.sql())
    return "aggregates that sort by different values" if len(orders) > 1 else ""


def _correlated(node: exp.Expr) -> str:
    """Subqueries that Redshift cannot make joins of."""
    outer = _outer(node)
    if outer is None:
        return ""
    own, theirs = _sources(node), _sources(outer)
    for column in node.find_all(exp.Column):
        if column.find_ancestor(exp.Select) is not node or not column.table:
            continue
        if column.table in own or column.table in _sources_of_withs(node):
            continue
        if column.table not in theirs:
            return "a correlation that skips a query"
        holder = column.find_ancestor(exp.Predicate)
        unnests = column.find_ancestor(exp.Unnest)
        if not unnests and not isinstance(holder, exp.EQ):
            return "a correlation that is no equality"
        if any(one.find_ancestor(exp.Select) is node for one in node.find_all(exp.Window)):
            return "a correlation into a query with window functions"
    return ""


def _outer(node: exp.Expr) -> exp.Expr | None:
    """The query in whose conditions or columns a query is; None where it is a source, or none."""
    place = node.parent
    while place is not None and not isinstance(place, exp.Select | exp.Delete | exp.Update):
        if isinstance(place, exp.From | exp.Join | exp.CTE | exp.Create | exp.Insert):
            return None
        place = place.parent
    return place


def _sources(node: exp.Expr) -> set[str]:
    if isinstance(node, exp.Delete | exp.Update):
        return {node.this.alias_or_name, *(t.alias_or_name for t in _from(node))}
    return {source.alias_or_name for source in _from(node)}


def _from(node: exp.Expr) -> Iterator[exp.Expr]:
    if source := node.args.get("from_"):
        yield source.this
    for join in node.args.get("joins") or ():
        yield join.this


def _sources_of_withs(node: exp.Expr) -> set[str]:
    return {cte.alias for cte in node.find_all(exp.CTE)}


_REFUSED: list[tuple[type[exp.Expr], Callable[[exp.Expr], str]]] = [
    (exp.DataType, _is_array),
    (exp.Any, _always("ANY of an array")),
    (exp.ArrayContainsAll, _always("operators of arrays")),
    (exp.NullSafeEQ, _always("IS NOT DISTINCT FROM")),
    (exp.NullSafeNEQ, _always("IS DISTINCT FROM")),
    (exp.Filter, _always("FILTER")),
    (exp.OnConflict, _always("ON CONFLICT")),
    (exp.Lateral, _always("LATERAL")),
    (exp.GenerateSeries, _always("GENERATE_SERIES()")),
    (exp.Anonymous, _function),
    (exp.Tuple, _rows),
    (exp.Values, _values),
    (exp.Column, _column),
    (exp.Cast, _whole_row),
    (exp.Create, _create),
    (exp.With, _with),
    (exp.Select, _select),
]


def _type(node: exp.DataType) -> None:
    """Texts have 256 bytes unless it is told how many; as values as many as they have."""
    if node.this not in {exp.DType.VARCHAR, exp.DType.TEXT}:
        return
    size = node.expressions[0].name if node.expressions else ""
    if isinstance(node.parent, exp.ColumnDef):
        size = {"": "256", "MAX": "65535"}.get(size, size)
    elif size == "MAX":
        size = ""
    node.set("this", exp.DType.VARCHAR)
    node.set("expressions", [exp.DataTypeParam(this=exp.Literal.number(size))] if size else [])


def _as_list(table: exp.Table) -> None:
    """Tell a list of an outer query's row, `FROM t.list AS one`, from a table."""
    query = table.find_ancestor(exp.Select)
    outer = _outer(query) if query else None
    if table.db and outer is not None and table.db in _sources(outer):
        column = exp.column(table.this.copy(), table=table.args["db"].copy())
        name = exp.TableAlias(columns=[table.args["alias"].this.copy()])
        table.replace(exp.Unnest(expressions=[column], alias=name))


def _unnested(node: exp.Unnest) -> None:
    """`FROM t, t.list AS one`: texts of a list's members."""
    (name,) = node.args["alias"].columns
    for column in node.find_ancestor(exp.Select).find_all(exp.Column):  # type: ignore[union-attr]
        if column.name == name.name and not column.table:
            column.set("table", exp.to_identifier("_of_list"))
    rows = exp.Anonymous(this="jsonb_array_elements_text", expressions=node.expressions)
    alias = exp.TableAlias(this=exp.to_identifier("_of_list"), columns=[name.copy()])
    node.replace(exp.Table(this=rows, alias=alias))


def _created(node: exp.Create) -> None:
    kept = [
        one
        for one in (node.args["properties"].expressions if node.args.get("properties") else ())
        if not isinstance(one, exp.DistKeyProperty | exp.SortKeyProperty)
    ]
    node.set("properties", exp.Properties(expressions=kept) if kept else None)


def _differs(node: exp.TsOrDsDiff | exp.DateDiff) -> None:
    part = exp.Literal.string(node.args["unit"].name.lower())
    sides = [exp.cast(one.copy(), "timestamptz") for one in (node.expression, node.this)]
    node.replace(exp.Anonymous(this="datediff", expressions=[part, *sides]))


def _now(node: exp.CurrentTimestamp) -> None:
    if not node.args.get("sysdate"):
        raise RefusedError("CURRENT_TIMESTAMP, which the leader node has alone")
    node.replace(sqlglot.parse_one("(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')", dialect="postgres"))


def _called(name: str) -> Callable[[exp.Expr], None]:
    def change(node: exp.Expr) -> None:
        told = [node.this, node.args.get("length")]
        node.replace(exp.Anonymous(this=name, expressions=[one for one in told if one]))

    return change


_CHANGES: dict[type[exp.Expr], Callable[..., None]] = {
    exp.DataType: _type,
    exp.Unnest: _unnested,
    exp.Create: _created,
    exp.TsOrDsDiff: _differs,
    exp.DateDiff: _differs,
    exp.CurrentTimestamp: _now,
    exp.ParseJSON: _called("json_parse"),
    exp.SHA2: _called("sha2"),
}
