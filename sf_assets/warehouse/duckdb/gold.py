"""Gold tables: built by their SQL, and by what, as `ops` notes it."""

import json
import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

import duckdb

from sf_assets.catalog import PACKAGED_GOLD
from sf_assets.errors import ConfigError, LeftOutError, SfAssetsError, WarehouseError
from sf_assets.naming import Layer
from sf_assets.sql import quoted
from sf_assets.storage.manifest import SliceKind
from sf_assets.warehouse.builds import Attempt, Build
from sf_assets.warehouse.duckdb.daily import NOT_ITS_DAY, of_many_days, of_one_day
from sf_assets.warehouse.duckdb.database import known_names, transaction
from sf_assets.warehouse.duckdb.prepare import make_room
from sf_assets.warehouse.duckdb.refusals import refusal
from sf_assets.warehouse.duckdb.stage import fill, make_rejects
from sf_assets.warehouse.duckdb.tables import TEMPORARY, Table
from sf_assets.warehouse.gold_columns import gold_columns, relations
from sf_assets.warehouse.gold_sql import CURRENCY, DAY, GoldTable, raw_relation
from sf_assets.warehouse.port import Built, Versions

log = logging.getLogger(__name__)

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

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, org_id: str, silver: str, schema: str
    ) -> None:
        self._connection = connection
        self._run = connection.execute
        self._org_id = org_id
        self._silver = silver
        self._schema = schema

    def tables(self) -> set[str]:
        """Names of the tables there are."""
        rows = self._run(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? "
            "AND database_name = current_database()",
            [self._schema],
        ).fetchall()
        return {name for (name,) in rows}

    def newest(self) -> dict[str, str]:
        """What is newest of everything that a gold table may read, as it was committed."""
        patches = [kind.value for kind in SliceKind if kind.patches]
        rows = self._run(
            "SELECT 'silver.' || object, arg_max(merge, rowid) FROM ops.merges WHERE org_id = $org "
            "GROUP BY object UNION ALL "
            "SELECT 'raw.' || object, arg_max(slice, rowid) FROM ops.slices WHERE org_id = $org "
            "AND merge IS NOT NULL AND NOT list_contains($patches, kind) GROUP BY object UNION ALL "
            "SELECT 'gold.' || name, built_at::VARCHAR FROM ops.gold_builds WHERE org_id = $org",
            {"org": self._org_id, "patches": patches},
        ).fetchall()
        return dict(rows)

    def merged_at(self, slugs: Collection[str]) -> dict[str, datetime]:
        """When something was merged last into each of the objects' tables."""
        query = (
            "SELECT object, max(merged_at) FROM ops.merges WHERE org_id = ? AND object = ANY(?) "
            "GROUP BY object"
        )
        return dict(self._run(query, [self._org_id, list(slugs)]).fetchall())

    def builds(self) -> dict[str, Build]:
        """The last build of each table; not those that an earlier release noted without a query."""
        query = (
            "SELECT name, sql_hash, sources, built_at, rows, days, left_out FROM ops.gold_builds "
            "WHERE org_id = ? AND sql_hash IS NOT NULL"
        )
        return {
            name: Build(sql, json.loads(sources), at, rows, frozenset(days or ()), left_out)
            for name, sql, sources, at, rows, days, left_out in self._run(
                query, [self._org_id]
            ).fetchall()
        }

    def rows(self, names: Sequence[str]) -> dict[str, int]:
        """How many rows tables have, which the engine need not read them for."""
        if not names:
            return {}
        tables = (quoted(self._schema, name) for name in names)
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
        row = self._run(f"SELECT {counts}").fetchone()
        return dict(zip(names, row or (), strict=True))

    def late_rows(self, noted: Mapping[str, Mapping[str, str]]) -> dict[str, date]:
        """Tell of tables on which day of the cursor the oldest version lies that is new to them."""
        rows = [
            (table, *source.split(".", 1), version)
            for table, sources in noted.items()
            for source, version in ((key.rpartition("/")[2], v) for key, v in sources.items())
            if source.startswith(("silver.", "raw."))
        ]
        if not rows:
            return {}
        names = ("tables", "layers", "objects", "versions")
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        patches = [kind.value for kind in SliceKind if kind.patches]
        found = self._run(_LATE, columns | {"org": self._org_id, "patches": patches})
        return dict(found.fetchall())

    def attempts(self) -> dict[str, Attempt]:
        """What was tried and came to nothing so far, by name."""
        rows = self._run(
            "SELECT name, of, tries, since, tried_at, error FROM ops.gold_attempts "
            "WHERE org_id = ?",
            [self._org_id],
        ).fetchall()
        return {name: Attempt(*attempt) for name, *attempt in rows}

    def note_attempt(self, name: str, of: str, now: datetime, error: str | None = None) -> None:
        """Note that something is tried, or with an error what came of it."""
        before = self.attempts().get(name)
        again = before if before and before.of == of else None
        tries = again.tries if again else 0
        if error is None or not again:
            tries += 1
        with transaction(self._connection):
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
        name = quoted(self._schema, table.name)
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
            at_once = _DAYS_AT_ONCE if table.daily and self._takes_many_days(query) else 1
            with transaction(self._connection):
                built = self._build(table, note, query, days, at_once)
        except duckdb.Error as error:
            refused = _refused(table, error, known_names(self._connection))
            if isinstance(refused, LeftOutError):
                left_out = replace(note, days=frozenset(), left_out=str(refused))
                with transaction(self._connection):
                    self.note_build(table.name, left_out)
            raise refused from None
        types = {row[0]: row[1] for row in self._run(f"DESCRIBE {name}").fetchall()}
        return replace(built, columns=gold_columns(table, types, self._comments(table)))

    def _build(
        self, table: GoldTable, note: Build, query: str, days: Sequence[date], at_once: int
    ) -> Built:
        name, by_day = quoted(self._schema, table.name), dict[date, int]()
        if not table.daily:
            self._run(f"CREATE OR REPLACE TABLE {name} AS {query}")
        else:
            if self._make_daily(table, query, days[0]):
                note = replace(note, days=frozenset(days))
            by_day = self._build_days(name, query, days, at_once)
        ((rows,),) = self._run(f"SELECT count(*) FROM {name}").fetchall()
        self.note_build(table.name, replace(note, rows=rows))
        return Built(rows, {}, by_day)

    def _is_view(self, name: str) -> bool:
        found = self._run(
            "SELECT 1 FROM duckdb_views() WHERE schema_name = ? AND lower(view_name) = ? "
            "AND database_name = current_database()",
            [self._schema, name],
        )
        return found.fetchone() is not None

    def _comments(self, table: GoldTable) -> dict[tuple[str, str], dict[str, str]]:
        """Columns of what a table reads, with their comments, which views have from tables."""
        read = relations(table)
        homes = {self._silver: "silver", self._schema: "gold", "main": TEMPORARY}
        rows = self._run(
            "SELECT schema_name, table_name, column_name, coalesce(comment, '') "
            "FROM duckdb_columns() WHERE schema_name IN (?, ?) OR database_name = 'temp'",
            [self._silver, self._schema],
        ).fetchall()
        found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for schema, relation, column, comment in rows:
            if (place := (homes[schema], relation)) in read:
                found[place][column] = comment
        for place, columns in found.items():
            layer, name = read[place]
            told = found.get((layer, name), {}) if layer is Layer.SILVER else {}
            columns |= {column: told[column] for column in columns if column in told}
        return found

    def _without_currency(self) -> set[str]:
        """Tables and views that a query may read, and that have no column for the currency."""
        rows = self._run(
            "SELECT table_name FROM duckdb_columns() WHERE schema_name = ? "
            "OR database_name = 'temp' "
            "GROUP BY ALL HAVING NOT bool_or(lower(column_name) = lower(?))",
            [self._silver, CURRENCY],
        ).fetchall()
        return {name for (name,) in rows}

    def _make_daily(self, table: GoldTable, query: str, day: date) -> bool:
        """Make the table of a daily query; anew where its file asks for other columns than it has.

        Returns:
            Whether it is empty now.
        """
        run, wanted = self._run, f"SELECT * FROM ({query}) LIMIT 0"
        name = quoted(self._schema, table.name)
        if table.name in self.tables():
            has = run(f"SELECT * FROM {name} LIMIT 0").description
            if has == run(wanted, {DAY: day}).description:
                return False
            log.info("gold.%s has other columns now; its days are built anew", table.name)
        run(f"CREATE OR REPLACE TABLE {name} AS {wanted}", {DAY: day})
        return True

    def _build_days(
        self, name: str, query: str, days: Sequence[date], at_once: int
    ) -> dict[date, int]:
        """Build days of a daily table, so many by one query; how many rows each has."""
        run, day = self._run, quoted(DAY)
        for first in range(0, len(days), at_once):
            some = list(days[first : first + at_once])
            run(f"DELETE FROM {name} WHERE {day} = ANY($days::DATE[])", {"days": some})
            if at_once > 1:
                run(f"INSERT INTO {name} {of_many_days(query)}", {"days": some})
            else:
                run(f"INSERT INTO {name} {of_one_day(query)}", {DAY: some[0]})
        counts = run(
            f"SELECT {day}::DATE, count(*) FROM {name} WHERE {day} = ANY($days::DATE[]) GROUP BY 1",
            {"days": list(days)},
        ).fetchall()
        return dict.fromkeys(days, 0) | dict(counts)

    def _takes_many_days(self, query: str) -> bool:
        """Whether the engine can plan the query of a day for many days at once."""
        try:
            self._run(f"EXPLAIN {of_many_days(query)}", {"days": []})
        except duckdb.Error as error:
            log.debug("a query is run day by day: %s", type(error).__name__)
            return False
        return True


