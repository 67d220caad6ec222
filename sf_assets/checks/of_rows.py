"""Declared checks of each row: unique, filled, listed, leading somewhere, of a pattern."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Annotated

from pydantic import AfterValidator, Field

from sf_assets.checks.check import Described, Facts, TableColumn, UnaskableError
from sf_assets.checks.expectation import Expectation, FieldByField, Fields, OfRows, refused
from sf_assets.naming import ApiName
from sf_assets.privacy import Treatment
from sf_assets.sql import quoted, text_literal

_TEXT, _SEVERAL = "VARCHAR", "VARCHAR[]"


class Unique(OfRows):
    """No two rows have the same values in all the fields; a row that lacks one is passed over."""

    word = "unique"
    claim = "No two live rows have the same {fields}."
    cure = "merge these records or tell them apart, and set a duplicate rule in Salesforce"
    sees = frozenset({Treatment.HASH})
    together: Annotated[Fields, Field(alias="unique")]

    def _fields(self) -> tuple[str, ...]:
        return self.together

    def offence(self, columns: Sequence[TableColumn]) -> str:
        """Another row has the same values; what is null equals nothing."""
        names = ", ".join(quoted(column.name) for column in columns)
        equal = " AND ".join(f"d.{quoted(column.name)} = {column.sql}" for column in columns)
        live = columns[0].table.live
        several = f"SELECT {names} FROM {live} GROUP BY {names} HAVING count(*) > 1"
        return f"EXISTS (SELECT 1 FROM ({several}) AS d WHERE {equal})"


class NotNull(FieldByField):
    """The field is filled."""

    word = "not_null"
    claim = "{fields} is filled in every live row."
    cure = "fill {fields} in these records, and require it by a validation rule"
    sees = frozenset({Treatment.HASH, Treatment.MASK})
    listed: Annotated[Fields, Field(alias="not_null")]

    def offence(self, columns: Sequence[TableColumn]) -> str:
        """The field is null."""
        return f"{columns[0].sql} IS NULL"


class InPicklist(FieldByField):
    """The field holds only what describe lists."""

    word = "in_picklist"
    claim = "{fields} holds only values that describe lists."
    cure = "correct {fields} or add its value to the picklist, and restrict the list"
    listed: Annotated[Fields, Field(alias="in_picklist")]

    def definition(self, describe: Described) -> str:
        """What it asks, which changes with the values that describe lists."""
        asked, info = super().definition(describe), describe()
        values = [field.picklist for n in self.fields if info and (field := info.field(n))]
        return sha256(f"{asked}{values}".encode()).hexdigest()[:16] if any(values) else asked

    def offence(self, columns: Sequence[TableColumn]) -> str:
        """A value is none that describe lists."""
        (column,) = columns
        if not column.field or not column.field.picklist:
            raise UnaskableError(f"describe lists no values for {column.name}: it is no picklist")
        return unlisted(column, column.field.picklist)


def unlisted(column: TableColumn, values: Iterable[str]) -> str:
    """The condition of a picklist value, or one of several, that is not among those listed."""
    listed = ", ".join(map(text_literal, values))
    if column.type == _SEVERAL:
        return f"NOT [{listed}] @> {column.sql}"
    return f"{column.sql} NOT IN ({listed})"


class References(FieldByField):
    """The record that the field leads to is there and not deleted."""

    word = "references"
    claim = "{fields} leads to a record that is there and not deleted."
    cure = "point {fields} at a record that is there, undelete that one, or empty it"
    of_others = True
    listed: Annotated[Fields, Field(alias="references")]

    def offence(self, columns: Sequence[TableColumn]) -> str:
        """No live record has it; what leads to objects that are not in silver is left out."""
        (column,) = columns
        here, away = _targets(column)
        condition = dangling(column, map(column.table.silver.live, here))
        if not away:
            return condition
        infos = map(column.table.describe, here)
        prefixes = [text_literal(i.key_prefix) for i in infos if i and i.key_prefix]
        known = f"left({column.sql}, 3) IN ({', '.join(prefixes)})" if prefixes else "false"
        return f"{condition} AND {known}"

    def _facts(self, columns: Sequence[TableColumn]) -> Facts:
        _, away = _targets(columns[0])
        return {"not judged, not in silver": ", ".join(away)} if away else {}


def _targets(column: TableColumn) -> tuple[list[str], list[str]]:
    """The objects that a reference may lead to: those in silver, lower-cased, and the others."""
    targets = column.field.reference_to if column.field else ()
    if not targets:
        raise UnaskableError(f"{column.name} is no reference, as far as describe says")
    here = [target.lower() for target in targets if column.table.has(target)]
    away = [target for target in targets if not column.table.has(target)]
    if not here:
        raise UnaskableError(f"{column.name} leads to {', '.join(away)}, which silver has not")
    return here, away


def dangling(column: TableColumn, parents: Iterable[str]) -> str:
    """The condition of a reference that leads to no record of any of some tables or views."""
    missing = [f'NOT EXISTS (SELECT 1 FROM {p} AS p WHERE p."Id" = {column.sql})' for p in parents]
    return " AND ".join([f"{column.sql} IS NOT NULL", *missing])


_NAMED_GROUP = re.compile(r"\(\?<(?![=!])")


def _regex(text: str) -> str:
    """A regular expression that RE2 takes, which is asked; DuckDB's is older than Arrow's."""
    import pyarrow as pa  # much, for few catalogues
    from pyarrow import compute

    if _NAMED_GROUP.search(text.replace("\\\\", "")):
        raise refused(f"{text!r} has a group with a name; write it as (?P<name>…)")
    try:
        compute.match_substring_regex(pa.array([""]), text)
    except (pa.ArrowInvalid, UnicodeError) as error:
        why = str(error).removeprefix("Invalid regular expression: ")
        raise refused(
            f"{text!r} is no regular expression: {why}. RE2 matches the values; look-around and "
            "back-references are not to be had"
        ) from None
    return text


class Matches(OfRows):
    """The whole text matches a regular expression (RE2); an empty field is passed over."""

    word = "matches"
    claim = "{fields} matches {bound} as a whole."
    cure = "correct {fields} in these records, and set a validation rule"
    patterns: Annotated[
        Mapping[ApiName, Annotated[str, AfterValidator(_regex)]],
        Field(alias="matches", min_length=1),
    ]

    def _fields(self) -> tuple[str, ...]:
        return tuple(self.patterns)

    def _bound(self) -> str:
        return ", ".join(self.patterns.values())

    def each(self) -> Iterator[Expectation]:
        """One check for each field."""
        for field, text in self.patterns.items():
            yield self.model_copy(update={"patterns": {field: text}})

    def offence(self, columns: Sequence[TableColumn]) -> str:
        """The text does not match as a whole."""
        (column,), (pattern,) = columns, self.patterns.values()
        if column.type != _TEXT:
            raise UnaskableError(f"{column.name} is no text but {column.type}")
        return f"NOT regexp_full_match({column.sql}, {text_literal(pattern)})"
