"""Silver tables as they stand: made, widened and given their views, all inside a transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sf_assets.columns.column import MOST_DIGITS, Column
from sf_assets.naming import ONLY, Names, folded, silver_name
from sf_assets.sql import quoted
from sf_assets.warehouse.sql import united
from sf_assets.warehouse.sql.connection import TEMPORARY, Connection
from sf_assets.warehouse.sql.types import as_stored, same_kind, type_of

PROVENANCE = {
    "_cursor": "TIMESTAMP WITH TIME ZONE",
    "_read_at": "TIMESTAMP WITH TIME ZONE",
    "_slice": "VARCHAR",
    "_deleted": "BOOLEAN",
}
"""Columns of our own: the version's cursor (for an object without one the read time), when and by
which slice it was read, and whether the record is known to be gone from the org for good."""

REJECTS = 'Id VARCHAR, "column" VARCHAR, "text" VARCHAR, reason VARCHAR, _slice VARCHAR'
"""Columns of values that could not be typed."""


@dataclass(frozen=True, slots=True)
class Table:
    """The silver table of one object.

    Attributes:
        connection: Open for writing, inside a transaction.
        schema: `silver`, or `silver_<org>`.
        slug: Lower-cased object name.
        history: Whether all versions are kept, too.
        noted_as: What `ops` calls it, where that is not the object's name.
    """

    connection: Connection
    schema: str
    slug: str
    history: bool = False
    noted_as: str = ""

    @property
    def noted(self) -> str:
        """What `ops` calls it."""
        return self.noted_as or self.slug

    @property
    def name(self) -> str:
        """The table, as SQL writes it."""
        return quoted(self.schema, self.slug)

    @property
    def rejects(self) -> str:
        """The table of rejected values, as SQL writes it."""
        return quoted(self.schema, f"{self.slug}_rejects")

    def types(self) -> Names[str]:
        """SQL types of the fields' columns; empty when there is no table yet."""
        there = self.connection.types(self.schema, self.slug)
        return Names((name, kind) for name, kind in there.items() if folded(name) not in PROVENANCE)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """What stands for columns where rows `s` for it are compared with its own, `t`."""
        types, told = self.types(), self.connection.capabilities.content
        for name in names:
            new, old = (told(f"{side}.{quoted(name)}", types[name]) for side in "st")
            yield new, old

    def is_empty(self) -> bool:
        """Whether it has no row."""
        return not self.connection.execute(f"SELECT 1 FROM {self.name} LIMIT 1")

    def ensure(self, columns: Sequence[Column]) -> dict[str, Column]:
        """Make the table, or add the columns and the room for digits that it lacks.

        Returns:
            The columns as they are in the table, by name: numbers may be wider than described.
        """
        types = self.types()
        if not types:
            self.create(columns)
            return {column.name: column for column in columns}
        new = [column for column in columns if column.name not in types]
        self._add(new)
        actual: dict[str, Column] = {}
        for column in columns:
            if column in new:
                actual[column.name] = column
                continue
            self._respell(types.spelt(column.name), column.name)
            stored = as_stored(column, types[column.name])
            if not stored.fits(column.integers, column.scale):
                stored = self.widened(stored, column.integers, column.scale)
                self.resize(stored)
            actual[column.name] = stored
        return actual

    def _respell(self, before: str, name: str) -> None:
        """Give a column the name that its field has now, where only the case is another."""
        if before == self.connection.capabilities.kept(name):
            return
        self._drop_views()
        run = self.connection.execute
        run(f"ALTER TABLE {self.name} RENAME COLUMN {quoted(before)} TO {quoted(name)}")
        if self._has_rejects():
            run(
                f'UPDATE {self.rejects} SET "column" = ? WHERE "column" = ?',
                [name, before],
            )

    def _has_rejects(self) -> bool:
        return bool(self.connection.types(self.schema, f"{self.slug}_rejects"))

    def widened(self, column: Column, integers: int, scale: int) -> Column:
        """The column with room for so many digits beside those it has, as far as 38 go.

        Digits before the point that no value uses are given up first: neither one that the table
        has nor one that is to come, which is what the digits asked for are of.
        """
        whole, scale = max(integers, column.integers), max(scale, column.scale)
        if whole + scale > MOST_DIGITS:
            used = self._integers_used(column.name)
            whole = max(used, integers, MOST_DIGITS - scale)
        return column.resized(whole, scale)

    def conflicts(self, columns: Iterable[Column]) -> list[str]:
        """Columns whose kind is no longer what the table has: the org changed the field's type."""
        types = self.types()
        known = [c for c in columns if c.name in types]
        return [c.name for c in known if not same_kind(c, types[c.name])]

    def resize(self, column: Column) -> None:
        """Give a number column its new type; views of the table are to be made again."""
        self._drop_views()
        self.connection.resize(self.schema, self.slug, column.name, type_of(column))

    def make_view(self) -> None:
        """Make `<object>_live`, the rows that are not deleted."""
        gone = "_deleted"
        if "IsDeleted" in self.types():
            gone = "(_deleted OR coalesce(IsDeleted, false))"
        self.connection.execute(
            f"CREATE OR REPLACE VIEW {quoted(self.schema, self.slug + '_live')} AS "
            f"SELECT * FROM {self.name} WHERE NOT {gone}"
        )

    def drop(self) -> None:
        """Remove the table, its rejects and its views."""
        self._drop_views()
        self.connection.execute(f"DROP TABLE IF EXISTS {self.name}")
        self.connection.execute(f"DROP TABLE IF EXISTS {self.rejects}")

    def _drop_views(self) -> None:
        """Remove the views that read the table: some engines change no column that one reads.

        Outside a transaction they stay, so that they are there at any time.
        """
        if self.schema != TEMPORARY and self.connection.capabilities.ddl_in_transaction:
            slug = self.slug.removesuffix("_versions")
            if self.schema != silver_name(ONLY):
                united.drop(self.connection, (f"{slug}{view}" for view in united.VIEWS))
            for view in ("live", "history"):
                name = quoted(self.schema, f"{slug}_{view}")
                self.connection.execute(f"DROP VIEW IF EXISTS {name}")

    def has_view(self) -> bool:
        """Whether `<object>_live` is there, with the columns that the table has."""
        shape, view = self.connection.shape, quoted(self.schema, f"{self.slug}_live")
        try:
            return shape(f"SELECT * FROM {view}") == shape(f"SELECT * FROM {self.name}")
        except self.connection.error:
            return False

    def create(self, columns: Sequence[Column]) -> None:
        """Make the table; a temporary one in the place of what is called so."""
        kinds = {c.name: type_of(c) for c in columns}
        spelt = declared(kinds | {"Id": "VARCHAR NOT NULL"} | PROVENANCE)
        if self.schema == TEMPORARY:
            self.connection.temporary(self.slug, f"({spelt})")
            return
        run = self.connection.execute
        run(f"CREATE SCHEMA IF NOT EXISTS {quoted(self.schema)}")
        run(f"CREATE TABLE {self.name} ({spelt})")
        run(f"CREATE TABLE {self.rejects} ({REJECTS})")
        self._comment(columns)

    def _add(self, columns: Sequence[Column]) -> None:
        if columns:
            self.connection.add(self.schema, self.slug, {c.name: type_of(c) for c in columns})
            self._comment(columns)

    def _comment(self, columns: Sequence[Column]) -> None:
        if said := {column.name: column.comment for column in columns if column.comment}:
            self.connection.comment(self.schema, self.slug, said)

    def _integers_used(self, column: str) -> int:
        ((most,),) = self.connection.execute(
            f"SELECT max(length(trunc(abs({quoted(column)}))::VARCHAR)) FROM {self.name}"
        )
        return int(most or 0)


def declared(types: Mapping[str, str]) -> str:
    """Columns as SQL declares them."""
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
