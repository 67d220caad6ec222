"""Slices that silver has taken up, held against those that raw has.

Raw may be another than it was: restored from a backup, or with files lost or cut. What silver took
up and raw neither lists nor holds in a slice that took its place is a thing of the past, and silver
no more what raw says.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import polars as pl

from sf_assets.storage.manifest import Slice, SliceKind, SliceRef
from sf_assets.warehouse.port import Missing, Origins, Refs
from sf_assets.warehouse.sql.connection import Connection
from sf_assets.windows import compact

_LISTED = {"object": pl.String(), "slice": pl.String(), "size": pl.Int64()}
_NOTED = {
    **dict.fromkeys(("read_at", "min_cursor"), pl.Datetime("us", "UTC")),
    **dict.fromkeys(
        ("rows_org", "rows_pages", "rows_parsed", "rows_known", "rows_removed"), pl.Int64()
    ),
    **dict.fromkeys(("job_id", "merge"), pl.String()),
}
"""Types of what may be null in all of some rows of `ops.slices`."""


class SliceLog:
    """What `ops` notes of the slices that an org's tables are made of.

    Args:
        connection: Open on the warehouse.
        org_id: Whose.
    """

    def __init__(self, connection: Connection, org_id: str) -> None:
        self._connection = connection
        self._run = connection.execute
        self._org_id = org_id

    def merged(self, slug: str, slices: Iterable[str]) -> set[str]:
        """Those of some slices of an object, by Id, that silver has taken up.

        It has taken up far more than raw still holds: a year of ticks leaves a row for each. That
        another object's table has taken one up says nothing: its manifest may have been copied. Of
        one whose place another took, it has the rows by that.
        """
        rows = self._run(
            "SELECT slice FROM ops.slices WHERE org_id = $1 AND object = $2 "
            "AND slice IN (SELECT unnest($3::VARCHAR[])) UNION "
            "SELECT slice FROM ops.replaced WHERE org_id = $1 AND object = $2 "
            "AND slice IN (SELECT unnest($3::VARCHAR[]))",
            [self._org_id, slug, list(slices)],
        )
        return {slice_id for (slice_id,) in rows}

    def missing(self, refs: Refs) -> dict[str, list[Missing]]:
        """Slices that silver has taken up, and raw neither lists nor is known to have replaced."""
        found: dict[str, list[Missing]] = defaultdict(list)
        for slug, slice_id, kind, rows in self._asked(
            refs,
            "SELECT s.object, s.slice, s.kind, s.rows FROM ops.slices s WHERE s.org_id = ? "
            "AND s.object IN (SELECT object FROM temp.listed) AND NOT EXISTS (SELECT 1 "
            "FROM temp.listed l WHERE l.object = s.object AND l.slice = s.slice) AND NOT EXISTS ("
            "SELECT 1 FROM ops.replaced r WHERE r.org_id = s.org_id AND r.object = s.object "
            "AND r.slice = s.slice)",
        ):
            found[slug].append(Missing(slice_id, SliceKind(kind), int(rows or 0)))
        return dict(found)

    def held(self, slug: str, slices: Iterable[Missing], origins: Origins) -> set[str]:
        """Those of missing slices, by Id, whose rows compacted slices of raw hold; it is noted."""
        found = {}
        for lost in slices:
            here = [origins[leaf] for leaf in self._leaves(slug, lost) if leaf in origins]
            if sum(rows for _, rows in here) == lost.rows:
                found[lost.id] = max((by for by, _ in here), default="")
        for by in set(found.values()):
            self._note_replaced(slug, [one for one in found if found[one] == by], by)
        return set(found)

    def waive(self, slug: str, slices: Sequence[str]) -> None:
        """Note that slices, by Id, are missed no more: silver keeps what they said."""
        self._note_replaced(slug, slices, "")

    def resized(self, refs: Refs) -> dict[str, set[str]]:
        """Slices whose manifests are not as large as when they were merged, by object."""
        found: dict[str, set[str]] = defaultdict(set)
        for slug, slice_id in self._asked(
            refs,
            "SELECT object, slice FROM ops.slices s JOIN temp.listed USING (object, slice) "
            "WHERE s.org_id = ? AND s.manifest_bytes <> size",
        ):
            found[slug].add(slice_id)
        return dict(found)

    def part_bytes(self, refs: Refs) -> dict[str, dict[str, int]]:
        """How large the files were of slices that silver has taken up, by object and slice Id."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for slug, slice_id, size in self._asked(
            refs,
            "SELECT object, slice, bytes FROM ops.slices s JOIN temp.listed USING (object, slice) "
            "WHERE s.org_id = ? AND bytes IS NOT NULL",
        ):
            found[slug][slice_id] = int(size)
        return dict(found)

    def note_sizes(self, slug: str, refs: Iterable[SliceRef]) -> None:
        """Note how large the manifests are of slices that were read, and are merged."""
        self._asked(
            {slug: list(refs)},
            "UPDATE ops.slices SET manifest_bytes = size FROM temp.listed l "
            "WHERE slices.org_id = ? AND slices.object = l.object AND slices.slice = l.slice "
            "AND manifest_bytes IS DISTINCT FROM size",
        )

    def note_rewritten(self, slug: str, slices: Iterable[Slice]) -> None:
        """Note what slices hold now that rows were removed from them for good."""
        for piece in slices:
            row = _row(piece, slug, None)
            names = ("rows", "rows_removed", "bytes", "org_id", "object", "slice")
            self._run(
                "UPDATE ops.slices SET rows = ?, rows_removed = ?, bytes = ? "
                "WHERE org_id = ? AND object = ? AND slice = ?",
                [row[name] for name in names],
            )

    def note_replacements(self, slug: str, slices: Iterable[Slice]) -> None:
        """Note that silver has slices, because it has all those whose place they take."""
        if not (pieces := list(slices)):
            return
        with self._connection.transaction():
            for piece in pieces:
                self.note(slug, [piece], None)

    def note(self, slug: str, slices: Sequence[Slice], merge_id: str | None) -> None:
        """Note that silver has slices, by which merge, and whose place they take.

        Raw need not have those any more; and where it still has them, they need no merge.
        """
        for piece in slices:
            self._note_replaced(slug, piece.replaces, piece.id)
        rows = [_row(piece, slug, merge_id) for piece in slices]
        noted = self._run(  # a patch may be merged again
            "SELECT slice FROM ops.slices WHERE org_id = ? AND object = ? "
            "AND slice IN (SELECT unnest(CAST(? AS VARCHAR[])))",
            [self._org_id, slug, [piece.id for piece in slices]],
        )
        if new := [row for row in rows if (row["slice"],) not in noted]:
            self._connection.load("ops.slices", pl.DataFrame(new, schema_overrides=_NOTED))

    def forget(self, slug: str) -> None:
        """Note nothing of slices of a table that is made anew."""
        for table in ("slices", "replaced"):
            self._run(
                f"DELETE FROM ops.{table} WHERE org_id = ? AND object = ?", [self._org_id, slug]
            )

    def _leaves(self, slug: str, lost: Missing) -> list[str]:
        """Ids of the slices that brought its rows: its own, or of those whose place it took."""
        if lost.kind is not SliceKind.COMPACTED:
            return [lost.id]
        rows = self._run(
            "WITH RECURSIVE members AS (SELECT ? AS slice UNION ALL SELECT r.slice FROM "
            "ops.replaced r, members m WHERE r.org_id = ? AND r.object = ? AND r.replaced_by = "
            "m.slice) SELECT DISTINCT slice FROM members",
            [lost.id, self._org_id, slug],
        )
        return [slice_id for (slice_id,) in rows]

    def _note_replaced(self, slug: str, replaced: Sequence[str], replaced_by: str) -> None:
        if replaced:
            self._run(
                "INSERT INTO ops.replaced (org_id, object, slice, replaced_by) "
                "SELECT $1, $2, slice, $4 FROM (SELECT unnest($3::VARCHAR[]) AS slice) n "
                "WHERE slice NOT IN (SELECT slice FROM ops.replaced WHERE org_id = $1 "
                "AND object = $2)",
                [self._org_id, slug, list(replaced), replaced_by],
            )

    def _asked(self, refs: Refs, query: str) -> list[tuple[str, ...]]:
        """Rows of a query that knows as `temp.listed` what raw lists."""
        rows = [(slug, ref.id, ref.size) for slug, mine in refs.items() for ref in mine]
        self._connection.temporary("listed", "(object VARCHAR, slice VARCHAR, size BIGINT)")
        self._connection.load("temp.listed", pl.DataFrame(rows, _LISTED, orient="row"))
        return self._run(query, [self._org_id])


def _row(piece: Slice, slug: str, merge_id: str | None) -> dict[str, object]:
    """A slice's row in `ops.slices`."""
    return {
        "org_id": piece.org_id,
        "object": slug,
        "slice": piece.id,
        "kind": piece.kind,
        "window_start": compact(piece.start),
        "window_end": compact(piece.end),
        "read_at": piece.read_at,
        "source": piece.source,
        "job_id": piece.job_id,
        "rows": piece.counts.written,
        "rows_org": piece.counts.org,
        "rows_pages": piece.counts.pages,
        "rows_parsed": piece.counts.parsed,
        "rows_known": piece.counts.known,
        "rows_removed": piece.counts.removed,
        "calls": piece.calls,
        "bytes": sum(part.bytes for part in piece.parts),
        "seconds": piece.seconds,
        "merge": merge_id,
        "min_cursor": piece.oldest,
    }
