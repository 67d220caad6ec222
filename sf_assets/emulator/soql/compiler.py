"""From a query's tree to its plan: names are resolved, types and rules checked."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.schema import Schema, SObject
from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.conditions import Conditions
from sf_assets.emulator.soql.outputs import Selector
from sf_assets.emulator.soql.parser import parse
from sf_assets.emulator.soql.plan import Output, Plan
from sf_assets.emulator.soql.scope import Scope, require_object
from sf_assets.emulator.soql.source import Source
from sf_assets.emulator.soql.values import Parameters, Typed
from sf_assets.emulator.store import quoted

_LARGEST_OFFSET = 2000
_NO_CHILDREN = (
    "Didn't understand relationship '{name}' in FROM part of query call. If you are attempting to"
    " use a custom relationship, be sure to append the '__r' after the custom relationship name."
    " Please reference your WSDL or the describe call for the appropriate names."
)


def compile_query(schema: Schema, text: str, *, now: datetime, all_rows: bool = False) -> Plan:
    """Understand a query.

    Args:
        schema: All objects of the org.
        text: The SOQL.
        now: The org's present.
        all_rows: Whether deleted and archived rows are wanted, as `queryAll` wants them.

    Raises:
        ApiError: What Salesforce would answer to a query that it refuses.
    """
    try:
        query = parse(text)
        compiler = Compiler(schema, Source(text), now, all_rows=all_rows or query.all_rows)
        return compiler.plan(query)
    except RecursionError:
        message = (
            "Query is either selecting too many fields or the filter conditions are too"
            " complicated."
        )
        raise ApiError(400, "QUERY_TOO_COMPLICATED", message) from None


class Compiler:
    """Compiles a query and the queries inside it; all share the values to bind."""

    def __init__(self, schema: Schema, source: Source, now: datetime, *, all_rows: bool) -> None:
        self._schema = schema
        self._source = source
        self._now = now
        self._all_rows = all_rows
        self._parameters = Parameters()
        self._scopes = 0

    def plan(self, query: nodes.Query) -> Plan:
        """Plan of the outermost query."""
        sobject = require_object(self._schema, self._source, query.object_name, query.position)
        return self._plan(query, sobject)

    def _plan(self, query: nodes.Query, sobject: SObject, parent_field: str = "") -> Plan:
        scope = self._scope(query, sobject)
        conditions = self._conditions(scope)
        filters = self._visible(scope)
        parent_key = f"{scope.root.alias}.{quoted(parent_field)}" if parent_field else ""
        if query.where is not None:
            filters.append(conditions.sql(query.where))
        filter_from = scope.from_sql()
        selector = Selector(scope, query)
        outputs = selector.outputs(lambda child: self._children(child, sobject, parent_field))
        having = None
        if query.having is not None:
            grouped = Conditions(scope, self._parameters, self._semi_join, grouped=True)
            having = grouped.sql(query.having)
        if (query.offset or 0) > _LARGEST_OFFSET:
            message = f"Maximum SOQL offset allowed is {_LARGEST_OFFSET}"
            raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", message)
        return Plan(
            kind=selector.kind,
            scope=scope,
            outputs=outputs,
            filters=tuple(filters),
            filter_from=filter_from,
            group=selector.group(),
            having=having,
            order=selector.order(),
            limit=query.limit,
            offset=query.offset,
            parameters=self._parameters.values,
            parent_key=parent_key,
            filtered_by=frozenset(_held(query.where)),
        )

    def _scope(self, query: nodes.Query, sobject: SObject) -> Scope:
        prefix = f"t{self._scopes}"
        self._scopes += 1
        own_names = (sobject.name, *((query.alias,) if query.alias else ()))
        return Scope(
            self._schema, sobject, self._source, self._now, own_names=own_names, prefix=prefix
        )

    def _conditions(self, scope: Scope) -> Conditions:
        return Conditions(scope, self._parameters, self._semi_join)

    def _visible(self, scope: Scope) -> list[str]:
        """Conditions that hide deleted and archived rows."""
        if self._all_rows:
            return []
        flags = ["IsDeleted"]
        if scope.sobject.name in ("Task", "Event"):
            flags.append("IsArchived")
        columns = [scope.stored(flag) for flag in flags]
        return [f"({column} IS NOT TRUE)" for column in columns if column]

    def _children(self, query: nodes.Query, parent: SObject, parent_field: str) -> Output:
        """A subquery in the SELECT list: the children of each record.

        Args:
            query: The subquery.
            parent: Object of the query around it.
            parent_field: Set when that query is a subquery itself.
        """
        if parent_field:
            message = "A subquery may not have subqueries of its own in this org"
            raise self._source.malformed(message, query.position)
        wanted = query.object_name.lower()
        for relationship in parent.document["childRelationships"]:
            if (relationship["relationshipName"] or "").lower() == wanted:
                child = self._schema.get(relationship["childSObject"])
                if child is not None and child.field(relationship["field"]) is not None:
                    plan = self._plan(query, child, relationship["field"])
                    return Output((relationship["relationshipName"],), "children", "", None, plan)
        message = _NO_CHILDREN.format(name=query.object_name)
        raise self._source.error("INVALID_TYPE", message, query.position)

    def _semi_join(self, query: nodes.Query, left: Typed) -> str:
        """The right side of `IN (SELECT …)`: Ids, without nulls."""
        sobject = require_object(self._schema, self._source, query.object_name, query.position)
        plan = self._plan(dataclasses.replace(query, order_by=()), sobject)
        output = plan.outputs[0]
        if len(plan.outputs) != 1 or not output.sql or plan.kind != "rows":
            message = "The inner select of a semi join must select one field"
            raise self._source.malformed(message, query.position)
        if not left.is_id or output.type not in ("id", "reference"):
            message = (
                f"The left operand '{left.name}' and the inner select of a semi join must be of"
                " type ID"
            )
            raise self._source.malformed(message, query.position)
        not_null = f"{output.sql} IS NOT NULL"
        return f"SELECT {output.sql} {plan.body(not_null)}{plan.bounds()}"


def _held(condition: nodes.Condition | None) -> Iterator[str]:
    """Fields that a condition holds to given values, whatever else it says."""
    match condition:
        case nodes.Junction("AND", conditions):
            for part in conditions:
                yield from _held(part)
        case nodes.Comparison(nodes.FieldRef(path), "=" | "IN", right):
            if not isinstance(right, nodes.Query):
                yield ".".join(path).lower()
