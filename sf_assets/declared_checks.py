"""What a user expects of an object's rows, as the catalogue declares it: word, fields, bound."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sf_assets.naming import ApiName

Bound = Decimal | date | datetime | None
"""One end of a range; None where it is open."""


def format_score(score: float) -> str:
    """A score for people, cut off rather than rounded: 100.00 says that nothing is to fix."""
    return f"{math.floor(score * 100) / 100:.2f}"


class Severity(StrEnum):
    """How bad a failure is: `error` means that the data must not be trusted."""

    WARN = "warn"
    ERROR = "error"


class Expectation(BaseModel):
    """One entry of `checks`.

    Attributes:
        severity: How bad a failure is.
        blocking: Whether gold waits until it passes.
        word: What the catalogue calls this kind.
        claim: What must hold, in a sentence with room for the fields and the bound.
        cure: What to do about offenders, likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity = Severity.WARN
    blocking: bool = False
    word: ClassVar[str]
    claim: ClassVar[str]
    cure: ClassVar[str]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it asks about; none when it asks about the table."""
        return self._fields()

    @property
    def name(self) -> str:
        """Name of the check, such as `unique_Name`."""
        return "_".join((self.word, *self.fields))

    @property
    def definition(self) -> str:
        """What it asks, as a digest: an answer to something else counts no more."""
        text = self.model_dump_json(exclude={"severity", "blocking"})
        return sha256(text.encode()).hexdigest()[:16]

    @property
    def severe(self) -> bool:
        """Whether a failure is an error."""
        return self.severity is Severity.ERROR

    @property
    def asks(self) -> str:
        """What must hold."""
        return self.claim.format(fields=" and ".join(self.fields), bound=self._bound())

    @property
    def remedy(self) -> str:
        """What to do about offenders."""
        return self.cure.format(fields=" and ".join(self.fields))

    def each(self) -> Iterator["Expectation"]:
        """The checks that it stands for: one for each field, unless it asks of them together."""
        yield self

    def _fields(self) -> tuple[str, ...]:
        return ()

    def _bound(self) -> str:
        return ""

    @model_validator(mode="after")
    def _only_errors_block(self) -> Self:
        if self.blocking and not self.severe:
            raise _refused("blocking: true asks for severity: error beside it")
        return self


def _refused(problem: str) -> PydanticCustomError:
    return PydanticCustomError("check", "{problem}", {"problem": problem})


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Fields = Annotated[tuple[ApiName, ...], BeforeValidator(_listed), Field(min_length=1)]


class Unique(Expectation):
    """No two rows have the same values in all the fields; a row that lacks one is passed over."""

    word = "unique"
    claim = "No two live rows have the same {fields}."
    cure = "merge these records or tell them apart, and set a duplicate rule in Salesforce"
    together: Annotated[Fields, Field(alias="unique")]

    def _fields(self) -> tuple[str, ...]:
        return self.together


class _FieldByField(Expectation):
    """A list of fields that are asked about one by one."""

    listed: Fields

    def _fields(self) -> tuple[str, ...]:
        return self.listed

    def each(self) -> Iterator[Expectation]:
        """One check for each field."""
        for field in self.listed:
            yield self.model_copy(update={"listed": (field,)})


class NotNull(_FieldByField):
    """The field is filled."""

    word = "not_null"
    claim = "{fields} is filled in every live row."
    cure = "fill {fields} in these records, and require it by a validation rule"
    listed: Annotated[Fields, Field(alias="not_null")]


class InPicklist(_FieldByField):
    """The field holds only what describe lists."""

    word = "in_picklist"
    claim = "{fields} holds only values that describe lists."
    cure = "correct {fields} or add its value to the picklist, and restrict the list"
    listed: Annotated[Fields, Field(alias="in_picklist")]


class References(_FieldByField):
    """The record that the field leads to is there and not deleted."""

    word = "references"
    claim = "{fields} leads to a record that is there and not deleted."
    cure = "point {fields} at a record that is there, undelete that one, or empty it"
    listed: Annotated[Fields, Field(alias="references")]


_NOT_IN_RE2 = re.compile(r"\(\?(?:<?[=!]|P=|>|\()|\\[1-9]")

_WRONG_IN_BOTH = (
    "missing )",
    "unbalanced parenthesis",
    "unterminated character set",
    "nothing to repeat",
    "bad character range",
)


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        # Python's syntax is not RE2's: what both refuse is refused here, the rest where it is run.
        if error.msg.startswith(_WRONG_IN_BOTH) and "\\Q" not in text:
            raise _refused(f"{text!r} is no regular expression: {error}") from None
    if found := _NOT_IN_RE2.search(text.replace("\\\\", "")):
        raise _refused(
            f"{text!r} has {found.group()!r}; look-around and back-references are not to be had, "
            "because RE2 matches the values"
        )
    return text


class Matches(Expectation):
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


def _end(value: Any) -> Bound:
    """A bound as YAML reads it; a datetime without a zone is UTC."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC)
    if value is None or isinstance(value, date):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = Decimal(str(value))
        if number.is_finite():
            return number
    raise _refused("a bound is a number or a date; null leaves that end open")


