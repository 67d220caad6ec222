"""An HTTP server that does what it is told, also what no good server should do.

It speaks HTTP/1.1 over plain sockets, so that heads can lie and bodies can end anywhere.
"""

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from typing import Any, BinaryIO, Literal, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"


@dataclass(frozen=True)
class Heard:
    """A request as it came in; header names are in lower case, `target` is its whole address."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Reply:
    """What to send.

    Attributes:
        body: Bytes, or chunks of bytes that are made while they are sent.
        headers: Added to, or with None taken from, Content-Type, Date and the framing's header.
        framing: Whether Content-Length, chunks or the end of the connection end the body.
        length: Content-Length to claim in place of the true one.
        mute: Whether the connection is closed without a word.
        cut: Send only so many bytes of the body (and no last chunk), then close the connection.
        stall: Seconds of silence before the connection is closed for that.
        reset: Whether it is reset rather than closed.
        wait: Seconds before anything is sent.
        lower_case: Whether header names are sent in lower case.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    framing: Literal["length", "chunked", "close"] = "length"
    length: int | None = None
    mute: bool = False
    cut: int | None = None
    stall: float = 0.0
    reset: bool = False
    wait: float = 0.0
    lower_case: bool = False

    def head(self) -> bytes:
        """Status line and headers."""
        headers: dict[str, str | None] = {"Content-Type": JSON, "Date": formatdate(usegmt=True)}
        if self.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        elif self.framing == "close":
            headers["Connection"] = "close"
        elif self.status != HTTPStatus.NO_CONTENT:
            length = self.length
            if length is None:
                length = len(self.body) if isinstance(self.body, bytes) else 0
            headers["Content-Length"] = str(length)
        sent = {name: value for name, value in {**headers, **self.headers}.items() if value}
        if self.lower_case:
            sent = {name.lower(): value for name, value in sent.items()}
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, 'No Phrase')}"]
        lines += [f"{name}: {value}" for name, value in sent.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    def chunks(self) -> Iterable[bytes]:
        """The body as it is told to arrive."""
        left = self.cut
        for chunk in [self.body] if isinstance(self.body, bytes) else self.body:
            part = chunk if left is None else chunk[:left]
            if part:
                yield b"%x\r\n%b\r\n" % (len(part), part) if self.framing == "chunked" else part
            if left is not None:
                left -= len(part)
                if left <= 0:
                    return
        if self.framing == "chunked":
            yield b"0\r\n\r\n"


Answer = Reply | Callable[[Heard], Reply]


def as_json(document: Any, status: int = 200, **more: Any) -> Reply:
    """A document as JSON."""
    return Reply(status, json.dumps(document).encode(), **more)


def failure(status: int, code: str, message: str = "told to fail", **more: Any) -> Reply:
    """A REST error."""
    return as_json([{"message": message, "errorCode": code}], status, **more)


def html(status: int = 200, text: str = "<html><body>Hello</body></html>") -> Reply:
    """A page for people."""
    return Reply(status, text.encode(), {"Content-Type": HTML})


class _Route:
    """Answers to the requests of one kind, one after the other; the last is for all others."""

    def __init__(self, method: str, path: str, answers: tuple[Answer, ...]) -> None:
        self._method = method
        self._path = re.compile(path)
        self._answers = list(answers)

    def matches(self, request: Heard) -> bool:
        return request.method == self._method and bool(self._path.fullmatch(request.path))

    def take(self) -> Answer:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class ScriptedServer:
    """Listens on loopback while the `with` block runs.

    Args:
        tls: Makes it an https server.

    Attributes:
        heard: All requests, in the order in which they came.
        connections: How many were opened.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._routes: list[_Route] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.heard: list[Heard] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer requests whose whole path the expression matches; what is said last counts."""
        with self._lock:
            self._routes.insert(0, _Route(method, path, answers))

    def calls(self, method: str, path: str) -> list[Heard]:
        """The requests of one kind so far."""
        return [h for h in self.heard if h.method == method and re.fullmatch(path, h.path)]

    def answer(self, request: Heard) -> Reply:
        """The reply to a request."""
        with self._lock:
            route = next((r for r in self._routes if r.matches(request)), None)
            answer = route.take() if route else None
        if answer is None:
            return failure(404, "NOT_FOUND", "The requested resource does not exist")
        return answer if isinstance(answer, Reply) else answer(request)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away; what is stopped stays stopped."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        # Closing alone does not wake a thread that waits in accept or recv.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                # Below TLS, which would wait for a goodbye.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, name="scripted", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # Head and body are sent apart, and must not wait for each other.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            # A client that goes away, or speaks no TLS, is the test's business and not ours.
            with contextlib.suppress(OSError):
                if self._tls:
                    # The handshake comes with the first read, so that `stop` can end it.
                    connection = self._tls.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                with self._lock:
                    self._open.add(connection)
                if self._stopping.is_set():
                    return
                with connection.makefile("rb") as incoming:
                    while (request := _read(incoming)) and self._respond(connection, request):
                        pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _respond(self, connection: socket.socket, request: Heard) -> bool:
        """Answer; whether the connection stays open."""
        with self._lock:
            self.heard.append(request)
        reply = self.answer(request)
        self._stopping.wait(reply.wait)
        if reply.mute:
            return False
        connection.sendall(reply.head())
        if request.method != "HEAD":
            for chunk in reply.chunks():
                connection.sendall(chunk)
        if reply.cut is not None:
            self._stopping.wait(reply.stall)
        if reply.reset:
            # Closing with a linger time of 0 sends RST in place of FIN.
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return reply.cut is None and not reply.reset and reply.framing != "close"


def _read(incoming: BinaryIO) -> Heard | None:
    """The next request of a connection; None at its end."""
    method, _, rest = incoming.readline().decode("latin-1").strip().partition(" ")
    if not method:
        return None
    address = rest.partition(" ")[0]
    target = urlsplit(address)
    headers: dict[str, str] = {}
    while line := incoming.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = incoming.read(int(headers.get("content-length", "0")))
    query = {name: values[-1] for name, values in parse_qs(target.query).items()}
    return Heard(method, target.path, query, headers, body, address)
