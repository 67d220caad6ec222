"""Everything that a merge needs to be there, made before its transaction begins.

How many digits numbers have is counted when they are written to raw, and stands in the manifests.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sf_assets.columns.column import MOST_DIGITS, NUMBERS, Column
from sf_assets.columns.decimals import digits
from sf_assets.naming import Names
from sf_assets.storage.manifest import Slice
from sf_assets.warehouse.port import Reader
from sf_assets.warehouse.sql import history
from sf_assets.warehouse.sql.tables import Table


@dataclass(frozen=True, slots=True)
class Prepared:
    """Columns that slices find in the table.

    Attributes:
        columns: As they are there, by name: numbers may be wider than described.
        tight: Number columns that have no room for all numbers, as none can have more.
        new: Whether the table was just made.
    """

    columns: Mapping[str, Column]
    tight: frozenset[str]
    new: bool = False

    def of(self, piece: Slice) -> dict[str, Column]:
        """Those of the columns that a slice has."""
        return {name: self.columns[name] for name in piece.columns if name in self.columns}


def prepare(
    table: Table,
    slices: Sequence[Slice],
    columns: Mapping[str, Column],
    read: Reader,
) -> Prepared:
    """Make the table, or the columns, room and views that it lacks for slices.

    To be called inside `changing_tables`. What it makes is to be noted as silver's own (`intact`),
    so that it may stay where the merge does not come to pass.

    Args:
        table: The silver table.
        slices: Slices of the object; where there are only patches, no table is made for them.
        columns: Columns of the object as described.
        read: Reads a slice, where its manifest does not tell how many digits its numbers have.
    """
    if all(piece.kind.patches for piece in slices) and not table.types():
        return Prepared({}, frozenset())
    before = _shape(table)
    actual: dict[str, Column] = {}
    for names in dict.fromkeys(piece.columns for piece in slices):  # in the order they come in
        actual |= table.ensure([columns[name] for name in names if name in columns])
    tables = [table]
    if table.history:
        tables.append(history.room(table, actual.values()))
    made = make_room(tables, actual, slices, read)
    for one in tables:
        if not one.is_empty():  # a first load is quicker without
            one.connection.index(one.name, "Id")
    # Where nothing is changed there is nothing to commit. Outside a transaction, an earlier run may
    # have ended before it came to the views.
    whole = table.connection.capabilities.ddl_in_transaction or table.has_view()
    if _shape(table) != before or not whole:
        table.make_view()
        if table.history:
            history.make_view(table)
    return replace(made, new=not before[0])


def _shape(table: Table) -> list[Names[str]]:
    """Columns of the table, and of its history where it is kept."""
    return [table.types(), *([history.types(table)] if table.history else [])]


def make_room(
    tables: Sequence[Table], columns: Mapping[str, Column], slices: Sequence[Slice], read: Reader
) -> Prepared:
    """Widen the number columns of tables for the numbers of slices.

    Args:
        tables: Tables with these columns.
        columns: The columns, by name.
        slices: The slices.
        read: Reads a slice.
    """
    actual, tight = dict(columns), set[str]()
    for name, told in _needs(actual, slices, read).items():
        # What describe gives room for need not be used.
        need = _used(name, slices, read) if sum(told) > MOST_DIGITS else told
        wide = actual[name]
        if wide.fits(*need):
            continue
        for table in tables:
            wide = table.widened(wide, *need)
        for table in tables:
            table.resize(wide)
        actual[name] = wide
        if not wide.fits(*need):
            tight.add(name)
    return Prepared(actual, frozenset(tight))


def _used(name: str, slices: Iterable[Slice], read: Reader) -> tuple[int, int]:
    """Digits before and after the point that the slices' numbers of a column have."""
    used = 0, 0
    for piece in slices:
        if name in piece.columns:
            for frame in read(piece):
                used = digits(frame[name], *used)
    return used


def _needs(
    columns: Mapping[str, Column], slices: Iterable[Slice], read: Reader
) -> dict[str, tuple[int, int]]:
    """Digits before and after the point that the slices' numbers need, by column."""
    needed: dict[str, tuple[int, int]] = {}
    for piece in slices:
        numbers = [c for n in piece.columns if (c := columns.get(n)) and c.kind in NUMBERS]
        counted = {column.name: piece.room(column.name) for column in numbers}
        if piece.counts.written and not all(counted.values()):
            counted = dict(_count(numbers, piece, read))
        for name, room in counted.items():
            if room:
                integers, scale = needed.get(name, room)
                needed[name] = max(integers, room[0]), max(scale, room[1])
    return needed


def _count(numbers: Iterable[Column], piece: Slice, read: Reader) -> dict[str, tuple[int, int]]:
    """Count the digits of a slice's numbers, of which its manifest does not tell."""
    counted = {column.name: (column.integers, column.scale) for column in numbers}
    for frame in read(piece):
        for name, room in counted.items():
            counted[name] = digits(frame[name], *room)
    return counted
