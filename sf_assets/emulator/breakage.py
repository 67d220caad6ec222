"""How a reply is broken on its way out."""

import socket
import struct
from collections.abc import Iterator
from typing import Any

from sf_assets.emulator.fault import Fault


def broken_headers(fault: Fault, headers: dict[str, str]) -> dict[str, str]:
    """The headers as the fault wants them."""
    changed: dict[str, str | None] = {**headers, **fault.headers}
    if fault.truncate_after is not None and "Content-Length" in headers:
        changed["Content-Length"] = str(min(fault.truncate_after, int(headers["Content-Length"])))
    kept = {name: value for name, value in changed.items() if value is not None}
    return {n.lower(): v for n, v in kept.items()} if fault.lower_case_headers else kept


def cut(fault: Fault, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The body up to where the fault ends it."""
    limits = [n for n in (fault.truncate_after, fault.reset_after) if n is not None]
    if not limits:
        yield from chunks
        return
    left = min(limits)
    for chunk in chunks:
        if part := chunk[:left]:
            yield part
        left -= len(part)
        if left <= 0:
            return


def reset(send: Any) -> None:
    """Reset the connection below HTTP.

    ASGI has no word for it, so this takes the transport from uvicorn's end of `send`.
    """
    transport = send.__self__.transport
    connection = transport.get_extra_info("socket")
    # Closing with a linger time of 0 sends RST in place of FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
