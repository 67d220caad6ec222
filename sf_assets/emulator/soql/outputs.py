"""The SELECT list, GROUP BY and ORDER BY of a query."""

from collections.abc import Callable, Iterator
from typing import Literal

from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.functions import (
    aggregate,
    date_part,
    field_argument,
    formatted,
    is_aggregate,
    label,
    typed_column,
)
from sf_assets.emulator.soql.plan import Output
from sf_assets.emulator.soql.scope import Column, Scope
from sf_assets.emulator.soql.values import Typed

_FIELDS_LIMIT = 200


class Selector:
    """Resolves what one query selects, groups and sorts by."""

    def __init__(self, scope: Scope, query: nodes.Query) -> None:
        self._scope = scope
        self._source = scope.source
        self._query = query
        self._unnamed = 0
        self._aliases: dict[str, nodes.Expression] = {}

    @property
    def kind(self) -> Literal["rows", "count", "aggregate"]:
        """What the query answers with."""
        items = [i for i in self._query.select if isinstance(i, nodes.Selected)]
        bare = [i for i in items if i.what == nodes.Call("COUNT")]
        if bare and len(self._query.select) == 1 and not bare[0].alias and not self._query.group_by:
            return "count"
        sums = any(
            isinstance(i.what, nodes.FieldRef | nodes.Call) and is_aggregate(i.what) for i in items
        )
        return "aggregate" if sums or self._query.group_by else "rows"

    def outputs(self, children: Callable[[nodes.Query], Output]) -> tuple[Output, ...]:
        """Everything selected, in order.

        Args:
            children: Compiles a subquery.
        """
        if self.kind == "count":
            return (Output(("count",), "int", "count(*)"),)
        found: list[Output] = []
        for item in self._query.select:
            found.extend(self._output(item, children))
        self._refuse_doubles(found)
        return tuple(found)

    def group(self) -> tuple[str, ...]:
        """GROUP BY keys."""
        return tuple(self._group_key(e) for e in self._query.group_by)

    def order(self) -> tuple[str, ...]:
        """ORDER BY keys; text sorts without regard to case."""
        keys = []
        for order in self._query.order_by:
            typed = self._order_key(order.what)
            direction = "DESC" if order.descending else "ASC"
            nulls = "LAST" if order.nulls_last else "FIRST"
            keys.append(f"{typed.folded} {direction} NULLS {nulls}")
            if typed.folded != typed.sql and self.kind == "rows":
                keys.append(f"{typed.sql} {direction}")
        return tuple(keys)

    def _output(
        self, item: nodes.Selected | nodes.TypeOf, children: Callable[[nodes.Query], Output]
    ) -> Iterator[Output]:
        if isinstance(item, nodes.TypeOf):
            message = "TYPEOF is not supported in this org"
            raise self._source.malformed(message, item.position)
        if isinstance(item.what, nodes.Query):
            yield children(item.what)
        elif isinstance(item.what, nodes.FieldRef):
            yield self._field(item.what, item.alias)
        elif item.what.name == "FIELDS":
            yield from self._fields(item.what)
        else:
            yield self._call(item.what, item.alias)

    def _field(self, reference: nodes.FieldRef, alias: str | None) -> Output:
        column = self._scope.column(reference)
        if self.kind == "aggregate":
            if column.sql not in self.group():
                message = f"Field must be grouped or aggregated: {column.field.name}"
                raise self._source.malformed(message, reference.position)
            self._remember(alias, reference)
            # A grouped column is named by its field alone, without the parents.
            return Output((alias or column.field.name,), column.field.type, column.sql, column)
        if alias:
            message = "only aggregate expressions use field aliasing"
            raise self._source.malformed(message, reference.position)
        return Output(column.path, column.field.type, column.sql, column)

    def _call(self, call: nodes.Call, alias: str | None) -> Output:
        if call.name in ("TOLABEL", "FORMAT") and self.kind == "rows":
            return self._shown(call, alias)
        typed = aggregate(self._scope, call) if is_aggregate(call) else self._grouped_part(call)
        if alias is None:
            alias = f"expr{self._unnamed}"
            self._unnamed += 1
        self._remember(alias, call)
        return Output((alias,), typed.type, typed.sql)

    def _grouped_part(self, call: nodes.Call) -> Typed:
        typed = date_part(self._scope, call)
        if typed is None or typed.sql not in self.group():
            raise self._source.malformed(f"unexpected token: '{call.name}'", call.position)
        return typed

    def _shown(self, call: nodes.Call, alias: str | None) -> Output:
        """`toLabel(Status)` and `FORMAT(Amount)`: text in place of the value."""
        column = field_argument(self._scope, call)
        show = label if call.name == "TOLABEL" else formatted
        if not column.sql:
            message = f"Invalid arguments for function {call.name}"
            raise self._source.malformed(message, call.position)
        path = (*column.path[:-1], alias or column.path[-1])
        return Output(path, "string", show(column.field, column.sql), column)

    def _fields(self, call: nodes.Call) -> Iterator[Output]:
        """`FIELDS(ALL)`, `FIELDS(STANDARD)`, `FIELDS(CUSTOM)`."""
        argument = call.arguments[0] if len(call.arguments) == 1 else None
        group = argument.path[0].upper() if isinstance(argument, nodes.FieldRef) else ""
        if group not in ("ALL", "STANDARD", "CUSTOM"):
            raise self._source.malformed("Invalid argument of FIELDS()", call.position)
        limit = self._query.limit
        if group != "STANDARD" and (limit is None or limit > _FIELDS_LIMIT):
            message = "The SOQL FIELDS function must have a LIMIT of at most 200"
            raise self._source.malformed(message, call.position)
        for field in self._scope.sobject.fields.values():
            if group == "ALL" or field.document["custom"] == (group == "CUSTOM"):
                yield self._field(nodes.FieldRef((field.name,), call.position), None)

    def _remember(self, alias: str | None, expression: nodes.Expression) -> None:
        if alias:
            if alias.lower() in self._aliases:
                raise self._source.malformed(f"duplicate alias: {alias}", expression.position)
            self._aliases[alias.lower()] = expression

    def _refuse_doubles(self, outputs: list[Output]) -> None:
        seen = set()
        for output in outputs:
            if output.path in seen:
                name = ".".join(output.path)
                message = f"duplicate field selected: {name}"
                raise self._source.malformed(message, self._query.position)
            seen.add(output.path)

    def _group_key(self, expression: nodes.Expression) -> str:
        if isinstance(expression, nodes.Call):
            typed = date_part(self._scope, expression)
            if typed is None:
                message = f"unexpected token: '{expression.name}'"
                raise self._source.malformed(message, expression.position)
            return typed.sql
        column = self._scope.column(expression)
        self._require("grouped", "groupable", column, expression)
        return column.sql

    def _order_key(self, expression: nodes.Expression) -> Typed:
        if isinstance(expression, nodes.FieldRef) and len(expression.path) == 1:
            expression = self._aliases.get(expression.path[0].lower(), expression)
        if isinstance(expression, nodes.Call):
            if is_aggregate(expression):
                return aggregate(self._scope, expression)
            typed = date_part(self._scope, expression)
        else:
            column = self._scope.column(expression)
            self._require("sorted", "sortable", column, expression)
            typed = typed_column(column)
        if typed is None or (self.kind == "aggregate" and typed.sql not in self.group()):
            message = "Ordered field must be grouped or aggregated"
            raise self._source.malformed(message, expression.position)
        return typed

    def _require(
        self, word: str, attribute: str, column: Column, expression: nodes.Expression
    ) -> None:
        if not column.sql or not column.field.document.get(attribute, True):
            message = f"field '{column.field.name}' can not be {word} in a query call"
            raise self._source.error("INVALID_FIELD", message, expression.position)
