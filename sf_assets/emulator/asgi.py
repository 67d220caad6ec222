"""The app over HTTP: reads requests, runs their answers in threads, writes replies."""

import asyncio
import gzip
import logging
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest

from sf_assets.emulator.breakage import break_off, broken_headers, cut, replaced, stalled
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.control import PATH as CONTROL_PATH
from sf_assets.emulator.errors import ApiError, malformed_json
from sf_assets.emulator.faults import PATH as FAULTS_PATH
from sf_assets.emulator.faults import Faults, reply_of
from sf_assets.emulator.messages import Reply, Request, error_reply
from sf_assets.emulator.pretty import pretty

_log = logging.getLogger(__name__)
_LONGEST_URI = 16_384
# Salesforce takes 50 MB; compressed bodies may not become larger than that either.
_LARGEST_BODY = 50 << 20
# `deflate` has a header by the standard; some clients leave it out.
_WINDOW_BITS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
_GZIP_LEVEL = 1
# What a real server would not bother to compress.
_SMALLEST_GZIP = 256
_WITHOUT_BODY = (204, 304)


class Asgi:
    """An ASGI application.

    Args:
        answer: Answers one request; runs in a thread.
        clock: Source of the Date header.
        faults: What is to go wrong; None for an org without faults.
    """

    def __init__(
        self, answer: Callable[[Request], Reply], clock: Clock, faults: Faults | None = None
    ) -> None:
        self._answer = answer
        self._clock = clock
        self._faults = faults

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection event; only HTTP is known."""
        if scope["type"] != "http":
            return
        http = HttpRequest(scope, receive)
        refusal = None
        try:
            body = await _body(http)
        except ClientDisconnect:
            return
        except ApiError as error:
            refusal, body = error_reply(error), b""
        request = _request(http, body)
        fault = None
        if self._faults is not None and request.path not in (FAULTS_PATH, CONTROL_PATH):
            fault = self._faults.hit(request)
        request = request.at(fault=fault)
        if fault is not None:
            await asyncio.sleep(fault.delay)
        reply = refusal or _too_long(scope)
        if reply is None and fault is not None:
            reply = reply_of(fault)
        if reply is None:
            reply = await run_in_threadpool(self._safely, request)
        await self._send(request, reply, send)
        if fault is not None and fault.breaks_off:
            break_off(fault, send)
            while (await receive())["type"] != "http.disconnect":
                pass

    def _safely(self, request: Request) -> Reply:
        try:
            if self._faults is not None and request.path == FAULTS_PATH:
                return self._faults.answer(request)
            return self._answer(request)
        except ApiError as error:
            return error_reply(error)
        except Exception:  # noqa: BLE001  whatever it is, the connection must get an answer
            # The client gets what a broken org gives; the defect shows where the server runs.
            _log.exception("%s %s", request.method, request.path)
            return error_reply(ApiError(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."))

    async def _send(self, request: Request, reply: Reply, send: Any) -> None:
        fault = request.fault
        if fault is not None and fault.replace:
            reply = replace(reply, body=await run_in_threadpool(replaced, fault, reply.body))
        headers, chunks = await run_in_threadpool(_encoded, request, reply)
        skew = 0.0 if fault is None else fault.date_skew
        headers = {"Date": self._clock.http_date(skew), **headers}
        if fault is not None:
            headers = broken_headers(fault, headers)
            chunks = cut(fault, iter(chunks))
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
            }
        )
        pieces = _at_once(chunks) if isinstance(chunks, list) else iterate_in_threadpool(chunks)
        if fault is not None:
            pieces = stalled(fault, pieces)
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if fault is None or not fault.breaks_off:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _at_once(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _encoded(
    request: Request, reply: Reply
) -> tuple[dict[str, str], list[bytes] | Iterator[bytes]]:
    """Headers and bytes of a reply in the form that the client asked for."""
    headers = dict(reply.headers)
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
    body = reply.body
    is_json = (reply.content_type or "").startswith("application/json")
    if is_json and isinstance(body, str) and request.headers.get("x-prettyprint") == "1":
        body = pretty(body)
    if isinstance(body, str):
        body = body.encode()
    zipped = _takes_gzip(request.headers.get("accept-encoding", ""))
    if not isinstance(body, bytes):
        if request.method == "HEAD":
            return headers, []
        if not zipped:
            return headers, body
        headers["Content-Encoding"] = "gzip"
        headers.pop("Content-Length", None)
        return headers, _gzipped(body)
    if zipped and len(body) >= _SMALLEST_GZIP:
        body = gzip.compress(body, _GZIP_LEVEL)
        headers["Content-Encoding"] = "gzip"
    if reply.status not in _WITHOUT_BODY:
        headers["Content-Length"] = str(len(body))
    return headers, [body] if body and request.method != "HEAD" else []


def _takes_gzip(accepted: str) -> bool:
    """Whether an `Accept-Encoding` header allows gzip: named or `*`, and not by a weight of 0."""
    weights = {}
    for part in accepted.lower().split(","):
        name, *options = (piece.strip() for piece in part.split(";"))
        given = [o.removeprefix("q=") for o in options if o.startswith("q=")]
        weights[name] = given[0].strip("0.") != "" if given else True
    return weights.get("gzip", weights.get("*", False))


async def _body(http: HttpRequest) -> bytes:
    """The body of a request, unpacked.

    Raises:
        ApiError: It is too large, packed or unpacked, or not packed as it says.
    """
    packed = bytearray()
    async for chunk in http.stream():
        packed += chunk
        _check_size(packed)
    encoding = http.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return bytes(packed)
    if encoding not in _WINDOW_BITS:
        message = f"Content encoding not supported: {encoding}"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)
    return await run_in_threadpool(_unpacked, bytes(packed), encoding)


def _unpacked(packed: bytes, encoding: str) -> bytes:
    for bits in _WINDOW_BITS[encoding]:
        unzip = zlib.decompressobj(bits)
        try:
            body = unzip.decompress(packed, _LARGEST_BODY + 1)
        except zlib.error:
            continue
        _check_size(body)
        if unzip.eof:
            return body
    raise malformed_json(f"The HTTP entity body is not encoded as {encoding}")


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > _LARGEST_BODY:
        message = "The HTTP entity body is too large"
        raise ApiError(413, "REQUEST_ENTITY_TOO_LARGE", message)


def _request(http: HttpRequest, body: bytes) -> Request:
    scope = http.scope
    raw_path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"].decode("latin-1")
    headers = {name.lower(): value for name, value in http.headers.items()}
    return Request(
        method=scope["method"],
        # Clients join an instance address that ends in a slash with a path that begins with one.
        path="/" + raw_path.decode("latin-1").partition("?")[0].lstrip("/"),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        body=body,
        origin=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
    )


def _too_long(scope: Any) -> Reply | None:
    """The refusal of an address, or of an address with headers, above the limit."""
    uri = len(scope.get("raw_path") or b"") + len(scope["query_string"]) + 1
    if uri > _LONGEST_URI:
        return error_reply(ApiError(414, "URI_TOO_LONG", "The URI is too long."))
    if uri + sum(len(k) + len(v) + 4 for k, v in scope["headers"]) > _LONGEST_URI:
        message = "The URI and the request headers together are too long."
        return error_reply(ApiError(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", message))
    return None


def _gzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    squeeze = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
    for chunk in chunks:
        if packed := squeeze.compress(chunk):
            yield packed
    yield squeeze.flush()
