"""Result pages as a server might send them."""

import gzip
import io
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests
import urllib3

from sf_assets.salesforce.response_stream import ResponseStream


class Dripping(io.BytesIO):
    """Bytes that arrive a few at a time, whatever is asked for."""

    def __init__(self, data: bytes, drip: int) -> None:
        super().__init__(data)
        self._drip = drip

    def read(self, size: int | None = -1, /) -> bytes:
        """At most a drip."""
        return super().read(self._drip if size is None or size < 0 else min(size, self._drip))


def answer(data: bytes, headers: Mapping[str, str], drip: int = 1 << 30) -> requests.Response:
    """An answer whose body is these bytes as they are on the wire."""
    response = requests.Response()
    response.status_code = 200
    response.headers.update(headers)
    response.raw = urllib3.HTTPResponse(
        Dripping(data, drip), headers=headers, preload_content=False, decode_content=False
    )
    return response


def page(data: bytes, *, zipped: bool = False, drip: int = 1 << 30) -> ResponseStream:
    """The body of an answer that arrived whole."""
    wire = gzip.compress(data, 1) if zipped else data
    headers = {"Content-Length": str(len(wire))}
    return ResponseStream(
        answer(wire, headers | ({"Content-Encoding": "gzip"} if zipped else {}), drip)
    )


@contextmanager
def served(wire: bytes) -> Iterator[ResponseStream]:
    """The body of an answer that a real socket sent, header lines and all, and was then closed."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(wire)

    thread = threading.Thread(target=serve)
    thread.start()
    host, port = listener.getsockname()
    try:
        with requests.get(f"http://{host}:{port}/", stream=True, timeout=10) as response:
            yield ResponseStream(response)
    finally:
        thread.join()
        listener.close()
