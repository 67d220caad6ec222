"""Statements whose one column is the finished text of each row: a JSON record or a CSV line.

The database writes the text: joining values in Python would cost ten times as much.
"""

from dataclasses import dataclass, field

from sf_assets.emulator.soql.plan import Output, Plan
from sf_assets.emulator.text_sql import csv_cell, json_value, text_literal

# Stands round `subquery number | parent Id` where the link to further children will be; a control
# character cannot occur in JSON text.
LINK = "\x01"


@dataclass
class _Inner:
    """The values of one level, each computed once and then known by a short name."""

    columns: list[str] = field(default_factory=list)

    def add(self, sql: str) -> str:
        """Name for an expression."""
        name = f"c{len(self.columns)}"
        self.columns.append(f"{sql} AS {name}")
        return name

    def select(self) -> str:
        """The SELECT clause."""
        return f"SELECT {', '.join(self.columns) or '1'}"


@dataclass
class _Node:
    """A record or a parent in it: its fields and further parents, in order of appearance."""

    path: tuple[str, ...] = ()
    fields: "list[tuple[str, Output | _Node]]" = field(default_factory=list)

    def put(self, output: Output, depth: int = 0) -> None:
        """Add a selected value at its place."""
        name = output.path[depth]
        if depth == len(output.path) - 1:
            self.fields.append((name, output))
            return
        for known, child in self.fields:
            if known == name and isinstance(child, _Node):
                child.put(output, depth + 1)
                return
        child = _Node(output.path[: depth + 1])
        self.fields.append((name, child))
        child.put(output, depth + 1)


