"""What is done to the org from outside its API: `/_control`, for tests in other processes.

Real Salesforce has no such resource. It is served only when the org was started with faults.
`POST` takes one order, a JSON object with an `action`; `GET` shows the org's time and the
transactions that are open. In-process tests call `Emulator.records` and `Emulator.admin` instead.

Records, in the name of the org:

    {"action": "write", "statements": [
        {"do": "insert", "object": "Account", "values": {"Name": "New"}},
        {"do": "update", "object": "Account", "id": "001…", "values": {"Rating": "Hot"}},
        {"do": "set", "object": "Account", "id": "001…", "values": {"Rating": "Hot"}},
        {"do": "delete", "object": "Account", "id": "001…"},
        {"do": "undelete", "object": "Account", "id": "001…"},
        {"do": "purge", "object": "Account", "id": "001…"},
        {"do": "merge", "object": "Account", "id": "001…", "loser": "001…"}]}
    {"action": "hold", "statements": […], "stamp": "2026-01-31T10:00:00Z", "seconds": 30}
    {"action": "commit", "transaction": 1}
    {"action": "rollback", "transaction": 1}

`write` and `hold` answer with the Ids of the statements' records. What is held has its stamps (that
of the statement, or `stamp`) but is seen by nobody until it is committed: by `commit`, or by itself
after `seconds`, which may be left out as `stamp` may. The stamp may be older than the record's own,
as when a server's clock is behind. `set` changes values and moves no stamp, as the platform does
with a job's progress.

Fields, objects, permissions and sharing: see `administrator`. What single objects refuse: see
`restrictions`.

The clock, the sessions (and the open query results, which may die with them), the org's address
(it moves to another port, which logins name from then on; sessions are not known at the old one,
where only logins go on), and what other clients use of the org's limits:

    {"action": "advance", "seconds": 3600}
    {"action": "end_sessions"}
    {"action": "end_sessions", "cursors": true}
    {"action": "move"}
    {"action": "spend", "requests": 90000, "query_jobs": 9000, "query_kb": 900000000}
"""

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sf_assets.emulator.clock import iso
from sf_assets.emulator.errors import ApiError, malformed_json, not_found
from sf_assets.emulator.messages import Reply, Request, json_reply
from sf_assets.emulator.org import Org
from sf_assets.emulator.records import Held, Writer

PATH = "/_control"
Answer = dict[str, Any]
_ADMINISTRATION = (
    "add_field", "change_field", "delete_field", "hide_field", "show_field", "hide_object",
    "show_object", "delete_object", "hide_rows", "show_rows", "respell_field", "respell_object",
    "classify_field",
)  # fmt: skip


class Control:
    """Takes orders over HTTP.

    Args:
        org: What they are carried out on.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._held: dict[int, Held] = {}
        self._lock = threading.Lock()
        self._actions: Mapping[str, Callable[..., Answer | None]] = {
            "write": self._write,
            "hold": self._hold,
            "commit": self._commit,
            "rollback": self._rollback,
            "advance": self._advance,
            "spend": org.limits.spend,
            "end_sessions": self._end_sessions,
            "move": self._move,
            "restrict": org.restrictions.restrict,
            **{name: getattr(org.admin, name) for name in _ADMINISTRATION},
        }

    def order(self, request: Request) -> Reply:
        """`POST /_control`: carry out an order."""
        order = request.json_object()
        name = str(order.pop("action", None))
        action = self._actions.get(name)
        if action is None:
            raise malformed_json(f"`action` must be one of {', '.join(self._actions)}")
        _check_keys(name, action, order)
        try:
            return json_reply(action(**order) or {})
        except KeyError as error:
            raise malformed_json(f"not an order: {error} is missing") from None
        except (TypeError, ValueError) as error:
            raise malformed_json(f"not an order: {error}") from None

    def state(self, _request: Request) -> Reply:
        """`GET /_control`: the org's time, and what is open."""
        with self._lock:
            open_ = [number for number, held in self._held.items() if held.is_open]
        return json_reply({"now": iso(self._org.clock.now()), "transactions": open_})

    def _write(self, statements: Sequence[Mapping[str, Any]]) -> Answer:
        held = self._org.records.hold()
        answer = _performed(held, statements)
        held.commit()
        return answer

    def _hold(
        self,
        statements: Sequence[Mapping[str, Any]],
        stamp: str | None = None,
        seconds: float | None = None,
    ) -> Answer:
        when = None if stamp is None else datetime.fromisoformat(stamp)
        held = self._org.records.hold(seconds, when)
        answer = _performed(held, statements)
        with self._lock:
            number = len(self._held) + 1
            self._held[number] = held
        if seconds is not None:
            timer = threading.Timer(seconds + 0.01, self._org.records.commit_due)
            timer.daemon = True
            timer.start()
        return {"transaction": number, **answer}

    def _commit(self, transaction: int) -> None:
        self._find(transaction).commit()

    def _rollback(self, transaction: int) -> None:
        self._find(transaction).rollback()

    def _find(self, number: int) -> Held:
        with self._lock:
            held = self._held.get(number)
        if held is None or not held.is_open:
            raise not_found(f"no transaction {number} is open")
        return held

    def _end_sessions(self, *, cursors: bool = False) -> None:
        self._org.sessions.revoke_all()
        if cursors:
            self._org.cursors.close()

    def _move(self) -> Answer:
        return {"url": self._org.move()}

    def _advance(self, seconds: float) -> None:
        self._org.advance(seconds)


def _check_keys(name: str, action: Callable[..., Any], order: Mapping[str, Any]) -> None:
    """Refuse an order that lacks a key, or has one that the action does not take."""
    signature = inspect.signature(action)
    try:
        signature.bind(**order)
    except TypeError:
        keys = [
            key if parameter.default is parameter.empty else f"{key} (may be left out)"
            for key, parameter in signature.parameters.items()
        ]
        takes = ", ".join(keys) or "nothing besides"
        raise malformed_json(f"not an order: `{name}` takes {takes}") from None


def _performed(held: Held, statements: Sequence[Mapping[str, Any]]) -> Answer:
    """The Ids of what was written; an error undoes everything."""
    try:
        return {"ids": [_perform(held, statement) for statement in statements]}
    except (ApiError, TypeError, KeyError, ValueError):
        held.rollback()
        raise


def _perform(writer: Writer, statement: Mapping[str, Any]) -> str:
    object_name = statement["object"]
    if statement["do"] == "insert":
        return writer.insert(object_name, statement["values"])
    key = str(statement["id"])
    match statement["do"]:
        case "update":
            writer.update(object_name, key, statement["values"])
        case "set":
            writer.set(object_name, key, statement["values"])
        case "delete":
            writer.delete(object_name, key)
        case "undelete":
            writer.undelete(object_name, key)
        case "purge":
            writer.purge(object_name, key)
        case "merge":
            writer.merge(object_name, key, statement["loser"])
        case other:
            raise ValueError(f"nothing can `{other}` a record")
    return key
