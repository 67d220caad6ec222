"""A query that is understood: what to select, from where, in which order, as pieces of SQL."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from sf_assets.emulator.soql.scope import Column, Scope

# Without ORDER BY an org answers in no order to rely on: large tables are read in chunks of Id
# ranges, in parallel. Here chunks come in a fixed, scrambled order.
LARGEST_CHUNK = 245_760
_CHUNKS = 8
_PARAMETER = re.compile(r"\$(soql_\d+)\b")
_STRIDE = 40_503
_MODULUS = 65_521


@dataclass(frozen=True)
class Output:
    """One selected value.

    Attributes:
        path: Names under which it appears: relationships, then the field or alias.
        type: Salesforce type, which decides how it is written.
        sql: Expression for the value; empty for compound fields and subqueries.
        column: The field it shows, if it is one.
        children: Plan of a subquery.
    """

    path: tuple[str, ...]
    type: str
    sql: str
    column: Column | None = None
    children: "Plan | None" = None


@dataclass(frozen=True)
class Plan:
    """A compiled query.

    Attributes:
        kind: Records, the bare `COUNT()`, or aggregate results.
        scope: The tables it reads.
        outputs: What it selects.
        filters: Conditions that all hold.
        filter_from: FROM clause with only the joins that the filters need.
        group: Expressions to group by; `having` filters the groups.
        order: ORDER BY keys.
        limit: Most rows to return.
        offset: Rows to skip.
        parameters: Values to bind, by name; subqueries share them.
        parent_key: Of a subquery, the child's reference to its parent.
        filtered_by: Fields, lower-cased, that are held by `=` or IN against values.
    """

    kind: Literal["rows", "count", "aggregate"]
    scope: Scope
    outputs: tuple[Output, ...]
    filters: tuple[str, ...]
    filter_from: str
    group: tuple[str, ...]
    having: str | None
    order: tuple[str, ...]
    limit: int | None
    offset: int | None
    parameters: dict[str, Any]
    parent_key: str = ""
    filtered_by: frozenset[str] = frozenset()

    @property
    def object_name(self) -> str:
        """Name of the object after FROM."""
        return self.scope.sobject.name

    @property
    def chunked(self) -> bool:
        """Whether it can be read in chunks of Id ranges."""
        return self.kind == "rows" and not self.order and self.limit is None and self.offset is None

    def bound(self, sql: str) -> dict[str, Any]:
        """The values that a statement made of this plan uses; it must be given no others."""
        used = set(_PARAMETER.findall(sql))
        return {name: value for name, value in self.parameters.items() if name in used}

    def body(self, *more_filters: str) -> str:
        """FROM, WHERE, GROUP BY and HAVING."""
        parts = [f"FROM {self.scope.from_sql()}", _where((*self.filters, *more_filters))]
        if self.group:
            parts.append(f"GROUP BY {', '.join(self.group)}")
        if self.having:
            parts.append(f"HAVING {self.having}")
        return " ".join(p for p in parts if p)

    def bounds(self) -> str:
        """LIMIT and OFFSET."""
        limit = "" if self.limit is None else f" LIMIT {self.limit}"
        return limit + ("" if self.offset is None else f" OFFSET {self.offset}")

    def count_sql(self, *more_filters: str) -> str:
        """Statement that counts the rows of the result."""
        if self.kind == "aggregate":
            return f"SELECT count(*) FROM (SELECT count(*) {self.body()}{self.bounds()})"
        body = f"FROM {self.filter_from} {_where((*self.filters, *more_filters))}"
        if not self.bounds():
            return f"SELECT count(*) {body}"
        return f"SELECT count(*) FROM (SELECT 1 {body}{self.bounds()})"

    def looked_at_sql(self) -> str:
        """Statement that counts the rows that the query has to look at."""
        if self.kind == "rows" and not self.order:
            return self.count_sql()
        return f"SELECT count(*) FROM {self.filter_from} {_where(self.filters)}"

    def order_sql(self, chunk_rows: int) -> str:
        """ORDER BY, or the scrambled order of a query that asks for none."""
        is_computed = self.scope.sobject.generated is not None
        if not self.order and (self.kind == "aggregate" or is_computed):
            return ""
        alias = self.scope.root.alias
        keys = self.order or (chunk_key(f"({alias}.rowid // {chunk_rows})"), f"{alias}.rowid")
        return f" ORDER BY {', '.join(keys)}"


def chunk_rows(table_rows: int) -> int:
    """Rows in a chunk of a table: several chunks even in small tables."""
    return max(1, min(LARGEST_CHUNK, -(-table_rows // _CHUNKS)))


def chunk_key(number: str) -> str:
    """SQL that says when a chunk of that number comes."""
    # The rows of an open transaction have numbers so large that their product would overflow.
    return f"(({number} + 1) % {_MODULUS} * {_STRIDE} % {_MODULUS})"


def chunk_order(count: int) -> list[int]:
    """Numbers of the chunks of a table in the order in which they come."""
    return sorted(range(count), key=lambda number: (number + 1) * _STRIDE % _MODULUS)


def _where(filters: tuple[str, ...]) -> str:
    return f"WHERE {' AND '.join(filters)}" if filters else ""
