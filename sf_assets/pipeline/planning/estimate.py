"""What a plan will cost, before it is carried out, and how much of it today's budget can carry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from sf_assets.describe import FieldInfo
from sf_assets.pipeline.extraction.extract import ExtractTask
from sf_assets.salesforce.budget import CALLS, JOBS, MEGABYTES, Budget, Standing
from sf_assets.salesforce.bulk import calls_of_job
from sf_assets.salesforce.rest import ROWS_A_PAGE
from sf_assets.storage.manifest import SliceRef
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.raw_layer import RawLayer

_SAMPLE = 1_000
_TEXT = 20
_WIDTHS = {"id": 18, "reference": 18, "datetime": 24, "date": 10, "boolean": 5}
_QUOTES_AND_COMMA = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """What reading an object is likely to cost.

    Attributes:
        rows: Rows expected; None when the org could not say.
        source: `rest` or `bulk`, or both.
        windows: Pieces that it is read in, each committed for itself.
        calls: API calls.
        jobs: Bulk query jobs.
        megabytes: Size of what comes, as CSV.
    """

    rows: int | None
    source: str
    windows: int
    calls: int
    jobs: int
    megabytes: float


def calls_of(order: ExtractTask) -> int:
    """Calls that an order is likely to take."""
    if order.by_rest:
        return max(1, -(-(order.rows or 0) // ROWS_A_PAGE))
    return calls_of_job(order.rows or 0)


def estimate(raw: RawLayer, refs: Sequence[SliceRef], orders: Sequence[ExtractTask]) -> Estimate:
    """Add up what the orders of one object are likely to cost.

    Args:
        raw: The raw layer, where the size of rows is looked up.
        refs: The object's slices.
        orders: At least one.
    """
    counted = [order.rows for order in orders if order.rows is not None]
    rows = sum(counted) if len(counted) == len(orders) else None
    sources = sorted({"rest" if order.by_rest else "bulk" for order in orders})
    size = _row_bytes(raw, refs, orders[0]) * sum(counted)
    return Estimate(
        rows=rows,
        source="+".join(sources),
        windows=len(orders),
        calls=sum(map(calls_of, orders)),
        jobs=sum(not order.by_rest for order in orders),
        megabytes=round(size / 1e6, 1),
    )


def fitting(
    budget: Budget, orders: Mapping[str, Sequence[ExtractTask]]
) -> dict[str, list[ExtractTask]]:
    """Of each object's orders those that what is left today can carry, from the first one on.

    What does not fit is better not begun: half of it would be paid for twice.
    """
    left = {name: s.left for name in (CALLS, JOBS) if (s := budget.standing(name))}
    found: dict[str, list[ExtractTask]] = {}
    for slug, asked in orders.items():
        found[slug] = []
        for order in asked:
            cost = {CALLS: calls_of(order), JOBS: int(not order.by_rest)}
            if any(cost[name] > some for name, some in left.items()):
                break
            left = {name: some - cost[name] for name, some in left.items()}
            found[slug].append(order)
    return found


def days_needed(estimates: Sequence[Estimate], standings: Mapping[str, Standing]) -> int | None:
    """Days until all of it is read: 1 when today's budget carries it; None when that is not known.

    Args:
        estimates: What it costs, object by object.
        standings: How the limits stand, by name.
    """
    costs = {
        CALLS: sum(e.calls for e in estimates),
        JOBS: sum(e.jobs for e in estimates),
        MEGABYTES: int(sum(e.megabytes for e in estimates)),
    }
    days = [
        1 + -(-max(0, costs[name] - standing.left) // max(1, standing.daily))
        for name, standing in standings.items()
    ]
    return max(days, default=None)


def _row_bytes(raw: RawLayer, refs: Sequence[SliceRef], order: ExtractTask) -> float:
    """Bytes of a row as CSV: of rows that raw holds, else what the describe suggests."""
    columns = order.described.columns
    for piece in raw.read(list(refs)[-1:]):
        for frame in scan(raw.store, piece):
            rows = frame.head(_SAMPLE).select(pl.exclude("_read_at", "_slice"))
            text = sum(rows.select(pl.all().str.len_bytes().sum()).row(0)) if len(rows) else 0
            return text / max(1, len(rows)) + _QUOTES_AND_COMMA * rows.width
    fields = {field.name: field for field in order.described.info.fields}
    return sum(_width(fields.get(name)) + _QUOTES_AND_COMMA for name in columns)


def _width(field: FieldInfo | None) -> int:
    """Likely length of a value; many are empty and few are as long as they may be."""
    if field is None:
        return _TEXT
    return _WIDTHS.get(field.type, min(field.length or _TEXT, _TEXT) // 2)
