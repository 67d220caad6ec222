"""How rows come into Redshift: by `COPY` of Parquet files in S3, or few of them by `INSERT`.

`COPY` takes columns by their places, and of Parquet's types neither times of day nor lists; nor are
its documents clear about zones. So it fills a temporary table of plain types, and what is in that
is inserted by the names of columns, as what it is.
"""

import json
import logging
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sf_assets.errors import StorageError
from sf_assets.sql import quoted, text_literal
from sf_assets.storage.bucket import AwsCredentials
from sf_assets.storage.store import Store
from sf_assets.warehouse.redshift.render import SCRATCH, kept

log = logging.getLogger(__name__)

FEW = 500
"""Rows up to which they are inserted, which is quicker than by way of S3."""

MANY = 10_000
"""Rows from which on it is told that there is a quicker way."""

_PARAMETERS = 32_000
"""Values of one `INSERT`; its protocol has room for 32,767."""

_CHARACTERS = 4_000_000
"""Texts of one `INSERT` have so many characters together; a statement has room for 16 MB."""

_FILE_BYTES = 256 << 20
"""Arrow bytes in one file, of which each is read by a slice of its own."""

_LOADING = f"{SCRATCH}loading"

Run = Callable[..., Any]
"""Runs a statement, with values in the place of `?`."""


@dataclass(frozen=True, slots=True)
class Staging:
    """A folder of S3 that Redshift reads.

    Attributes:
        store: The folder.
        iam_role: By which Redshift reads there; empty for the keys by which we write.
        keys: Gives those keys, as obstore's providers do.
    """

    store: Store
    iam_role: str = ""
    keys: Callable[[], Any] = field(default_factory=AwsCredentials, repr=False)

    def copy(self, run: Run, table: str, rows: Iterator[pa.RecordBatch], schema: pa.Schema) -> None:
        """Copy rows into a table, which has their columns in their order."""
        folder = uuid.uuid4().hex
        written: list[str] = []
        try:
            for file in _files(rows, schema):
                written.append(f"{folder}/{file.name}")
                self.store.put(written[-1], file)
            run(
                f"COPY {table} FROM {text_literal(self.store.uri(f'{folder}/'))} "
                f"{self._authorization()} FORMAT AS PARQUET"
            )
        finally:
            self._remove(written)

    def _remove(self, files: Sequence[str]) -> None:
        try:
            self.store.delete(files)
        except StorageError as error:
            log.warning("files stay in the staging folder of Redshift: %s", error)

    def _authorization(self) -> str:
        if self.iam_role == "default":
            return "IAM_ROLE DEFAULT"
        if self.iam_role:
            return f"IAM_ROLE {text_literal(self.iam_role)}"
        keys = self.keys()
        told = {
            "ACCESS_KEY_ID": keys["access_key_id"],
            "SECRET_ACCESS_KEY": keys["secret_access_key"],
            "SESSION_TOKEN": keys.get("token"),
        }
        return " ".join(f"{name} {text_literal(value)}" for name, value in told.items() if value)


def load(run: Run, staging: Staging | None, table: str, rows: pa.RecordBatchReader) -> None:
    """Append rows to a table.

    Args:
        run: Runs a statement.
        staging: Where files can be put for Redshift; None for nowhere.
        table: The table, as SQL writes it.
        rows: The rows, by the names of their columns.
    """
    batches = (batch for batch in rows if len(batch))
    first: list[pa.RecordBatch] = []
    while sum(map(len, first)) <= FEW and (batch := next(batches, None)) is not None:
        first.append(batch)
    every = chain(first, batches)
    if staging is None or sum(map(len, first)) <= FEW:
        _insert(run, table, every, rows.schema)
        return
    plain = pa.schema([pa.field(kept(f.name), _plain(f.type)) for f in rows.schema])
    declared = ", ".join(f"{quoted(f.name)} {_declared(f.type)}" for f in plain)
    run(f"DROP TABLE IF EXISTS {_LOADING}")
    run(f"CREATE TEMP TABLE {_LOADING} ({declared})")
    staging.copy(run, _LOADING, (_as_plain(batch, plain) for batch in every), plain)
    names = ", ".join(quoted(field.name) for field in plain)
    typed = ", ".join(
        _typed(quoted(name), field.type)
        for name, field in zip(plain.names, rows.schema, strict=True)
    )
    run(f"INSERT INTO {table} ({names}) SELECT {typed} FROM {_LOADING}")
    run(f"DROP TABLE {_LOADING}")


