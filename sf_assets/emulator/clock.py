"""The org's present time, which tests may freeze and move."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(microsecond=0, tzinfo=UTC)


class Clock:
    """The org's own clock: every stamp and every `Date` header comes from it.

    Args:
        start: Present time at which the clock begins; None for this machine's time.
        frozen: Whether it stands still until it is moved.
        skew: Seconds by which it runs ahead of `start` or of this machine.
    """

    def __init__(
        self, start: datetime | None = None, *, frozen: bool = False, skew: float = 0.0
    ) -> None:
        self._base = (start or datetime.now(UTC)).astimezone(UTC) + timedelta(seconds=skew)
        self._since = None if frozen else time.monotonic()

    def now(self) -> datetime:
        """The present, UTC, with microseconds."""
        if self._since is None:
            return self._base
        return self._base + timedelta(seconds=time.monotonic() - self._since)

    def stamp(self) -> datetime:
        """The present cut to whole seconds, as Salesforce writes it into records."""
        return self.now().replace(microsecond=0)

    def advance(self, seconds: float) -> None:
        """Move the clock on by some seconds."""
        self._base += timedelta(seconds=seconds)

    def http_date(self, skew: float = 0.0) -> str:
        """The present as an HTTP `Date` header, some seconds ahead, as far as there are years."""
        now = self.now()
        try:
            shown = now + timedelta(seconds=skew)
        except OverflowError:
            shown = _LAST if skew > 0 else _FIRST
        return format_datetime(shown, usegmt=True)


def iso(moment: datetime) -> str:
    """A datetime as the REST API writes it: `2026-01-31T10:00:00.000+0000`."""
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}+0000"
