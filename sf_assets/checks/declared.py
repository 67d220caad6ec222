"""What a user expects of an object's rows, as the catalogue declares it: a class for each kind.

A class says what may be declared, what it says to people, and which rows offend, in SQL. A check
that cannot be asked, as when the org has no such field, has not passed and says why.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from hashlib import sha256
from statistics import median
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sf_assets.checks.check import Facts, Finding, Severity, Subject, TableColumn, UnaskableError
from sf_assets.naming import ApiName
from sf_assets.sql import quoted, text_literal

Bound = Decimal | date | datetime | None
"""One end of a range; None where it is open."""

_TEXT, _SEVERAL, _WHOLE = "VARCHAR", "VARCHAR[]", "BIGINT"
_DAY, _MOMENT = "DATE", "TIMESTAMP WITH TIME ZONE"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_BIGINT_MOST = Decimal(2**63 - 1)

EXAMPLES = 10
"""Most Ids of offenders that a finding names."""

FEWEST_READINGS = 5
"""Readings of the row count without which no change can be called unusual."""


class Expectation(BaseModel):
    """One entry of `checks`.

    Attributes:
        severity: How bad a failure is.
        blocking: Whether gold waits until it passes.
        word: What the catalogue calls this kind.
        claim: What must hold, in a sentence with room for the fields and the bound.
        cure: What to do about offenders, likewise.
        of_others: Whether the answer can change when other objects are loaded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity = Severity.WARN
    blocking: bool = False
    word: ClassVar[str]
    claim: ClassVar[str]
    cure: ClassVar[str]
    of_others: ClassVar[bool] = False

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

    def ask(self, table: Subject) -> Finding:
        """Ask it of an object that has a table. Never raises for what the data holds."""
        sql = ""
        try:
            sql, facts = self.query(table)
            return self._answer(table, sql, facts)
        except UnaskableError as error:
            return self._finding(table, reason=str(error))
        except table.silver.Error as error:
            # Its own words may hold a value of a record.
            reason = f"the warehouse refused ({type(error).__name__}); run the SQL to see why"
            return self._finding(table, reason=reason, sql=sql)

    @abstractmethod
    def query(self, table: Subject) -> tuple[str, Facts]:
        """The query that tells, and what else is to be said.

        Raises:
            UnaskableError: It makes no sense of this table.
        """

    @abstractmethod
    def _answer(self, table: Subject, sql: str, facts: Facts) -> Finding:
        """What the query's answer means."""

    def _finding(
        self,
        table: Subject,
        *,
        passed: bool = False,
        facts: Facts | None = None,
        offenders: int | None = None,
        ids: tuple[str, ...] = (),
        reason: str = "",
        sql: str = "",
    ) -> Finding:
        told: Facts = {"live rows": table.rows, **(facts or {})}
        if offenders is not None:
            told["offenders"] = offenders
            told["share"] = round(offenders / table.rows, 6) if table.rows else 0.0
        told |= {"ids": ", ".join(ids)} if ids else {}
        told |= {"reason": reason} if reason else {}
        told |= {"sql": table.silver.spelled(sql)} if sql else {}
        return Finding(
            table.slug, self.name, passed, self.severe, told, offenders, ids, reason,
            self.definition,
        )  # fmt: skip

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


class _OfRows(Expectation):
    """What is asked of each live row; those that meet a condition offend."""

    def query(self, table: Subject) -> tuple[str, Facts]:
        """The query of the rows that offend, and what else is to be said."""
        columns = [table.column(name) for name in self.fields]
        return table.ids(self.offence(columns)), self._facts(columns)

    @abstractmethod
    def offence(self, columns: Sequence[TableColumn]) -> str:
        """The condition that a row t meets which offends."""

    def _facts(self, columns: Sequence[TableColumn]) -> Facts:
        del columns
        return {}

    def _answer(self, table: Subject, sql: str, facts: Facts) -> Finding:
        found = table.silver.select(
            f'WITH found AS MATERIALIZED ({sql}) SELECT "Id", (SELECT count(*) FROM found) '
            f'FROM found ORDER BY "Id" LIMIT {EXAMPLES}'
        )
        offenders, ids = found[0][1] if found else 0, tuple(name for name, _ in found)
        return self._finding(
            table, passed=not offenders, facts=facts, offenders=offenders, ids=ids, sql=sql
        )


class Unique(_OfRows):
    """No two rows have the same values in all the fields; a row that lacks one is passed over."""

    word = "unique"
    claim = "No two live rows have the same {fields}."
    cure = "merge these records or tell them apart, and set a duplicate rule in Salesforce"
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


