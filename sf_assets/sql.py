"""Names and texts as SQL writes them."""


def quoted(*names: str) -> str:
    """Names as SQL identifiers, joined by dots."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def text_literal(text: str) -> str:
    """A text as an SQL literal, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"