class JsonRows:
    """Writes the statement for a query's records as JSON text.

    Args:
        base: `/services/data/v66.0`, which begins the records' addresses.
        batch: Most children of one record to write out; the rest gets a link.
    """

    def __init__(self, base: str, batch: int) -> None:
        self._base = base
        self._batch = batch

    def statement(self, plan: Plan, chunk_rows: int, *more_filters: str) -> str:
        """SQL that yields one column, `record`."""
        inner = _Inner()
        text = self._record(plan, inner)
        order = plan.order_sql(chunk_rows)
        body = f"{inner.select()} {plan.body(*more_filters)}{order}{plan.bounds()}"
        return f"SELECT {text} AS record FROM ({body})"

    def keyed_statement(self, plan: Plan) -> str:
        """SQL that yields the Id of each record, and its text."""
        inner = _Inner()
        key = inner.add(f'{plan.scope.root.alias}."Id"')
        text = self._record(plan, inner)
        return f"SELECT {key}, {text} FROM ({inner.select()} {plan.body()})"

    def _record(self, plan: Plan, inner: _Inner) -> str:
        root = _Node()
        for output in plan.outputs:
            root.put(output)
        if plan.kind == "aggregate":
            parts = [text_literal('{"attributes":{"type":"AggregateResult"}')]
        else:
            key = inner.add(f'{plan.scope.root.alias}."Id"')
            parts = self._attributes(plan.object_name, text_literal(plan.object_name), key)
        return self._object(plan, inner, root, parts)

    def _attributes(self, kind: str, object_sql: str, key: str) -> list[str]:
        before = f'{{"attributes":{{"type":"{kind}","url":"{self._base}/sobjects/'
        return [text_literal(before), object_sql, "'/'", key, "'\"}'"]

    def _object(self, plan: Plan, inner: _Inner, node: _Node, parts: list[str]) -> str:
        children = 0
        for name, value in node.fields:
            parts.append(text_literal(f',"{name}":'))
            if isinstance(value, _Node):
                parts.append(self._parent(plan, inner, value))
            elif value.children is not None:
                parts.append(self._children(plan, inner, value.children, children))
                children += 1
            else:
                parts.append(self._value(plan, inner, value))
        return f"concat({', '.join(parts)}, '}}')"

    def _parent(self, plan: Plan, inner: _Inner, node: _Node) -> str:
        table = plan.scope.parent_table(node.path)
        key = inner.add(f'{table.alias}."Id"')
        kind = text_literal(table.entity)
        if table.polymorphic:
            kind = inner.add(f'{table.alias}."_object"')
        parts = self._attributes(table.entity, kind, key)
        return f"if({key} IS NULL, 'null', {self._object(plan, inner, node, parts)})"

    def _value(self, plan: Plan, inner: _Inner, output: Output) -> str:
        if output.column is not None and output.column.parts:
            return self._compound(inner, output)
        if output.type == "base64" and output.column is not None:
            return self._blob(plan, inner, output)
        return json_value(output.type, inner.add(output.sql or "NULL"))

    def _compound(self, inner: _Inner, output: Output) -> str:
        parts = output.column.parts if output.column else ()
        named = [(key, part.field.type, inner.add(part.sql)) for key, part in parts]
        empty = f"coalesce({', '.join(f'CAST({name} AS VARCHAR)' for _, _, name in named)}) IS NULL"
        pairs = ", ',', ".join(
            text_literal(f'"{key}":') + ", " + json_value(kind, name) for key, kind, name in named
        )
        return f"if({empty}, 'null', concat('{{', {pairs}, '}}'))"

    def _blob(self, plan: Plan, inner: _Inner, output: Output) -> str:
        """The address of the bytes, not the bytes."""
        table = plan.scope.parent_table(output.path[:-1])
        name = inner.add(f'if({output.sql} IS NULL, NULL, {table.alias}."Id")')
        before = text_literal(f'"{self._base}/sobjects/{table.entity}/')
        after = text_literal(f'/{output.path[-1]}"')
        return f"if({name} IS NULL, 'null', concat({before}, {name}, {after}))"

    def _children(self, plan: Plan, inner: _Inner, child: Plan, number: int) -> str:
        """The children of each record as one text; null where there are none."""
        own = _Inner()
        text = self._record(child, own)
        key = own.add(child.parent_key)
        order = ", ".join(child.order) or f"{child.scope.root.alias}.rowid"
        place = own.add(f"row_number() OVER (PARTITION BY {child.parent_key} ORDER BY {order})")
        first, last = _bounds(child)
        kept = f"{place} > {first}" + ("" if last is None else f" AND {place} <= {last}")
        page = first + self._batch
        link = f"chr({ord(LINK)})"
        more = f"concat('false,\"nextRecordsUrl\":', {link}, '{number}|', {key}, {link})"
        listed = (
            f"concat('{{\"totalSize\":', count(*), ',\"done\":',"
            f" if(count(*) > {self._batch}, {more}, 'true'), ',\"records\":[',"
            f" string_agg({text}, ',' ORDER BY {place}) FILTER ({place} <= {page}), ']}}')"
        )
        rows = f"{own.select()} {child.body(f'{child.parent_key} IS NOT NULL')}"
        grouped = f"SELECT {key} AS k, {listed} AS listed FROM ({rows}) WHERE {kept} GROUP BY {key}"
        found = f'(SELECT g.listed FROM ({grouped}) AS g WHERE g.k = {plan.scope.root.alias}."Id")'
        return f"coalesce({inner.add(found)}, 'null')"


def _bounds(child: Plan) -> tuple[int, int | None]:
    """OFFSET and LIMIT of a subquery as places among the children of one record."""
    first = child.offset or 0
    return first, None if child.limit is None else first + child.limit


def csv_statement(
    plan: Plan, delimiter: str, line_end: str, chunk_rows: int, *more_filters: str
) -> str:
    """SQL that yields one column, `record`: CSV lines with every value quoted, line ends included.

    Null and the empty string are both `""`.
    """
    inner = _Inner()
    cells = [csv_cell(output.type, inner.add(output.sql)) for output in plan.outputs]
    between = text_literal(f'"{delimiter}"')
    text = f"concat('\"', {f', {between}, '.join(cells)}, {_line_end(line_end)})"
    order = "" if more_filters else plan.order_sql(chunk_rows)
    body = f"{inner.select()} {plan.body(*more_filters)}{order}{plan.bounds()}"
    return f"SELECT {text} AS record FROM ({body})"


def _line_end(line_end: str) -> str:
    """The closing quote and the end of the line."""
    return ", ".join(("'\"'", *(f"chr({ord(c)})" for c in line_end)))
