"""What keeps failing is set aside: tried again after pauses that grow for as long as it fails.

An object that fails has a note in the storage, `<org id>/aside/<what fails>/<object>.json`, until
it is well again; so has the org itself while it cannot be reached. What fails in a warehouse that
is not the first is called `<what fails>_<warehouse>`. The scheduled ticks tell of a
failure once, when it is new, and leave alone what fails, and nothing else, until its next try is
due.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from sf_assets.errors import SfAssetsError, WarehouseUnreachableError
from sf_assets.storage.raw_layer import RawLayer

ORG = "_org"
"""Stands for the org itself; no object is called so."""

SHORTEST = timedelta(minutes=5)
"""Pauses below the interval of ticks are none: what fails in passing is tried at each tick."""

LONGEST = timedelta(hours=6)


class FailedStep(StrEnum):
    """What of an object fails."""

    EXTRACT = "raw"
    MERGE = "silver"
    CHECK = "checks"
    ABSENT = "absent"
    """The packaged catalogue names it, and the org does not have it: nothing is wrong."""


class LastingFailure(BaseModel):
    """A failure that lasts.

    Attributes:
        since: When it was seen first, by our time.
        tried: When it was seen last.
        error: What was said then.
        away: Whether the warehouse could not be opened at all, which is no fault of the object's.
    """

    model_config = ConfigDict(frozen=True)

    since: AwareDatetime
    tried: AwareDatetime
    error: str
    away: bool = False

    @property
    def next_try(self) -> datetime:
        """After half as long as it has been failing; at once where its warehouse was away."""
        pause = timedelta(0) if self.away else (self.tried - self.since) / 2
        return self.tried if pause < SHORTEST else self.tried + min(pause, LONGEST)

    def last_chance(self, now: datetime) -> datetime:
        """When what made it fail could last have been put right: its last try, or one now due."""
        return self.next_try if self.next_try <= now else self.tried

    def __str__(self) -> str:
        """Since when, until when it is left alone, and why."""
        since = f"failing since {self.since:%Y-%m-%d %H:%M} UTC"
        if self.next_try <= self.tried:
            return f"{since}, tried at each tick: {self.error}"
        return f"set aside until {self.next_try:%Y-%m-%d %H:%M} UTC, {since}: {self.error}"


def at(what: FailedStep, place: str) -> str:
    """What fails in a warehouse, by its name, which is empty for the first."""
    return f"{what}_{place}" if place else what


def lasting_failures(raw: RawLayer, what: str) -> dict[str, LastingFailure]:
    """Objects of which this fails, by lower-cased name; a note that cannot be read is none."""
    found = {}
    for entry in raw.store.list(_folder(raw, what)):
        try:
            note = LastingFailure.model_validate_json(raw.store.get(entry.path))
        except (FileNotFoundError, ValidationError):
            continue
        found[entry.path.rpartition("/")[2].removesuffix(".json")] = note
    return found


def note(
    raw: RawLayer,
    what: str,
    failed: Mapping[str, SfAssetsError],
    well: Iterable[str],
    now: datetime,
) -> set[str]:
    """Note what failed, and forget of what is well that it ever did.

    Args:
        raw: The raw layer.
        what: What was done: a `FailedStep`, or what `at` makes of one.
        failed: By lower-cased object name.
        well: Objects for which it was done.
        now: Our present.

    Returns:
        What fails for the first time since it was well.
    """
    before = lasting_failures(raw, what)
    _forget(raw, what, before.keys() & set(well) - failed.keys())
    for slug, error in failed.items():
        since = before[slug].since if slug in before else now
        away = isinstance(error, WarehouseUnreachableError)
        told = LastingFailure(since=since, tried=now, error=str(error), away=away)
        raw.store.put(f"{_folder(raw, what)}/{slug}.json", told.model_dump_json().encode())
    return failed.keys() - before.keys()


def forget(raw: RawLayer, what: str, well: Iterable[str]) -> set[str]:
    """Forget of what is well that it ever failed; what that was noted of."""
    healed = lasting_failures(raw, what).keys() & set(well)
    _forget(raw, what, healed)
    return healed


def _forget(raw: RawLayer, what: str, slugs: Iterable[str]) -> None:
    raw.store.delete(f"{_folder(raw, what)}/{slug}.json" for slug in slugs)


def _folder(raw: RawLayer, what: str) -> str:
    return f"{raw.org_id}/aside/{what}"