def _range(value: Any) -> Any:
    """Two bounds of one kind, the lower one first."""
    if not isinstance(value, list | tuple) or len(value) != 2:  # noqa: PLR2004 (two ends)
        raise _refused("a range is written [lowest, highest], both included")
    low, high = map(_end, value)
    if low is None and high is None:
        raise _refused("a range has at least one end")
    if low is not None and high is not None:
        if type(low) is not type(high):
            raise _refused("both ends of a range are numbers, or dates, or times")
        if low > high:  # type: ignore[operator]  # of one type, by the line before
            raise _refused("the range is empty: its lowest is above its highest")
    return low, high


Range = Annotated[tuple[Bound, Bound], BeforeValidator(_range)]


class Between(Expectation):
    """The value lies in a range, both ends included; an empty field is passed over."""

    word = "between"
    claim = "{fields} lies {bound}."
    cure = "correct {fields} in these records, and set a validation rule"
    ranges: Annotated[Mapping[ApiName, Range], Field(alias="between", min_length=1)]

    def _fields(self) -> tuple[str, ...]:
        return tuple(self.ranges)

    def _bound(self) -> str:
        return ", ".join(map(_formatted, self.ranges.values()))

    def each(self) -> Iterator[Expectation]:
        """One check for each field."""
        for field, ends in self.ranges.items():
            yield self.model_copy(update={"ranges": {field: ends}})


def _formatted(ends: tuple[Bound, Bound]) -> str:
    low, high = ends
    if low is None or high is None:
        return f"at {high} or below" if low is None else f"at {low} or above"
    return f"between {low} and {high}"


def _percent(value: Any) -> Decimal:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", value) if isinstance(value, str) else None
    if not match or not (percent := Decimal(match.group(1))):
        raise _refused("a change is written as a percentage above zero, such as 20%")
    return percent


class Change(BaseModel):
    """How far a number may be from what it was.

    Attributes:
        change: Percent of the earlier number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: Annotated[Decimal, BeforeValidator(_percent)]


class RowCount(Expectation):
    """The number of rows is near the median of its last readings."""

    word = "rows"
    claim = "The live rows are within {bound} of the median of earlier readings."
    cure = "look for a mass delete, a mass load or a lost permission; what stays becomes the rule"
    rows: Change

    def _bound(self) -> str:
        return f"{self.rows.change}%"


_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> timedelta:
    match = re.fullmatch(r"(\d{1,5}) ?([mhd])", value) if isinstance(value, str) else None
    if not match or not int(match.group(1)):
        raise _refused("a time is written as a whole number of m, h or d, such as 2h")
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


class Fresh(Expectation):
    """The newest change in the table is not older than this."""

    word = "fresh"
    claim = "The newest live row changed at most {bound} ago."
    cure = "see whether the tick runs (sf-assets status), and whether the org still changes"
    within: Annotated[timedelta, BeforeValidator(_duration), Field(alias="fresh")]

    def _bound(self) -> str:
        return f"{self.within.total_seconds() / 3600:g} hours"


_KINDS: tuple[type[Expectation], ...] = (
    Unique, NotNull, InPicklist, Matches, Between, References, RowCount, Fresh,
)  # fmt: skip
WORDS = tuple(kind.word for kind in _KINDS)


def _word(entry: Any) -> str | None:
    """The word by which an entry is told apart."""
    if isinstance(entry, Expectation):
        return entry.word
    return next((key for key in entry if key in WORDS), None) if isinstance(entry, dict) else None


Declared = Annotated[
    Annotated[Unique, Tag("unique")]
    | Annotated[NotNull, Tag("not_null")]
    | Annotated[InPicklist, Tag("in_picklist")]
    | Annotated[Matches, Tag("matches")]
    | Annotated[Between, Tag("between")]
    | Annotated[References, Tag("references")]
    | Annotated[RowCount, Tag("rows")]
    | Annotated[Fresh, Tag("fresh")],
    Discriminator(
        _word,
        custom_error_type="check",
        custom_error_message=f"no such check; the words are {', '.join(WORDS)}",
    ),
]
"""An entry of `checks`, told apart by its word."""
