"""The org's records for whoever changes them from Python: tests, and the life of the org."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.ids import HISTORY_PREFIX, INSTANCE, IdSequence
from sf_assets.emulator.records.open_transactions import Held
from sf_assets.emulator.records.tables import Row, Tables
from sf_assets.emulator.records.transaction import Transaction
from sf_assets.emulator.records.writer import Writer
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.store import Store, quoted

_BIN_DAYS = 15
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Records(Writer):
    """Creates, changes and removes records, each call in a transaction of its own.

    Args:
        schema: All objects.
        store: The records.
        clock: Source of stamps.
        user_id: Who writes, unless a call says otherwise.
    """

    def __init__(self, schema: Schema, store: Store, clock: Clock, user_id: str) -> None:
        super().__init__(schema)
        self._store = store
        self._clock = clock
        self._user_id = user_id
        self._sequences: dict[str, IdSequence] = {}
        self._held: list[Held] = []
        self._lock = threading.Lock()

    def empty_recycle_bin(self, older_than_days: float = _BIN_DAYS) -> int:
        """Purge what was deleted long enough ago; the number of records chosen."""
        now = self._clock.stamp().replace(tzinfo=None)
        total = 0
        for sobject in self.schema:
            has_bin = sobject.field("IsDeleted") and sobject.field("SystemModstamp")
            if not has_bin or sobject.generated is not None:
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
            self.schema,
            self._store.cursor(),
            self._store.writing,
            next_id=self.next_id,
            now=self._clock.now if stamp is None else lambda: stamp,
            user_id=user_id or self._user_id,
        )

    def hold(
        self,
        seconds: float | None = None,
        stamp: datetime | None = None,
        user_id: str | None = None,
    ) -> Held:
        """Begin a transaction that stays open until it is committed.

        Args:
            seconds: After which `commit_due` commits it, by the org's clock; None for never.
            stamp: Stamp of everything it writes; None for the time at which each statement runs.
            user_id: Who writes.
        """
        due = None if seconds is None else self._clock.now() + timedelta(seconds=seconds)
        held = Held(self.schema, self.transaction(stamp, user_id), due)
        with self._lock:
            self._held = [h for h in self._held if h.is_open] + [held]
        return held

    def commit_due(self) -> None:
        """Commit what was held long enough; what clashes with somebody else's change is undone."""
        now = self._clock.now()
        with self._lock:
            due = [h for h in self._held if h.due is not None and h.due <= now]
            self._held = [h for h in self._held if h not in due]
        for held in due:
            if held.is_open:
                try:
                    held.commit()
                except ApiError as error:
                    _log.info("a late commit was refused: %s", error)

    def close(self) -> None:
        """Undo what is still held."""
        with self._lock:
            held, self._held = self._held, []
        for one in held:
            one.rollback()

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a small statement: what is committed."""
        with self._store.cursor() as cursor:
            return Tables(cursor).select(sql, parameters)

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
        sobject = self.schema.get(object_name)
        prefix = (sobject.key_prefix if sobject else None) or HISTORY_PREFIX
        # Ids born elsewhere, in records that were loaded, are of other instances.
        rows = self._store.rows(
            f'SELECT max("Id") FROM {quoted(object_name)} WHERE starts_with("Id", $born)',
            {"born": f"{prefix}{INSTANCE}0"},
        )
        return IdSequence(prefix, rows[0][0])
