"""Text rows in which what must not be seen is hashed or masked, before anything is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hmac import digest

import polars as pl

from sf_assets.columns.cast import cast, needs
from sf_assets.columns.column import NUMBERS, Column, ColumnKind
from sf_assets.naming import Names
from sf_assets.privacy import Treatment

_AS_WRITTEN = frozenset({ColumnKind.TEXT, ColumnKind.LIST, ColumnKind.DATE})
"""Kinds of which one value has one spelling."""

_SHOWN = r"[^\s.,:;@/()+_'&-]"
"""What a mask hides: everything but spaces and the signs that say of which form a value is."""

_HIDDEN = "*"


@dataclass(frozen=True, slots=True)
class Treated:
    """How columns of an object are treated.

    Attributes:
        treatments: By column; others are kept.
        columns: All of the columns, as described.
        key: Of hashes.
    """

    treatments: Names[Treatment] = field(default_factory=Names)
    columns: Mapping[str, Column] = field(default_factory=dict)
    key: bytes = b""

    def of(self, name: str) -> Treatment:
        """What is done to a column."""
        return self.treatments.get(name, Treatment.KEEP)

    def stored(self) -> dict[str, Column]:
        """The columns that silver has, as they are there."""
        return {
            name: column if self.of(name) is Treatment.KEEP else _text(column)
            for name, column in self.columns.items()
            if self.of(name).leaves_column
        }

    def rows(self, texts: pl.DataFrame) -> pl.DataFrame:
        """The same rows, with nothing in them that is not to be seen."""
        hidden = {name: self.of(name) for name in texts.columns}
        gone = [name for name, treatment in hidden.items() if not treatment.leaves_column]
        masked = [name for name, treatment in hidden.items() if treatment is Treatment.MASK]
        hashed = [name for name, treatment in hidden.items() if treatment is Treatment.HASH]
        if not (gone or masked or hashed):
            return texts
        texts = texts.drop(gone).with_columns(
            pl.col(masked + hashed).str.replace_all("\x00", "", literal=True)
        )
        masks = (pl.col(name).str.replace_all(_SHOWN, _HIDDEN) for name in masked)
        hashes = (_hashed(self.key, self._spelt(texts, name)) for name in hashed)
        return texts.with_columns(*masks, *hashes)

    def _spelt(self, texts: pl.DataFrame, name: str) -> pl.Series:
        """A column's values, each as it is spelt when it is spelt in one way only."""
        column = Names(self.columns.items())[name]
        if column.kind in _AS_WRITTEN:
            return texts[name]
        column = replace(column, name=name)
        needed = needs(texts, [column]).get(name)
        typed = column.resized(*needed) if needed else column
        rows = texts.select(name).with_columns(Id=pl.lit(""), _slice=pl.lit(""))
        values = cast(rows, [typed], [] if not needed or typed.fits(*needed) else [name])[0][name]
        spelt = values.cast(pl.String)
        if column.kind in NUMBERS and typed.scale:
            spelt = spelt.str.strip_chars_end("0").str.strip_chars_end(".")
        return spelt.fill_null(texts[name]).rename(name)


def _hashed(key: bytes, values: pl.Series) -> pl.Series:
    hashes = [
        None if value is None else digest(key, value.encode(), "sha256").hex() for value in values
    ]
    return pl.Series(values.name, hashes, pl.String)


def _text(column: Column) -> Column:
    return replace(column, kind=ColumnKind.TEXT, integers=0, scale=0, references=())
