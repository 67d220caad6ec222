"""Orders in pieces that a day's budget can carry, so that each day commits something."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from sf_assets.errors import LimitExceededError, ObjectUnavailableError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.extraction.extract import ExtractTask
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.described import Described
from sf_assets.salesforce.responses import NOT_OF_THE_QUESTION
from sf_assets.salesforce.rest import ROWS_A_PAGE, Answer
from sf_assets.windows import OLDEST, Window, utc_day

_PIECES_A_DAY = 4
"""A piece takes at most this part of a day's calls. It is reckoned by the page size of REST, which
an object may turn out to need; by Bulk a piece is a few calls more than it would have to be."""

_MOST_GROUPS = timedelta(days=1900)  # an aggregate query answers with at most 2,000 groups


def tasks_again(
    org: Org, asked: Sequence[tuple[Described, Window | None]]
) -> Iterator[tuple[str, list[ExtractTask] | SfAssetsError]]:
    """Order windows to be read whatever raw holds of them, their rows counted five to a call.

    Yields:
        Lower-cased name with the orders, the newest window first, or why there are none.
    """
    counts: dict[str, str] = {}
    failed: dict[str, SfAssetsError] = {}
    for number, (item, window) in enumerate(asked):
        with isolated(Work.COUNT, item.spec.slug, failed):
            counts[str(number)] = item.query.count(item.cursor, window)
    for key, answer in org.client.rest.query_each(counts):
        item, window = asked[int(key)]
        slug = item.spec.slug
        if isinstance(answer.error, (*NOT_OF_THE_QUESTION, ObjectUnavailableError)):
            yield slug, answer.error
            continue
        with isolated(Work.COUNT, slug, failed, org.ends_all):
            yield slug, cut(org, ExtractTask(item, window, _counted(answer)))
    yield from failed.items()


def _counted(answer: Answer) -> int | None:
    """How many rows there are; None where the org does not count them, and they are just read."""
    try:
        return None if answer.error else int(answer.body["totalSize"])
    except (LookupError, TypeError, ValueError):
        return None


def cut(org: Org, order: ExtractTask) -> list[ExtractTask]:
    """An order in pieces of which each takes a part of a day's calls at most, the newest first.

    Costs nothing unless the order is that large; then a count by day, one call for five years.
    """
    calls = org.client.budget.calls
    if calls is None or order.window is None or order.rows is None:
        return [order]
    most = max(1, calls.daily // _PIECES_A_DAY) * ROWS_A_PAGE
    if order.rows <= most or (days := _by_day(org, order, order.window)) is None:
        return [order]
    pieces: list[ExtractTask] = []
    rows, begun, end = 0, order.window.end, order.window.end
    for start, count in _spans(days, order.window, most):
        if rows and rows + count > most:
            pieces.append(replace(order, window=Window(begun, end), rows=rows))
            rows, end = 0, begun
        rows, begun = rows + count, start
    return [*pieces, replace(order, window=Window(order.window.start, end), rows=rows)]


def _by_day(org: Org, order: ExtractTask, window: Window) -> dict[date, int] | None:
    """Rows of a window by UTC day; None when the org cannot say."""
    item, cursor = order.described, order.described.cursor or ""
    parts: dict[str, str] = {}
    end = window.end
    while end > max(window.start, OLDEST):
        start = max(window.start, OLDEST, end - _MOST_GROUPS)
        parts[f"{len(parts)}"] = item.query.per_day(cursor, Window(start, end))
        end = start
    days: dict[date, int] = {}
    for _, answer in org.client.rest.query_each(parts):
        if isinstance(answer.error, LimitExceededError):
            raise answer.error
        if answer.error:
            return None
        for row in answer.body["records"]:
            day = date.fromisoformat(row["d"])
            days[day] = days.get(day, 0) + int(row["n"])
    return days


def _spans(days: dict[date, int], window: Window, most: int) -> Iterator[tuple[datetime, int]]:
    """Starts of spans of time with their rows, the newest first: days, or parts of a large one.

    A day of very many rows, after a mass update, is cut evenly: how they lie in it is not known.
    """
    for day, count in sorted(days.items(), reverse=True):
        parts = min(-(-count // most), 24 * 60)
        for part in reversed(range(parts)):
            start = utc_day(day) + timedelta(seconds=part * 86_400 // parts)
            if start < window.end:
                yield max(start, window.start), (count + part) // parts  # adds up to count
            if start <= window.start:
                break
