"""Slices that silver has taken up, held against those that raw has.

Raw may be another than it was: restored from a backup, or with files lost or cut. What silver took
up and raw neither lists nor holds in a slice that took its place is a thing of the past, and silver
no more what raw says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import polars as pl

from sf_assets.storage.manifest import Slice, SliceKind, SliceRef

Refs = Mapping[str, Sequence[SliceRef]]
Origins = Mapping[str, tuple[str, int]]
"""By slice id: the compacted slice that holds its rows now, and how many they are."""

_LISTED = {"object": pl.String(), "slice": pl.String(), "size": pl.Int64()}


@dataclass(frozen=True, slots=True)
class Missing:
    """A slice that silver has taken up and raw does not list.

    Attributes:
        id: Slice id.
        kind: What it held.
        rows: How many versions it held.
    """

    id: str
    kind: SliceKind
    rows: int


def missing(
    connection: duckdb.DuckDBPyConnection, org_id: str, refs: Refs
) -> dict[str, list[Missing]]:
    """Slices that silver has taken up, and raw neither lists nor is known to have replaced.

    They are lost, or were compacted more than once while this warehouse was away: then no manifest
    names them any more, and `held` tells.

    Args:
        connection: Open on the warehouse.
        org_id: Whose.
        refs: What raw lists; objects of which it lists nothing are not looked at.

    Returns:
        By object; those of which there are none are left out.
    """
    found: dict[str, list[Missing]] = defaultdict(list)
    for slug, slice_id, kind, rows in _asked(
        connection,
        refs,
        "SELECT s.object, s.slice, s.kind, s.rows FROM ops.slices s "
        "SEMI JOIN listed USING (object) ANTI JOIN listed USING (object, slice) "
        "ANTI JOIN ops.replaced USING (org_id, object, slice) WHERE s.org_id = ?",
        org_id,
    ):
        found[slug].append(Missing(slice_id, SliceKind(kind), int(rows or 0)))
    return dict(found)


def held(
    connection: duckdb.DuckDBPyConnection,
    org_id: str,
    slug: str,
    slices: Iterable[Missing],
    origins: Origins,
) -> set[str]:
    """Those of missing slices, by Id, whose rows raw has: compacted ones tell whose rows they hold.

    It is noted, so that it need not be asked again.

    Args:
        connection: Open on the warehouse, for writing.
        org_id: Whose.
        slug: Lower-cased object name.
        slices: Slices that no manifest names.
        origins: Whose rows the compacted slices of raw hold.
    """
    found = {}
    for lost in slices:
        here = [
            origins[leaf] for leaf in _leaves(connection, org_id, slug, lost) if leaf in origins
        ]
        if sum(rows for _, rows in here) == lost.rows:
            found[lost.id] = max((by for by, _ in here), default="")
    for by in set(found.values()):
        _note(connection, org_id, slug, [one for one in found if found[one] == by], by)
    return set(found)


def waive(
    connection: duckdb.DuckDBPyConnection, org_id: str, slug: str, slices: Sequence[str]
) -> None:
    """Note that slices, by Id, are missed no more: silver keeps what they said."""
    _note(connection, org_id, slug, slices, "")


def _leaves(
    connection: duckdb.DuckDBPyConnection, org_id: str, slug: str, lost: Missing
) -> list[str]:
    """Ids of the slices that brought a slice's rows: its own, or of those whose place it took."""
    if lost.kind is not SliceKind.COMPACTED:
        return [lost.id]
    rows = connection.execute(
        "WITH RECURSIVE members AS (SELECT ? AS slice UNION SELECT r.slice FROM ops.replaced r, "
        "members m WHERE r.org_id = ? AND r.object = ? AND r.replaced_by = m.slice) "
        "SELECT slice FROM members",
        [lost.id, org_id, slug],
    ).fetchall()
    return [slice_id for (slice_id,) in rows]


def resized(connection: duckdb.DuckDBPyConnection, org_id: str, refs: Refs) -> dict[str, set[str]]:
    """Slices whose manifests are not as large as when they were merged, by object."""
    found: dict[str, set[str]] = defaultdict(set)
    for slug, slice_id in _asked(
        connection,
        refs,
        "SELECT object, slice FROM ops.slices s JOIN listed USING (object, slice) "
        "WHERE s.org_id = ? AND s.manifest_bytes <> size",
        org_id,
    ):
        found[slug].add(slice_id)
    return dict(found)


def note_sizes(
    connection: duckdb.DuckDBPyConnection, org_id: str, slug: str, refs: Iterable[SliceRef]
) -> None:
    """Note how large the manifests are of slices that were read, and are merged."""
    _asked(
        connection,
        {slug: list(refs)},
        "UPDATE ops.slices SET manifest_bytes = size FROM listed l WHERE slices.org_id = ? "
        "AND slices.object = l.object AND slices.slice = l.slice "
        "AND manifest_bytes IS DISTINCT FROM size",
        org_id,
    )


def note_replaced(
    connection: duckdb.DuckDBPyConnection, slug: str, slices: Iterable[Slice]
) -> None:
    """Note whose place slices that silver has take: raw need not have those any more.

    And where it still has them, they need no merge.
    """
    for piece in slices:
        _note(connection, piece.org_id, slug, piece.replaces, piece.id)


def _note(
    connection: duckdb.DuckDBPyConnection,
    org_id: str,
    slug: str,
    replaced: Sequence[str],
    replaced_by: str,
) -> None:
    if replaced:
        connection.execute(
            "INSERT INTO ops.replaced BY NAME SELECT * FROM (SELECT ? AS org_id, ? AS object, "
            "unnest(?::VARCHAR[]) AS slice, ? AS replaced_by) "
            "ANTI JOIN ops.replaced USING (org_id, object, slice)",
            [org_id, slug, list(replaced), replaced_by],
        )


def forget(connection: duckdb.DuckDBPyConnection, org_id: str, slug: str) -> None:
    """Note nothing of slices of a table that is made anew."""
    for table in ("slices", "replaced"):
        connection.execute(
            f"DELETE FROM ops.{table} WHERE org_id = ? AND object = ?", [org_id, slug]
        )


def _asked(
    connection: duckdb.DuckDBPyConnection, refs: Refs, query: str, org_id: str
) -> list[tuple[str, ...]]:
    """Rows of a query that knows as `listed` what raw lists."""
    rows = [(slug, ref.id, ref.size) for slug, mine in refs.items() for ref in mine]
    connection.register("listed", pl.DataFrame(rows, _LISTED, orient="row").to_arrow())
    try:
        return connection.execute(query, [org_id]).fetchall()
    finally:
        connection.unregister("listed")
