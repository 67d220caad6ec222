"""What befalls an org beside its users' work: windows that are busy, stamps that go back, refusals.

And what befalls a raw: a describe is lost. Nothing here may make a difference in the end.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.records import Held
from sf_assets.emulator.server import Emulator

_TEXTS = {"Contact": "Department", "Lead": "Title", "Task": "Subject"}
"""What it befalls, with a field of each that takes any text."""

_OBJECTS = tuple(_TEXTS)
_FEW, _MANY = 8, 60
_MOST_ROWS = 40
_ALLOWED = 0.4


class Adversity:
    """Has something happen now and then.

    Args:
        org: The org.
        raw: Folder of the storage.
        dice: What happens.
        late: Seconds after its stamp at which the last version becomes visible.
    """

    def __init__(self, org: Emulator, raw: Path, dice: Random, late: int) -> None:
        self._org = org
        self._raw = raw
        self._dice = dice
        self._late = late
        self._kinds: Mapping[str, Callable[[str], object]] = {
            "a late commit in a busy window": self._late_in_a_busy_window,
            "a stamp that goes back": self._stamp_goes_back,
            "larger questions time out": self._timeouts,
            "larger questions are refused": self._too_large,
            "aggregates are refused": self._no_aggregates,
            "it is hidden": self._hide,
            "its describe is lost": self._lose_describe,
        }

    def step(self) -> str:
        """Have something happen; what. What the org refuses it does not refuse for long."""
        if self._dice.random() < _ALLOWED:
            self.end()
        kind, name = self._dice.choice(sorted(self._kinds)), self._dice.choice(_OBJECTS)
        try:
            self._kinds[kind](name)
        except ApiError as error:
            if error.code != "UNABLE_TO_LOCK_ROW":
                raise
            return f"{name}: {kind}, but for the records of an open transaction"
        return f"{name}: {kind}"

    def end(self) -> None:
        """Have the org refuse nothing any more."""
        for name in _OBJECTS:
            self._org.org.restrictions.restrict(name)
            self._org.admin.show_object(name)

    def purge(self, names: Iterable[str], *, oldest: bool = False) -> None:
        """Delete some records for good, of the object that has most left.

        Args:
            names: Of which objects.
            oldest: Whether those that raw has held for long, or the newest, as between raw and
                merge.
        """
        name = max(names, key=self._count)
        count = self._dice.randint(1, 3)
        for key in self._ids(name, count, "CreatedDate" if oldest else "CreatedDate DESC"):
            self._org.records.purge(name, key)

    def _late_in_a_busy_window(self, name: str) -> None:
        """Many records change in one second; some have a second version under that very stamp."""
        keys, stamp = self._newest(name, _MANY), self._org.clock.stamp()
        with self._org.records.transaction(stamp=stamp) as update:
            update.update(name, [{"Id": key, _TEXTS[name]: "all of them"} for key in keys])
        some = self._dice.sample(keys, min(_FEW, len(keys)))
        self._hold(name, some, stamp, self._dice.randint(1, self._late - 30))

    def _stamp_goes_back(self, name: str) -> None:
        """A server whose clock is behind writes what was just written by another."""
        seconds = self._dice.randint(1, self._late // 2)
        stamp = self._org.clock.stamp() - timedelta(seconds=seconds)
        self._hold(name, self._newest(name, 2), stamp, self._late // 2 - 30)

    def _hold(self, name: str, keys: list[str], stamp: Any, seconds: float) -> None:
        held: Held = self._org.records.hold(seconds, stamp)
        try:
            for key in keys:
                held.update(name, key, {_TEXTS[name]: f"late by {seconds}"})
        except ApiError:
            held.rollback()
            raise

    def _timeouts(self, name: str) -> None:
        self._org.org.restrictions.restrict(name, most_rows=_MOST_ROWS)

    def _too_large(self, name: str) -> None:
        restrict = self._org.org.restrictions.restrict
        restrict(name, most_rows=_MOST_ROWS, code="OPERATION_TOO_LARGE")

    def _no_aggregates(self, name: str) -> None:
        self._org.org.restrictions.restrict(name, aggregates=False)

    def _hide(self, name: str) -> None:
        self._org.admin.hide_object(name)

    def _lose_describe(self, name: str) -> None:
        for path in self._raw.glob(f"*/describes/{name.lower()}.json"):
            path.unlink()

    def _newest(self, name: str, count: int) -> list[str]:
        return self._ids(name, count, "SystemModstamp DESC")

    def _ids(self, name: str, count: int, order: str) -> list[str]:
        rows = self._org.records.select(
            f'SELECT "Id" FROM "{name}" WHERE NOT "IsDeleted" ORDER BY {order}, 1 LIMIT {count}'
        )
        return [row["Id"] for row in rows]

    def _count(self, name: str) -> int:
        (row,) = self._org.records.select(
            f'SELECT count(*) AS "n" FROM "{name}" WHERE NOT "IsDeleted"'
        )
        return int(row["n"])
