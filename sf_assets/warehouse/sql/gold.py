"""Gold tables: built by their SQL, and by what, as `ops` notes it."""

import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import polars as pl

from sf_assets.catalog import PACKAGED_GOLD
from sf_assets.errors import ConfigError, LeftOutError, SfAssetsError, WarehouseError
from sf_assets.naming import Layer
from sf_assets.privacy import Treatment
from sf_assets.sql import quoted
from sf_assets.storage.manifest import SliceKind
from sf_assets.warehouse.builds import Attempt, Build
from sf_assets.warehouse.gold_columns import gold_columns, relations
from sf_assets.warehouse.gold_sql import CURRENCY, DAY, GoldTable, raw_relation
from sf_assets.warehouse.port import Built, Versions
from sf_assets.warehouse.sql.connection import TEMPORARY, Cause, Connection
from sf_assets.warehouse.sql.daily import NOT_ITS_DAY, of_many_days, of_one_day
from sf_assets.warehouse.sql.intact import treated
from sf_assets.warehouse.sql.prepare import make_room
from sf_assets.warehouse.sql.stage import fill, make_rejects
from sf_assets.warehouse.sql.tables import Table

log = logging.getLogger(__name__)

_REJECTS = "staged_rejects"

_DAYS_AT_ONCE = 100
"""Days that one query builds: what it keeps of each in memory has a bound."""


