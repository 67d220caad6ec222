"""The body of an answer as a stream that ends only where the server's body ended."""

import io
import zlib

import numpy as np
import requests
import urllib3

from sf_assets.errors import PageBrokenError

_CHUNK = 1 << 18
_LONGEST_LINE = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS
_QUOTE = ord('"')


class ResponseStream(io.RawIOBase):
    """A readable stream over a response; gzip is undone here.

    No client library notices a gzip stream that was cut short (libraries.md §2), so we ask zlib
    whether it saw the end. Nor does any notice a length that was announced too small, or a body
    that ends with its connection; so the quotes of what is not compressed must come in pairs.

    Attributes:
        size: Bytes so far, decompressed.

    Raises:
        PageBrokenError: From `read`, when the connection breaks, stalls or ends early.
    """

    def __init__(self, response: requests.Response) -> None:
        super().__init__()
        self._raw = response.raw
        gzipped = "gzip" in response.headers.get("Content-Encoding", "").lower()
        self._inflate = zlib.decompressobj(_GZIP) if gzipped else None
        self._compressed = b""
        self._began = False
        self._quotes = 0
        self._pushed_back = b""
        self.size = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill the buffer; 0 at the end."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, at least one unless the body has ended."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if self._pushed_back:
            data, self._pushed_back = self._pushed_back[:size], self._pushed_back[size:]
            return data
        if self._inflate is None:
            data = self._receive(size)
            self.size += len(data)
            return data
        while not (data := self._decompress(self._inflate, size)):
            self._compressed = self._compressed or self._receive(_CHUNK)
            if not self._compressed:
                break
            if self._inflate.eof:  # gzip streams in a row are one body
                self._inflate = zlib.decompressobj(_GZIP)
            self._began = True
        if self._began and not data and not self._inflate.eof:
            raise PageBrokenError("a compressed result page was cut short")
        self.size += len(data)
        return data

    def peek(self) -> bytes:
        """Some of what comes next, without taking it; empty at the end."""
        if not self._pushed_back:
            self._pushed_back = self.read(_CHUNK)
        return self._pushed_back

    def readline_quoted(self) -> bytes:
        """Take the first line, which holds no quoted line breaks; empty at the end.

        Of a body without lines only a beginning is taken, so that no page is held whole.
        """
        data = self.peek()
        while b"\n" not in data and len(data) < _LONGEST_LINE and (more := self._more()):
            data += more
        line, end, self._pushed_back = data.partition(b"\n")
        return line + end

    def _more(self) -> bytes:
        self._pushed_back = b""
        return self.read(_CHUNK)

    def _decompress(self, inflate: "zlib._Decompress", size: int) -> bytes:
        if inflate.eof:
            return b""
        try:
            data = inflate.decompress(self._compressed, size)
        except zlib.error:
            raise PageBrokenError("a compressed result page is damaged") from None
        self._compressed = inflate.unconsumed_tail or inflate.unused_data
        return data

    def _receive(self, size: int) -> bytes:
        try:
            data = bytes(self._raw.read(size, decode_content=False))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise PageBrokenError(
                f"the connection broke while a result page was read ({type(error).__name__})"
            ) from None
        if self._inflate is None:
            # numpy counts at the speed of memory, `bytes.count` at a tenth of it.
            self._quotes += int(np.count_nonzero(np.frombuffer(data, np.uint8) == _QUOTE))
            if not data and self._quotes % 2:
                raise PageBrokenError("a result page ended inside a value")
        return data
