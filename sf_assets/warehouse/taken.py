"""Slices that silver has taken up, held against those that raw lists.

Raw may be another than it was: restored from a backup, or with files lost or cut. What silver took
up and raw neither lists nor has replaced is a thing of the past, and silver no more what raw says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from sf_assets.storage.slices import Kind, Slice, SliceRef
from sf_assets.windows import BEGIN, compact, parse_compact

Refs = Mapping[str, Sequence[SliceRef]]

_LISTED = {"object": pl.String(), "slice": pl.String(), "size": pl.Int64()}


@dataclass(frozen=True, slots=True)
class Astray:
    """A slice that silver has taken up and raw does not have; its window began at `start`."""

    id: str
    kind: Kind
    start: datetime


def astray(
    connection: duckdb.DuckDBPyConnection, org_id: str, refs: Refs
) -> dict[str, list[Astray]]:
    """Slices that silver has taken up, and raw neither lists nor has replaced, by object.

    Args:
        connection: Open on the warehouse.
        org_id: Whose.
        refs: What raw lists; objects of which it lists nothing are not looked at.
    """
    found: dict[str, list[Astray]] = defaultdict(list)
    for slug, slice_id, kind, start in _asked(
        connection,
        refs,
        "SELECT s.object, s.slice, s.kind, s.window_start FROM ops.slices s "
        "SEMI JOIN listed USING (object) ANTI JOIN listed USING (object, slice) "
        "WHERE s.org_id = ? AND s.replaced IS NULL",
        org_id,
    ):
        found[slug].append(Astray(slice_id, Kind(kind), parse_compact(start or compact(BEGIN))))
    return dict(found)


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
    """Note whose place slices that silver has take: raw need not have them any more.

    Those that silver never merged, as it was made of what replaced them, are noted by themselves:
    they need no merge while raw still has them.
    """
    for piece in slices:
        if piece.replaces:
            replaced = [piece.org_id, slug, list(piece.replaces)]
            connection.execute(
                "UPDATE ops.slices SET replaced = true WHERE org_id = ? AND object = ? "
                "AND slice IN (SELECT unnest(?::VARCHAR[]))",
                replaced,
            )
            connection.execute(
                "INSERT OR IGNORE INTO ops.replaced "
                "SELECT * FROM (SELECT ? AS org_id, ? AS object, unnest(?::VARCHAR[]) AS slice) "
                "ANTI JOIN ops.slices USING (org_id, object, slice)",
                replaced,
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
