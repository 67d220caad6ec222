"""JSON with line breaks, as `X-PrettyPrint: 1` asks for; numbers stay as they are written."""

import re

_WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def pretty(text: str) -> str:
    """Indent JSON text."""
    parts: list[str] = []
    depth = 0
    words = _WORDS.findall(text)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("{", "["):
            depth += 1
            parts.append(f"{word} " if following in ("}", "]") else f"{word}\n{'  ' * depth}")
        elif word in ("}", "]"):
            depth -= 1
            is_empty = bool(parts) and parts[-1] in ("{ ", "[ ")
            parts.append(word if is_empty else f"\n{'  ' * depth}{word}")
        elif word == ",":
            parts.append(f",\n{'  ' * depth}")
        else:
            parts.append(" : " if word == ":" else word)
    return "".join(parts)
