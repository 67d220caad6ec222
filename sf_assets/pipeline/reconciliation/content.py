"""The content of records where keys tell no difference: all fields of a sample, or of all records.

Two versions may have one stamp, and the second may become visible when nobody looks any more.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from sf_assets.comparison.content import Content, compare_content
from sf_assets.comparison.keys import Comparison
from sf_assets.comparison.silver_copy import SilverCopy
from sf_assets.describe import OF_WHOEVER_ASKS
from sf_assets.pipeline.extraction.extract import ExtractTask
from sf_assets.pipeline.extraction.repair import extracted, tasks_by_id
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.privacy import Policies, treated_columns
from sf_assets.pipeline.schema.described import Described
from sf_assets.storage.manifest import Slice, column_name
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.storage.store import Store
from sf_assets.windows import ALWAYS

SAMPLE = 2_000
"""Records of which all fields are asked for: half of them the newest, half taken at random."""

_CONFIRMED = 4_000
"""Up to so many records that differ are asked for again before it is believed."""


def compare_contents(
    org: Org, item: Described, judged: Comparison, root: Path, *, everything: bool
) -> Content:
    """Compare what records say of which both sides have the same version, and mark what differs.

    Args:
        org: The org.
        item: The object, which has a cursor.
        judged: The comparison of its keys.
        root: Where there is room.
        everything: All records, not a sample.
    """
    item = replace(item, query=item.query.only(comparable(org, item)))
    ids = None if everything else judged.sample(SAMPLE)
    content = _compare(org, item, root, ids)
    if 0 < len(content.unlike) <= _CONFIRMED:
        # A live org moves between two questions, and so does silver.
        again = _compare(org, item, root, judged.stamped(content.unlike))
        unlike = again.unlike.join(content.unlike, on="Id", how="semi")
        changed = again.changed if len(unlike) else {}
        content = replace(content, unlike=unlike, changed=changed)
    judged.mark_changed(content.unlike)
    return content


def comparable(org: Org, item: Described) -> tuple[str, ...]:
    """Fields of an object's query that silver has, and that are the same for whoever asks."""
    policies = Policies(org, org.raw)
    return tuple(
        path
        for path in item.query.fields
        if path.rpartition(".")[2] not in OF_WHOEVER_ASKS
        and policies.of(item.spec.slug, path).leaves_column
    )


def _compare(org: Org, item: Described, root: Path, ids: pl.DataFrame | None) -> Content:
    """Compare rows; of all records where no Ids are given."""
    with TemporaryDirectory(dir=root) as own:
        held = _silver(org, item, Path(own), ids)
        raw = RawLayer(Store(f"file://{own}/told"), org.client.org_id)
        orders = [ExtractTask(item, ALWAYS, held.rows)] if ids is None else tasks_by_id(item, [ids])
        pieces = list(extracted(org, orders, raw))
        derived = {column_name(field) for field in item.derived}
        return compare_content(held, lambda: _rows(raw, pieces), derived, Path(own))


def _silver(org: Org, item: Described, folder: Path, ids: pl.DataFrame | None) -> SilverCopy:
    columns, treated = treated_columns(org, org.raw, item.spec.slug, item.query.fields)
    with org.reading(org.raw.org_id) as session:
        path, cursor = folder / "silver.parquet", item.cursor or ""
        copy = session.silver.copy_columns(item.spec.slug, columns, cursor, path, only=ids)
        return replace(copy, treated=treated)


def _rows(raw: RawLayer, pieces: list[Slice]) -> Iterator[pl.DataFrame]:
    for piece in pieces:
        yield from scan(raw.store, piece)
