"""The declared checks as SQL on live rows: which rows offend, or whether the table does.

A check that cannot be asked, as when the org has no such field, has not passed and says why.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from statistics import median

import duckdb

from sf_assets.declared_checks import (
    Between,
    Bound,
    Expectation,
    Fresh,
    InPicklist,
    Matches,
    NotNull,
    References,
    RowCount,
    Unique,
)
from sf_assets.describe import ObjectInfo
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.duckdb.silver import MULTIPLE, Silver

EXAMPLES = 10
"""Most Ids of offenders that an answer names."""

FEWEST_READINGS = 5
"""Readings of the row count without which no change can be called unusual."""

_STAMP = "TIMESTAMP WITH TIME ZONE"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_BIGINT_MOST = Decimal(2**63 - 1)


@dataclass(frozen=True, slots=True)
class Subject:
    """An object whose checks are asked.

    Attributes:
        slug: Lower-cased name.
        info: Its describe, if there is one.
        prefixes: How Ids of the objects that have a describe begin, by lower-cased name.
        readings: Its live rows at earlier runs of checks, latest first.
    """

    slug: str
    info: ObjectInfo | None = None
    prefixes: Mapping[str, str] = field(default_factory=dict)
    readings: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check found.

    Attributes:
        passed: Whether all is well.
        offenders: Rows that offend; None when it is asked of the table, or could not be asked.
        ids: Some of theirs.
        facts: What else there is to say.
        reason: Why it could not be asked; empty when it could.
        sql: The query, for whoever wants to see all of the offenders.
    """

    passed: bool
    offenders: int | None = None
    ids: tuple[str, ...] = ()
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    reason: str = ""
    sql: str = ""


class _UnaskableError(Exception):
    """The check makes no sense of this table; the message says why."""


