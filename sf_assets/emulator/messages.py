"""Requests and replies, free of the web framework: composite resources make their own."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from sf_assets.emulator.errors import ApiError, malformed_json
from sf_assets.emulator.fault import Fault
from sf_assets.emulator.records import Transaction

JSON = "application/json;charset=UTF-8"
CSV = "text/csv"
XML = "text/xml;charset=UTF-8"
_DEEPEST = 100
_TOO_DEEP = malformed_json("The HTTP entity body is nested too deeply")
# An escape of the first half of a character, or of the second: it may stand without the other.
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Request:
    """One HTTP request, or one sub-request of a composite.

    Attributes:
        method: `GET`, `POST` and so on.
        path: Decoded path; of a resource, what follows `/services/data/vXX.0`.
        query: Parameters of the address.
        headers: By lower-cased name.
        body: As it was sent.
        version: API version of a resource: `66.0`.
        user_id: Who asks, once the session is known.
        origin: Scheme, host and port by which the client reached the org.
        transaction: Set when the request is part of a larger one that succeeds or fails as a whole.
        fault: What goes wrong with it, on order.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    version: str = ""
    user_id: str = ""
    origin: str = ""
    transaction: Transaction | None = None
    fault: Fault | None = None

    @property
    def base(self) -> str:
        """Path that begins all resources of the version asked for."""
        return f"/services/data/v{self.version}"

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ApiError: JSON_PARSER_ERROR, or UNSUPPORTED_MEDIA_TYPE when it says it is none.
        """
        kind = self.headers.get("content-type", JSON)
        if "json" not in kind.lower():
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content type not supported: {kind}")
        try:
            document = json.loads(self.body, parse_constant=_no_number)
        except RecursionError:
            raise _TOO_DEEP from None
        except ValueError as error:
            raise malformed_json(f"The HTTP entity body is required to be JSON: {error}") from None
        _check_depth(document)
        return _whole_characters(document) if _HALF_CHARACTER.search(self.body) else document

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            ApiError: JSON_PARSER_ERROR for anything else.
        """
        document = self.json()
        if not isinstance(document, dict):
            raise malformed_json("The HTTP entity body is required to be a JSON object")
        return document

    def form(self) -> dict[str, str]:
        """The body as a submitted form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def flag(self, name: str) -> bool:
        """A boolean parameter of the address."""
        return self.query.get(name, "").lower() == "true"

    def at(self, **changes: Any) -> "Request":
        """The same request with some attributes changed."""
        return replace(self, **changes)


@dataclass
class Reply:
    """One HTTP response.

    Attributes:
        status: HTTP status.
        body: Whole text or bytes, or chunks of bytes.
        content_type: None for a reply without a body.
        headers: In the case in which they are sent.
    """

    status: int = 200
    body: str | bytes | Iterator[bytes] = ""
    content_type: str | None = JSON
    headers: dict[str, str] = field(default_factory=dict)


def json_reply(document: Any, status: int = 200) -> Reply:
    """A document as JSON text."""
    return Reply(status, to_json(document))


def error_reply(error: ApiError) -> Reply:
    """A refusal."""
    return json_reply(error.body(), error.status)


def empty(status: int = 204) -> Reply:
    """A reply without a body."""
    return Reply(status, "", None)


def to_json(document: Any) -> str:
    """JSON without blanks, text as it is."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _no_number(word: str) -> Any:
    """Refuse `NaN` and `Infinity`, which are no JSON."""
    raise ValueError(f"unexpected token {word}")


def _check_depth(document: Any) -> None:
    """Refuse a document that would exhaust whatever walks through it.

    Raises:
        ApiError: JSON_PARSER_ERROR.
    """
    level = [document]
    for _ in range(_DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise _TOO_DEEP


def _inside(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _whole_characters(value: Any) -> Any:
    """A document with `?` in place of each half of a character in its texts."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    if isinstance(value, dict):
        return {_whole_characters(name): _whole_characters(item) for name, item in value.items()}
    return value
