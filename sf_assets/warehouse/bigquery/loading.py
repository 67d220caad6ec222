"""Rows on their way into BigQuery: many by a Parquet file, a few by a statement."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sf_assets.naming import Names
from sf_assets.warehouse.bigquery.types import arrow, cast

_ROWS_AT_ONCE = 1_000
_BYTES_AT_ONCE = 4_000_000
"""Of a request, which may have 10 MB."""


class Parts:
    """Parquet files of rows that are still to be sent, one for each table."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writers: dict[str, tuple[Path, pq.ParquetWriter]] = {}

    def append(self, place: str, types: Names[str], rows: pa.RecordBatchReader) -> None:
        """Keep rows for a table.

        Args:
            place: The table.
            types: Of its columns.
            rows: The rows; columns that the table has and they have not are null in it.
        """
        for batch in rows:
            if len(batch):
                there = Names((name, batch.column(name)) for name in batch.schema.names)
                columns = [
                    cast(there[name], arrow(kind))
                    if name in there
                    else pa.nulls(len(batch), arrow(kind))
                    for name, kind in types.items()
                ]
                whole = pa.RecordBatch.from_arrays(columns, names=list(types))
                self._writer(place, whole.schema).write_batch(whole)

    def _writer(self, place: str, schema: pa.Schema) -> pq.ParquetWriter:
        if place not in self._writers:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="sf_assets_")
            path = Path(self._folder.name) / f"{len(self._writers)}.parquet"
            writer = pq.ParquetWriter(path, schema, compression="snappy")
            self._writers[place] = path, writer
        return self._writers[place][1]

    def take(self) -> Iterator[tuple[str, Path]]:
        """The tables and their files, to be sent; each is removed when the next is asked for."""
        while self._writers:
            place, (path, writer) = self._writers.popitem()
            writer.close()
            yield place, path
            path.unlink()

    def close(self) -> None:
        """Remove all files."""
        for _, writer in self._writers.values():
            writer.close()
        self._writers.clear()
        if self._folder:
            self._folder.cleanup()


def spoken(rows: pa.RecordBatchReader) -> Iterator[list[str]]:
    """Rows as JSON arrays of their values, as many at a time as go into one request."""
    some: list[str] = []
    size = 0
    for batch in rows:
        for row in zip(*map(_values, batch.columns), strict=True):
            text = json.dumps(row, default=_plain, ensure_ascii=False)
            if some and (len(some) == _ROWS_AT_ONCE or size + len(text) > _BYTES_AT_ONCE):
                yield some
                some, size = [], 0
            some.append(text)
            size += len(text)
    if some:
        yield some


def _values(column: pa.Array) -> list[Any]:
    """Values of a column; a list that is none is one without members, as BigQuery keeps it."""
    values: list[Any] = column.to_pylist()
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return [value or [] for value in values]
    return values


def _plain(value: Any) -> str:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)


def unspoken(names: Sequence[str], types: Mapping[str, str]) -> list[str]:
    """How values of columns are read out of such an array, which is called `r`.

    Args:
        names: The columns, in the order of the values.
        types: How BigQuery calls the types of columns.
    """
    return [_read(types[name], place) for place, name in enumerate(names)]


def _read(kind: str, place: int) -> str:
    if kind == "ARRAY<STRING>":
        return f"JSON_VALUE_ARRAY(r, '$[{place}]')"
    value = f"JSON_VALUE(r, '$[{place}]')"
    return value if kind == "STRING" else f"CAST({value} AS {kind})"
