"""The checks that a catalogue may declare, by the word by which an entry is told apart."""

from typing import Annotated, Any

from pydantic import PlainValidator

from sf_assets.checks.between import Between
from sf_assets.checks.expectation import Expectation, refused
from sf_assets.checks.of_rows import InPicklist, Matches, NotNull, References, Unique
from sf_assets.checks.of_tables import Fresh, RowCount

_KINDS: tuple[type[Expectation], ...] = (
    Unique, NotNull, InPicklist, Matches, Between, References, RowCount, Fresh,
)  # fmt: skip
WORDS = {kind.word: kind for kind in _KINDS}
"""The kinds, by the word by which an entry is told apart."""


def _read(entry: Any) -> Expectation:
    if isinstance(entry, Expectation):
        return entry
    word = next((key for key in entry if key in WORDS), "") if isinstance(entry, dict) else ""
    if not word:
        raise refused(f"no such check; the words are {', '.join(WORDS)}")
    return WORDS[word].model_validate(entry)


Declared = Annotated[Expectation, PlainValidator(_read)]
"""An entry of `checks`."""
