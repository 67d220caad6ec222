"""Which gold tables are due, by what is committed: their SQL, what they read, what was built."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.pipeline.checks.gates import ClosedGate, closed_gates, gates, spelt
from sf_assets.pipeline.org import Org
from sf_assets.warehouse.builds import Attempt, Build
from sf_assets.warehouse.gold_sql import GoldTable
from sf_assets.warehouse.port import Session

NOT_FINAL = 2
"""Days that are built anew with every build; those before them where versions came late."""

_QUERY = "query"
"""Names, among what a gold table was built of, the hash of its own query."""

_UNWATCHED = "unwatched"
"""Names, likewise, all that nobody watches: it is another each UTC day."""


class GoldState(StrEnum):
    """What there is to do for a gold table."""

    BUILT = "built"
    DUE = "due"
    WAITING = "waiting"
    HELD = "held"
    LEFT_OUT = "left out"
    REFUSED = "refused"


_NOT_YET = frozenset({GoldState.DUE, GoldState.WAITING, GoldState.HELD})


@dataclass(frozen=True, slots=True)
class GoldStatus:
    """Where a gold table stands.

    Attributes:
        name: The table.
        state: `built`: nothing is to be done. `due`: it is to be built. `waiting`: it
            is as it should be, but it reads a gold table that is not. `held`: it is due, and a
            blocking check of what it reads did not pass. `left out`: there is nothing to build it
            of, though nothing is wrong. `refused`: its file is no query that can be used.
        built_at: When it was built last.
        rows: Its rows then.
        why: Why it is not `built`, and what came of builds that were tried.
        next_try: When it may be built by itself after builds that failed; None where it may now.
        days: Days to build, oldest first; empty for a table that is not daily.
        closed: What holds it.
    """

    name: str
    state: GoldState
    built_at: datetime | None = None
    rows: int | None = None
    why: str | None = None
    next_try: datetime | None = None
    days: tuple[date, ...] = ()
    closed: tuple[ClosedGate, ...] = ()


def gold_due(
    org: Org,
    tables: Sequence[GoldTable],
    now: datetime,
    refused: Mapping[str, SfAssetsError] | None = None,
    *,
    wait: bool = True,
) -> list[GoldStatus]:
    """Say of gold tables whether they are due, and what keeps them from being built.

    Asks the warehouse alone, and nothing of the org. Whoever builds gold asks this, whatever
    happened before: the schedule of Dagster, the command line, and `status`.

    Args:
        org: The org.
        tables: The tables, as their files say now, each after those that it reads.
        now: Our present, by which days are complete.
        refused: Why files cannot be used, by the names of their tables.
        wait: Whether to wait a while if another program holds the warehouse.

    Returns:
        One for each table, in their order, and for what is refused.

    Raises:
        WarehouseLockedError: Another program holds the warehouse.
        WarehouseError: It refuses.
    """
    files = refused or {}
    nothing = [_left_out(org, table, _lacking(org, table, (), ())) for table in tables]
    nothing += [_refused(name, why) for name, why in files.items()]
    if not org.warehouse.exists():
        return nothing
    try:
        org_id = org.stored_raw.org_id
    except ConfigError:  # nothing was ever read
        return nothing
    with org.reading(org_id, wait=wait) as session:
        seen = _Seen.of(session, org, tables, now)
        found: dict[str, GoldStatus] = {}
        for table in tables:
            found[table.name] = _waiting(org, table, _status(org, table, seen), found)
        return [*found.values(), *(_refused(*file, seen.builds) for file in files.items())]


def refuse_held(session: Session, org: Org, table: GoldTable) -> str | None:
    """Why a table must not be built of what silver holds now; None where it may."""
    closed = closed_gates(session, org, table.silver | table.raw)
    return f"{org.gold}.{table.name} is {spelt(closed)}" if closed else None


def unanswered_gates(org: Org) -> list[ClosedGate]:
    """Blocking checks of objects in silver that were not asked of what it holds now.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    if not gates(org.catalog) or not org.warehouse.exists():
        return []
    with org.reading(org.stored_raw.org_id) as session:
        there = session.silver.tables()
        closed = closed_gates(session, org)
        return [gate for gate in closed if gate.answer is None and gate.slug in there]


def next_build(session: Session, org: Org, table: GoldTable, days: Collection[date]) -> Build:
    """What there is to note of a build that begins now.

    Days that are built as they should be stay. What the table reads is noted as read only where all
    days are built that need it: else these are older than it.

    Args:
        session: The warehouse, open.
        org: The org.
        table: The table.
        days: The days that are built, of a daily table.
    """
    now = datetime.now(UTC)
    seen = _Seen.of(session, org, [table], now)
    before = seen.standing(table)
    read: Mapping[str, str] = _newest(table, seen)
    if table.daily:
        read = {**read, **_of_gold(table, seen.builds)}
        if not set(_days_to_build(org, table, seen)).issubset(days):
            read = before.sources if before else {}
    built = _ended(before) if before else frozenset()
    return Build(table.sql_hash, read, now, None, built.union(days))


