"""What BigQuery refused, told without the values of records that its own words may hold."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from requests.exceptions import RequestException

from sf_assets.addresses import shown
from sf_assets.errors import SfAssetsError
from sf_assets.warehouse.sql.connection import Cause
from sf_assets.warehouse.sql.words import brief, without_values

DENIED = "accessDenied"
NOT_FOUND = "notFound"

_NO_ANSWER = "noAnswer"
_NO_CREDENTIALS = "noCredentials"
_EXPIRED = "expired"
"""Reasons of our own, where nothing was answered."""

_TOLD = {
    "quotaExceeded": "a quota of the project is used up (in Google Cloud's console: IAM & Admin, "
    "Quotas, BigQuery API); most are filled up again within a day",
    "rateLimitExceeded": "it was asked too much at a time",
    "jobRateLimitExceeded": "it was asked too much at a time",
    "billingNotEnabled": "billing is not enabled for the project, so that nothing can be changed: "
    "link a billing account to it",
    "billingTierLimitExceeded": "the query is dearer than an administrator allows",
    "bytesBilledLimitExceeded": "the query is dearer than an administrator allows",
    "resourcesExceeded": "the query needs more than BigQuery gives it",
    "responseTooLarge": "the answer is larger than BigQuery gives out",
    "stopped": "it was cancelled",
    "timeout": "it took too long",
    "tableUnavailable": "a table is not there for the moment",
    "backendError": "it broke off on its side",
    "internalError": "it broke off on its side",
    "jobBackendError": "it broke off on its side",
    "jobInternalError": "it broke off on its side",
    _NO_ANSWER: "it does not answer",
    _NO_CREDENTIALS: "there are no credentials: run `gcloud auth application-default login`, set "
    "GOOGLE_APPLICATION_CREDENTIALS to the key of a service account, or give ?credentials_path=…",
    _EXPIRED: "the credentials are refused or have run out: log in again (`gcloud auth "
    "application-default login`), or make another key of the service account",
}
"""What is said of an error by its reason, and no word of its own."""

_ROLES = (
    ("bigquery.jobs.", "BigQuery Job User (roles/bigquery.jobUser) on the project"),
    ("bigquery.readsessions.", "BigQuery Read Session User on the project"),
    ("bigquery.datasets.create", "BigQuery User (roles/bigquery.user) on the project"),
    ("bigquery.", "BigQuery Data Editor (roles/bigquery.dataEditor) on the datasets"),
)
"""The least role that has a permission, by how this begins."""

_PERMISSION = re.compile(r"\bbigquery\.[a-z]+\.[a-zA-Z]+")
_AT = re.compile(r"\[\d+:\d+\]")
_LITERAL = re.compile(r"(?i)could not (cast|parse)|^bad |^invalid ")
_NAME = r"[A-Za-z0-9_.:`-]+"
_CONFLICT = re.compile(r"(?i)concurrent update|could not serialize access|is aborted due to")
_REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")


class BigQueryError(Exception):
    """BigQuery refused, or did not answer.

    Args:
        reason: Why, as it calls it.
        said: Its words, which may quote a value.
    """

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason = reason
        self.said = said


@contextmanager
def told() -> Iterator[None]:
    """Raise what Google's libraries raise in the block as one kind of error."""
    try:
        yield
    except GoogleAPICallError as error:
        raise BigQueryError(_reason(error), _said(error)) from None
    except DefaultCredentialsError as error:
        raise BigQueryError(_NO_CREDENTIALS, str(error)) from None
    except RefreshError as error:
        raise BigQueryError(_EXPIRED, str(error)) from None
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        cause = error.cause if isinstance(error, RetryError) else None
        if isinstance(cause, GoogleAPICallError):
            raise BigQueryError(_reason(cause), _said(cause)) from None
        raise BigQueryError(_NO_ANSWER, str(error)) from None


def _said(error: GoogleAPICallError) -> str:
    """What BigQuery says, without what was asked of it."""
    return _REQUEST.sub("", error.message or "")


def _reason(error: GoogleAPICallError) -> str:
    reasons = [found.get("reason") for found in error.errors or () if isinstance(found, dict)]
    return next((str(reason) for reason in reasons if reason), f"HTTP {int(error.code or 0)}")


def cause(error: Exception) -> Cause:
    """Why a statement was refused."""
    reason, said = getattr(error, "reason", ""), str(error)
    if is_missing(error):
        return Cause.NAME
    if "Syntax error" in said:
        return Cause.SYNTAX
    if reason == "invalidQuery" and _AT.search(said) and not _LITERAL.search(said):
        return Cause.MEANING
    return Cause.DATA


def is_missing(error: Exception) -> bool:
    """Whether something is not there, as far as these credentials can see."""
    reason = getattr(error, "reason", "")
    return reason == NOT_FOUND or (reason == DENIED and "exist" in str(error))


def is_conflict(error: Exception) -> bool:
    """Whether another transaction changed what this one did."""
    return _CONFLICT.search(str(error)) is not None


def refusal(error: Exception, query: str = "") -> str:
    """Say what was refused, in one line without a record's value.

    Args:
        error: What was raised.
        query: The SQL that was run, whose own words may be told.
    """
    if isinstance(error, SfAssetsError):
        return str(error)
    reason, said = getattr(error, "reason", ""), str(error)
    if is_conflict(error):
        return "it gave way to another transaction"
    if reason in _TOLD:
        return f"{_TOLD[reason]} ({reason})"
    if reason == DENIED:
        return _of_permission(said)
    if cause(error) is not Cause.DATA:
        return without_values(said, query, _NAME)
    return f"a value does not fit what is done with it, or it broke off ({reason or 'no reason'})"


def unreachable(error: BigQueryError) -> str:
    """What is said of a first question that came to nothing, which holds no value of a record."""
    known = error.reason in _TOLD or error.reason == DENIED
    return refusal(error) if known else shown(" ".join(error.said.split()))[:300]


def _of_permission(said: str) -> str:
    found = _PERMISSION.search(said)
    if found is None:
        return f"the credentials may not do that: {brief(said)}"
    role = next(role for begins, role in _ROLES if found[0].startswith(begins))
    return f"the credentials have no permission {found[0]}: grant them {role}"