_MISSING = re.compile(r"Table with name \"?(\w+)\"? does not exist")
_MEANT = re.compile(r'Did you mean "(silver|gold)(?:_[a-z0-9]+)?\.(\w+)')  # of an org with a name
_LATE = """
WITH noted AS (
    SELECT unnest($tables) AS name, unnest($layers) AS layer, unnest($objects) AS object,
        unnest($versions) AS version
),
merges AS (SELECT object, merge, rowid AS place FROM ops.merges WHERE org_id = $org),
slices AS (
    SELECT object, slice, rows, coalesce(min_cursor, DATE '0001-01-01')::DATE AS day, place
    FROM ops.slices JOIN merges USING (object, merge)
    WHERE org_id = $org AND NOT list_contains($patches, kind)
),
seen AS (
    SELECT n.name, n.object, coalesce(max(m.place), max(s.place), -1) AS place
    FROM noted n
    LEFT JOIN merges m ON layer = 'silver' AND m.object = n.object AND merge = version
    LEFT JOIN slices s ON layer = 'raw' AND s.object = n.object AND slice = version
    GROUP BY n.name, n.object, layer
)
SELECT name, min(day) FROM seen JOIN slices USING (object)
WHERE slices.place > seen.place AND rows > 0 GROUP BY name
"""


