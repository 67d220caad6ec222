"""What an engine refused, told without the values of records that its own words may hold.

Only what is known to be no value is told: the kind of the error, types, and names that the query
or the schema has. What is not known is left out, whatever the engine's next release writes.
"""

import re
from collections.abc import Iterable

from sf_assets.errors import SfAssetsError

_OF_SQL = frozenset(
    {"ParserException", "BinderException", "CatalogException", "SyntaxException"}
)  # fmt: skip
"""Raised before a row is looked at: their words are the query's and the schema's."""

_OF_FILES = frozenset(
    {"IOException", "OutOfMemoryException", "FatalException", "TransactionException"}
)

_KINDS = {
    "ConversionException": "a value cannot be converted",
    "OutOfRangeException": "a number is out of range",
    "InvalidInputException": "a function does not take a value it was given",
    "ConstraintException": "a row breaks a constraint",
    "OutOfMemoryException": (
        "the memory that the engine may use is not enough; give it more, as with ?memory_limit=4GB "
        "in the warehouse's URL"
    ),
    "IOException": "a file cannot be read or written",
    "TransactionException": "what was done could not be committed",
    "FatalException": "the engine broke off",
    "InternalException": "the engine broke off",
    "InterruptException": "it was interrupted",
}
"""Errors that rows cause, and what may be said of each: no word of theirs."""

_SPACE = re.compile(
    r"no space left|disk (is )?full|max_temp_directory_size|quota exceeded", re.IGNORECASE
)
_EXCERPT = re.compile(r"\n\s*\n|\nLINE \d")
_COLUMN = re.compile(r"(?:source column|constraint failed:) ([\w.]+)")
_TYPE = re.compile(
    r"\b(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER|8|16|32|64|128)?|DOUBLE|FLOAT|"
    r"DECIMAL\(\d\d?(?:, ?\d\d?)?\)|DATE|TIMESTAMP(?: WITH TIME ZONE)?|TIME|BOOLEAN|UUID)(?!\w)"
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_MOST = 600


def refusal(error: Exception, query: str = "", names: Iterable[str] = ()) -> str:
    """Say what an engine, a library or the system refused, in one line without a record's value.

    Args:
        error: What was raised.
        query: The SQL that was run, whose own words may be told.
        names: Names of tables, columns and functions, which may be told, too.
    """
    if isinstance(error, SfAssetsError):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, OSError) and not kind.endswith("Exception"):
        return f"{error.strerror or kind}{f': {error.filename}' if error.filename else ''}"
    text = _EXCERPT.split(str(error))[0]
    allowed = {name.lower() for name in names}
    if kind in _OF_SQL:
        return _of_sql(text, query.lower(), allowed)
    if kind in _OF_FILES and _SPACE.search(text):
        return "there is no space left for its files; make some and run again"
    columns = {name.lower() for match in _COLUMN.findall(text) for name in match.split(".")}
    facts = [f"column {column}" for column in sorted(columns & allowed)]
    facts += sorted(set(_TYPE.findall(text)))
    return _KINDS.get(kind, kind) + (f" ({', '.join(facts)})" if facts else "")


def _of_sql(text: str, query: str, allowed: set[str]) -> str:
    """An engine's words about a query, its hint among them."""

    def told(match: re.Match[str]) -> str:
        inner = match[0][1:-1].lower()
        known = inner in query or all(part in allowed for part in inner.split("."))
        return match[0] if known else "…"

    line = " ".join(_QUOTED.sub(told, text).split())
    return line if len(line) <= _MOST else line[:_MOST] + " …"
