"""A census: Ids and cursors of all records that the org has, in files of a folder of its own."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from sf_assets.columns.cast import cast
from sf_assets.columns.column import Column, ColumnKind
from sf_assets.errors import SalesforceError
from sf_assets.pipeline.extraction.extract import Extractor, ExtractTask
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.described import Described
from sf_assets.salesforce.rest_arrow import to_batch
from sf_assets.storage.manifest import Slice
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.storage.store import Store
from sf_assets.windows import ALWAYS

_FLAG = "IsDeleted"

IDS_A_QUERY = 400
"""So many Ids fit into an address, with the rest of the query."""


@dataclass(frozen=True, slots=True)
class IdScan:
    """One census of an object.

    Attributes:
        raw: A raw of its own, which is thrown away.
        piece: The slice in it.
    """

    raw: RawLayer
    piece: Slice

    def frames(self) -> Iterator[pl.DataFrame]:
        """Id, `cursor` and `binned` of every record; without a cursor the last two say nothing."""
        for frame in scan(self.raw.store, self.piece):
            yield _typed(frame, self.piece.cursor)


def scan_ids(org: Org, item: Described, folder: Path) -> IdScan:
    """Ask the org for the Ids and cursors of all records that the object's query selects.

    Args:
        org: The org.
        item: The object.
        folder: Where the files go; it holds nothing else.

    Raises:
        SalesforceError: The org refuses.
    """
    raw = RawLayer(Store(f"file://{folder}"), org.client.org_id)
    ((_, counted),) = org.client.rest.query_each({"n": item.query.count(None, None)})
    rows = None if counted.error else int(counted.body["totalSize"])
    window = ALWAYS if item.cursor else None
    extractor = Extractor(org, raw=raw)
    try:
        piece = extractor.extract(ExtractTask(_keys_of(item), window, rows, whole=True))
    finally:
        extractor.close()
    if piece is None:
        raise SalesforceError(f"the census of {item.info.name} brought nothing")
    return IdScan(raw, piece)


def ask_again(org: Org, item: Described, ids: Iterable[Sequence[str]]) -> Iterator[pl.DataFrame]:
    """Id, `cursor` and `binned` of those of some records that the org has.

    Args:
        org: The org.
        item: The object.
        ids: Ids, in batches of at most `IDS_A_QUERY`.

    Raises:
        SalesforceError: The org refuses, or one record came in place of another.
    """
    keys = _keys_of(item)
    for batch in ids:
        told = org.client.rest.records(keys.query.of_records(batch))
        rows = to_batch(told, keys.query.fields, keys.columns, keys.stamps)
        frame = pl.DataFrame(rows).with_columns(pl.lit("").alias("_slice"))
        yield _typed(frame, item.cursor)


def _keys_of(item: Described) -> Described:
    names = ["Id"]
    if item.cursor:
        names += [item.cursor, *(name for name in item.query.fields if name == _FLAG)]
    return replace(item, query=item.query.only(names))


def _typed(frame: pl.DataFrame, cursor: str | None) -> pl.DataFrame:
    if cursor is None:
        no_stamp = pl.lit(None, pl.Datetime("us", "UTC")).alias("cursor")
        return frame.select("Id", no_stamp, pl.lit(value=False).alias("binned"))
    typed, _ = cast(frame, [Column(cursor, ColumnKind.TIMESTAMP)])
    binned = pl.col(_FLAG) == "true" if _FLAG in frame.columns else pl.lit(value=False)
    return typed.select("Id", pl.col(cursor).alias("cursor"), binned.alias("binned"))