class Gold:
    """The gold tables of an org.

    Args:
        connection: Open on the warehouse.
        org_id: Whose.
        silver: Schema of its silver tables.
        schema: Schema of its gold tables.
    """

    def __init__(self, connection: Connection, org_id: str, silver: str, schema: str) -> None:
        self._connection = connection
        self._run = connection.execute
        self._org_id = org_id
        self._silver = silver
        self._schema = schema

    def tables(self) -> set[str]:
        """Names of the tables there are."""
        return self._connection.tables(self._schema)

    def newest(self) -> dict[str, str]:
        """What is newest of everything that a gold table may read, as it was committed."""
        found = dict(self._run(_NEWEST, {"org": self._org_id, "patches": _PATCHES}))
        for slug, how in self._treated().items():
            if (source := f"raw.{slug}") in found:
                found[source] += f"/{how}"
        return found

    def _treated(self) -> dict[str, str]:
        """Of objects with fields that silver, and gold that reads raw, see otherwise: how."""
        noted = treated(self._connection, self._org_id)
        done = {
            slug: sorted(f"{path} {how}" for path, how in fields.items() if how != Treatment.KEEP)
            for slug, fields in noted.items()
            if fields
        }
        return {
            slug: sha256("\n".join(some).encode()).hexdigest()[:8]
            for slug, some in done.items()
            if some
        }

    def merged_at(self, slugs: Collection[str]) -> dict[str, datetime]:
        """When something was merged last into each of the objects' tables."""
        query = (
            "SELECT object, max(merged_at) FROM ops.merges WHERE org_id = ? "
            "AND object = ANY(CAST(? AS VARCHAR[])) GROUP BY object"
        )
        return dict(self._run(query, [self._org_id, list(slugs)]))

    def builds(self) -> dict[str, Build]:
        """The last build of each table; not those that an earlier release noted without a query."""
        query = (
            "SELECT name, sql_hash, sources, built_at, rows, days, left_out FROM ops.gold_builds "
            "WHERE org_id = ? AND sql_hash IS NOT NULL"
        )
        return {
            name: Build(sql, json.loads(sources), at, rows, _dates(days), left_out)
            for name, sql, sources, at, rows, days, left_out in self._run(query, [self._org_id])
        }

    def rows(self, names: Sequence[str]) -> dict[str, int]:
        """How many rows tables have, which the engine need not read them for."""
        if not names:
            return {}
        tables = (quoted(self._schema, name) for name in names)
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
        (row,) = self._run(f"SELECT {counts}")
        return dict(zip(names, row, strict=True))

    def late_rows(self, noted: Mapping[str, Mapping[str, str]]) -> dict[str, date]:
        """Tell of tables on which day of the cursor the oldest version lies that is new to them."""
        now = {f"raw.{slug}": how for slug, how in self._treated().items()}

        def known(source: str, version: str) -> str:
            """A version; none where its rows look otherwise by now, so that all are late."""
            seen, _, how = version.partition("/")
            return seen if how == now.get(source, "") else ""

        rows = [
            (table, *source.split(".", 1), known(source, version))
            for table, sources in noted.items()
            for source, version in ((key.rpartition("/")[2], v) for key, v in sources.items())
            if source.startswith(("silver.", "raw."))
        ]
        if not rows:
            return {}
        names = ["name", "layer", "object", "version"]
        columns = ", ".join(f"{name} VARCHAR" for name in names)
        self._connection.temporary("noted", f"({columns})")
        self._connection.load("temp.noted", pl.DataFrame(rows, names, orient="row"))
        return dict(self._run(_LATE, {"org": self._org_id, "patches": _PATCHES}))

    def attempts(self) -> dict[str, Attempt]:
        """What was tried and came to nothing so far, by name."""
        rows = self._run(
            "SELECT name, of, tries, since, tried_at, error FROM ops.gold_attempts "
            "WHERE org_id = ?",
            [self._org_id],
        )
        return {name: Attempt(*attempt) for name, *attempt in rows}

    def note_attempt(self, name: str, of: str, now: datetime, error: str | None = None) -> None:
        """Note that something is tried, or with an error what came of it."""
        before = self.attempts().get(name)
        again = before if before and before.of == of else None
        tries = again.tries if again else 0
        if error is None or not again:
            tries += 1
        with self._connection.transaction():
            self._forget("gold_attempts", name)
            self._run(
                "INSERT INTO ops.gold_attempts (org_id, name, of, tries, since, tried_at, error) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [self._org_id, name, of, tries, again.since if again else now, now, error],
            )

    def note_build(self, name: str, build: Build) -> None:
        """Note that a table is built, or left out; what was tried before is forgotten."""
        self._forget("gold_builds", name)
        self._forget("gold_attempts", name)
        self._run(
            "INSERT INTO ops.gold_builds (org_id, name, sql_hash, sources, built_at, rows, days, "
            "left_out) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                self._org_id, name, build.sql_hash, json.dumps(build.sources, sort_keys=True),
                build.built_at, build.rows, sorted(build.days), build.left_out,
            ],
        )  # fmt: skip

    def _forget(self, table: str, name: str) -> None:
        self._run(f"DELETE FROM ops.{table} WHERE org_id = ? AND name = ?", [self._org_id, name])

    def build(
        self, table: GoldTable, note: Build, days: Sequence[date], versions: Iterable[Versions]
    ) -> Built:
        """Build a table anew, or some of its days, and note by what, in one transaction."""
        if self._is_view(table.name):
            raise ConfigError(
                f"{self._schema}.{table.name} is a view, which stands where the table should be: "
                f"drop or rename the view, or rename {table.path}"
            )
        self._run(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}")
        try:
            for some in versions:
                _load(self._connection, some)
            query = table.rendered(self._silver, self._schema, self._without_currency())
            # Asked before: what is refused in a transaction ends it.
            many = table.daily and not table.is_native and self._takes_many_days(query)
            at_once = _DAYS_AT_ONCE if many else 1
            with self._connection.transaction():
                built = self._build(table, note, query, days, at_once)
        except self._connection.error as error:
            refused = self._refused(table, error)
            if isinstance(refused, LeftOutError):
                left_out = replace(note, days=frozenset(), left_out=str(refused))
                with self._connection.transaction():
                    self.note_build(table.name, left_out)
            raise refused from None
        types = dict(self._connection.types(self._schema, table.name))
        return replace(built, columns=gold_columns(table, types, self._comments(table)))

    def _build(
        self, table: GoldTable, note: Build, query: str, days: Sequence[date], at_once: int
    ) -> Built:
        name, by_day = quoted(self._schema, table.name), dict[date, int]()
        if not table.daily:
            self._connection.replace(self._schema, table.name, query)
        else:
            if self._make_daily(table, query, days[0]):
                note = replace(note, days=frozenset(days))
            by_day = self._build_days(name, query, days, at_once)
        ((rows,),) = self._run(f"SELECT count(*) FROM {name}")
        self.note_build(table.name, replace(note, rows=rows))
        return Built(rows, {}, by_day)

    def _is_view(self, name: str) -> bool:
        there = {relation.lower() for relation in self._connection.relations(self._schema)}
        return name in there - {table.lower() for table in self.tables()}

    def _refused(self, table: GoldTable, error: Exception) -> SfAssetsError:
        """What to say of a table that cannot be built."""
        if NOT_ITS_DAY in str(error):
            return ConfigError(f"{table.path}: its column day must be $day in every row")
        said, cause = self._connection.refusal(error, table.sql), self._connection.cause(error)
        if cause in {Cause.NAME, Cause.MEANING} and table.path.parent == PACKAGED_GOLD:
            return LeftOutError(
                f"gold.{table.name} is left out: this org, or its user, lacks what it reads "
                f"({said})"
            )
        if cause is Cause.NAME:
            return ConfigError(f"{table.path}: {said}{_remedy(said, table.sql)}")
        if cause is not Cause.DATA:
            return ConfigError(f"{table.path}: {said}")
        return WarehouseError(f"{table.path}: {said}; the table is as it was")

    def _comments(self, table: GoldTable) -> dict[tuple[str, str], dict[str, str]]:
        """Columns of what a table reads, with their comments, which views have from tables."""
        read = relations(table)
        homes = {"silver": self._silver, "gold": self._schema, TEMPORARY: TEMPORARY}
        told = {home: self._connection.comments(homes[home]) for home in {home for home, _ in read}}
        found = {}
        for (home, relation), (layer, name) in read.items():
            if columns := told[home].get(relation):
                mine = told[home].get(name, {}) if layer is Layer.SILVER else {}
                found[home, relation] = columns | {c: mine[c] for c in columns if c in mine}
        return found

    def _without_currency(self) -> set[str]:
        """Tables and views that a query may read, and that have no column for the currency."""
        places = self._connection.relations(self._silver) | self._connection.relations(TEMPORARY)
        return {name for name, columns in places.items() if CURRENCY not in columns}

    def _make_daily(self, table: GoldTable, query: str, day: date) -> bool:
        """Make the table of a daily query; anew where its file asks for other columns than it has.

        Returns:
            Whether it is empty now.
        """
        name = quoted(self._schema, table.name)
        if table.name in self.tables():
            shape = self._connection.shape
            if shape(f"SELECT * FROM {name}") == shape(query, {DAY: day}):
                return False
            log.info("gold.%s has other columns now; its days are built anew", table.name)
        # Where making it ends the transaction, nothing is to say of days that they are there.
        self._forget("gold_builds", table.name)
        nothing = f"SELECT * FROM ({query}) AS q LIMIT 0"
        self._connection.replace(self._schema, table.name, nothing, {DAY: day})
        return True

    def _build_days(
        self, name: str, query: str, days: Sequence[date], at_once: int
    ) -> dict[date, int]:
        """Build days of a daily table, so many by one query; how many rows each has."""
        run, day = self._run, quoted(DAY)
        columns = [column for column, _ in self._connection.shape(f"SELECT * FROM {name}")]
        into = f"INSERT INTO {name} ({', '.join(map(quoted, columns))})"
        for first in range(0, len(days), at_once):
            some = list(days[first : first + at_once])
            run(f"DELETE FROM {name} WHERE {day} = ANY($days::DATE[])", {"days": some})
            if at_once > 1:
                run(f"{into} {of_many_days(query, columns)}", {"days": some})
            else:
                run(f"{into} {of_one_day(query, columns)}", {DAY: some[0]})
        counts = run(
            f"SELECT {day}::DATE, count(*) FROM {name} WHERE {day} = ANY($days::DATE[]) "
            f"GROUP BY {day}",
            {"days": list(days)},
        )
        return dict.fromkeys(days, 0) | dict(counts)

    def _takes_many_days(self, query: str) -> bool:
        """Whether the engine can plan the query of a day for many days at once."""
        try:
            self._connection.shape(of_many_days(query, [DAY]), {"days": []})
        except self._connection.error as error:
            log.debug("a query is run day by day: %s", type(error).__name__)
            return False
        return True


