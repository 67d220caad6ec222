"""SOQL text to tree, by recursive descent."""

from typing import Literal, cast

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.expressions import ExpressionParser
from sf_assets.emulator.soql.lexer import Kind
from sf_assets.emulator.soql.source import Source

_CLAUSES = (
    "WHERE", "WITH", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FOR", "ALL", "UPDATE", "USING",
)  # fmt: skip
_LONGEST = 100_000


def parse(text: str) -> nodes.Query:
    """The tree of a query.

    Raises:
        ApiError: MALFORMED_QUERY, pointing at the place.
    """
    if not text.strip():
        raise ApiError(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
    if len(text) > _LONGEST:
        raise ApiError(400, "QUERY_TOO_COMPLICATED", "SOQL statement is too long.")
    parser = Parser(Source(text))
    query = parser.query()
    if parser.token.kind is not Kind.END:
        raise parser.unexpected()
    return query


class Parser(ExpressionParser):
    """The clauses of a query."""

    def query(self) -> nodes.Query:
        """`SELECT … FROM …` with whatever follows, up to what cannot belong to it."""
        self.expect_word("SELECT")
        select = self._select_list()
        self.expect_word("FROM")
        start = self.name()
        return nodes.Query(
            select=select,
            object_name=start.text,
            alias=self._from_alias(),
            where=self.condition() if self.accept_word("WHERE") else None,
            security_enforced=self._security_enforced(),
            group_by=(grouped := self._group_by()),
            having=self.condition() if grouped and self.accept_word("HAVING") else None,
            order_by=self._order_by(),
            limit=self.integer() if self.accept_word("LIMIT") else None,
            offset=self.integer() if self.accept_word("OFFSET") else None,
            all_rows=self._tail(),
            position=start.position,
        )

    def _select_list(self) -> tuple[nodes.Selected | nodes.TypeOf, ...]:
        items = [self._selected()]
        while self.accept_symbol(","):
            items.append(self._selected())
        return tuple(items)

    def _selected(self) -> nodes.Selected | nodes.TypeOf:
        if self.accept_symbol("("):
            query = self.query()
            self.expect_symbol(")")
            return nodes.Selected(query)
        if self.token.is_word("TYPEOF") and self.following.kind is Kind.NAME:
            return self._type_of()
        what = self.expression()
        alias = None
        if self.token.kind is Kind.NAME and not self.token.is_word("FROM"):
            if not (self.following.is_symbol(",") or self.following.is_word("FROM")):
                raise self.unexpected()
            alias = self.take().text
        return nodes.Selected(what, alias)

    def _type_of(self) -> nodes.TypeOf:
        position = self.take().position
        path = self.expression()
        if not isinstance(path, nodes.FieldRef):
            raise self.unexpected()
        while not self.accept_word("END"):
            if self.token.kind is Kind.END:
                raise self.unexpected()
            self.take()
        return nodes.TypeOf(path, position)

    def _from_alias(self) -> str | None:
        if self.accept_word("AS"):
            return self.name().text
        if self.token.kind is Kind.NAME and not self.token.is_word(*_CLAUSES):
            return self.take().text
        return None

    def _security_enforced(self) -> bool:
        if not self.accept_word("WITH"):
            return False
        self.expect_word("SECURITY_ENFORCED")
        return True

    def _group_by(self) -> tuple[nodes.Expression, ...]:
        if not self.accept_word("GROUP"):
            return ()
        self.expect_word("BY")
        keys = [self.expression()]
        while self.accept_symbol(","):
            keys.append(self.expression())
        return tuple(keys)

    def _order_by(self) -> tuple[nodes.Order, ...]:
        if not self.accept_word("ORDER"):
            return ()
        self.expect_word("BY")
        keys = [self._order()]
        while self.accept_symbol(","):
            keys.append(self._order())
        return tuple(keys)

    def _order(self) -> nodes.Order:
        what = self.expression()
        descending = False
        if self.token.is_word("ASC", "DESC"):
            descending = self.take().is_word("DESC")
        nulls_last = self.accept_word("NULLS") and self.expect_word("FIRST", "LAST").is_word("LAST")
        return nodes.Order(what, descending, nulls_last)

    def _tail(self) -> bool:
        """What only marks rows as seen or locked, which changes nothing here; then ALL ROWS."""
        while self.accept_word("FOR"):
            self.expect_word("VIEW", "REFERENCE", "UPDATE")
        if not self.accept_word("ALL"):
            return False
        self.expect_word("ROWS")
        return True

    def condition(self) -> nodes.Condition:
        """Conditions joined by one word; Salesforce wants parentheses round a mixture."""
        first = self._term()
        if not self.token.is_word("AND", "OR"):
            return first
        word = self.token.text.upper()
        conditions = [first]
        while self.accept_word(word):
            conditions.append(self._term())
        if self.token.is_word("AND", "OR"):
            raise self.unexpected()
        return nodes.Junction(cast("Literal['AND', 'OR']", word), tuple(conditions))

    def _term(self) -> nodes.Condition:
        if self.accept_word("NOT"):
            return nodes.Not(self._term())
        if self.accept_symbol("("):
            condition = self.condition()
            self.expect_symbol(")")
            return condition
        return self._comparison()

    def _comparison(self) -> nodes.Comparison:
        position = self.token.position
        left = self.expression()
        operator = self._operator()
        if operator in ("IN", "NOT IN", "INCLUDES", "EXCLUDES"):
            return nodes.Comparison(left, operator, self._list(operator), position)
        return nodes.Comparison(left, operator, self.value(), position)

    def _operator(self) -> nodes.Operator:
        token = self.take()
        if token.is_symbol("=", "!=", "<>", "<", "<=", ">", ">="):
            return cast("nodes.Operator", token.text.replace("<>", "!="))
        if token.is_word("LIKE", "IN", "INCLUDES", "EXCLUDES"):
            return cast("nodes.Operator", token.text.upper())
        if token.is_word("NOT"):
            self.expect_word("IN")
            return "NOT IN"
        raise self.unexpected(token)

    def _list(self, operator: nodes.Operator) -> "tuple[nodes.Value, ...] | nodes.Query":
        self.expect_symbol("(")
        right: tuple[nodes.Value, ...] | nodes.Query
        if self.token.is_word("SELECT") and operator in ("IN", "NOT IN"):
            right = self.query()
        else:
            values = [self.value()]
            while self.accept_symbol(","):
                values.append(self.value())
            right = tuple(values)
        self.expect_symbol(")")
        return right
