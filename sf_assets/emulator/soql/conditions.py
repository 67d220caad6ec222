"""WHERE and HAVING as SQL.

SOQL knows two truth values: a comparison with null is false, `!=` and NOT IN hold for nulls. SQL
agrees as long as no negation stands above, so only below a NOT is null made false.
"""

from collections.abc import Callable
from datetime import datetime, time

from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.dates import span
from sf_assets.emulator.soql.functions import aggregate, date_part, is_aggregate, typed_column
from sf_assets.emulator.soql.lexer import like_pattern, unescape
from sf_assets.emulator.soql.scope import Scope
from sf_assets.emulator.soql.values import Parameters, Typed, literal, mismatch

_NULL_TESTS = {"=": "IS NULL", "!=": "IS NOT NULL"}
SubqueryCompiler = Callable[[nodes.Query, "Typed"], str]


class Conditions:
    """Translates the conditions of one query.

    Args:
        scope: What names mean.
        parameters: Receives the values to bind.
        subquery: Compiles the query on the right of a semi-join to SQL.
        grouped: Whether aggregates are allowed, as they are in HAVING.
    """

    def __init__(
        self,
        scope: Scope,
        parameters: Parameters,
        subquery: SubqueryCompiler,
        *,
        grouped: bool = False,
    ) -> None:
        self._scope = scope
        self._source = scope.source
        self._parameters = parameters
        self._subquery = subquery
        self._grouped = grouped

    def sql(self, condition: nodes.Condition, *, negated: bool = False) -> str:
        """A condition as an SQL expression.

        Args:
            condition: The tree.
            negated: Whether a NOT stands somewhere above it.
        """
        match condition:
            case nodes.Junction():
                parts = [self.sql(c, negated=negated) for c in condition.conditions]
                return f"({f' {condition.word} '.join(parts)})"
            case nodes.Not():
                return f"(NOT {self.sql(condition.condition, negated=True)})"
            case nodes.Comparison():
                sql = self._comparison(condition)
                return f"coalesce({sql}, false)" if negated else sql

    def _comparison(self, comparison: nodes.Comparison) -> str:
        left = self._left(comparison.left)
        right = comparison.right
        operator = comparison.operator
        if isinstance(right, nodes.Query):
            inner = self._subquery(right, left)
            found = f"{left.sql} IN ({inner})"
            return f"(NOT coalesce({found}, false))" if operator == "NOT IN" else f"({found})"
        if operator in ("INCLUDES", "EXCLUDES"):
            return self._multipicklist(left, comparison)
        if isinstance(right, tuple):
            return self._in(left, right, excluded=operator == "NOT IN")
        if operator == "LIKE":
            return self._like(left, right)
        if isinstance(right, nodes.DateFormula):
            return self._span(left, operator, right)
        return self._simple(left, operator, right)

    def _left(self, expression: nodes.Expression) -> Typed:
        if is_aggregate(expression) and isinstance(expression, nodes.Call):
            if not self._grouped:
                message = "Aggregate functions are not allowed in the WHERE clause"
                raise self._source.malformed(message, expression.position)
            return aggregate(self._scope, expression)
        if isinstance(expression, nodes.Call):
            typed = date_part(self._scope, expression)
            if typed is None:
                message = f"unexpected token: '{expression.name}'"
                raise self._source.malformed(message, expression.position)
            return typed
        column = self._scope.column(expression)
        if not column.field.document["filterable"] or not column.sql:
            message = f"field '{column.field.name}' can not be filtered in a query call"
            raise self._source.error("INVALID_FIELD", message, expression.position)
        return typed_column(column)

    def _simple(self, left: Typed, operator: str, value: nodes.Value) -> str:
        if left.type in ("boolean", "multipicklist") and operator not in _NULL_TESTS:
            raise self._bad_operator(left, value.position)
        if left.type == "multipicklist" and self._choices(left, value):
            return self._same_choices(left, operator, value)
        bound = literal(left, value, self._source, self._parameters)
        if bound is None:
            if operator not in _NULL_TESTS:
                raise self._bad_operator(left, value.position)
            return f"({left.sql} {_NULL_TESTS[operator]})"
        if operator == "!=":
            return f"({left.folded} IS DISTINCT FROM {bound})"
        return f"({left.folded} {operator} {bound})"

    def _bad_operator(self, left: Typed, position: int) -> Exception:
        kind = "ID" if left.is_id else left.type
        message = f"invalid operator on {kind.lower()} field"
        return self._source.error("INVALID_QUERY_FILTER_OPERATOR", message, position)

    def _in(self, left: Typed, values: tuple[nodes.Value, ...], *, excluded: bool) -> str:
        bound = []
        tests = []
        for value in values:
            if isinstance(value, nodes.DateFormula):
                tests.append(self._span(left, "=", value))
            elif (sql := literal(left, value, self._source, self._parameters)) is None:
                tests.append(f"{left.sql} IS NULL")
            else:
                bound.append(sql)
        if bound:
            tests.append(f"{left.folded} IN ({', '.join(bound)})")
        found = f"({' OR '.join(tests)})"
        return f"(NOT coalesce({found}, false))" if excluded else found

    def _like(self, left: Typed, value: nodes.Value) -> str:
        if not left.is_text or left.type == "multipicklist":
            raise self._bad_operator(left, value.position)
        if not isinstance(value, nodes.StringLiteral):
            raise mismatch(left, self._source, value.position, " and should be enclosed in quotes")
        pattern = self._parameters.add(like_pattern(value.raw, self._source, value.position))
        word = "LIKE" if left.exact else "ILIKE"
        return f"({left.sql} {word} {pattern} ESCAPE '\\')"

    def _span(self, left: Typed, operator: str, formula: nodes.DateFormula) -> str:
        """A comparison with days: inside, before or after the span."""
        if left.type not in ("date", "datetime"):
            raise mismatch(left, self._source, formula.position)
        first_day, end_day = span(formula.name, formula.count, self._scope.now.date())
        first, end = first_day, end_day
        if left.type == "datetime":
            first = datetime.combine(first_day, time())
            end = datetime.combine(end_day, time())
        if operator in ("=", "!="):
            lower, upper = self._parameters.add(first), self._parameters.add(end)
            inside = f"({left.sql} >= {lower} AND {left.sql} < {upper})"
            return inside if operator == "=" else f"(NOT coalesce({inside}, false))"
        word, bound = {
            "<": ("<", first),
            "<=": ("<", end),
            ">": (">=", end),
            ">=": (">=", first),
        }[operator]
        return f"({left.sql} {word} {self._parameters.add(bound)})"

    def _choices(self, left: Typed, value: nodes.Value) -> list[str]:
        """Choices in a multi-picklist literal, `'A;B'`; none in null and in the empty string."""
        if isinstance(value, nodes.NullLiteral):
            return []
        if not isinstance(value, nodes.StringLiteral):
            raise mismatch(left, self._source, value.position, " and should be enclosed in quotes")
        text = unescape(value.raw, self._source, value.position)
        return sorted(text.split(";")) if text else []

    def _multipicklist(self, left: Typed, comparison: nodes.Comparison) -> str:
        """INCLUDES and EXCLUDES: one of the lists is wholly chosen, or none of them."""
        if left.type != "multipicklist" or not isinstance(comparison.right, tuple):
            raise self._bad_operator(left, comparison.position)
        tests = []
        for value in comparison.right:
            if choices := self._choices(left, value):
                chosen = f"string_split({left.sql}, ';')"
                tests.append(f"list_has_all({chosen}, {self._parameters.add(choices)})")
            else:
                tests.append(f"({left.sql} IS NULL)")
        found = f"({' OR '.join(tests)})"
        return found if comparison.operator == "INCLUDES" else f"(NOT coalesce({found}, false))"

    def _same_choices(self, left: Typed, operator: str, value: nodes.Value) -> str:
        """`=` and `!=` of a multi-picklist, whatever the order of the choices."""
        bound = self._parameters.add(self._choices(left, value))
        equal = f"(list_sort(string_split({left.sql}, ';')) = {bound})"
        return equal if operator == "=" else f"(NOT coalesce({equal}, false))"
