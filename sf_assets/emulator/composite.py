"""Several requests in one call: `/composite` and `/composite/batch`."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from sf_assets.emulator.errors import ApiError, malformed_json, not_found
from sf_assets.emulator.messages import Reply, Request, error_reply, to_json
from sf_assets.emulator.org import Org
from sf_assets.emulator.records import Transaction

_MOST = 25
_MOST_QUERIES = 5
_URL = re.compile(r"(?:/?services/data/)?/?v(\d+\.\d)(/.*)?")
_QUERY = re.compile(r"/query(All)?(/|$)", re.IGNORECASE)
# What has to be called by itself: Bulk jobs, and other calls of several requests.
_OUTSIDE = re.compile(r"/jobs(/|$)|/composite/?$|/composite/batch/?$", re.IGNORECASE)
_REFERENCE = re.compile(r"@\{(\w+)((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_FIRST_ERROR = 400
_HALTED = ApiError(
    400,
    "PROCESSING_HALTED",
    "The transaction was rolled back since another operation in the same transaction failed.",
)
_BATCH_HALTED = ApiError(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request")

Dispatch = Callable[[Request], Reply]


class MissingReferenceError(Exception):
    """A sub-request refers to something that an earlier one did not give."""


class CompositeResources:
    """Composite resources.

    Args:
        org: The org.
        dispatch: Answers one sub-request.
    """

    def __init__(self, org: Org, dispatch: Dispatch) -> None:
        self._org = org
        self._dispatch = dispatch

    def composite(self, request: Request) -> Reply:
        """`POST /composite`: later requests may use what earlier ones gave."""
        body = request.json_object()
        requests = _listed(body, "compositeRequest")
        _check(requests)
        if body.get("allOrNone") is not True:
            answers = self._answers(request, requests)
            return Reply(200, _composite_text(requests, answers))
        with self._org.records.transaction(user_id=request.user_id) as transaction:
            answers = self._answers(request.at(transaction=transaction), requests, transaction)
        return Reply(200, _composite_text(requests, answers))

    def batch(self, request: Request) -> Reply:
        """`POST /composite/batch`: independent requests; each counts as a call."""
        body = request.json_object()
        requests = _listed(body, "batchRequests")
        # The call itself has been counted as one already.
        self._org.limits.count_request(len(requests) - 1)
        halted = False
        results = []
        for item in requests:
            if halted:
                reply = error_reply(_BATCH_HALTED)
            else:
                content = item.get("richInput")
                text = b"" if content is None else to_json(content).encode()
                reply = self._send(request, str(item.get("method")), str(item.get("url")), text)
                halted = reply.status >= _FIRST_ERROR and body.get("haltOnError") is True
            results.append((reply.status, _text(reply)))
        has_errors = to_json(any(status >= _FIRST_ERROR for status, _ in results))
        listed = ",".join(f'{{"statusCode":{s},"result":{text}}}' for s, text in results)
        return Reply(200, f'{{"hasErrors":{has_errors},"results":[{listed}]}}')

    def _answers(
        self,
        request: Request,
        requests: list[dict[str, Any]],
        transaction: Transaction | None = None,
    ) -> list[Reply]:
        """Answer the sub-requests in order.

        Args:
            request: The call.
            requests: Its parts.
            transaction: Set when one failure undoes everything.
        """
        given: dict[str, Any] = {}
        replies: list[Reply] = []
        for item in requests:
            try:
                reply = self._answer(request, item, given)
            except MissingReferenceError:
                reply = error_reply(_HALTED)
            if reply.status < _FIRST_ERROR:
                given[item["referenceId"]] = json.loads(_text(reply))
            replies.append(reply)
            if transaction is not None and reply.status >= _FIRST_ERROR:
                transaction.rollback()
                return [
                    r if r is reply else error_reply(_HALTED)
                    for r in [*replies, *[error_reply(_HALTED)] * (len(requests) - len(replies))]
                ]
        return replies

    def _answer(self, request: Request, item: dict[str, Any], given: Mapping[str, Any]) -> Reply:
        url = _filled(str(item.get("url")), given, lambda v: quote(str(v), safe=""))
        content = item.get("body")
        body = b"" if content is None else to_json(_filled_in(content, given)).encode()
        headers = item.get("httpHeaders") or {}
        if not isinstance(headers, dict):
            raise malformed_json("httpHeaders must be an object")
        return self._send(request, str(item.get("method")), url, body, headers)

    def _send(
        self,
        request: Request,
        method: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        address, _, parameters = url.partition("?")
        match = _URL.fullmatch(address)
        if match is None:
            message = f"The url {url} does not name a resource with its version"
            return error_reply(ApiError(400, "INVALID_URL", message))
        if _OUTSIDE.match(match[2] or ""):
            return error_reply(not_found())
        return self._dispatch(
            request.at(
                method=method.upper(),
                path=match[2] or "",
                version=match[1],
                query=dict(parse_qsl(parameters, keep_blank_values=True)),
                body=body,
                headers={name.lower(): str(value) for name, value in (headers or {}).items()},
            )
        )


def _listed(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    requests = body.get(name)
    if not isinstance(requests, list) or not all(isinstance(r, dict) for r in requests):
        raise malformed_json(f"{name} must be a list of objects")
    if not 1 <= len(requests) <= _MOST:
        message = f"Limit exceeded: from 1 to {_MOST} sub-requests are allowed"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    return requests


def _check(requests: list[dict[str, Any]]) -> None:
    """Check what can be said of all sub-requests before the first one runs."""
    names = [item.get("referenceId") for item in requests]
    if not all(isinstance(n, str) and n.isidentifier() for n in names):
        raise malformed_json("Every sub-request needs a referenceId of letters and digits")
    if len(set(names)) < len(names):
        raise ApiError(400, "DUPLICATE_VALUE", "referenceIds must be unique")
    paths = [_URL.fullmatch(str(item.get("url")).partition("?")[0]) for item in requests]
    if sum(1 for m in paths if m and _QUERY.match(m[2] or "")) > _MOST_QUERIES:
        message = f"Limit exceeded: at most {_MOST_QUERIES} queries are allowed"
        raise ApiError(400, "LIMIT_EXCEEDED", message)


def _filled_in(value: Any, given: Mapping[str, Any]) -> Any:
    """A body with its references replaced."""
    if isinstance(value, str):
        match = _REFERENCE.fullmatch(value)
        return _found(match, given) if match else _filled(value, given, str)
    if isinstance(value, list):
        return [_filled_in(item, given) for item in value]
    if isinstance(value, dict):
        return {name: _filled_in(item, given) for name, item in value.items()}
    return value


def _filled(text: str, given: Mapping[str, Any], spell: Callable[[Any], str]) -> str:
    return _REFERENCE.sub(lambda match: spell(_found(match, given)), text)


def _found(match: re.Match[str], given: Mapping[str, Any]) -> Any:
    """What `@{reference.path}` stands for."""
    try:
        value = given[match[1]]
        for name, index in _STEP.findall(match[2]):
            value = value[int(index)] if index else value[name]
    except (LookupError, TypeError):
        raise MissingReferenceError(match[0]) from None
    return value


def _composite_text(requests: list[dict[str, Any]], replies: list[Reply]) -> str:
    listed = ",".join(
        f'{{"body":{_text(reply)},"httpHeaders":{to_json(reply.headers)},'
        f'"httpStatusCode":{reply.status},"referenceId":{to_json(item["referenceId"])}}}'
        for item, reply in zip(requests, replies, strict=True)
    )
    return f'{{"compositeResponse":[{listed}]}}'


def _text(reply: Reply) -> str:
    """The body of a reply as JSON text."""
    if isinstance(reply.body, str):
        return reply.body or "null"
    return "null"
