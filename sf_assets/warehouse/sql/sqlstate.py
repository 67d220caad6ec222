"""What SQLSTATE codes say of a refusal, for engines that speak PostgreSQL's protocol."""

from collections.abc import Mapping

from sf_assets.warehouse.sql.connection import Cause
from sf_assets.warehouse.sql.words import without_values

CLASSES: Mapping[str, str] = {
    "08": "the connection was lost",
    "22": "a value does not fit what is done with it",
    "23": "a row breaks a constraint",
    "25": "it only reads, or the transaction was broken off",
    "28": "the user or password is refused",
    "2B": "something that others made depends on it",
    "40": "it gave way to another transaction",
    "42": "it does not understand the statement",
    "53": "it has no memory, disk or connections left",
    "54": "something is larger than it takes",
    "55": "something is in use by others",
    "57": "an administrator ended it, or it is starting",
    "58": "it cannot read or write its files",
    "XX": "it broke off",
}
"""What may be said of an error by the class of its code, and no word of its own."""

_OF_NAMES = frozenset(
    {"42P01", "42703", "42883", "42601", "42501", "3F000", "42P07", "42804", "42P06", "3D000",
     "0A000", "2BP01", "42702", "42803", "42P16", "42846", "42701"}
)  # fmt: skip
"""Codes of errors that are found before a row is looked at: their words are of names alone."""

_PRIVILEGE = "42501"


def cause(state: str) -> Cause:
    """Why a statement was refused, by the code of that."""
    if state in {"42P01", "3F000"}:
        return Cause.NAME
    if state == "42601":
        return Cause.SYNTAX
    is_meaning = state.startswith("42") and state != _PRIVILEGE
    return Cause.MEANING if is_meaning or state == "0A000" else Cause.DATA


def words(state: str, said: str, query: str) -> str:
    """What the server said, where that holds no record's value; else nothing."""
    return without_values(said, query) if state in _OF_NAMES else ""


def told(state: str, classes: Mapping[str, str] = CLASSES) -> str:
    """What is said of an error whose own words may hold a value."""
    return f"{classes.get(state[:2], classes['XX'])} (SQLSTATE {state})"