def _insert(run: Run, table: str, rows: Iterator[pa.RecordBatch], schema: pa.Schema) -> None:
    """Insert rows by statements of many rows, whose values are no part of their texts."""
    names = ", ".join(quoted(kept(name)) for name in schema.names)
    row = "(" + ", ".join(_typed("?", field.type) for field in schema) + ")"
    count, told = 0, False
    for batch in rows:
        for some in _portions(batch):
            values = [value for one in some for value in one]
            every = ", ".join([row] * len(some))
            run(f"INSERT INTO {table} ({names}) VALUES {every}", values)
        count += len(batch)
        if count > MANY and not told:
            told = True
            log.warning(
                "rows are inserted into Redshift statement by statement, which takes long; name a "
                "folder of S3 that it can read in the address: staging=s3://bucket/prefix"
            )


def _portions(batch: pa.RecordBatch) -> Iterator[list[list[str | None]]]:
    """Rows as texts, so many as one statement takes."""
    most = max(1, min(FEW, _PARAMETERS // batch.num_columns))
    for first in range(0, len(batch), most):
        columns = (map(_text, column.to_pylist()) for column in batch.slice(first, most).columns)
        some: list[list[str | None]] = []
        size = 0
        for row in zip(*columns, strict=True):
            length = sum(len(text) for text in row if text is not None)
            if some and size + length > _CHARACTERS:
                yield some
                some, size = [], 0
            some.append(list(row))
            size += length
        yield some


def _text(value: Any) -> str | None:
    """A value as Redshift reads it from a text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return json.dumps([_text(one) for one in value], ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)


def _typed(value: str, kind: pa.DataType) -> str:
    """What a value is that comes as a text, or in a plain type."""
    if _is_list(kind):
        return f"JSON_PARSE({value})"
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # The session's zone is UTC.
        return f"CAST({value} AS TIMESTAMPTZ)"
    if pa.types.is_time(kind):
        return f"CAST({value} AS TIME)"
    if value != "?" or _is_text(kind):
        return value
    return f"CAST({value} AS {_declared(kind)})"


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type by which a column is written for `COPY`."""
    if _is_text(kind) or _is_list(kind) or pa.types.is_time(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    return pa.int64() if pa.types.is_integer(kind) else kind


def _declared(kind: pa.DataType) -> str:
    """What Redshift calls a type."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return next((name for is_one, name in _NAMES if is_one(kind)), "VARCHAR(MAX)")


_NAMES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_timestamp, "TIMESTAMP"),
    (pa.types.is_integer, "BIGINT"),
    (pa.types.is_floating, "DOUBLE PRECISION"),
)


def _as_plain(batch: pa.RecordBatch, plain: pa.Schema) -> pa.RecordBatch:
    columns = [
        _simple(column, field.type) for column, field in zip(batch.columns, plain, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=plain)


def _simple(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if _is_list(column.type) or pa.types.is_time(column.type):
        return pa.array(map(_text, column.to_pylist()), kind)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.cast(column, pa.timestamp(column.type.unit, "UTC"))
        return pc.cast(pc.local_timestamp(column), kind)
    return column if column.type == kind else pc.cast(column, kind)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _files(rows: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[Path]:
    """Rows as Parquet files, one after the other, each there until the next is asked for."""
    number, batch = 0, next(rows, None)
    with tempfile.TemporaryDirectory(prefix="sf_assets_") as folder:
        while batch is not None:
            path, size = Path(folder) / f"{number:05d}.parquet", 0
            # Stamps of 96 bits are those that every release of Redshift reads.
            with pq.ParquetWriter(
                path, schema, compression="snappy", use_deprecated_int96_timestamps=True
            ) as writer:
                while batch is not None and size < _FILE_BYTES:
                    writer.write_batch(batch)
                    size += batch.nbytes
                    batch = next(rows, None)
            yield path
            path.unlink()
            number += 1
