"""Stands before a PostgreSQL and speaks as Redshift does, so that Redshift's connector connects.

Statements are those of Redshift: what it refuses is refused (`redshift_sql.py`), what it alone has
is told otherwise, and `COPY` reads Parquet files from an S3.
"""

import re
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from sf_assets_tests.redshift_sql import RefusedError, translated

PASSWORD = "secret"

_COPY = re.compile(
    r"COPY (\S+) FROM 's3://([^/]+)/(\S*)' (?:IAM_ROLE (?:DEFAULT|'\S+')|ACCESS_KEY_ID '\S+' "
    r"SECRET_ACCESS_KEY '\S+'(?: SESSION_TOKEN '\S+')?) FORMAT AS PARQUET"
)
_JSONB, _SUPER = 3802, 4000
_LONGEST = 65_535
_SSL = 80877103

_MORE = b"PBDEHTtdn12sC"
"""Kinds of messages after which others come."""

Message = tuple[bytes, bytes]
"""Its kind and its content."""


class RedshiftProxy(socketserver.ThreadingTCPServer):
    """A server on a port of this machine.

    Args:
        database: Socket of the PostgreSQL.
        s3: Address of the S3, and the keys to it.

    Attributes:
        copied: Files that were copied from S3, by their addresses.
        refused: What was refused, in order.
        refuse_files: What is said instead of reading files; empty to read them.
    """

    daemon_threads = True

    def __init__(self, database: Path, s3: tuple[str, str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.database = database
        self.copied: list[str] = []
        self.refused: list[str] = []
        self.refuse_files = ""
        endpoint, key, secret = s3
        self.s3 = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
            region_name="us-east-1",
        )  # fmt: skip
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def stop(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def rows(self, bucket: str, prefix: str) -> Iterator[pa.Table]:
        """Rows of the Parquet files that are there.

        Raises:
            RefusedError: There is none, or Redshift would not read it.
        """
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        if self.refuse_files or not found:
            said = "S3ServiceException: The specified S3 prefix does not exist"
            raise RefusedError(self.refuse_files or said)
        for one in found:
            self.copied.append(f"s3://{bucket}/{one['Key']}")
            content = self.s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            yield _readable(pq.read_table(BytesIO(content), coerce_int96_timestamp_unit="us"))


def _readable(table: pa.Table) -> pa.Table:
    """Rows of a file, if Redshift reads such columns."""
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = field.type
        if pa.types.is_nested(kind) or pa.types.is_time(kind):
            raise RefusedError(f"Spectrum Scan Error: column {field.name} is of a type it has not")
        if pa.types.is_string(kind):
            longest = max((len(text.encode()) for text in column.to_pylist() if text), default=0)
            if longest > _LONGEST:
                raise RefusedError("Value too long for character type")
    return table


class _Session(socketserver.BaseRequestHandler):
    """A connection of a client, and its own to the PostgreSQL.

    The client sends what ends in a message that asks for all answers; so nothing is told by one
    side while the other one speaks.
    """

    server: RedshiftProxy

    def setup(self) -> None:
        self._status = b"I"
        self._instead: dict[bytes, bytes] | None = None
        self._behind = socket.socket(socket.AF_UNIX)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = self.request.makefile("rwb")

    def handle(self) -> None:
        try:
            self._behind.connect(str(self.server.database))
            self._server = self._behind.makefile("rwb")
            if self._start():
                self._serve()
        except (OSError, EOFError, struct.error):
            pass  # one of the sides is gone, and so is the other

    def finish(self) -> None:
        self._behind.close()
        self._client.close()

    def _start(self) -> bool:
        """Let a client in; whether it is."""
        length, code = struct.unpack("!ii", _exactly(self._client, 8))
        if code == _SSL:
            self._client.write(b"N")
            self._client.flush()
            length, code = struct.unpack("!ii", _exactly(self._client, 8))
        words = _exactly(self._client, length - 8).split(b"\0")
        told = dict(zip(words[::2], words[1::2], strict=False))
        _send(self._client, b"R", struct.pack("!i", 3))
        kind, password = _receive(self._client)
        if kind != b"p" or password.rstrip(b"\0") != PASSWORD.encode():
            said = {b"S": b"FATAL", b"C": b"28000", b"M": b"password authentication failed"}
            _send(self._client, b"E", _error(said))
            self._client.flush()
            return False
        start = b"user\0postgres\0database\0" + told[b"database"] + b"\0\0"
        self._server.write(struct.pack("!ii", len(start) + 8, code) + start)
        self._server.flush()
        return self._answer()

    def _serve(self) -> None:
        while True:
            kind, content = _receive(self._client)
            if kind == b"X":
                return
            if kind == b"P":
                content = self._parsed(content)
            _send(self._server, kind, content)
            if kind in {b"S", b"Q"} and not self._answer():
                return

    def _parsed(self, content: bytes) -> bytes:
        """A statement to be prepared, as PostgreSQL takes it."""
        name, _, rest = content.partition(b"\0")
        text, _, types = rest.partition(b"\0")
        sql = text.decode()
        self._instead = None
        try:
            if match := _COPY.fullmatch(sql):
                self._copy(*match.groups())
                told = "SELECT WHERE false"
            else:
                told = translated(sql, within=self._status != b"I")
        except RefusedError as error:
            self.server.refused.append(f"{error}: {sql[:2000]}")
            told = "REFUSED"  # which is no SQL: what is said of it is replaced
            if self._instead is None:
                code = b"XX000" if ":" in str(error) or "Value" in str(error) else b"42601"
                self._instead = {b"S": b"ERROR", b"C": code, b"M": str(error).encode()}
        return name + b"\0" + told.encode() + b"\0" + types

    def _copy(self, table: str, bucket: str, prefix: str) -> None:
        """Copy the rows of files into a table, within whatever transaction there is."""
        for rows in self.server.rows(bucket, prefix):
            _send(self._server, b"Q", f"COPY {table} FROM STDIN (FORMAT csv)\0".encode())
            while (message := _receive(self._server))[0] not in b"GZ":
                if message[0] == b"E":
                    self._instead = _read_error(message[1])
            if message[0] == b"G":
                for portion in rows.to_batches(1000):
                    _send(self._server, b"d", _csv(portion))
                _send(self._server, b"c", b"")
                while (message := _receive(self._server))[0] != b"Z":
                    if message[0] == b"E":
                        self._instead = _read_error(message[1])
            self._status = message[1]
            if self._instead is not None:
                raise RefusedError("COPY")

    def _answer(self) -> bool:
        """Pass on what the server says, until it waits; whether it still is there."""
        while True:
            kind, content = _receive(self._server)
            if kind == b"S" and content.startswith(b"server_version\0"):
                content = b"server_version\x008.0.2\0"
            elif kind == b"T":
                content = _described(content)
            elif kind == b"E" and self._instead is not None:
                content, self._instead = _error(self._instead), None
            _send(self._client, kind, content)
            if kind == b"Z":
                self._status = content
                return True


def _receive(file: Any) -> Message:
    kind, length = struct.unpack("!ci", _exactly(file, 5))
    return kind, _exactly(file, length - 4)


def _exactly(file: Any, count: int) -> bytes:
    content: bytes = file.read(count)
    if len(content) < count:
        raise EOFError
    return content


def _send(file: Any, kind: bytes, content: bytes) -> None:
    file.write(kind + struct.pack("!i", len(content) + 4) + content)
    if kind not in _MORE:
        file.flush()


def _error(fields: dict[bytes, bytes]) -> bytes:
    return b"".join(kind + text + b"\0" for kind, text in fields.items()) + b"\0"


def _read_error(content: bytes) -> dict[bytes, bytes]:
    return {field[:1]: field[1:] for field in content.split(b"\0") if field}


def _described(content: bytes) -> bytes:
    """The columns of an answer, of which lists are of Redshift's type."""
    (count,), found, place = struct.unpack_from("!h", content), [content[:2]], 2
    for _ in range(count):
        end = content.index(b"\0", place) + 1
        table, number, kind, size, modifier, form = struct.unpack_from("!ihihih", content, end)
        kind = _SUPER if kind == _JSONB else kind
        found += [
            content[place:end], struct.pack("!ihihih", table, number, kind, size, modifier, form)
        ]  # fmt: skip
        place = end + 18
    return b"".join(found)


def _csv(rows: pa.RecordBatch) -> bytes:
    columns = [map(_cell, column.to_pylist()) for column in rows.columns]
    return "".join(",".join(row) + "\n" for row in zip(*columns, strict=True)).encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    return '"' + text.replace('"', '""') + '"'
