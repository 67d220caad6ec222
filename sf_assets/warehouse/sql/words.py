"""Words of an engine about a statement that it did not run, without values of records."""

import re

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_MOST = 600


def without_values(said: str, query: str, names: str = "") -> str:
    """Words of an engine in one line, without the texts in quotes that nobody wrote.

    Args:
        said: The words.
        query: The SQL that was run, whose own texts may be told.
        names: Pattern of what is a name, whatever stands in quotes; empty where names stand in
            double quotes, and texts in others.
    """

    def told(match: re.Match[str]) -> str:
        inner = match[0][1:-1]
        is_name = re.fullmatch(names, inner) if names else match[0].startswith('"')
        return match[0] if inner in query or is_name else "…"

    return brief(_QUOTED.sub(told, said))


def brief(said: str) -> str:
    """Words in one line, and not too many."""
    return " ".join(said.split())[:_MOST]
