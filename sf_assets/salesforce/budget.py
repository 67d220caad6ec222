"""What an org's limits leave us: calls counted as Salesforce counts them, a reserve never eaten.

Salesforce counts the calls of the whole org over a rolling 24 hours and tells the count with every
answer, so that what runs and processes do beside each other is in it. Between two answers we count
ourselves. Work is refused before it is sent; what ends work, and asking how things stand, is not.
"""

import json
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import requests

from sf_assets.errors import BudgetExhaustedError, SalesforceError
from sf_assets.salesforce.responses import path_of

RESERVE_PERCENT = 20
CALLS, JOBS, MEGABYTES = "DailyApiRequests", "DailyBulkV2QueryJobs", "DailyBulkV2QueryFileStorageMB"

ASK_AGAIN = timedelta(hours=1)
"""What is known of the org's count is trusted for so long; then one call finds out anew."""

_ASIDE = 24
"""Calls that work leaves above the reserve, for asking once an hour and for ending cleanly: so
those do not eat of the reserve either, as long as there are no more of them."""

_API_USAGE = re.compile(r"\s*api-usage=(\d+)/(\d+)\s*(?:;|$)")
_RESOURCE = re.compile(r"/services/data/v[^/]+(/.*)?")
_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of one limit is used.

    Attributes:
        used: In the last 24 hours, by everybody.
        allowed: In 24 hours.
        reserve_percent: How much of it is not ours to use.
    """

    used: int
    allowed: int
    reserve_percent: int = RESERVE_PERCENT

    @property
    def reserve(self) -> int:
        """What the pipeline never uses."""
        return math.ceil(self.allowed * self.reserve_percent / 100)

    @property
    def daily(self) -> int:
        """What work may use in 24 hours, if nobody else uses anything."""
        unreserved = self.allowed - self.reserve
        return unreserved - min(_ASIDE, unreserved // 10)

    @property
    def left(self) -> int:
        """What work may use now."""
        return max(0, self.daily - self.used)

    @classmethod
    def of(cls, limits: Mapping[str, Any], name: str, reserve_percent: int) -> Self | None:
        """One entry of the `/limits` document; None where it is not there or not readable."""
        try:
            most, remaining = int(limits[name]["Max"]), int(limits[name]["Remaining"])
        except (LookupError, TypeError, ValueError):
            return None
        return cls(most - remaining, most, reserve_percent)


@dataclass(slots=True)
class Calls:
    """Calls made for one purpose."""

    made: int = 0


_purpose: ContextVar[Calls | None] = ContextVar("purpose", default=None)


@contextmanager
def counting() -> Iterator[Calls]:
    """Count the calls that are made in the block, also by threads that run in its context."""
    token = _purpose.set(calls := Calls())
    try:
        yield calls
    finally:
        _purpose.reset(token)


def counted() -> int:
    """Calls made so far in the block that counts them."""
    calls = _purpose.get()
    return calls.made if calls else 0


@dataclass(slots=True)
class Call:
    """A request being sent: what it costs, and when, in the order of events, it began."""

    cost: int
    began: int
    is_job: bool = False


class Budget:
    """The budget of one org, as one session sees it. Thread-safe.

    Args:
        org: The org's address, for messages.
        reserve_percent: Share of each limit that is left to others.
        now: The org's present.

    Attributes:
        made: Calls of this session that the org counts.
        jobs_made: Bulk query jobs that this session started.
        bytes_read: Bytes of Bulk results that this session read, as CSV.
        ask: Asks the org for its `/limits`.
        told_at: When the org last told of its calls, by its own time.
    """

    def __init__(self, org: str, reserve_percent: int, now: Callable[[], datetime]) -> None:
        self.made = self.jobs_made = self.bytes_read = 0
        self.ask: Callable[[], Mapping[str, Any]] = dict
        self.told_at: datetime | None = None
        self._org = org
        self._percent = reserve_percent
        self._now = now
        self._standings: dict[str, Standing] = {}
        self._asked_at: datetime | None = None
        self._refused_at: datetime | None = None
        self._silent = False
        self._in_flight = 0
        self._events = self._told = 0
        self._lock = threading.RLock()
        self._asking = threading.Lock()

    @property
    def calls(self) -> Standing | None:
        """How the org's calls stand; None as long as it has not told."""
        return self._standings.get(CALLS)

    def recall(self, used: int, allowed: int, told_at: datetime) -> None:
        """Take over what another session was told, unless too long ago, or dated ahead."""
        if self.told_at is None and abs(self._now() - told_at) < ASK_AGAIN:
            self._set(CALLS, used, allowed)
            self.told_at = told_at

    def begin(self, request: requests.PreparedRequest) -> Call:
        """Count a request that is about to be sent.

        Raises:
            BudgetExhaustedError: It would break the reserve, so it must not be sent.
        """
        path, method = path_of(request.url).rstrip("/"), request.method or ""
        call = Call(_cost(path, request.body), 0, (method, path[-11:]) == ("POST", "/jobs/query"))
        asks, ends = path.endswith("/limits"), method in {"DELETE", "PATCH"}
        if call.cost and not asks:
            self._learn(for_job=call.is_job)
        with self._lock:
            self._events += 1
            call.began = self._events
            if call.cost and not asks and not ends:
                self._guard(f"{method} {path}", call)
            self._in_flight += call.cost
            self.made += call.cost
            if calls := _purpose.get():
                calls.made += call.cost
            return call

    def end(self, call: Call, response: requests.Response | None = None) -> None:
        """Take note of what became of a request.

        Args:
            call: FailedStep `begin` gave.
            response: The answer, with its Sforce-Limit-Info; None when none came.
        """
        if not call.cost:
            return
        status = 0 if response is None else response.status_code
        header = None if response is None else response.headers.get("Sforce-Limit-Info")
        with self._lock:
            self._events += 1
            self._in_flight -= call.cost
            if status == requests.codes.unauthorized:  # turned away at the door, so not counted
                self.made -= call.cost
            elif not self._observe(header, call.began):
                self._silent = self._silent or 0 < status < requests.codes.multiple_choices
                self._add(CALLS, call.cost)
            if call.cost and 0 < status < requests.codes.multiple_choices:
                self._refused_at = None
            if call.is_job and 0 < status < requests.codes.multiple_choices:
                self.jobs_made += 1
                self._add(JOBS, 1)

    def refused(self, request: requests.PreparedRequest) -> None:
        """The org itself has refused a request for want of calls; it counts none for that.

        What it told of its count stays as it is: that is a fact, and this is not a number.
        """
        with self._lock:
            self.made -= _cost(path_of(request.url), request.body)
            self._refused_at = self._now()

    def read(self, size: int) -> None:
        """Count the bytes of a result page that was read whole."""
        with self._lock:
            before = self.bytes_read
            self.bytes_read += size
            self._add(MEGABYTES, self.bytes_read // _MEGABYTE - before // _MEGABYTE)

    def standing(self, name: str = CALLS) -> Standing | None:
        """How a limit stands, by its name in `/limits`; None where the org has not told."""
        return self._standings.get(name)

    def look(self) -> dict[str, Standing]:
        """Ask the org how all three limits stand."""
        self._take(self.ask())
        return dict(self._standings)

    def refusal(self, what: str) -> BudgetExhaustedError:
        """The error of work that does not fit into what is left of the calls."""
        return self._refusal(what, CALLS)

    def _learn(self, *, for_job: bool) -> None:
        """Ask the org once where its answers do not tell, and before Bulk jobs."""
        if not for_job and not (self._silent and self._stale(self.told_at)):
            return
        with self._asking:
            if not self._stale(self._asked_at):
                return
            self._asked_at = self._now()
            try:
                self._take(self.ask())
            except SalesforceError:  # not every user may see the limits
                return

    def _take(self, limits: Mapping[str, Any]) -> None:
        with self._lock:
            for name in (CALLS, JOBS, MEGABYTES):
                if found := Standing.of(limits, name, self._percent):
                    self._standings[name] = found
            if CALLS in self._standings:
                self.told_at = self._now()
                self._told = self._events

    def _stale(self, moment: datetime | None) -> bool:
        return moment is None or self._now() - moment >= ASK_AGAIN

    def _guard(self, what: str, call: Call) -> None:
        """Refuse what does not fit; what was told long ago is no reason to refuse."""
        if not self._stale(self._refused_at):
            raise BudgetExhaustedError(
                f"{what} was not sent to {self._org}: it has just refused a call, because those of "
                "24 hours are used up; they come back hour by hour, and a tick asks again by itself"
            )
        calls = self.calls
        if calls and not self._stale(self.told_at) and self._in_flight + call.cost > calls.left:
            raise self._refusal(what, CALLS)
        for name in (JOBS, MEGABYTES) if call.is_job else ():
            standing = self.standing(name)
            if standing and not standing.left:
                raise self._refusal(what, name)

    def _refusal(self, what: str, name: str) -> BudgetExhaustedError:
        standing = self._standings[name]
        back = (self.told_at or self._now()) + timedelta(hours=24)
        return BudgetExhaustedError(
            f"{what} was not sent to {self._org}: of {standing.allowed} {name} in 24 hours "
            f"{standing.used} are used and {standing.reserve} ({standing.reserve_percent} %) are "
            "kept for others; what was used comes back hour by hour, all of it by "
            f"{back:%Y-%m-%d %H:%M} UTC, and a tick goes on by itself then; to go on now, lower "
            "SF_ASSETS_API_RESERVE_PERCENT"
        )

    def _observe(self, header: str | None, began: int) -> bool:
        """Take an answer's count, `api-usage=18/5000; per-app-…`; whether there was one.

        Answers overtake each other: a smaller count is news only from a call that began after the
        last one was told.
        """
        told = _API_USAGE.match(header or "")
        if told is None:
            return False
        used, allowed = map(int, told.groups())
        calls = self.calls
        if calls is None or began > self._told or used >= calls.used:
            self._set(CALLS, used, allowed)
            self.told_at, self._told = self._now(), self._events
        return True

    def _set(self, name: str, used: int, allowed: int) -> None:
        self._standings[name] = Standing(used, allowed, self._percent)

    def _add(self, name: str, count: int) -> None:
        if standing := self._standings.get(name):
            self._set(name, standing.used + count, standing.allowed)


def _cost(path: str, body: Any) -> int:
    """Calls that a request counts as; logins, userinfo and the list of versions are free.

    A composite/batch costs one call for each of its parts.
    """
    resource = _RESOURCE.fullmatch(path)
    if resource is None:
        return 0
    if (resource[1] or "").rstrip("/") == "/composite/batch" and body:
        return len(json.loads(body)["batchRequests"])
    return 1
