"""A warehouse while it is open, for one org."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from sf_assets.columns.column import Column
from sf_assets.naming import Names, gold_name, restricted_name, silver_name
from sf_assets.storage.manifest import Slice
from sf_assets.warehouse.ledger import Outcome
from sf_assets.warehouse.port import Reader
from sf_assets.warehouse.sql import forgetting, intact, ops, united
from sf_assets.warehouse.sql.check_log import CheckLog
from sf_assets.warehouse.sql.connection import Connection, changing_tables
from sf_assets.warehouse.sql.gold import Gold
from sf_assets.warehouse.sql.history import histories, must_rebuild
from sf_assets.warehouse.sql.merge import merge, rebuild
from sf_assets.warehouse.sql.silver import Silver
from sf_assets.warehouse.sql.slice_log import SliceLog
from sf_assets.warehouse.sql.tables import Table

RESTRICTED = "restricted"
"""How `ops` begins what it calls tables of restricted fields."""


class Session:
    """The tables of one org, and what `ops` notes of them.

    Args:
        connection: Open on it.
        explained: Turns what the engine refuses in a block into a `WarehouseError`.
        org_id: Whose.
        name: What the catalogue calls the org.
    """

    def __init__(
        self,
        connection: Connection,
        explained: Callable[[], AbstractContextManager[None]],
        org_id: str,
        name: str,
    ) -> None:
        self._connection = connection
        self._explained = explained
        self._org_id = org_id
        self._schema = silver_name(name)
        self._schemas = {"": self._schema, RESTRICTED: restricted_name(name)}
        self.silver = Silver(connection, self._schema, self._schemas[RESTRICTED])
        self.slices = SliceLog(connection, org_id)
        self.gold = Gold(connection, org_id, self._schema, gold_name(name))
        self.checks = CheckLog(connection, org_id)

    def table(self, slug: str, *, history: bool) -> "SilverTable":
        """An object's table, to be loaded; whether all versions are kept, too."""
        return self._opened(Table(self._connection, self._schema, slug, history))

    def restricted(self, slug: str) -> "SilverTable":
        """The table of an object's restricted fields, to be loaded."""
        schema, noted = self._schemas[RESTRICTED], f"{RESTRICTED}.{slug}"
        return self._opened(Table(self._connection, schema, slug, noted_as=noted))

    def _opened(self, table: Table) -> "SilverTable":
        return SilverTable(table, self._org_id, self._schemas)

    def forget(
        self, slug: str, ids: Collection[str], derived: Mapping[str, Collection[str]]
    ) -> dict[str, int]:
        """Remove records and what leads to them; how many rows there were, by table."""
        homes = list(self._schemas.values())
        return forgetting.forget(self._connection, self._org_id, homes, slug, ids, derived)

    def ids_beginning(self, prefix: str) -> Iterator[str]:
        """Short forms of all Ids in the org's tables that begin with some letters."""
        yield from forgetting.ids_beginning(self._connection, [*self._schemas.values()], prefix)

    def forgotten(self, slug: str) -> set[str]:
        """Digests of the Ids of records that the tables have no more, as was noted."""
        return forgetting.forgotten(self._connection, self._org_id, slug)

    def note_forgotten(self, slug: str, digests: AbstractSet[str]) -> None:
        """Note that the tables have no more of some records, by digests of their Ids."""
        forgetting.note_forgotten(self._connection, self._org_id, slug, digests)

    def search(self, ids: Collection[str]) -> dict[str, int | None]:
        """In how many rows of which tables some texts are; None where one cannot be read."""
        return dict(forgetting.search(self._connection, ids))

    def has_leftovers(self) -> bool:
        """Whether files may have something of rows that were removed for good."""
        return ops.has_leftovers(self._connection)

    def orgs(self) -> list[str]:
        """Names of all orgs that have silver tables in this warehouse."""
        names = self._connection.execute("SELECT name FROM ops.orgs ORDER BY name")
        return [name for (name,) in names if self._connection.tables(silver_name(name))]

    def is_united(self, orgs: Sequence[str]) -> bool:
        """Whether the views of all orgs' tables together are as the tables are."""
        return united.is_current(self._connection, orgs)

    def unite(self, orgs: Sequence[str]) -> list[str]:
        """Have views show the tables of all orgs together."""
        return united.unite(self._connection, orgs)

    def changed(self) -> dict[str, str]:
        """What others have dropped or changed, by object; nothing of what is as merges left it."""
        found = intact.changed(self._connection, self._org_id, self._schemas)
        return {name.rpartition(".")[2]: what for name, what in found.items()}

    def treated(self) -> dict[str, Names[str] | None]:
        """How fields of tables were treated, by what `ops` calls these; None if not known."""
        return intact.treated(self._connection, self._org_id)

    def histories(self) -> set[str]:
        """Objects whose history is complete: kept since their first slice."""
        return histories(self._connection, self._org_id)

    def note_failures(self, errors: Mapping[str, str]) -> None:
        """Note in `ops.sync_log` what failed, by object."""
        rows = {"org_id": self._org_id, "object": list(errors), "error": list(errors.values())}
        now = pl.lit(datetime.now(UTC), pl.Datetime("us", "UTC"))
        self._connection.load("ops.failures", pl.DataFrame(rows).with_columns(failed_at=now))

    def explained(self) -> AbstractContextManager[None]:
        """Turn what the engine refuses in the block into a `WarehouseError`."""
        return self._explained()


@dataclass(frozen=True, slots=True)
class SilverTable:
    """The silver table of one object, which may be there or not, to be loaded."""

    _table: Table
    _org_id: str
    _schemas: Mapping[str, str]

    @property
    def noted(self) -> str:
        """What `ops` calls it."""
        return self._table.noted

    def types(self) -> Names[str]:
        """SQL types of the fields' columns; empty when there is no table yet."""
        return self._table.types()

    def is_empty(self) -> bool:
        """Whether it has no row."""
        return self._table.is_empty()

    def conflicts(self, columns: Iterable[Column]) -> list[str]:
        """Columns whose kind is no longer what the table has."""
        return self._table.conflicts(columns)

    def changed(self) -> str:
        """What others have dropped or changed of it; empty where it is as merges left it."""
        noted = self._table.noted
        found = intact.changed(self._table.connection, self._org_id, self._schemas, noted)
        return found.get(noted, "")

    def treated(self) -> Names[str] | None:
        """How its fields were treated; None if that is not known."""
        return intact.treated(self._table.connection, self._org_id).get(self._table.noted)

    def drop(self) -> None:
        """Remove it, and what is noted of it."""
        with changing_tables(self._table.connection):
            SliceLog(self._table.connection, self._org_id).forget(self._table.noted)
            intact.forget(self._table, self._org_id)
            self._table.drop()

    def must_rebuild(self, slices: Iterable[Slice]) -> bool:
        """Whether its history cannot just be added to: it is not complete, or slices come late."""
        return self._table.history and must_rebuild(self._table, self._org_id, slices)

    def merge(
        self,
        slices: Sequence[Slice],
        columns: Mapping[str, Column],
        read: Reader,
        *,
        notes: Mapping[str, str] | None = None,
    ) -> Iterator[Outcome]:
        """Merge slices, oldest reading first; each yield is one committed transaction."""
        return merge(self._table, slices, columns, read, notes=notes)

    def rebuild(
        self,
        slices: Sequence[Slice],
        columns: Mapping[str, Column],
        read: Reader,
        *,
        notes: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Make it anew from all slices of the object; the old one stays if this fails."""
        return rebuild(self._table, self._org_id, slices, columns, read, notes=notes)
