"""Failures on order: what goes wrong, and with which requests.

Real Salesforce has no such resource. It is served under `/_faults`, and only when the org was
started with faults: `POST` adds a fault or a list of them, `GET` shows those that are left,
`DELETE` removes all.
"""

import dataclasses
import re
import threading
from typing import Any

from sf_assets.emulator.errors import ApiError, malformed_json
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.messages import Reply, Request, empty, json_reply, to_json

PATH = "/_faults"


class Faults:
    """The faults that are ordered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._seen: dict[int, int] = {}

    def add(self, fault: Fault) -> None:
        """Order a fault."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()
            self._seen.clear()

    def hit(self, request: Request) -> Fault | None:
        """The fault for a request: the first that is due; every fault that matches counts it."""
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        address = f"{request.path}?{query}" if query else request.path
        found = None
        with self._lock:
            for fault in list(self._faults):
                if fault.method not in (None, request.method):
                    continue
                if not re.search(fault.path, address):
                    continue
                count = self._seen[id(fault)] = self._seen.get(id(fault), 0) + 1
                last = fault.nth + fault.times - 1
                if found is None and count >= fault.nth and (not fault.times or count <= last):
                    found = fault
                if fault.times and count >= last:
                    self._faults.remove(fault)
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
            return json_reply([dataclasses.asdict(fault) for fault in self._faults])


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
    try:
        fault = Fault(**item)
        re.compile(fault.path)
    except (TypeError, re.error) as error:
        raise malformed_json(f"not a fault: {error}") from None
    return fault
