"""Cheap questions that tell whether a window is worth reading, five to a call.

A probe saves calls and never decides: what cannot be told cheaply is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import pyarrow as pa

from sf_assets.errors import SalesforceError
from sf_assets.pipeline.extraction.extract import ExtractTask
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.dedupe import StoredVersions
from sf_assets.pipeline.schema.described import Described
from sf_assets.pipeline.schema.schema_drift import is_drift
from sf_assets.salesforce.responses import is_too_large
from sf_assets.salesforce.rest import ROWS_A_PAGE, SOQL_BYTES, Answer
from sf_assets.salesforce.rest_arrow import to_batch
from sf_assets.windows import Window


@dataclass(frozen=True, slots=True)
class Gap:
    """A window to look at: it is not covered, or may have changed since it was read.

    Attributes:
        described: The object.
        window: The window; it begins early enough to see what became visible late.
        unsettled: From when on it may have changed.
        probe: The question that an aggregate answers.
        plain: The question without one; its answer tells how many rows there are, too.
    """

    described: Described
    window: Window
    unsettled: datetime
    probe: str
    plain: str


def gap_of(item: Described, window: Window, unsettled: datetime) -> Gap:
    """A window of an object with the questions about it."""
    cursor, query = item.cursor or "", item.query
    plain = query.only(("Id", cursor)).over(cursor, window)
    return Gap(item, window, unsettled, query.probe(cursor, window), plain)


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What the org tells of a window.

    Attributes:
        rows: How many rows it holds; None when that cannot be told cheaply.
        newest: Their greatest cursor; None where there are no rows, or it is not told.
        stamped: Whether `newest` is told.
    """

    rows: int | None = None
    newest: str | None = None
    stamped: bool = True

    def agrees_with(self, known: StoredVersions) -> bool:
        """Whether raw has as many rows, with the same newest stamp; which proves little."""
        if self.rows != known.records:
            return False
        return not self.stamped or _same_moment(self.newest, known.newest)


def ask(org: Org, gaps: Sequence[Gap]) -> Iterator[tuple[Gap, ProbeAnswer | SalesforceError]]:
    """Ask what windows hold: by an aggregate, else by a query of Ids and stamps.

    Yields:
        Each gap with what the org tells, or with an error that any other question would meet.
    """
    refused: list[Gap] = []
    probes = {str(n): gap.probe for n, gap in enumerate(gaps)}
    for key, answer in org.client.rest.query_each(probes):
        gap, error = gaps[int(key)], answer.error
        if error and (is_drift(error) or org.ends_all(error)):
            yield gap, error
        elif error and is_too_large(error):  # the other question would be no smaller
            yield gap, ProbeAnswer()
        elif told := _by_aggregate(answer):
            yield gap, told
        else:
            refused.append(gap)
    plain = {str(n): gap.plain for n, gap in enumerate(refused)}
    for key, answer in org.client.rest.query_each(plain):
        gap = refused[int(key)]
        yield gap, _by_rows(answer, gap.described.cursor or "")


def fits_a_call(order: ExtractTask) -> bool:
    """Whether one call is enough to compare the rows of an order by content."""
    if not order.rows:
        return order.rows == 0
    short = len(quote(order.soql)) <= SOQL_BYTES
    return order.rows <= ROWS_A_PAGE and order.unknown is not None and short


def says_otherwise(org: Org, order: ExtractTask) -> bool:
    """Whether rows that raw holds say something else now under the same stamp.

    A second version of the same second may become visible after the first was read; count and
    newest stamp do not tell. Where the org cannot say, they do: so they are read.
    """
    if not order.rows or order.unknown is None:
        return False
    item, unknown = order.described, order.unknown
    try:
        told = org.client.rest.records(order.soql)
        batch = to_batch(told, item.query.fields, item.columns, item.stamps)
        return bool(unknown(pa.Table.from_batches([batch])).num_rows)
    except SalesforceError as error:
        if is_drift(error) or org.ends_all(error):
            raise
        return True


def _by_aggregate(answer: Answer) -> ProbeAnswer | None:
    if answer.error:
        return None
    try:
        for result in answer.body["records"]:
            return ProbeAnswer(int(result["n"] or 0), _moment(result["m"] or ""))
        return ProbeAnswer(0)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def _by_rows(answer: Answer, cursor: str) -> ProbeAnswer:
    if answer.error:
        return ProbeAnswer()
    try:
        rows, whole = int(answer.body["totalSize"]), bool(answer.body["done"])
        stamps = [_moment(row[cursor]) for row in answer.body["records"]] if whole else []
        newest = max(filter(None, stamps), key=datetime.fromisoformat, default=None)
    except (LookupError, TypeError, ValueError, AttributeError):
        return ProbeAnswer()
    return ProbeAnswer(rows, newest, stamped=whole)


def _moment(told: str) -> str | None:
    """A stamp as it was told.

    Raises:
        ValueError: It is none.
    """
    if told:
        datetime.fromisoformat(told)
    return told or None


def _same_moment(told: str | None, known: str | None) -> bool:
    if told is None or known is None:
        return told is known
    return datetime.fromisoformat(told) == datetime.fromisoformat(known)
