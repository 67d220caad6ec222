"""What PostgreSQL refused, told without the values of records that its own words may hold."""

from sf_assets.errors import SfAssetsError
from sf_assets.warehouse.sql import sqlstate
from sf_assets.warehouse.sql.connection import Cause

_CLASSES = {**sqlstate.CLASSES, "XX": "it broke off, or its files are damaged"}
_SAID = b"PG_DIAG_MESSAGE_PRIMARY"


def code(error: Exception) -> str:
    """SQLSTATE of an error; empty where the server said nothing."""
    return getattr(error, "sqlstate", None) or ""


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
    state = code(error)
    if not state:
        return "no answer comes from there"
    said = dict(getattr(error, "details", None) or []).get(_SAID, b"").decode(errors="replace")
    return sqlstate.words(state, said, query) or sqlstate.told(state, _CLASSES)