def start_attempts(org: Org, tried: Mapping[str, str], now: datetime) -> None:
    """Note what is about to be tried, so that what comes to nothing is not tried without a pause.

    Args:
        org: The org.
        tried: What is tried, by the name of a gold table or closed gate: the hash of its SQL, or
            the merge that it is to be asked of.
        now: Our present.

    Raises:
        WarehouseLockedError: Another program holds the warehouse, so nothing could be built.
    """
    org_id = org.stored_raw.org_id
    with org.writing(org_id, wait=False) as session:
        for name, of in tried.items():
            session.gold.note_attempt(name, of, now)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is committed, seen at one moment.

    Attributes:
        now: The moment, by our clock.
        silver: Silver tables that are there.
        gold: Gold tables that are there.
        rows: Rows of those that are asked for.
        newest: What is newest of all that gold may read.
        builds: The last build of each table.
        late: On which day the oldest version lies that came since, of daily tables.
        attempts: Builds that came to nothing.
        closed: What holds tables.
    """

    now: datetime
    silver: Collection[str]
    gold: Collection[str]
    rows: Mapping[str, int]
    newest: Mapping[str, str]
    builds: Mapping[str, Build]
    late: Mapping[str, date]
    attempts: Mapping[str, Attempt]
    closed: Sequence[ClosedGate]

    @property
    def today(self) -> date:
        """The UTC day that is not over."""
        return self.now.astimezone(UTC).date()

    @classmethod
    def of(cls, session: Session, org: Org, tables: Sequence[GoldTable], now: datetime) -> "_Seen":
        gold, built = session.gold.tables(), session.gold.builds()
        daily = [table.name for table in tables if table.daily and table.name in built]
        read = {slug for table in tables for slug in table.silver | table.raw}
        return cls(
            now=now,
            silver=session.silver.tables(),
            gold=gold,
            rows=session.gold.rows([t.name for t in tables if t.name in gold]),
            newest=session.gold.newest(),
            builds=built,
            late=session.gold.late_rows({name: built[name].sources for name in daily}),
            attempts=session.gold.attempts(),
            closed=closed_gates(session, org, read),
        )

    def standing(self, table: GoldTable) -> Build | None:
        """The last build of a table, if the table is as its query left it."""
        build = self.builds.get(table.name)
        same = (
            build and build.sql_hash == table.sql_hash and build.rows == self.rows.get(table.name)
        )
        return build if same else None


def _status(org: Org, table: GoldTable, seen: _Seen) -> GoldStatus:
    build = seen.builds.get(table.name)
    status = GoldStatus(table.name, GoldState.BUILT)
    if build:
        status = replace(status, built_at=build.built_at, rows=build.rows)
    if lacking := _lacking(org, table, seen.silver, seen.gold):
        return replace(_left_out(org, table, lacking), built_at=status.built_at)
    reason = _reason(table, build, seen)
    if build and build.left_out and not reason:
        return replace(status, state=GoldState.LEFT_OUT, why=build.left_out)
    days = _days_to_build(org, table, seen)
    if not reason and table.daily and build and set(days) - build.days:
        reason = "it lacks days"
    if not reason:
        return status
    status = replace(status, state=GoldState.DUE, why=reason, days=days)
    if closed := tuple(g for g in seen.closed if g.slug in table.silver | table.raw):
        return replace(status, state=GoldState.HELD, why=spelt(closed), closed=closed)
    attempt = seen.attempts.get(table.name)
    if attempt and attempt.of == table.sql_hash:
        return replace(status, why=_tried(attempt, reason), next_try=attempt.next_try)
    return status


def _waiting(
    org: Org, table: GoldTable, status: GoldStatus, found: Mapping[str, GoldStatus]
) -> GoldStatus:
    """What is built as it should be waits for what it reads, which may be another soon."""
    reads = [found[name] for name in sorted(table.gold) if name in found]
    late = [f"{org.gold}.{s.name}, which is {s.state}" for s in reads if s.state in _NOT_YET]
    if status.state is not GoldState.BUILT or not late:
        return status
    return replace(status, state=GoldState.WAITING, why=f"it reads {', '.join(late)}")


def _refused(
    name: str, why: SfAssetsError, builds: Mapping[str, Build] | None = None
) -> GoldStatus:
    """A file that cannot be used: its table stands as it was built last."""
    status = GoldStatus(name, GoldState.REFUSED, why=str(why))
    build = (builds or {}).get(name)
    return replace(status, built_at=build.built_at, rows=build.rows) if build else status


def _reason(table: GoldTable, build: Build | None, seen: _Seen) -> str | None:
    """Why a table is to be built anew; None where it is as it should be."""
    if not build:
        return "it is not built yet"
    if build.sql_hash != table.sql_hash:
        return "its file was edited"
    if changed := _changed(table, build, seen):
        return changed
    if not build.left_out and table.name not in seen.gold:
        return "somebody dropped it"
    if not build.left_out and seen.rows[table.name] != build.rows:
        return "somebody changed its rows"
    return None


def _changed(table: GoldTable, build: Build, seen: _Seen) -> str | None:
    """What of that which a table reads is new, or may be."""
    newest = _newest(table, seen)
    changed = {name for name, new in newest.items() if build.sources.get(name) != new}
    if named := sorted(changed - {_UNWATCHED}):
        return f"{', '.join(named)} changed"
    if changed:
        return f"it reads {', '.join(table.unwatched)}, of which only a new look tells, once a day"
    return None


def _newest(table: GoldTable, seen: _Seen) -> dict[str, str]:
    """What is newest of all that a table reads."""
    names = [
        *(f"silver.{slug}" for slug in table.silver),
        *(f"raw.{slug}" for slug in table.raw),
        *(f"gold.{name}" for name in table.gold),
    ]
    unwatched = {_UNWATCHED: f"{seen.today}"} if table.unwatched else {}
    return {name: seen.newest.get(name, "") for name in names} | unwatched


def _lacking(
    org: Org, table: GoldTable, silver: Collection[str], gold: Collection[str]
) -> list[str]:
    """What a table reads, by its name in the warehouse, that is not there."""
    reads = {f"{org.schema}.{slug}" for slug in table.silver | table.raw if slug not in silver}
    return sorted(reads | {f"{org.gold}.{name}" for name in table.gold if name not in gold})


def _left_out(org: Org, table: GoldTable, lacking: Iterable[str]) -> GoldStatus:
    absent = ", ".join(lacking) or org.schema
    why = f"{org.gold}.{table.name} is left out: there is no {absent}"
    return GoldStatus(table.name, GoldState.LEFT_OUT, why=why)


def _tried(attempt: Attempt, reason: str) -> str:
    """What came of builds that were tried."""
    times = "once" if attempt.tries == 1 else f"{attempt.tries} times"
    error = attempt.error or "the run has not ended, or broke off"
    return (
        f"{reason}; tried {times} since {attempt.since:%Y-%m-%d %H:%M} UTC, by itself again at "
        f"{attempt.next_try:%H:%M:%S}: {error}"
    )


def _days_to_build(org: Org, table: GoldTable, seen: _Seen) -> tuple[date, ...]:
    """The days of a daily table that its query has not built as they are now, and the last ones."""
    if not table.daily:
        return ()
    start, today = org.catalog.start, seen.today
    days = [start + timedelta(n) for n in range((today - start).days + 1)]
    build = seen.standing(table)
    if not build or _is_of_other_gold(build, seen.builds) or _reads_anew(table, build, seen):
        return tuple(days)
    final = min(today - timedelta(NOT_FINAL - 1), seen.late.get(table.name, today))
    have = _ended(build)
    return tuple(day for day in days if day >= final or day not in have)


def _ended(build: Build) -> frozenset[date]:
    """The days of a build that were over by then: all that is of them had its time to come."""
    built_on = build.built_at.astimezone(UTC).date()
    return frozenset(day for day in build.days if day < built_on)


def _of_gold(table: GoldTable, built: Mapping[str, Build]) -> dict[str, str]:
    """What the gold tables were built of that a table reads, and by which query."""
    read = {f"gold.{name}": built[name] for name in table.gold if name in built}
    return {
        f"{gold}/{source}": version
        for gold, build in read.items()
        for source, version in {**build.sources, _QUERY: build.sql_hash}.items()
    }


def _reads_anew(table: GoldTable, build: Build, seen: _Seen) -> bool:
    """Whether what nobody watches is looked at anew, by a table or by gold that it reads.

    Of which days it tells something else now, nobody knows.
    """
    read = _newest(table, seen) | _of_gold(table, seen.builds)
    looks = {source for source in read if source.rpartition("/")[2] == _UNWATCHED}
    return any(build.sources.get(source) != read[source] for source in looks)


def _is_of_other_gold(build: Build, built: Mapping[str, Build]) -> bool:
    """Whether a gold table that a build has read is built by another query now."""
    for source, sql_hash in build.sources.items():
        gold, _, what = source.rpartition("/")
        name = gold.rpartition("/")[2].removeprefix("gold.")
        if what == _QUERY and (name not in built or built[name].sql_hash != sql_hash):
            return True
    return False
