"""What Snowflake refused, told without the values of records that its own words may hold."""

from sf_assets.addresses import shown
from sf_assets.errors import SfAssetsError
from sf_assets.warehouse.sql.connection import Cause
from sf_assets.warehouse.sql.words import without_values

_NAMES = frozenset({2003, 2043, 2149})
"""Codes of errors about a table, schema or database that is not there, or not for this role."""

_SYNTAX = frozenset({1003, 1007})

_COMPILING = range(900, 2200)
"""Codes of errors that are found before a row is looked at."""

_TOLD = {
    606: "no warehouse computes: it is suspended and does not resume by itself (ALTER WAREHOUSE … "
    "SET AUTO_RESUME = TRUE), or none is named that the role may use (?warehouse=… in the address; "
    "GRANT USAGE ON WAREHOUSE … TO ROLE …)",
    625: "others hold a lock for too long",
    630: "it took longer than an administrator allows (STATEMENT_TIMEOUT_IN_SECONDS)",
    604: "it was cancelled",
    90073: "its warehouse may use no more credits by its resource monitor",
    90064: "its warehouse cannot be resumed",
    250001: "it does not answer, or lets this user not in",
    250003: "it does not answer",
    251001: "the address names no account",
    290404: "there is no such account",
    290403: "there is no such account, or it lets no one in from here (a network policy)",
    390100: "the user or password is refused",
    390101: "the user is locked",
    390114: "the login has run out",
    390144: "the key of the user is refused: is its public part set, ALTER USER … SET "
    "RSA_PUBLIC_KEY?",
    390186: "the role is not granted to the user",
    390189: "there is no such role, or it is not granted to the user",
    390195: "the identity provider refuses the login",
    390201: "there is no such database, warehouse or role, or it is not for this role",
}
"""What is said of an error by its code, and no word of its own."""

_CLASSES = {
    "08": "it does not answer, or the connection was lost",
    "22": "a value does not fit what is done with it",
    "23": "a row breaks a constraint",
    "28": "the user, password or role is refused",
    "40": "it gave way to another transaction",
    "42": "it does not understand the statement",
    "53": "it has no room left",
    "57": "it was ended, or no warehouse runs",
}

PRIVILEGE = 3001
LOCKED = 625

_NAME = r"[A-Z0-9_.$\"]+"


def code(error: Exception) -> int:
    """Snowflake's number of an error; 0 where there is none."""
    return getattr(error, "errno", None) or 0


def cause(error: Exception) -> Cause:
    """Why a statement was refused."""
    number = code(error)
    if number in _NAMES:
        return Cause.NAME
    if number in _SYNTAX:
        return Cause.SYNTAX
    return Cause.MEANING if number in _COMPILING else Cause.DATA


def refusal(error: Exception, query: str = "") -> str:
    """Say what was refused, in one line without a record's value.

    Args:
        error: What was raised.
        query: The SQL that was run, whose own words may be told.
    """
    if isinstance(error, SfAssetsError):
        return str(error)
    number, state = code(error), getattr(error, "sqlstate", None) or ""
    if number in _TOLD:
        return f"{_TOLD[number]} ({number})"
    said = getattr(error, "raw_msg", None) or ""
    if number == PRIVILEGE or (cause(error) is not Cause.DATA and said):
        return without_values(said, query, _NAME)
    return f"{_CLASSES.get(state[:2], 'it broke off')} ({number}, SQLSTATE {state or 'none'})"


def unreachable(error: Exception) -> str:
    """What is said of a login that came to nothing, which holds no value of a record."""
    number = code(error)
    if number in _TOLD:
        return f"{_TOLD[number]} ({number})"
    return shown(" ".join(str(getattr(error, "raw_msg", None) or error).split()))[:300]
