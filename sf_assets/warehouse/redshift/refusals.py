"""What Redshift refused, told without the values of records that its own words may hold.

Its nodes tell an error with what they were at, such as the text of a number that is none: of what
they say nothing is told but what is known by its words.
"""

import re
from typing import Any

from sf_assets.addresses import shown
from sf_assets.errors import SfAssetsError
from sf_assets.warehouse.sql import sqlstate
from sf_assets.warehouse.sql.connection import Cause

_CLASSES = {
    **sqlstate.CLASSES,
    "57": "it was ended: by an administrator, a time limit (statement_timeout, a WLM rule), or as "
    "the cluster is paused or restarted",
}

_GAVE_WAY = r"serializable isolation violation|^1023$|could not serialize"

_KNOWN = {
    _GAVE_WAY: "it gave way to another transaction",
    r"disk full": "its disks are full: remove what is not needed, VACUUM, or resize it",
    r"out of memory|insufficient memory": "it has no memory left for the statement",
    r"value too long for character": "a text is longer than the 65,535 bytes that it takes",
    r"numeric (data|field) overflow|overflow for numeric": (
        "a number has more digits than it takes"
    ),
    r"not authorized to (assume|get credentials of) ": (
        "it may not use the IAM role of the address: attach the role to the cluster or workgroup, "
        "and let the role trust redshift.amazonaws.com"
    ),
    r"nosuchbucket|bucket does not exist": "it finds no bucket at the address's staging",
    r"invalidaccesskeyid|signaturedoesnotmatch|expiredtoken|token .*expired": (
        "S3 refuses the keys by which it is to read the staging folder: name a role of its own "
        "(iam_role=…)"
    ),
    r"access ?denied|status 403|forbidden": (
        "S3 refuses it the staging folder: give its role, or the keys, s3:GetObject and "
        "s3:ListBucket there"
    ),
    r"s3 ?(service)?exception|spectrum": (
        "it cannot read the staging folder: the bucket has to be in its own region"
    ),
}
"""What is said of errors that are told by their words alone."""

WAITED = frozenset({"55P03", "57014"})
"""Codes of a statement that waited for as long as it might."""

THERE = frozenset({"23505", "42P06", "42P07"})
"""Codes of what is to be made, and is there."""

_ANYHOW = re.IGNORECASE | re.MULTILINE


def _told(error: Exception) -> dict[str, str]:
    """What the server said, by the letters of its protocol; nothing where it said nothing."""
    first: Any = error.args[0] if error.args else None
    return first if isinstance(first, dict) else {}


def code(error: Exception) -> str:
    """SQLSTATE of an error; empty where the server said nothing."""
    return _told(error).get("C", "")


def gave_way(error: Exception) -> bool:
    """Whether a transaction came to nothing because of another one, and may be tried again."""
    said = _told(error)
    return code(error).startswith("40") or bool(
        re.search(_GAVE_WAY, f"{said.get('M', '')}\n{said.get('D', '')}", _ANYHOW)
    )


def cause(error: Exception) -> Cause:
    """Why a statement was refused."""
    return sqlstate.cause(code(error))


def refusal(error: Exception, query: str = "") -> str:
    """Say what was refused, in one line without a record's value.

    Args:
        error: What was raised.
        query: The SQL that was run, whose own words may be told.
    """
    if isinstance(error, SfAssetsError):
        return str(error)
    said, state = _told(error), code(error)
    if not state:
        return "no answer comes from there"
    if told := sqlstate.words(state, said.get("M", ""), query):
        return told
    words = f"{said.get('M', '')}\n{said.get('D', '')}"
    for pattern, known in _KNOWN.items():
        if re.search(pattern, words, _ANYHOW):
            return f"{known} (SQLSTATE {state})"
    return sqlstate.told(state, _CLASSES)


def unreachable(error: Exception) -> str:
    """What is said of a login that came to nothing, which holds no value of a record."""
    if code(error):
        return refusal(error)
    reason = error.args[-1] if error.args and isinstance(error.args[-1], OSError) else error
    said = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return shown(" ".join(said.split()))[:300] or "it does not answer"
