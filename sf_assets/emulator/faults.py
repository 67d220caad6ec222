r"""Failures on order: what goes wrong, and with which requests.

Real Salesforce has no such resource. It is served under `/_faults`, and only when the org was
started with faults: `POST` adds a fault or a list of them, `GET` shows those that are left,
`DELETE` removes all. `fault.Fault` says what each attribute means; they can be combined. Which
requests: `method`, `path`, `request_body`, and of those the `nth` and as many as `times`.

A session that ends in the middle of a download, a locator that expired:

    {"path": "/results", "nth": 3, "status": 401, "code": "INVALID_SESSION_ID",
     "message": "Session expired or invalid"}
    {"path": "locator=", "status": 400, "code": "INVALID_QUERY_LOCATOR",
     "message": "invalid query locator"}

An edge that answers with a page for people (likewise 429, 502 and 503):

    {"path": "/jobs/query", "status": 420, "body": "<html>No route</html>", "times": 2}

Limits that are used up, or are for a moment; an object that Bulk, or getDeleted, refuses:

    {"status": 403, "code": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}
    {"times": 3, "status": 403, "code": "REQUEST_LIMIT_EXCEEDED",
     "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded."}
    {"method": "POST", "path": "/jobs/query$", "status": 400, "code": "LIMIT_EXCEEDED",
     "message": "Max bulk v2 query jobs (10000) per 24 hrs has been reached"}
    {"method": "POST", "path": "/jobs/query$", "request_body": "FROM Task", "times": 0,
     "status": 400, "code": "INVALIDENTITY",
     "message": "Entity 'Task' is not supported by the Bulk API."}
    {"path": "/sobjects/Account/deleted", "times": 0, "status": 400,
     "code": "INVALID_REPLICATION_DATE",
     "message": "startDate before org replication enabled date"}

A body that ends early: by a reset, by a closed connection short of its Content-Length, or whole by
its framing but with its end (of the CSV, of the gzip stream) cut off; one that stalls:

    {"path": "/results", "reset_after": 5000}
    {"path": "/results", "close_after": 5000}
    {"path": "/results", "truncate_after": 5000}
    {"path": "/results", "stall_after": 5000, "stall_seconds": 90}

A wrong count of rows; an answer that claims to be the last page; a page sent again in place of the
next, a page left out; a row in place of the next one, with all counts in order:

    {"path": "/results", "headers": {"Sforce-NumberOfRecords": "7"}}
    {"path": "/results", "headers": {"Sforce-Locator": "null"}}
    {"path": "/results", "nth": 2, "page_shift": -1}
    {"path": "/results", "nth": 2, "page_shift": 1}
    {"path": "/results|/query", "repeat_row": 3}

An answer that says something else: half an emoji in a value, a count that is a text:

    {"path": "/query", "replace": {"\"HALF\"": "\"half \\ud83d\""}}
    {"path": "/query", "replace": {"\"totalSize\":3": "\"totalSize\":\"three\""}}

Headers in lower case, without charset; a clock that is off for one answer, or for all, or absurd:

    {"times": 0, "lower_case_headers": true}
    {"times": 0, "headers": {"Content-Type": "application/json"}}
    {"date_skew": 86400}
    {"times": 0, "date_skew": -600}
    {"times": 3, "headers": {"Date": "Fri, 31 Dec 9999 23:59:59 GMT"}}

Jobs that end badly, never end, or are slow:

    {"method": "POST", "path": "/jobs/query$", "job_state": "Failed", "job_message": "…"}
    {"method": "POST", "path": "/jobs/query$", "job_state": "Aborted"}
    {"method": "POST", "path": "/jobs/query$", "job_state": "InProgress"}
    {"method": "POST", "path": "/jobs/query$", "job_seconds": 20}

Chaos, the same for the same seed and the same requests: here every twentieth answer or so is late,
every fiftieth is none.

    [{"times": 0, "probability": 0.05, "seed": 1, "delay": 2},
     {"times": 0, "probability": 0.02, "seed": 2, "reset_after": 0}]
"""

import dataclasses
import re
import threading
from random import Random
from typing import Any

from sf_assets.emulator.errors import ApiError, malformed_json
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.messages import Reply, Request, empty, json_reply, to_json

PATH = "/_faults"
_KEYS = {field.name: field for field in dataclasses.fields(Fault)}.keys()


class _Order:
    """A fault and what it has met so far."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0
        self._dice = Random(fault.seed)  # noqa: S311  chooses requests, guards nothing

    def matches(self, request: Request, address: str) -> bool:
        """Whether a request is one of those meant; one that is counts."""
        fault = self.fault
        if fault.method not in (None, request.method):
            return False
        if not re.search(fault.path, address):
            return False
        if fault.request_body and not re.search(
            fault.request_body, request.body.decode("utf-8", "replace")
        ):
            return False
        if fault.probability < 1 and self._dice.random() >= fault.probability:
            return False
        self._seen += 1
        return True

    @property
    def is_due(self) -> bool:
        """Whether the request counted last is to be hit."""
        return self._seen >= self.fault.nth and (
            not self.fault.times or self._seen < self.fault.nth + self.fault.times
        )

    @property
    def is_over(self) -> bool:
        """Whether no further request will be hit."""
        return bool(self.fault.times) and self._seen >= self.fault.nth + self.fault.times - 1


class Faults:
    """The faults that are ordered.

    Attributes:
        hits: How many requests were hit so far.
    """

    def __init__(self) -> None:
        self.hits = 0
        self._lock = threading.Lock()
        self._orders: list[_Order] = []

    def add(self, fault: Fault) -> None:
        """Order a fault."""
        with self._lock:
            self._orders.append(_Order(fault))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._orders.clear()

    def hit(self, request: Request) -> Fault | None:
        """The fault for a request: the first that is due; every fault that matches counts it."""
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        address = f"{request.path}?{query}" if query else request.path
        found = None
        with self._lock:
            for order in [o for o in self._orders if o.matches(request, address)]:
                if found is None and order.is_due:
                    found = order.fault
                if order.is_over:
                    self._orders.remove(order)
            self.hits += found is not None
        return found

    def answer(self, request: Request) -> Reply:
        """The resource `/_faults`."""
        if request.method == "POST":
            document = request.json()
            for item in document if isinstance(document, list) else [document]:
                self.add(_parsed(item))
            return empty(201)
        if request.method == "DELETE":
            self.clear()
            return empty()
        with self._lock:
            return json_reply([dataclasses.asdict(o.fault) for o in self._orders])


def reply_of(fault: Fault) -> Reply | None:
    """The answer that a fault gives in place of the real one; None if it leaves the answer."""
    if fault.status is None:
        return None
    if fault.code is not None:
        error = ApiError(fault.status, fault.code, fault.message)
        return json_reply(error.body(), fault.status)
    if isinstance(fault.body, str):
        return Reply(fault.status, fault.body, "text/html;charset=UTF-8")
    return Reply(fault.status, "" if fault.body is None else to_json(fault.body))


def _parsed(item: Any) -> Fault:
    if not isinstance(item, dict) or not item.keys() <= _KEYS:
        raise malformed_json(f"not a fault: an object with keys out of {', '.join(_KEYS)}")
    try:
        fault = Fault(**item)
        re.compile(fault.path)
        re.compile(fault.request_body)
    except (TypeError, re.error) as error:
        raise malformed_json(f"not a fault: {error}") from None
    return fault
