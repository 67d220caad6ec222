"""What PostgreSQL refused, told without the values of records that its own words may hold."""

import re

from sf_assets.errors import SfAssetsError
from sf_assets.warehouse.sql.connection import Cause

_CLASSES = {
    "08": "the connection was lost",
    "22": "a value does not fit what is done with it",
    "23": "a row breaks a constraint",
    "25": "it only reads",
    "28": "the user or password is refused",
    "2B": "something that others made depends on it",
    "40": "it gave way to another transaction",
    "42": "it does not understand the statement",
    "53": "it has no memory, disk or connections left",
    "54": "something is larger than it takes",
    "55": "something is in use by others",
    "57": "an administrator ended it, or it is starting",
    "58": "it cannot read or write its files",
    "XX": "it broke off, or its files are damaged",
}
"""What may be said of an error by the class of its code, and no word of its own."""

_WORDS = frozenset(
    {"42P01", "42703", "42883", "42601", "42501", "3F000", "42P07", "42804", "42P06", "3D000",
     "0A000", "2BP01", "42702", "42803", "42P16", "42846"}
)  # fmt: skip
"""Codes of errors that are found before a row is looked at: their words are of names alone."""

_PRIVILEGE = "42501"
_QUOTED = re.compile(r"'[^']*'")
_SAID = b"PG_DIAG_MESSAGE_PRIMARY"
_MOST = 600


def code(error: Exception) -> str:
    """SQLSTATE of an error; empty where the server said nothing."""
    return getattr(error, "sqlstate", None) or ""


def cause(error: Exception) -> Cause:
    """Why a statement was refused."""
    state = code(error)
    if state in {"42P01", "3F000"}:
        return Cause.NAME
    if state == "42601":
        return Cause.SYNTAX
    return Cause.MEANING if state.startswith("42") and state != _PRIVILEGE else Cause.DATA


def refusal(error: Exception, query: str = "") -> str:
    """Say what was refused, in one line without a record's value.

    Args:
        error: What was raised.
        query: The SQL that was run, whose own words may be told.
    """
    if isinstance(error, SfAssetsError):
        return str(error)
    state = code(error)
    if not state:
        return "no answer comes from there"
    said = dict(getattr(error, "details", None) or []).get(_SAID, b"").decode(errors="replace")
    if state in _WORDS and said:
        told = _QUOTED.sub(lambda m: m[0] if m[0][1:-1] in query else "…", said)
        return " ".join(told.split())[:_MOST]
    return f"{_CLASSES.get(state[:2], 'it broke off')} (SQLSTATE {state})"