class _FieldByField(_OfRows):
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

    def offence(self, columns: Sequence[TableColumn]) -> str:
        """The field is null."""
        return f"{columns[0].sql} IS NULL"


class InPicklist(_FieldByField):
    """The field holds only what describe lists."""

    word = "in_picklist"
    claim = "{fields} holds only values that describe lists."
    cure = "correct {fields} or add its value to the picklist, and restrict the list"
    listed: Annotated[Fields, Field(alias="in_picklist")]

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


class References(_FieldByField):
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


class Matches(_OfRows):
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


class Between(_OfRows):
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

    def offence(self, columns: Sequence[TableColumn]) -> str:
        """The value lies outside."""
        (column,), ((low, high),) = columns, self.ranges.values()
        ends = [(sign, end) for sign, end in (("<", low), (">", high)) if end is not None]
        return f"({' OR '.join(_beyond(column, sign, end) for sign, end in ends)})"


def _beyond(column: TableColumn, sign: str, end: Decimal | date) -> str:
    """The condition of a value below (<) or above (>) an end, in a literal of the column's type.

    An end of another type would have the engine convert the column, and fail on large values.
    """
    if column.type == _WHOLE or column.type.startswith("DECIMAL"):
        what, fits = "numbers", isinstance(end, Decimal)
    elif column.type == _DAY:
        what, fits = "days", isinstance(end, date) and not isinstance(end, datetime)
    elif column.type == _MOMENT:
        what, fits = "times", isinstance(end, date)
    else:
        raise UnaskableError(
            f"{column.name} is {column.type}; `between` is for numbers, days and times"
        )
    if not fits:
        raise UnaskableError(f"{column.name} holds {what}; give the range in {what}, too")
    if isinstance(end, Decimal):
        return _number_beyond(column, sign, end)
    if column.type == _DAY:
        return f"{column.sql} {sign} DATE '{end}'"
    if not isinstance(end, datetime):  # a day as an upper end holds all of it
        end = datetime.combine(end, time.min if sign == "<" else time.max, UTC)
    return f"{column.sql} {sign} TIMESTAMPTZ '{end.astimezone(UTC).isoformat()}'"


def _number_beyond(column: TableColumn, sign: str, end: Decimal) -> str:
    """The same of a number: beyond the nearest one on the range's side that the column can hold."""
    shape = _DECIMAL.match(column.type)
    digits, scale = map(int, shape.groups()) if shape else (0, 0)
    with localcontext(prec=100):
        step = Decimal(1).scaleb(-scale)
        most = (10**digits - 1) * step if shape else _BIGINT_MOST
        if abs(end) > most:  # all that the column can hold is on one side of it
            return f"{column.sql} IS NOT NULL" if (end > 0) == (sign == "<") else "false"
        nearest = end.quantize(step, ROUND_CEILING if sign == "<" else ROUND_FLOOR)
    return f"{column.sql} {sign} {nearest:f}::{column.type}"


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

    def query(self, table: Subject) -> tuple[str, Facts]:
        """The query of the number of live rows."""
        return f"SELECT count(*) FROM {table.live}", {}

    def _answer(self, table: Subject, sql: str, facts: Facts) -> Finding:
        earlier = table.earlier_rows()
        if len(earlier) < FEWEST_READINGS:
            few = f"{len(earlier)}; a change is judged from {FEWEST_READINGS} on"
            return self._finding(table, passed=True, facts={"earlier readings": few}, sql=sql)
        rows, usual = table.rows, median(earlier)
        facts |= {"median of earlier readings": float(usual)}
        facts |= {"change": f"{(rows - usual) / usual:+.2%}"} if usual else {}
        passed = abs(rows - usual) * 100 <= float(self.rows.change) * usual
        return self._finding(table, passed=passed, facts=facts, sql=sql)


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

    def query(self, table: Subject) -> tuple[str, Facts]:
        """The query of the newest change."""
        return f'SELECT max("_cursor") FROM {table.live}', {}

    def _answer(self, table: Subject, sql: str, facts: Facts) -> Finding:
        newest: datetime | None = table.value(sql)
        if newest is None:
            return self._finding(table, facts={"newest change": "none"}, sql=sql)
        age = table.now - newest
        facts |= {
            "newest change": f"{newest.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "hours old": round(age.total_seconds() / 3600, 2),
        }
        return self._finding(table, passed=age <= self.within, facts=facts, sql=sql)


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
        raise _refused(f"no such check; the words are {', '.join(WORDS)}")
    return WORDS[word].model_validate(entry)


Declared = Annotated[Expectation, PlainValidator(_read)]
"""An entry of `checks`."""
