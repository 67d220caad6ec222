"""Conditional requests: `If-Modified-Since`, `If-Unmodified-Since`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.messages import Reply, Request, empty


def not_modified(
    request: Request, modified: datetime | None, headers: Mapping[str, str] | None = None
) -> Reply | None:
    """The answer to a client that has what it asks for already; None if it gets an answer.

    Args:
        request: What it asks.
        modified: When that was changed last; None if nobody knows.
        headers: Of the answer.

    Raises:
        ApiError: PRECONDITION_FAILED when it was changed since the client saw it.
    """
    if modified is None:
        return None
    unmodified_since = _moment(request, "if-unmodified-since")
    if unmodified_since is not None and modified > unmodified_since:
        message = "The record was modified after the date in the If-Unmodified-Since header"
        raise ApiError(412, "PRECONDITION_FAILED", message)
    since = _moment(request, "if-modified-since")
    if request.method not in ("GET", "HEAD") or since is None or modified > since:
        return None
    reply = empty(304)
    reply.headers |= headers or {}
    return reply


def _moment(request: Request, header: str) -> datetime | None:
    """The date of a header; one that cannot be read is as good as none."""
    try:
        moment = parsedate_to_datetime(request.headers.get(header, ""))
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
