"""How a reply is broken on its way out."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sf_assets.emulator.fault import Fault


def broken_headers(fault: Fault, headers: dict[str, str]) -> dict[str, str]:
    """The headers as the fault wants them."""
    changed: dict[str, str | None] = {**headers, **fault.headers}
    if fault.truncate_after is not None and "Content-Length" in headers:
        changed["Content-Length"] = str(min(fault.truncate_after, int(headers["Content-Length"])))
    kept = {name: value for name, value in changed.items() if value is not None}
    return {n.lower(): v for n, v in kept.items()} if fault.lower_case_headers else kept


def row_spans(first: int, end: int, repeat_row: int | None) -> list[tuple[int, int]]:
    """The rows of a page as spans of row numbers.

    Args:
        first: Number of the first row.
        end: Number after the last one.
        repeat_row: A row of the page, from 1, that comes in place of the next one too.
    """
    if repeat_row is None or first + repeat_row >= end:
        return [(first, end)]
    again = first + repeat_row
    return [(first, again), (again - 1, again), (again + 1, end)]


def replaced(fault: Fault, body: str | bytes | Iterator[bytes]) -> str | bytes | Iterator[bytes]:
    """The body with other texts in place of some."""
    if not fault.replace:
        return body
    if not isinstance(body, str):
        body = (body if isinstance(body, bytes) else b"".join(body)).decode("utf-8", "replace")
    for text, other in fault.replace.items():
        body = body.replace(text, other)
    return body


def cut(fault: Fault, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The body up to where the fault ends it."""
    limits = [
        n for n in (fault.truncate_after, fault.reset_after, fault.close_after) if n is not None
    ]
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


async def stalled(fault: Fault, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body with a long silence in it."""
    left = fault.stall_after
    async for piece in pieces:
        if left is None or len(piece) <= left:
            left = None if left is None else left - len(piece)
            yield piece
            continue
        if left:
            yield piece[:left]
        await asyncio.sleep(fault.stall_seconds)
        yield piece[left:]
        left = None


def break_off(fault: Fault, send: Any) -> None:
    """End the connection below HTTP.

    ASGI has no word for it, so this takes the transport from uvicorn's end of `send`.
    """
    transport = send.__self__.transport
    if fault.reset_after is None:
        transport.close()
        return
    connection = transport.get_extra_info("socket")
    # Closing with a linger time of 0 sends RST in place of FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
