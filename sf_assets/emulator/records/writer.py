"""Changing records from Python: one call a change, whatever transaction it is made in."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from sf_assets.emulator.records.tables import Row
from sf_assets.emulator.records.transaction import Transaction
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.store import quoted

_T = TypeVar("_T")


class Writer(ABC):
    """Creates, changes and removes records in the name of the org.

    Fields that users cannot set may be set, everything else is checked as it is for them.

    Args:
        schema: All objects.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    @abstractmethod
    def run(self, work: Callable[[Transaction], _T], user_id: str | None = None) -> _T:
        """Do something in a transaction that no other writer comes between."""

    @abstractmethod
    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a small statement, as this writer sees them."""

    def insert(
        self, object_name: str, values: Mapping[str, Any], user_id: str | None = None
    ) -> str:
        """Create a record.

        Returns:
            Its Id.

        Raises:
            ApiError: If it is refused.
        """
        outcome = self.run(lambda t: t.insert(object_name, [values], system=True)[0], user_id)
        return str(outcome.accepted().id)

    def update(self, object_name: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change a record.

        Raises:
            ApiError: If the change is refused.
        """
        self.update_all(object_name, [record_id], values)

    def set(self, object_name: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change a record as the platform does without a stamp: a job's progress, a roll-up.

        Raises:
            ApiError: If a value is refused.
        """
        self.update_all(object_name, [record_id], values, unstamped=True)

    def update_all(
        self,
        object_name: str,
        record_ids: Sequence[str],
        values: Mapping[str, Any],
        *,
        unstamped: bool = False,
    ) -> None:
        """Give many records the same values, with one stamp or with none.

        Raises:
            ApiError: If the change of one of them is refused; then none is made.
        """
        rows = [{**values, "Id": key} for key in record_ids]

        def work(transaction: Transaction) -> None:
            outcomes = transaction.update(object_name, rows, system=True, unstamped=unstamped)
            for outcome in outcomes:
                outcome.accepted()

        self.run(work)

    def delete(self, object_name: str, record_id: str) -> None:
        """Put a record into the recycle bin.

        Raises:
            ApiError: If it may not be deleted.
        """
        self.run(lambda t: t.delete(object_name, [record_id])[0].accepted())

    def undelete(self, object_name: str, record_id: str) -> None:
        """Take a record out of the recycle bin.

        Raises:
            ApiError: If it is not there.
        """
        self.run(lambda t: t.undelete(object_name, [record_id]))

    def purge(self, object_name: str, record_id: str) -> None:
        """Remove a record for good, deleted before or not."""
        self.run(lambda t: t.purge(object_name, [record_id]))

    def merge(self, object_name: str, master_id: str, loser_id: str) -> None:
        """Merge a record into another.

        Raises:
            ApiError: If one of them is not there.
        """
        self.run(lambda t: t.merge(object_name, master_id, loser_id))

    def sample(self, object_name: str, where_sql: str | None, rng: Random) -> Row | None:
        """A random live record.

        Args:
            object_name: Its object.
            where_sql: Condition on its stored columns, as SQL; None for any record.
            rng: Chooses; the same state chooses the same record.

        Returns:
            Its stored values, None if there is none.
        """
        body = self._live(object_name, where_sql)
        count = self.select(f"SELECT count(*) AS n {body}")[0]["n"] if body else 0
        if not count:
            return None
        place = rng.randrange(count)
        rows = self.select(f"SELECT * {body} ORDER BY rowid LIMIT 1 OFFSET {place}")
        return rows[0] if rows else None

    def sample_ids(
        self, object_name: str, where_sql: str | None, rng: Random, count: int
    ) -> list[str]:
        """Ids of several live records, neighbours of each other; fewer if there are not so many.

        Args:
            object_name: Their object.
            where_sql: Condition on their stored columns, as SQL; None for any records.
            rng: Chooses where they begin.
            count: How many.
        """
        body = self._live(object_name, where_sql)
        found = self.select(f"SELECT count(*) AS n {body}")[0]["n"] if body else 0
        first = rng.randrange(max(1, found - count + 1))
        if not found:
            return []
        rows = self.select(f'SELECT "Id" {body} ORDER BY rowid LIMIT {count} OFFSET {first}')
        return [row["Id"] for row in rows]

    def _live(self, object_name: str, where_sql: str | None) -> str | None:
        """FROM and WHERE of an object's live records; None if it has none that are stored."""
        sobject = self.schema.get(object_name)
        if sobject is None or sobject.generated is not None:
            return None
        conditions = [f"({where_sql})"] if where_sql else []
        if sobject.field("IsDeleted") is not None:
            conditions.append('"IsDeleted" IS NOT TRUE')
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"FROM {quoted(sobject.name)} {where}"
