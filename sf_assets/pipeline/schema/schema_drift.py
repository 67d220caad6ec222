"""The org's schema moves on: columns that are new are filled, fields that vanish lose no run.

What is to be filled follows from raw and the describes kept in it, so it does not matter where an
earlier run ended. One rule makes that cheap to see: before the first rows with a new column come
into raw, the rows without it get theirs. So as long as the newest export has all columns, all have.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sf_assets.describe import ObjectInfo
from sf_assets.errors import SalesforceError, SfAssetsError
from sf_assets.naming import folded
from sf_assets.pipeline.extraction.extract import ExtractTask
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.described import Described, describe_objects
from sf_assets.salesforce.soql import required
from sf_assets.schema_diff import Change, diff
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.windows import BEGIN, Window

log = logging.getLogger(__name__)

_DRIFT = frozenset({"INVALID_FIELD", "INVALID_TYPE", "NOT_FOUND"})
_SECOND = timedelta(seconds=1)


def back_fill(raw: RawLayer, item: Described, refs: Sequence[SliceRef]) -> ExtractTask | None:
    """The order that reads what rows in raw lack of an object's columns.

    That is a field that is new, or asked for only now, or back, or of another type: all of its
    values are read, for their records need not have been touched. Nothing of a table's first load
    can lack, and nothing of a snapshot, which has everything.

    Args:
        raw: The raw layer.
        item: The object as it is now.
        refs: Its slices.

    Returns:
        The order, for all such fields together; None where nothing lacks, which is usual.
    """
    if item.cursor is None or not any(lacking_fields(item, p) for p in _newest(raw, refs)):
        return None
    pieces = raw.slices(item.spec.slug)
    fills = [piece for piece in pieces if piece.kind is SliceKind.FIELDS]
    lacking: set[str] = set()
    windows, rows = [], 0
    for piece in pieces:
        if piece.kind.patches or not piece.counts.written:
            continue
        window = _extent(piece)
        names = {
            name
            for name in lacking_fields(item, piece)
            if not any(_fills(fill, name, item, piece, window) for fill in fills)
        }
        if names:
            lacking |= names
            windows.append(window)
            rows += piece.counts.written
    if not lacking:
        return None
    window = Window(min(w.start for w in windows), max(w.end for w in windows))
    names_in_order = [name for name in item.query.fields if name in lacking]
    query = item.query.only(("Id", item.cursor, *names_in_order))
    return ExtractTask(replace(item, query=query), window, rows, kind=SliceKind.FIELDS)


def lacking_fields(item: Described, piece: Slice) -> list[str]:
    """Fields of the object's query whose values a slice does not hold, as the fields are now."""
    read = set(map(folded, piece.fields))
    keys = {"id", folded(item.cursor or "")}
    return [
        name
        for name in item.query.fields
        if folded(name) not in keys
        and (folded(name) not in read or piece.read_at < _since(item, name))
    ]


def schema_history(raw: RawLayer) -> Iterator[tuple[datetime, list[Change]]]:
    """What changed in the schema and when it was noticed, oldest first.

    An object that was not known before is told as one, without its fields.
    """
    known: dict[str, ObjectInfo] = {}
    for asked_at, told in raw.describes.history():
        if changes := diff({slug: known[slug] for slug in told if slug in known}, told):
            yield asked_at, changes
        known |= told


def is_drift(error: SfAssetsError) -> bool:
    """Whether an error may come of a schema that has changed since it was described."""
    return isinstance(error, SalesforceError) and error.code in _DRIFT


def without_lost_fields(org: Org, order: ExtractTask, error: SalesforceError) -> ExtractTask:
    """The order without the fields that are gone, after the org refused it.

    Fields that are new wait for the next run.

    Args:
        org: The org, which is asked to describe the object anew.
        order: What was refused.
        error: The refusal, raised again where it does not come of a field that is gone.

    Raises:
        SalesforceError: The object itself is gone, or the refusal has another reason.
    """
    if not is_drift(error):
        raise error
    before = order.described
    found = describe_objects(org, [before.spec], anew=True)[before.spec.slug]
    if isinstance(found, SfAssetsError):
        raise found from error
    if order.kind is SliceKind.FIELDS and found.cursor != before.cursor:
        raise error  # rows are told apart by the cursor that silver knows
    wanted = set(map(folded, (*before.query.fields, *required(found.info))))
    query = found.query.only(name for name in found.query.fields if folded(name) in wanted)
    kept = set(map(folded, query.fields))
    lost = [name for name in before.query.fields if folded(name) not in kept]
    if not lost:
        raise error
    log.warning("%s: %s is gone; read without it", found.info.name, ", ".join(lost))
    window = order.window if found.cursor else None
    described = replace(found, query=query)
    return replace(order, described=described, window=window, unknown=None, digest=None)


def _newest(raw: RawLayer, refs: Sequence[SliceRef]) -> list[Slice]:
    """The slices that tell whether anything may lack: the newest export, or what took its place."""
    exports = [ref for ref in refs if ref.kind is SliceKind.EXPORT]
    if exports:
        return list(raw.read([max(exports, key=lambda ref: ref.id)]))
    return list(raw.read(ref for ref in refs if ref.kind is SliceKind.COMPACTED))


def _extent(piece: Slice) -> Window:
    """A window that all cursors of a slice lie in; of one with single records, not its own."""
    newest = datetime.fromisoformat(piece.max_cursor) if piece.max_cursor else piece.start
    return Window(piece.start, max(piece.end, newest + _SECOND))


def _fills(fill: Slice, name: str, item: Described, piece: Slice, window: Window) -> bool:
    """Whether a field of the rows of a slice was read again."""
    return (
        folded(name) in map(folded, fill.fields)
        and fill.read_at >= max(piece.read_at, _since(item, name))
        and fill.start <= window.start
        and fill.end >= window.end
    )


def _since(item: Described, name: str) -> datetime:
    field = item.info.field(name)
    return field.since if field and field.since else BEGIN
