"""What an answer that is not the one hoped for stands for, as one of our errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from sf_assets.errors import (
    LimitExceededError,
    LoginError,
    ObjectUnavailableError,
    OrgRefusedError,
    OrgUnreachableError,
    SalesforceError,
)
from sf_assets.salesforce.auth import BUSY
from sf_assets.salesforce.refusals import advice_for

_CALLS_CODE = "REQUEST_LIMIT_EXCEEDED"
_LIMIT_CODES = {_CALLS_CODE, "LIMIT_EXCEEDED", "EXCEEDEDQUOTA"}
_UNAVAILABLE_CODES = {
    "INVALID_TYPE",
    "NOT_FOUND",
    "INSUFFICIENT_ACCESS",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "FUNCTIONALITY_NOT_ENABLED",
}
_NOTHING_LEFT = "totalrequests"
_NOT_OF_AN_OBJECT = (
    "that is not how an org refuses an object: a proxy or firewall before it has answered, or the "
    "session is not one for its API"
)
_BRIEF = 300

_TOO_LARGE = {"QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "QUERY_TOO_COMPLICATED"}

NOT_OF_THE_QUESTION = (OrgUnreachableError, LoginError, LimitExceededError)
"""Errors that would meet any other question as well."""


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Make an error of ours of an answer that reads otherwise than documented.

    Args:
        what: What was asked.

    Raises:
        OrgUnreachableError: It is no JSON; something before the org has answered.
        SalesforceError: It is JSON in which something is missing or of another kind.
    """
    try:
        yield
    except RecursionError:  # the decoder's, of documents nested a thousand deep
        raise SalesforceError(f"{what} was answered with a document nested too deep to read") from (
            None
        )
    except requests.JSONDecodeError:
        raise OrgUnreachableError(
            f"{what} was answered with something that is not JSON, so the org itself did not "
            "answer; check the network and status.salesforce.com, then run again"
        ) from None
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise SalesforceError(
            f"{what} was answered in a form that is not known ({type(error).__name__}); check "
            "that the login URL and the API version are the org's"
        ) from error


def is_too_large(error: SalesforceError) -> bool:
    """Whether a smaller question might be answered."""
    return error.code in _TOO_LARGE


def is_cursor_lost(error: SalesforceError) -> bool:
    """Whether the place in a result is gone: its session has ended, or it has expired."""
    return error.code == "INVALID_QUERY_LOCATOR"


def path_of(url: str | None) -> str:
    """The path of an address, without its query, which can be long and hold values."""
    return "/" + (url or "").partition("?")[0].partition("://")[2].partition("/")[2]


def error_of(response: requests.Response) -> SalesforceError:
    """The error that an answer of status 300 or more stands for."""
    what = f"{response.request.method} {path_of(response.request.url)}"
    try:
        body = response.json()
    except (requests.RequestException, RecursionError):  # no JSON, or it broke off
        kind = response.headers.get("Content-Type", "no content type")
        return classify(what, response.status_code, "", f"a body that is not JSON ({kind})")
    return classify(what, response.status_code, *code_and_message(body))


def code_and_message(body: Any) -> tuple[str, str]:
    """Error code and text of a REST error body; the code is empty where there is none."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", "an unknown error body"
    return str(first.get("errorCode") or ""), str(first.get("message") or "no reason")


def is_busy(status: int, code: str, message: str) -> bool:
    """Whether an answer says: not now.

    Too many requests at one moment is told by the code of the calls of a day that are used up.
    """
    return status in BUSY or (code == _CALLS_CODE and "concurrent" in message.lower())


def says_calls_are_used_up(error: SalesforceError) -> bool:
    """Whether an error says that the calls of 24 hours are used up; its code alone does not."""
    return error.code == _CALLS_CODE and _NOTHING_LEFT in str(error).lower()


def classify(what: str, status: int, code: str, message: str) -> SalesforceError:
    """The error of the tree that an answer stands for.

    Args:
        what: What was asked.
        status: HTTP status.
        code: Salesforce's error code, or empty.
        message: Salesforce's text.
    """
    brief = " ".join(message.split())[:_BRIEF]
    text = f"{what} was answered {' '.join(filter(None, (str(status), code)))}: {brief}"
    kind, advice = _kind_and_advice(status, code, brief)
    return kind(f"{text}; {advice}" if advice else text, status=status, code=code)


def _kind_and_advice(status: int, code: str, message: str) -> tuple[type[SalesforceError], str]:
    kind: type[SalesforceError] = SalesforceError
    refusal = advice_for(code, message)
    advice = refusal
    if is_busy(status, code, message):
        kind, advice = OrgUnreachableError, "the org stays busy, run again later"
    elif code in _LIMIT_CODES:
        kind, advice = LimitExceededError, "a limit of the org is used up, wait for it"
    elif status == requests.codes.unauthorized:
        kind, advice = LoginError, "; ".join(filter(None, ("a new login did not help", refusal)))
    elif code in _UNAVAILABLE_CODES:
        kind, advice = ObjectUnavailableError, "check the name and the user's permissions"
    elif refusal:
        kind = OrgRefusedError
    elif status == requests.codes.forbidden and not code:
        kind, advice = OrgRefusedError, _NOT_OF_AN_OBJECT
    return kind, advice
