"""A transaction: statements that become visible together."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import duckdb

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.records import rules
from sf_assets.emulator.records.defaults import set_defaults
from sf_assets.emulator.records.removal import Removal
from sf_assets.emulator.records.tables import Row, Tables
from sf_assets.emulator.records.validation import Validation, long_id
from sf_assets.emulator.schema import Schema, SObject

_CREATION = ("CreatedDate", "CreatedById")
_CHANGE = ("LastModifiedDate", "LastModifiedById", "SystemModstamp")


@dataclass(frozen=True)
class Outcome:
    """What became of one record."""

    id: str | None = None
    error: ApiError | None = None
    created: bool = False

    def accepted(self) -> "Outcome":
        """This outcome.

        Raises:
            ApiError: If the record was refused.
        """
        if self.error is not None:
            raise self.error
        return self

    def document(self) -> dict[str, Any]:
        """As the API answers it for one record among several."""
        if self.error is None:
            return {"id": self.id, "success": True, "errors": []}
        return {"success": False, "errors": [self.error.row()]}


class Transaction:
    """Statements on one connection; nothing is seen outside before the commit.

    A statement stamps what it writes with the time at which it runs, however long the commit waits.

    Args:
        schema: All objects.
        connection: Of its own.
        lock: Held while a statement runs, so that checks and writes of two do not mix.
        next_id: Makes new record Ids.
        now: The org's clock, or a fixed stamp.
        user_id: Who writes.

    Attributes:
        is_open: Whether it can still be committed.
    """

    def __init__(
        self,
        schema: Schema,
        connection: duckdb.DuckDBPyConnection,
        lock: threading.RLock,
        *,
        next_id: Callable[[str], str],
        now: Callable[[], datetime],
        user_id: str,
    ) -> None:
        self._schema = schema
        self.connection = connection
        self._lock = lock
        self._user_id = user_id
        self._clock = now
        self.next_id = next_id
        self.now = self._stamp()
        self.tables = Tables(connection)
        self._removal = Removal(schema, self.tables)
        self.is_open = True
        connection.execute("BEGIN").fetchall()

    def insert(
        self, object_name: str, rows: Sequence[Mapping[str, Any]], *, system: bool = False
    ) -> list[Outcome]:
        """Create records.

        Args:
            object_name: Their object.
            rows: Values by field name.
            system: Whether fields may be set that users cannot set.

        Returns:
            What became of each; those that are in order are created even if others are not.
        """
        with self._statement():
            sobject = self._object(object_name)
            if not (system or sobject.document["createable"]):
                raise _not_supported("inserted", sobject)
            validation = self._validation(sobject, system=system)
            drafts = [validation.creation(row) for row in rows]
            validation.check(drafts)
            self._create(sobject, [d.values for d in drafts if d.error is None])
            return [
                Outcome(error=d.error) if d.error else Outcome(d.record_id, created=True)
                for d in drafts
            ]

    def update(
        self,
        object_name: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        system: bool = False,
        unstamped: bool = False,
    ) -> list[Outcome]:
        """Change records; each row has an `Id` and what changes.

        Args:
            object_name: Their object.
            rows: Values by field name.
            system: Whether fields may be set that users cannot set.
            unstamped: Whether it is a change that moves no stamp and has no consequences.
        """
        with self._statement():
            sobject = self._object(object_name)
            if not (system or sobject.document["updateable"]):
                raise _not_supported("updated", sobject)
            validation = self._validation(sobject, system=system)
            drafts = [validation.change(row) for row in rows]
            present = validation.locate(drafts)
            validation.check(drafts)
            changes = [d.values for d in drafts if d.error is None]
            if unstamped:
                self.tables.update(sobject, [n for change in changes for n in change], changes)
            else:
                self._change(sobject, present, changes)
            return [
                Outcome(d.values.get("Id"), d.error) if d.error else Outcome(d.record_id)
                for d in drafts
            ]

    def delete(self, object_name: str, ids: Sequence[str]) -> list[Outcome]:
        """Put records into the recycle bin, with everything that is deleted along with them."""
        with self._statement():
            sobject = self._object(object_name)
            if not sobject.document["deletable"]:
                raise _not_supported("deleted", sobject)
            outcomes = self._removal.delete(sobject, [long_id(i) for i in ids], self._changed())
            gone = [o.id for o in outcomes if o.id is not None and o.error is None]
            rules.after(self, sobject.name, self.tables.rows(sobject, "Id", gone))
            return [Outcome(o.id, o.error) for o in outcomes]

    def undelete(self, object_name: str, ids: Sequence[str]) -> None:
        """Take records out of the recycle bin, with what was deleted along with them."""
        with self._statement():
            sobject = self._object(object_name)
            restored = [long_id(i) for i in ids]
            self._removal.undelete(sobject, restored, self._changed())
            rules.after(self, sobject.name, self.tables.rows(sobject, "Id", restored))

    def purge(self, object_name: str, ids: Sequence[str]) -> None:
        """Remove records for good, as emptying the recycle bin does."""
        with self._statement():
            self._removal.purge(self._object(object_name), [long_id(i) for i in ids], self.now)

    def merge(self, object_name: str, master_id: str, loser_id: str) -> None:
        """Merge a record into another, which takes over its children."""
        with self._statement():
            sobject = self._object(object_name)
            pair = (long_id(master_id), long_id(loser_id))
            self._removal.merge(sobject, *pair, self._changed())

    def commit(self) -> None:
        """Make everything visible.

        Raises:
            ApiError: UNABLE_TO_LOCK_ROW when another transaction was faster.
        """
        with self._lock:
            try:
                self.connection.execute("COMMIT").fetchall()
            except duckdb.TransactionException:  # which has undone everything
                raise _unable_to_lock() from None
            finally:
                self._close()

    def rollback(self) -> None:
        """Undo everything."""
        if self.is_open:
            self.connection.execute("ROLLBACK").fetchall()
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self.is_open:
            self.commit()
        else:
            self.rollback()

    def has(self, object_name: str) -> bool:
        """Whether the org has the object."""
        return self._schema.get(object_name) is not None

    def read(self, object_name: str, column: str, keys: Iterable[str]) -> list[Row]:
        """Whole rows whose column has one of the values."""
        return self.tables.rows(self._object(object_name), column, keys)

    def write(self, object_name: str, rows: list[Row]) -> None:
        """Change records in the name of the org; rows have their Id and what changes."""
        sobject = self._object(object_name)
        present = {r["Id"]: r for r in self.tables.rows(sobject, "Id", [r["Id"] for r in rows])}
        self._change(sobject, present, rows)

    def _create(self, sobject: SObject, rows: list[Row]) -> None:
        if not rows:
            return
        set_defaults(sobject, rows, self._user_id, self.tables)
        extras: list[rules.Extra] = []
        for row in rows:
            if "Id" not in row:
                row["Id"] = self.next_id(sobject.name)
            _name_after_id(sobject, row)
            extras += rules.before(self, sobject.name, None, row)
            stamps = self._created() | self._changed()
            row.update({n: v for n, v in stamps.items() if n not in row or n == "SystemModstamp"})
        self.tables.insert(sobject, rows)
        self._create_extras(extras)
        rules.after(self, sobject.name, rows)

    def _change(self, sobject: SObject, present: Mapping[str, Row], changes: list[Row]) -> None:
        columns: dict[str, None] = {}
        rows = []
        extras: list[rules.Extra] = []
        for change in changes:
            old = present[change["Id"]]
            row = {**old, **change}
            extras += rules.before(self, sobject.name, old, row)
            row |= self._changed()
            columns |= dict.fromkeys(n for n, v in row.items() if n in old and old[n] != v)
            rows.append(row)
        self.tables.update(sobject, columns, rows)
        self._create_extras(extras)
        rules.after(self, sobject.name, rows)

    def _create_extras(self, extras: list[rules.Extra]) -> None:
        for name in dict.fromkeys(name for name, _ in extras):
            self._create(self._object(name), [row for n, row in extras if n == name])

    def _validation(self, sobject: SObject, *, system: bool) -> Validation:
        return Validation(self._schema, sobject, self.tables, system=system)

    def _object(self, name: str) -> SObject:
        sobject = self._schema.get(name)
        if sobject is None:
            message = f"sObject type '{name}' is not supported."
            raise ApiError(400, "INVALID_TYPE", message)
        return sobject

    def _created(self) -> Row:
        return dict(zip(_CREATION, (self.now, self._user_id), strict=True))

    def _changed(self) -> Row:
        return dict(zip(_CHANGE, (self.now, self._user_id, self.now), strict=True))

    def _stamp(self) -> datetime:
        return self._clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)

    @contextmanager
    def _statement(self) -> Iterator[None]:
        """One statement: alone, stamped with the present; a clash undoes the transaction."""
        with self._lock:
            self.now = self._stamp()
            try:
                yield
            except duckdb.TransactionException:
                self.rollback()
                raise _unable_to_lock() from None

    def _close(self) -> None:
        self.is_open = False
        self.connection.close()


def _unable_to_lock() -> ApiError:
    message = "unable to obtain exclusive access to this record or 1 records"
    return ApiError(400, "UNABLE_TO_LOCK_ROW", message)


def _not_supported(verb: str, sobject: SObject) -> ApiError:
    message = f"entity type cannot be {verb}: {sobject.document['label']}"
    return ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)


def _name_after_id(sobject: SObject, row: Row) -> None:
    """A custom record that is given no name is named by its Id."""
    name = sobject.field("Name")
    if name is not None and name.stored and name.document["defaultedOnCreate"]:
        row["Name"] = row.get("Name") or row["Id"]