class Asker:
    """Asks declared checks of silver.

    Args:
        connection: Open on the warehouse.
        schema: `silver`, or `silver_<org>`.
        now: The present, by which rows are fresh.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, schema: str, now: datetime) -> None:
        self._run = connection.execute
        self._silver = Silver(connection, schema)
        self._now = now

    def ask(self, check: Expectation, subject: Subject) -> Answer:
        """Ask one check; an object that is in silver. Never raises for what the data holds."""
        sql = ""
        try:
            if isinstance(check, RowCount):
                return self._near(check, subject)
            if isinstance(check, Fresh):
                return self._fresh(check, subject)
            offence, facts = self._offence(check, subject)
            rows = f"FROM {self._silver.live(subject.slug)} t WHERE {offence}"
            sql = f"SELECT t.Id {rows}"
            found = self._run(f"SELECT count(*), min(t.Id, {EXAMPLES}) {rows}").fetchone()
        except _UnaskableError as error:
            return Answer(passed=False, reason=str(error))
        except duckdb.Error as error:
            # Its own words may hold a value of a record.
            reason = f"the warehouse refused ({type(error).__name__}); run the SQL to see why"
            return Answer(passed=False, reason=reason, sql=sql)
        count, ids = found or (0, None)
        return Answer(not count, count, tuple(ids or ()), facts, sql=sql)

    def _offence(self, check: Expectation, subject: Subject) -> tuple[str, dict[str, str]]:
        """The condition that offending rows meet, and what else is to be said."""
        columns = [self._column(name, subject) for name in check.fields]
        names = [quoted(name) for name in columns]
        name, kind = f"t.{names[0]}", self._silver.columns(subject.slug)[columns[0]]
        match check:
            case Unique():
                return self._shared(names, self._silver.live(subject.slug)), {}
            case NotNull():
                return f"{name} IS NULL", {}
            case InPicklist():
                return _unlisted(name, kind, _listed(columns[0], subject)), {}
            case References():
                return self._dangling(name, columns[0], subject)
            case Matches(patterns=patterns):
                if kind != "VARCHAR":
                    raise _UnaskableError(f"{columns[0]} is no text but {kind}")
                (pattern,) = patterns.values()
                return f"NOT regexp_full_match({name}, {text_literal(pattern)})", {}
            case Between(ranges=ranges):
                ((low, high),) = ranges.values()
                return _outside(name, columns[0], kind, low, high), {}
        raise TypeError(check)

    def _column(self, name: str, subject: Subject) -> str:
        """The column of that name in any case."""
        columns = self._silver.columns(subject.slug)
        if name in columns:
            return columns.spelt(name)
        if subject.info and subject.info.field(name):
            raise _UnaskableError(
                f"the org has {name}, the table has not: see fields and exclude in the catalogue"
            )
        raise _UnaskableError(f"describe knows no field {name}; correct it in the catalogue")

    @staticmethod
    def _shared(names: Sequence[str], live: str) -> str:
        filled = " AND ".join(f"{name} IS NOT NULL" for name in names)
        listed = ", ".join(names)
        mine = ", ".join(f"t.{name}" for name in names)
        return (
            f"({mine}) IN (SELECT {listed} FROM {live} WHERE {filled} "
            f"GROUP BY {listed} HAVING count(*) > 1)"
        )

    def _dangling(self, name: str, column: str, subject: Subject) -> tuple[str, dict[str, str]]:
        """Values that no live record has; those that lead to objects not in silver are left out."""
        described = subject.info and subject.info.field(column)
        targets = described.reference_to if described else ()
        if not targets:
            raise _UnaskableError(f"{column} is no reference, as far as describe says")
        here = [target.lower() for target in targets if target.lower() in self._silver]
        away = [target for target in targets if target.lower() not in self._silver]
        if not here:
            raise _UnaskableError(f"{column} leads to {', '.join(away)}, which silver has not")
        missing = " AND ".join(
            f"NOT EXISTS (SELECT 1 FROM {self._silver.live(slug)} p WHERE p.Id = {name})"
            for slug in here
        )
        offence = f"{name} IS NOT NULL AND {missing}"
        if not away:
            return offence, {}
        prefixes = [text_literal(p) for slug in here if (p := subject.prefixes.get(slug))]
        known = f"left({name}, 3) IN ({', '.join(prefixes)})" if prefixes else "false"
        return f"{offence} AND {known}", {"not judged, not in silver": ", ".join(away)}

    def _near(self, check: RowCount, subject: Subject) -> Answer:
        rows = self._silver.rows(subject.slug)
        sql = f"SELECT count(*) FROM {self._silver.live(subject.slug)}"
        if len(subject.readings) < FEWEST_READINGS:
            few = f"{len(subject.readings)}; a change is judged from {FEWEST_READINGS} on"
            return Answer(passed=True, facts={"earlier readings": few}, sql=sql)
        usual = median(subject.readings)
        passed = abs(rows - usual) * 100 <= float(check.rows.change) * usual
        facts: dict[str, str | int | float] = {"median of earlier readings": float(usual)}
        if usual:
            facts["change"] = f"{(rows - usual) / usual:+.2%}"
        return Answer(passed, facts=facts, sql=sql)

    def _fresh(self, check: Fresh, subject: Subject) -> Answer:
        sql = f"SELECT max(_cursor) FROM {self._silver.live(subject.slug)}"
        row = self._run(sql).fetchone()
        newest: datetime | None = row[0] if row else None
        if newest is None:
            return Answer(passed=False, facts={"newest change": "none"}, sql=sql)
        facts: dict[str, str | int | float] = {
            "newest change": f"{newest.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "hours old": round((self._now - newest).total_seconds() / 3600, 2),
        }
        return Answer(self._now - newest <= check.within, facts=facts, sql=sql)


def _listed(column: str, subject: Subject) -> tuple[str, ...]:
    described = subject.info and subject.info.field(column)
    if not described or not described.picklist:
        raise _UnaskableError(f"describe lists no values for {column}: it is no picklist")
    return described.picklist


def _unlisted(name: str, kind: str, values: Sequence[str]) -> str:
    listed = ", ".join(map(text_literal, values))
    if kind == MULTIPLE:
        return f"NOT list_has_all([{listed}], {name})"
    return f"{name} NOT IN ({listed})"


def _outside(name: str, column: str, kind: str, low: Bound, high: Bound) -> str:
    """The condition of a value outside of a range, in literals of the column's own type.

    Bounds of another type would have the engine convert the column, and fail on large values.
    """
    numeric = kind == "BIGINT" or kind.startswith("DECIMAL")
    given = low if low is not None else high
    if numeric and isinstance(given, Decimal):
        bounds = [_number(kind, low, upward=True), _number(kind, high, upward=False)]
    elif kind in {"DATE", _STAMP} and isinstance(given, date):
        if kind == "DATE" and isinstance(given, datetime):
            raise _UnaskableError(f"{column} holds days; give the range in days, too")
        if kind == _STAMP and not isinstance(given, datetime):
            name = f"{name}::DATE"  # a day as an upper bound holds all of it
        bounds = [_moment(low), _moment(high)]
    else:
        what = "numbers" if isinstance(given, Decimal) else "dates"
        raise _UnaskableError(f"{column} is {kind}, and the range is one of {what}")
    conditions = [f"{name} {sign} {b}" for sign, b in zip("<>", bounds, strict=True) if b]
    return f"({' OR '.join(conditions)})" if conditions else "false"


def _number(kind: str, bound: Bound, *, upward: bool) -> str:
    """A bound as the nearest number that the column can hold on the range's side of it.

    Returns:
        Empty when every number that the column can hold is on the range's side.
    """
    if not isinstance(bound, Decimal):
        return ""
    shape = _DECIMAL.match(kind)
    digits, scale = map(int, shape.groups()) if shape else (0, 0)
    with localcontext(prec=100):
        most = (10**digits - 1) * Decimal(1).scaleb(-scale) if shape else _BIGINT_MOST
        if (bound < -most) if upward else (bound > most):
            return ""
        if abs(bound) > most:  # no number of the column is on the range's side
            return f"{'-' if not upward else ''}'Infinity'::DOUBLE"
        rounding = ROUND_CEILING if upward else ROUND_FLOOR
        return f"{bound.quantize(Decimal(1).scaleb(-scale), rounding):f}::{kind}"


def _moment(bound: Bound) -> str:
    if isinstance(bound, datetime):
        return f"TIMESTAMPTZ '{bound.astimezone(UTC).isoformat()}'"
    return f"DATE '{bound}'" if bound is not None else ""
