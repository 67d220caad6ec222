"""A transaction that stays open: what it wrote is stamped, but nobody sees it yet."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from sf_assets.emulator.records.tables import Row
from sf_assets.emulator.records.transaction import Transaction
from sf_assets.emulator.records.writer import Writer
from sf_assets.emulator.schema import Schema

_T = TypeVar("_T")


class Held(Writer):
    """Changes that become visible together, when they are committed.

        held = records.hold()
        held.insert("Account", {"Name": "Late"})
        …
        held.commit()

    Args:
        schema: All objects.
        transaction: Newly begun.
        due: When the org commits it by itself; None for never.
    """

    def __init__(self, schema: Schema, transaction: Transaction, due: datetime | None) -> None:
        super().__init__(schema)
        self.due = due
        self._transaction = transaction

    @property
    def is_open(self) -> bool:
        """Whether it can still be committed: a clash with another transaction undoes it."""
        return self._transaction.is_open

    def run(self, work: Callable[[Transaction], _T], user_id: str | None = None) -> _T:
        """Do something in the open transaction; the user is the one who began it."""
        del user_id
        return work(self._transaction)

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows as the open transaction sees them."""
        return self._transaction.tables.select(sql, parameters)

    def commit(self) -> None:
        """Make everything visible, with the stamps of when it was written.

        Raises:
            ApiError: UNABLE_TO_LOCK_ROW when another transaction was faster.
        """
        self._transaction.commit()

    def rollback(self) -> None:
        """Undo everything."""
        self._transaction.rollback()
