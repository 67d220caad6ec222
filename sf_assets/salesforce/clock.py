"""The org's own clock, learnt from its answers' Date headers, of which none is believed alone.

Windows end by this clock: one that is ahead would have us cover what has not happened yet. Behind
it costs nothing but a little delay. So an answer counts when others, or this machine's own clock,
agree with it; and of answers that agree the earliest is taken.
"""

import threading
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sf_assets.errors import OrgUnreachableError

TOLERANCE = timedelta(minutes=1)
"""How far clocks that agree may be apart: an org's servers differ by seconds, and answers take
their time to arrive."""

_REMEMBERED = 5
_ENOUGH = 3
_OWN = 2
"""How many answers this machine's clock is worth: one that agrees with it needs no other."""

_YEARS = range(2000, 2200)
"""Years in which an org can be; other dates are no time at all."""


class Clock:
    """What time it is in the org. Thread-safe."""

    def __init__(self) -> None:
        self._skew = timedelta()
        self._skews: deque[timedelta] = deque(maxlen=_REMEMBERED)
        self._at_least: datetime | None = None
        self._lock = threading.Lock()
        self.settled = True
        """Whether the newest answer is believed; if not, the org should be asked again."""
        self.judging = threading.RLock()
        """To be held from an answer until the org was asked again, where that is needed: who wants
        to know the time meanwhile waits for that, and is not told that it is not known."""

    def observe(self, date_header: str | None, received: datetime) -> None:
        """Take note of an answer's Date header; one that cannot be read is passed over.

        Args:
            date_header: What it says.
            received: When its head arrived, by this machine's clock: it was written before then,
                so the org's present is never taken for later than it is.
        """
        moment = _moment(date_header)
        if moment is None:
            return
        with self._lock:
            self._skews.append(moment - received)
            newest = self._skews[-1]
            alike = [skew for skew in self._skews if abs(skew - newest) <= TOLERANCE]
            votes, others = len(alike), len(self._skews) - len(alike)
            if abs(newest) > TOLERANCE or self._goes_back(moment):
                others += _OWN
            else:
                votes += _OWN
            self.settled = votes >= _ENOUGH and votes > others
            if self.settled:
                self._skew = min(alike)

    def recall(self, told: datetime) -> None:
        """Be told what an earlier run was told: time does not go back without a second answer."""
        self._at_least = told

    def now(self) -> datetime:
        """The org's present, UTC, cut to the second; this machine's where it has not told.

        Raises:
            OrgUnreachableError: Its answers tell so different times that none can be believed.
        """
        with self.judging:
            settled = self.settled
        if not settled:
            raise OrgUnreachableError(
                "the answers of the org tell different times: the last one is off by "
                f"{self._skews[-1]} from this machine's clock, and neither others nor that clock "
                "agree with it; so it is not known until when records can be read: correct this "
                "machine's clock if it is wrong, look for a proxy that keeps old answers, and run "
                "again later"
            )
        return self.last_believed()

    def last_believed(self) -> datetime:
        """The org's present by the newest answer that was believed; good enough for pauses."""
        return (datetime.now(UTC) + self._skew).replace(microsecond=0)

    def _goes_back(self, moment: datetime) -> bool:
        return self._at_least is not None and moment < self._at_least - TOLERANCE


def _moment(date_header: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date_header or "")
        if moment.year not in _YEARS:
            return None
        # A zone of -0000, or none, gives a moment without one; HTTP knows UTC alone.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
