"""The org's records for whoever changes them from Python: tests, and the life of the org."""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Any, TypeVar

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.ids import HISTORY_PREFIX, INSTANCE, IdSequence
from sf_assets.emulator.records.tables import Row
from sf_assets.emulator.records.transaction import Transaction
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.store import Store, quoted

_BIN_DAYS = 15
_T = TypeVar("_T")


class Records:
    """Creates, changes and removes records, each call in a transaction of its own.

    What is written here is written in the name of the org: fields that users cannot set may be
    set, everything else is checked as it is for them.

    Args:
        schema: All objects.
        store: The records.
        clock: Source of stamps.
        user_id: Who writes, unless a call says otherwise.
    """

    def __init__(self, schema: Schema, store: Store, clock: Clock, user_id: str) -> None:
        self._schema = schema
        self._store = store
        self._clock = clock
        self._user_id = user_id
        self._sequences: dict[str, IdSequence] = {}
        self._lock = threading.Lock()

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
        row = {**values, "Id": record_id}
        self.run(lambda t: t.update(object_name, [row], system=True)[0]).accepted()

    def delete(self, object_name: str, record_id: str) -> None:
        """Put a record into the recycle bin.

        Raises:
            ApiError: If it may not be deleted.
        """
        self.run(lambda t: t.delete(object_name, [record_id])[0]).accepted()

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

    def empty_recycle_bin(self, older_than_days: float = _BIN_DAYS) -> int:
        """Purge what was deleted long enough ago; the number of records chosen."""
        now = self._clock.stamp().replace(tzinfo=None)
        total = 0
        for sobject in self._schema:
            if sobject.field("IsDeleted") is None or sobject.field("SystemModstamp") is None:
                continue
            rows = self._store.rows(
                f'SELECT "Id" FROM {quoted(sobject.name)} WHERE "IsDeleted" AND'
                ' "SystemModstamp" < $now - to_seconds($seconds)',
                {"now": now, "seconds": older_than_days * 86400.0},
            )
            ids = [row[0] for row in rows]
            self.run(lambda t, name=sobject.name, ids=ids: t.purge(name, ids))  # type: ignore[misc]
            total += len(ids)
        return total

    def sample(self, object_name: str, where_sql: str | None, rng: Random) -> Row | None:
        """A random live record.

        Args:
            object_name: Its object.
            where_sql: Condition on its stored columns, as SQL; None for any record.
            rng: Chooses; the same state chooses the same record.

        Returns:
            Its stored values, None if there is none.
        """
        sobject = self._schema.get(object_name)
        if sobject is None:
            return None
        conditions = [f"({where_sql})"] if where_sql else []
        if sobject.field("IsDeleted") is not None:
            conditions.append('"IsDeleted" IS NOT TRUE')
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        body = f"FROM {quoted(sobject.name)} {where}"
        count = self._store.rows(f"SELECT count(*) {body}")[0][0]
        if not count:
            return None
        with self._store.cursor() as cursor:
            place = rng.randrange(count)
            found = cursor.execute(f"SELECT * {body} ORDER BY rowid LIMIT 1 OFFSET {place}")
            names = [d[0] for d in found.description]
            rows = found.fetchall()
        return dict(zip(names, rows[0], strict=True)) if rows else None

    def transaction(self, stamp: datetime | None = None, user_id: str | None = None) -> Transaction:
        """A transaction to be held open as long as one likes.

            with records.transaction() as held:
                held.insert("Account", [{"Name": "Late"}], system=True)
                …  # the row is stamped, but nobody sees it yet

        Args:
            stamp: Stamp of everything it writes; None for the time at which each statement runs.
            user_id: Who writes.
        """
        return Transaction(
            self._schema,
            self._store.cursor(),
            self._store.writing,
            next_id=self.next_id,
            now=self._clock.now if stamp is None else lambda: stamp,
            user_id=user_id or self._user_id,
        )

    def run(self, work: Callable[[Transaction], _T], user_id: str | None = None) -> _T:
        """Do something in a transaction that no other writer comes between."""
        with self._store.writing, self.transaction(user_id=user_id) as transaction:
            return work(transaction)

    def next_id(self, object_name: str) -> str:
        """A new Id, after the highest in use."""
        with self._lock:
            sequence = self._sequences.get(object_name)
            if sequence is None:
                sequence = self._sequences[object_name] = self._sequence(object_name)
        return next(sequence)

    def _sequence(self, object_name: str) -> IdSequence:
        sobject = self._schema.get(object_name)
        prefix = (sobject.key_prefix if sobject else None) or HISTORY_PREFIX
        # Ids born elsewhere, in records that were loaded, are of other instances.
        rows = self._store.rows(
            f'SELECT max("Id") FROM {quoted(object_name)} WHERE starts_with("Id", $born)',
            {"born": f"{prefix}{INSTANCE}0"},
        )
        return IdSequence(prefix, rows[0][0])
