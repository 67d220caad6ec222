"""The life of an org: its users at work, and the upheavals that come with it."""

from collections.abc import Callable, Mapping
from random import Random

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.world.actor import RecordWriter
from sf_assets.emulator.world.hostile_changes import UPHEAVAL, Upheaval
from sf_assets.emulator.world.user_changes import OFFICE, Office

__all__ = ["OFFICE", "UPHEAVAL", "Life", "RecordWriter"]
_TRIES = 10


class Life(Office, Upheaval):
    """Makes changes to an org.

    Args:
        org: Where.
        seed: The same seed and the same org give the same changes.
        rate: Changes a second that whoever calls `step` means to make.
        weights: How often each change happens, by the names that `step` answers with; None for
            `OFFICE` and `UPHEAVAL` together. A change without a weight does not happen.
        late: Share of the changes that nobody sees until some seconds later, because their
            transactions stay open. They are committed by the step, or the call of the org's
            `commit_due`, that comes when their time is over.
        longest: Seconds that such a transaction stays open at most.

    Attributes:
        rate: As given.
    """

    def __init__(
        self,
        org: RecordWriter,
        seed: int,
        rate: float,
        *,
        weights: Mapping[str, int] | None = None,
        late: float = 0.05,
        longest: int = 30,
    ) -> None:
        super().__init__(org, Random(seed))  # noqa: S311 - makes up data, guards nothing
        self.rate = rate
        self._whole_org = org
        self._weights = OFFICE | UPHEAVAL if weights is None else weights
        self._changes = {name: self._change(name) for name in self._weights}
        self._late = late
        self._longest = longest

    def step(self) -> str | None:
        """Makes one change; a change that finds no record to start from gives way to another.

        So does one whose record is locked by a transaction that is still open.

        Returns:
            What happened, such as `stage moved`; None if nothing can happen in this org.
        """
        self._whole_org.commit_due()
        for _ in range(_TRIES):
            name = self._rng.choices(list(self._weights), list(self._weights.values()))[0]
            change = self._changes[name]
            is_late = self._late > 0 and self._chance(self._late)
            try:
                done = self._held(change) if is_late else change()
            except ApiError as error:
                if error.code != "UNABLE_TO_LOCK_ROW":
                    raise
                done = False
            if done:
                return name
        return None

    def _change(self, name: str) -> Callable[[], bool]:
        change: Callable[[], bool] | None = getattr(self, f"_{name.replace(' ', '_')}", None)
        if name not in OFFICE | UPHEAVAL or change is None:
            raise ValueError(f"no such change: {name}")
        return change

    def _held(self, change: Callable[[], bool]) -> bool:
        """Makes a change in a transaction that is left open."""
        held = self._whole_org.hold(self._rng.randint(1, self._longest))
        self._org = held
        done = False
        try:
            done = change()
        finally:
            self._org = self._whole_org
            if not done:
                held.rollback()
        return done