def _load(connection: duckdb.DuckDBPyConnection, found: Versions) -> None:
    """Put all versions of an object that raw holds, typed, where the query looks for them."""
    table = Table(connection, TEMPORARY, raw_relation(found.slug))
    connection.execute(f"DROP TABLE IF EXISTS {table.name}")
    table.ensure(list(found.columns.values()))
    prepared = make_room([table], found.columns, found.slices, found.rows)
    make_rejects(connection)
    for piece in found.slices:
        fill(table, prepared.of(piece), prepared.tight, piece, found.rows(piece))


def _refused(table: GoldTable, error: duckdb.Error, names: Collection[str]) -> SfAssetsError:
    """What to say of a table that cannot be built."""
    if NOT_ITS_DAY in str(error):
        return ConfigError(f"{table.path}: its column day must be $day in every row")
    said = refusal(error, table.sql, names)
    unknown = isinstance(error, duckdb.CatalogException | duckdb.BinderException)
    if unknown and table.path.parent == PACKAGED_GOLD:
        return LeftOutError(
            f"gold.{table.name} is left out: this org, or its user, lacks what it reads ({said})"
        )
    if isinstance(error, duckdb.CatalogException):
        return ConfigError(f"{table.path}: {said}{_remedy(said, table.sql)}")
    if isinstance(error, duckdb.BinderException | duckdb.ParserException):
        return ConfigError(f"{table.path}: {said}")
    return WarehouseError(f"{table.path}: {said}; the table is as it was")


def _remedy(said: str, query: str) -> str:
    """What to do about a name that the engine does not know: a table without its schema, mostly."""
    missing, meant = _MISSING.search(said), _MEANT.search(said)
    if missing and f".{missing[1].removesuffix('_live')}".lower() in query.lower():
        return "; load what it reads first"
    return f"; write `{meant[1]}.{meant[2].removesuffix('_live')}`" if meant else ""
