"""What everybody has who changes records: the org, dice, and a memory of what was deleted."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from random import Random
from typing import Any, Protocol

from sf_assets.emulator.world.drafts import Drafts, Record

_REMEMBERED = 50


class Changes(Protocol):
    """What the org lets its users do. It checks what it is given, sets stamps and writes history.

    Conditions are SQL over the columns that the org stores.
    """

    def insert(
        self, object_name: str, values: Mapping[str, Any], user_id: str | None = None
    ) -> str:
        """Create a record; its Id."""

    def update(self, object_name: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change a record."""

    def delete(self, object_name: str, record_id: str) -> None:
        """Put a record into the recycle bin."""

    def undelete(self, object_name: str, record_id: str) -> None:
        """Take a record out of the recycle bin."""

    def merge(self, object_name: str, master_id: str, loser_id: str) -> None:
        """Merge a record into another."""

    def sample(self, object_name: str, where_sql: str | None, rng: Random) -> Record | None:
        """A random live record, or None if there is none."""

    def update_all(
        self, object_name: str, record_ids: Sequence[str], values: Mapping[str, Any]
    ) -> None:
        """Give many records the same values, with one stamp."""

    def purge(self, object_name: str, record_id: str) -> None:
        """Remove a record for good."""

    def sample_ids(
        self, object_name: str, where_sql: str | None, rng: Random, count: int
    ) -> list[str]:
        """Ids of several live records."""


class HeldChanges(Changes, Protocol):
    """Changes in a transaction that stays open."""

    def rollback(self) -> None:
        """Undo everything."""


class RecordWriter(Changes, Protocol):
    """The org: changes that are seen at once, or held back for a while."""

    def hold(self, seconds: float) -> HeldChanges:
        """Begin a transaction that `commit_due` commits when so many seconds have passed."""

    def commit_due(self) -> None:
        """Commit what was held long enough."""


class Actor:
    """Somebody who changes records.

    Args:
        org: Where.
        rng: Chooses.
    """

    def __init__(self, org: Changes, rng: Random) -> None:
        self._org = org
        self._rng = rng
        self._draft = Drafts(rng)
        self._deleted: list[tuple[str, str]] = []

    def _delete(self, name: str, record: Record | None) -> bool:
        """Deletes a record, if there is one, and remembers it."""
        if record is not None:
            self._org.delete(name, record["Id"])
            self._deleted = [*self._deleted, (name, record["Id"])][-_REMEMBERED:]
        return record is not None

    def _take_deleted(self) -> tuple[str, str] | None:
        """Object and Id of a record deleted before; it is not remembered any longer."""
        if not self._deleted:
            return None
        return self._deleted.pop(self._rng.randrange(len(self._deleted)))

    def _merge(self, name: str, master: Record | None, loser: Record | None) -> bool:
        """Merges one record into another, if there are both."""
        if master is None or loser is None:
            return False
        self._org.merge(name, master["Id"], loser["Id"])
        return True

    def _update(self, name: str, condition: str | None, change: Record) -> bool:
        """Changes a random record, if there is one."""
        record = self._some(name, condition)
        if record is not None:
            self._org.update(name, record["Id"], change)
        return record is not None

    def _some(self, name: str, condition: str | None = None) -> Record | None:
        return self._org.sample(name, condition, self._rng)

    def _today(self) -> date:
        """The org's day: that of its latest change, for its clock may not be this machine's."""
        latest = '"SystemModstamp" = (SELECT max("SystemModstamp") FROM "Opportunity")'
        record = self._some("Opportunity", latest)
        stamp: datetime = record["SystemModstamp"] if record else datetime.now(UTC)
        return stamp.date()

    def _user(self) -> str | None:
        user = self._some("User", '"IsActive"')
        return user["Id"] if user else None

    def _chance(self, probability: float) -> bool:
        return self._rng.random() < probability
