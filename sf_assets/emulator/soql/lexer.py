"""Words of SOQL."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from sf_assets.emulator.soql.source import Source


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    STRING = auto()
    NUMBER = auto()
    DATE = auto()
    DATETIME = auto()
    TIME = auto()
    SYMBOL = auto()
    END = auto()


@dataclass(frozen=True)
class Token:
    """A word with its place; the text of a string is what stands between its quotes."""

    kind: Kind
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, whatever its case."""
        return self.kind is Kind.NAME and self.text.upper() in words

    def is_symbol(self, *symbols: str) -> bool:
        """Whether it is one of these symbols."""
        return self.kind is Kind.SYMBOL and self.text in symbols


_TOKENS = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<DATETIME>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<DATE>\d{4}-\d\d-\d\d)(?![\dT])
    | (?P<TIME>\d\d:\d\d:\d\d(?:\.\d+)?Z)
    | (?P<NUMBER>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w])
    | (?P<NAME>[A-Za-z_]\w*)
    | '(?P<STRING>(?:[^'\\]|\\.)*)'
    | (?P<SYMBOL>!=|<>|<=|>=|[=<>(),.:])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}


def tokens(source: Source) -> list[Token]:
    """The words of a query, the last one of kind END.

    Raises:
        ApiError: MALFORMED_QUERY at a character that begins no word.
    """
    found = []
    position = 0
    while position < len(source.text):
        match = _TOKENS.match(source.text, position)
        if match is None:
            rest = source.text[position:].split(maxsplit=1)[0]
            raise source.malformed(f"unexpected token: '{rest}'", position)
        if match.lastgroup is None:
            raise AssertionError
        if match.lastgroup != "space":
            kind = Kind[match.lastgroup]
            found.append(Token(kind, match[match.lastgroup], position))
        position = match.end()
    found.append(Token(Kind.END, "<EOF>", position))
    return found


def unescape(raw: str, source: Source, position: int) -> str:
    """The value of a string literal from the text between its quotes.

    Raises:
        ApiError: MALFORMED_QUERY for an escape that SOQL does not know.
    """

    def replace(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "u" and len(code) > 1:
            return chr(int(code[1:], 16))
        if code in "_%":
            return code
        if code not in _ESCAPED:
            raise source.malformed(f"Illegal escape sequence: '\\{code}'", position)
        return _ESCAPED[code]

    # Halves of a pair written as two escapes become one character; a lone half is no text.
    return _ESCAPE.sub(replace, raw).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def like_pattern(raw: str, source: Source, position: int) -> str:
    r"""A LIKE pattern for SQL with `\` as its escape character, from the text between quotes."""
    parts = re.split(r"(\\[_%])", raw)
    return "".join(
        part if index % 2 else unescape(part, source, position).replace("\\", "\\\\")
        for index, part in enumerate(parts)
    )
