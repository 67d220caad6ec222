"""What an answer that is not the one hoped for stands for, as one of our errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from sf_assets.errors import (
    LimitExceededError,
    LoginError,
    ObjectUnavailableError,
    OrgUnreachableError,
    SalesforceError,
)
from sf_assets.salesforce.auth import BUSY

_LIMIT_CODES = {"REQUEST_LIMIT_EXCEEDED", "LIMIT_EXCEEDED", "EXCEEDEDQUOTA"}
_UNAVAILABLE_CODES = {
    "INVALID_TYPE",
    "NOT_FOUND",
    "INSUFFICIENT_ACCESS",
    "FUNCTIONALITY_NOT_ENABLED",
}
_BRIEF = 300

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
    except requests.JSONDecodeError:
        raise OrgUnreachableError(
            f"{what} was answered with something that is not JSON, so the org itself did not "
            "answer; check the network and status.salesforce.com, then run again"
        ) from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SalesforceError(
            f"{what} was answered in a form that is not known ({type(error).__name__}); check "
            "SALESFORCE_LOGIN_URL and SALESFORCE_API_VERSION"
        ) from error


def path_of(url: str | None) -> str:
    """The path of an address, without its query, which can be long and hold values."""
    return "/" + (url or "").partition("?")[0].partition("://")[2].partition("/")[2]


def error_of(response: requests.Response) -> SalesforceError:
    """The error that an answer of status 300 or more stands for."""
    what = f"{response.request.method} {path_of(response.request.url)}"
    try:
        body = response.json()
    except requests.RequestException:  # no JSON, or it broke off
        kind = response.headers.get("Content-Type", "no content type")
        return classify(what, response.status_code, "", f"a body that is not JSON ({kind})")
    return classify(what, response.status_code, *code_and_message(body))


def code_and_message(body: Any) -> tuple[str, str]:
    """Error code and text of a REST error body; the code is empty where there is none."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", "an unknown error body"
    return str(first.get("errorCode") or ""), str(first.get("message") or "no reason")


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
    kind: type[SalesforceError]
    if code in _LIMIT_CODES:
        kind, advice = LimitExceededError, "a limit of the org is used up, wait for it"
    elif status == requests.codes.unauthorized:
        kind, advice = LoginError, "a new login did not help"
    elif code in _UNAVAILABLE_CODES or status == requests.codes.forbidden:
        kind, advice = ObjectUnavailableError, "check the name and the user's permissions"
    elif status in BUSY:
        kind, advice = OrgUnreachableError, "the org stays busy, run again later"
    else:
        return SalesforceError(text, status=status, code=code)
    return kind(f"{text}; {advice}", status=status, code=code)
