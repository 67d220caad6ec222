"""Rows of slices on their way into silver: typed, in tables that have room for them.

Most engines load rows within a merge's transaction. Where one does not, all rows of a merge are
loaded before it begins, each batch's into tables of its own, and the transaction only moves them.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sf_assets.sql import quoted
from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.warehouse.port import Reader
from sf_assets.warehouse.sql.connection import TEMPORARY
from sf_assets.warehouse.sql.prepare import Prepared
from sf_assets.warehouse.sql.stage import (
    VERSION,
    drop_older,
    fill,
    make_rejects,
    make_stage,
    scalar,
)
from sf_assets.warehouse.sql.tables import PROVENANCE, Table


@dataclass(frozen=True, slots=True)
class Staged:
    """The rows of a batch of slices.

    Attributes:
        table: Where they are: the silver table itself, where they are its first.
        rejects: The temporary table of values that could not be typed, as SQL writes it.
        rows: How many came.
        seconds: How long it took.
    """

    table: Table
    rejects: str
    rows: int
    seconds: float

    @property
    def nameless(self) -> int:
        """How many of the rows had no Id."""
        query = f"SELECT count(*) FROM {self.rejects} WHERE Id IS NULL"
        return scalar(self.table.connection, query)

    def newest(self) -> tuple["Staged", int]:
        """The newest version of each record; how many others there were."""
        if self.table.connection.capabilities.load_in_transaction:
            return self, drop_older(self.table)
        return self._copied()

    def _copied(self) -> tuple["Staged", int]:
        """The same in another table: how many a transaction may change has a bound."""
        connection, name = self.table.connection, self.table.name
        repeated = scalar(connection, f"SELECT count(*) - count(DISTINCT Id) FROM {name}")
        if not repeated:
            return self, 0
        order = ", ".join(f"{column} DESC" for column in VERSION)
        spelt = ", ".join(map(quoted, [*self.table.types(), *PROVENANCE]))
        connection.temporary(
            "staged",
            f"AS SELECT {spelt} FROM {name} "
            f"QUALIFY row_number() OVER (PARTITION BY Id ORDER BY {order}) = 1",
        )
        copy = Table(connection, TEMPORARY, "staged")
        return replace(self, table=copy), repeated


def staged(
    table: Table, batches: Sequence[Sequence[Slice]], prepared: Prepared, read: Reader
) -> Iterable[Staged]:
    """The rows of batches: of each when its turn comes, or of all of them at once.

    Args:
        table: The silver table.
        batches: Slices with the same columns, or one patch.
        prepared: The table's columns.
        read: Reads a slice.
    """
    if table.connection.capabilities.load_in_transaction:
        return (_stage(table, batch, prepared, read) for batch in batches)
    numbered = enumerate(batches)
    return [_stage(table, batch, prepared, read, f"_{number}") for number, batch in numbered]


def _stage(
    table: Table, slices: Sequence[Slice], prepared: Prepared, read: Reader, ending: str = ""
) -> Staged:
    """Type the rows of a batch into temporary tables whose names end so."""
    started = time.monotonic()
    kind, rejects = slices[0].kind, f"staged_rejects{ending}"
    if kind.patches and not table.types():
        rows = sum(piece.counts.written for piece in slices)
        return Staged(table, rejects, rows, 0)
    if kind is SliceKind.DELETIONS:
        place = Table(table.connection, TEMPORARY, f"gone{ending}")
        rows = _load_ids(place, slices[0], read)
        return Staged(place, rejects, rows, time.monotonic() - started)
    actual = prepared.of(slices[0])
    place = Table(table.connection, TEMPORARY, f"staged{ending}")
    if not (ending or kind.patches) and table.is_empty():
        place = table  # the first rows go straight into it
    else:
        make_stage(table, place, [*actual, *PROVENANCE])
    make_rejects(table.connection, rejects)
    rejects = f"temp.{rejects}"
    rows = sum(
        fill(place, actual, prepared.tight, piece, read(piece), rejects=rejects) for piece in slices
    )
    return Staged(place, rejects, rows, time.monotonic() - started)


def _load_ids(place: Table, piece: Slice, read: Reader) -> int:
    """Load the Ids of records that are gone; how many they are."""
    place.connection.temporary(place.slug, "(Id VARCHAR)")
    rows = 0
    for frame in read(piece):
        place.connection.load(place.name, frame.select("Id"))
        rows += len(frame)
    return rows
