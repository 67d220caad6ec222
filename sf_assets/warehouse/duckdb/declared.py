"""The declared checks as SQL on live rows: which rows offend, or whether the table does.

A check that cannot be asked, as when the org has no such field, has not passed and says why.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

import duckdb

from sf_assets.declared_checks import (
    Between,
    Expectation,
    Fresh,
    InPicklist,
    Matches,
    NotNull,
    References,
    RowCount,
    Unique,
)
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.duckdb.conditions import UnaskableError, dangling, outside, unlisted
from sf_assets.warehouse.duckdb.silver import Silver
from sf_assets.warehouse.questions import Answer, Subject

EXAMPLES = 10
"""Most Ids of offenders that an answer names."""

FEWEST_READINGS = 5
"""Readings of the row count without which no change can be called unusual."""


class Asker:
    """Asks declared checks of silver.

    Args:
        connection: Open on the warehouse.
        silver: The tables.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, silver: Silver) -> None:
        self._run = connection.execute
        self._silver = silver

    def ask(self, check: Expectation, subject: Subject, now: datetime) -> Answer:
        """Ask one check of an object that is in silver. Never raises for what the data holds.

        Args:
            check: The check.
            subject: What it is asked of.
            now: The present, by which rows are fresh.
        """
        sql = ""
        try:
            if isinstance(check, RowCount):
                return self._near(check, subject)
            if isinstance(check, Fresh):
                return self._fresh(check, subject, now)
            offence, facts = self._offence(check, subject)
            rows = f"FROM {self._silver.live(subject.slug)} t WHERE {offence}"
            sql = f"SELECT t.Id {rows}"
            found = self._run(f"SELECT count(*), min(t.Id, {EXAMPLES}) {rows}").fetchone()
        except UnaskableError as error:
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
                return unlisted(name, kind, _listed(columns[0], subject)), {}
            case References():
                return self._dangling(name, columns[0], subject)
            case Matches(patterns=patterns):
                if kind != "VARCHAR":
                    raise UnaskableError(f"{columns[0]} is no text but {kind}")
                (pattern,) = patterns.values()
                return f"NOT regexp_full_match({name}, {text_literal(pattern)})", {}
            case Between(ranges=ranges):
                ((low, high),) = ranges.values()
                return outside(name, columns[0], kind, low, high), {}
        raise TypeError(check)

    def _column(self, name: str, subject: Subject) -> str:
        """The column of that name in any case."""
        columns = self._silver.columns(subject.slug)
        if name in columns:
            return columns.spelt(name)
        if subject.info and subject.info.field(name):
            raise UnaskableError(
                f"the org has {name}, the table has not: see fields and exclude in the catalogue"
            )
        raise UnaskableError(f"describe knows no field {name}; correct it in the catalogue")

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
            raise UnaskableError(f"{column} is no reference, as far as describe says")
        here = [t.lower() for t in targets if t.lower() in self._silver and subject.reads(t)]
        away = [target for target in targets if target.lower() not in here]
        if not here:
            raise UnaskableError(f"{column} leads to {', '.join(away)}, which silver has not")
        offence = dangling(name, map(self._silver.live, here))
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

    def _fresh(self, check: Fresh, subject: Subject, now: datetime) -> Answer:
        sql = f"SELECT max(_cursor) FROM {self._silver.live(subject.slug)}"
        row = self._run(sql).fetchone()
        newest: datetime | None = row[0] if row else None
        if newest is None:
            return Answer(passed=False, facts={"newest change": "none"}, sql=sql)
        facts: dict[str, str | int | float] = {
            "newest change": f"{newest.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "hours old": round((now - newest).total_seconds() / 3600, 2),
        }
        return Answer(now - newest <= check.within, facts=facts, sql=sql)


def _listed(column: str, subject: Subject) -> tuple[str, ...]:
    described = subject.info and subject.info.field(column)
    if not described or not described.picklist:
        raise UnaskableError(f"describe lists no values for {column}: it is no picklist")
    return described.picklist