_MISSING = re.compile(r"Table with name \"?(\w+)\"? does not exist")
_MEANT = re.compile(r'Did you mean "(silver|gold)(?:_[a-z0-9]+)?\.(\w+)')  # of an org with a name
_PATCHES = [kind.value for kind in SliceKind if kind.patches]
_NEWEST = """
SELECT 'silver.' || object AS source, merge AS newest FROM ops.merges WHERE org_id = $org
QUALIFY row_number() OVER (PARTITION BY object ORDER BY place DESC) = 1
UNION ALL
SELECT 'raw.' || object AS source, slice AS newest
FROM ops.slices s JOIN ops.merges m USING (org_id, object, merge)
WHERE org_id = $org AND NOT kind = ANY($patches)
QUALIFY row_number() OVER (PARTITION BY object ORDER BY place DESC, read_at DESC, slice DESC) = 1
UNION ALL
SELECT 'gold.' || name AS source, built_at::VARCHAR AS newest
FROM ops.gold_builds WHERE org_id = $org
"""
_LATE = """
WITH merges AS (SELECT object, merge, place FROM ops.merges WHERE org_id = $org),
slices AS (
    SELECT object, slice, rows, coalesce(min_cursor::DATE, DATE '0001-01-01') AS day, place
    FROM ops.slices JOIN merges USING (object, merge)
    WHERE org_id = $org AND NOT kind = ANY($patches)
),
seen AS (
    SELECT n.name, n.object, coalesce(max(m.place), max(s.place), -1) AS place
    FROM temp.noted n
    LEFT JOIN merges m ON layer = 'silver' AND m.object = n.object AND m.merge = n.version
    LEFT JOIN slices s ON layer = 'raw' AND s.object = n.object AND s.slice = n.version
    GROUP BY n.name, n.object, layer
)
SELECT name, min(day) FROM seen JOIN slices ON slices.object = seen.object
WHERE slices.place > seen.place AND rows > 0 GROUP BY name
"""


def _dates(days: Iterable[Any] | None) -> frozenset[date]:
    """Days as an engine tells them, which may be as texts."""
    return frozenset(date.fromisoformat(str(day)) for day in days or ())


def _load(connection: Connection, found: Versions) -> None:
    """Put all versions of an object that raw holds, typed, where the query looks for them."""
    table = Table(connection, TEMPORARY, raw_relation(found.slug))
    table.create(list(found.columns.values()))
    prepared = make_room([table], found.columns, found.slices, found.rows)
    make_rejects(connection, _REJECTS)
    for piece in found.slices:
        rows, columns = found.rows(piece), prepared.of(piece)
        fill(table, columns, prepared.tight, piece, rows, rejects=f"temp.{_REJECTS}")


def _remedy(said: str, query: str) -> str:
    """What to do about a name that the engine does not know: a table without its schema, mostly."""
    missing, meant = _MISSING.search(said), _MEANT.search(said)
    if missing and f".{missing[1].removesuffix('_live')}".lower() in query.lower():
        return "; load what it reads first"
    return f"; write `{meant[1]}.{meant[2].removesuffix('_live')}`" if meant else ""
