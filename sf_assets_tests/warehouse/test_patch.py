"""Patches: the same table in whatever order slices are merged, as long as all are."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.columns.column import Column, ColumnKind
from sf_assets.storage.manifest import Counts, Slice, SliceKind
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.merge import merge
from sf_assets.warehouse.sql.tables import Table

DAWN = datetime(2026, 11, 20, tzinfo=UTC)
COLUMNS = {
    "Id": Column("Id", ColumnKind.TEXT),
    "SystemModstamp": Column("SystemModstamp", ColumnKind.TIMESTAMP),
    "Name": Column("Name", ColumnKind.TEXT),
    "Score__c": Column("Score__c", ColumnKind.INTEGER, integers=18),
}
Rows = Sequence[Mapping[str, Any]]


def stamp(minute: int) -> str:
    return f"{DAWN + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%S}.000Z"


def piece(
    read: int, kind: SliceKind, rows: Rows, fields: Sequence[str]
) -> tuple[Slice, pl.DataFrame]:
    """A slice read at a minute, and its rows."""
    read_at = DAWN + timedelta(minutes=read)
    size = len(rows)
    made = Slice(
        org_id="00D1",
        object="Account",
        id=f"{read:04d}-{kind}",
        kind=kind,
        start=DAWN,
        end=read_at + timedelta(minutes=1),
        read_at=read_at,
        source="test",
        soql="",
        cursor=None if kind is SliceKind.DELETIONS else "SystemModstamp",
        fields=tuple(fields),
        counts=Counts(org=size, pages=size, parsed=size, written=size),
    )
    frame = pl.DataFrame(rows, schema=dict.fromkeys(fields, pl.String)).with_columns(
        pl.lit(read_at).cast(pl.Datetime("us", "UTC")).alias("_read_at"),
        pl.lit(made.id).alias("_slice"),
    )
    return made, frame


def export(read: int, *rows: tuple[str, int, str, str]) -> tuple[Slice, pl.DataFrame]:
    named = [{"Id": i, "SystemModstamp": stamp(m), "Name": n, "Score__c": s} for i, m, n, s in rows]
    return piece(read, SliceKind.EXPORT, named, list(COLUMNS))


def fields(read: int, *rows: tuple[str, int, str]) -> tuple[Slice, pl.DataFrame]:
    named = [{"Id": i, "SystemModstamp": stamp(m), "Score__c": s} for i, m, s in rows]
    return piece(read, SliceKind.FIELDS, named, ["Id", "SystemModstamp", "Score__c"])


def deletions(read: int, *ids: str) -> tuple[Slice, pl.DataFrame]:
    return piece(read, SliceKind.DELETIONS, [{"Id": i} for i in ids], ["Id"])


class Silver:
    """A silver table in memory."""

    def __init__(self) -> None:
        self.connection = DuckDBConnection(duckdb.connect())
        self.connection.execute("SET TimeZone = 'UTC'")
        ops.bring_up(self.connection)
        self.table = Table(self.connection, "silver", "account")

    def merge(self, *made: tuple[Slice, pl.DataFrame]) -> list[Any]:
        frames = {p.id: frame for p, frame in made}
        pieces = [p for p, _ in made]
        return list(merge(self.table, pieces, COLUMNS, lambda p: [frames[p.id]]))

    def rows(self) -> list[tuple[Any, ...]]:
        return self.connection.execute(
            "SELECT Id, Name, Score__c, _deleted FROM silver.account ORDER BY Id"
        )


def test_a_field_read_again_changes_the_row_of_that_stamp_alone() -> None:
    silver = Silver()
    silver.merge(export(10, ("a", 1, "A", "1"), ("b", 1, "B", "1"), ("c", 1, "C", "1")))
    # b has changed since, and its other columns are not known yet; d is not known at all.
    (outcome,) = silver.merge(
        fields(20, ("a", 1, "7"), ("b", 5, "7"), ("c", 1, "1"), ("d", 1, "7"))
    )
    assert silver.rows() == [("a", "A", 7, False), ("b", "B", 1, False), ("c", "C", 1, False)]
    assert (outcome.rows_in, outcome.updated, outcome.unchanged, outcome.stale) == (4, 1, 1, 2)


def test_a_value_that_a_field_cannot_take_is_rejected_until_it_can() -> None:
    silver = Silver()
    silver.merge(export(10, ("a", 1, "A", "1")))
    silver.merge(fields(20, ("a", 1, "many")))
    assert silver.rows() == [("a", "A", None, False)]
    rejects = 'SELECT Id, "column", "text" FROM silver.account_rejects'
    assert silver.connection.execute(rejects) == [("a", "Score__c", "many")]
    silver.merge(fields(30, ("a", 1, "3")))
    assert silver.rows() == [("a", "A", 3, False)]
    assert silver.connection.execute(rejects) == []


def test_a_field_that_silver_has_not_yet_gets_a_column() -> None:
    silver = Silver()
    named = [{"Id": "a", "SystemModstamp": stamp(1), "Name": "A"}]
    silver.merge(piece(10, SliceKind.EXPORT, named, ["Id", "SystemModstamp", "Name"]))
    silver.merge(fields(20, ("a", 1, "7")))
    assert silver.rows() == [("a", "A", 7, False)]


def test_a_record_read_after_the_sweep_began_is_not_gone() -> None:
    silver = Silver()
    silver.merge(export(10, ("a", 1, "A", "1")), export(30, ("b", 2, "B", "1")))
    (outcome,) = silver.merge(deletions(20, "a", "b", "x"))
    assert [(i, gone) for i, _, _, gone in silver.rows()] == [("a", True), ("b", False)]
    assert (outcome.rows_in, outcome.updated, outcome.unchanged, outcome.stale) == (3, 1, 0, 2)
    silver.merge(export(40, ("a", 3, "A again", "1")))
    assert [(i, gone) for i, _, _, gone in silver.rows()] == [("a", False), ("b", False)]


def test_a_version_read_later_wins_whatever_its_stamp_says() -> None:
    made = [
        export(10, ("a", 5, "A", "1"), ("b", 5, "B", "1")),
        export(20, ("a", 4, "A later", "1"), ("b", 5, "B later", "1")),
    ]
    for order in (made, made[::-1]):
        silver = Silver()
        for one in order:
            (outcome,) = silver.merge(one)
            assert outcome.agrees
        assert [name for _, name, _, _ in silver.rows()] == ["A later", "B later"]


def test_of_two_versions_in_one_reading_the_newer_stamp_wins() -> None:
    silver = Silver()
    silver.merge(export(10, ("a", 5, "new", "1"), ("a", 4, "old", "1")))
    assert [name for _, name, _, _ in silver.rows()] == ["new"]


ids = st.sampled_from("abc")
minutes = st.integers(0, 4)
names = st.sampled_from(["x", "y"])
scores = st.sampled_from(["1", "2"])


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Slice, pl.DataFrame]]:
    """Slices read one after the other, as one org could have told them."""
    made = []
    state: dict[str, tuple[int, str, str]] = {}
    for read in range(0, 10 * draw(st.integers(2, 6)), 10):
        for i in draw(st.lists(ids, max_size=3)):
            changed = draw(st.booleans())
            old = state.get(i, (0, "new", "1"))
            if changed or i not in state:  # a change moves the stamp; drift of a formula does not
                moved = draw(st.sampled_from([read + 1, old[0] - 1]))  # a slow clock sets it back
                state[i] = (moved, draw(names), draw(scores))
            else:
                state[i] = (old[0], old[1], draw(scores))
        kind = draw(st.sampled_from(["export", "fields", "deletions"]))
        chosen = draw(st.sets(ids, max_size=3)) & state.keys()
        if kind == "export":
            made.append(export(read + 5, *[(i, *state[i]) for i in sorted(chosen)]))
        elif kind == "fields":
            rows = [(i, state[i][0], state[i][2]) for i in sorted(chosen)]
            made.append(fields(read + 5, *rows))
        else:
            gone = draw(st.sets(ids, max_size=1)) & state.keys()
            for i in gone:
                del state[i]
            made.append(deletions(read + 5, *gone))
    return made


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_the_order_of_merging_does_not_matter_as_long_as_patches_are_merged_again(
    made: list[tuple[Slice, pl.DataFrame]], random: Any
) -> None:
    at_once, later = Silver(), Silver()
    if not any(p.kind is SliceKind.EXPORT for p, _ in made):
        return
    at_once.merge(*made)
    shuffled = list(made)
    random.shuffle(shuffled)
    done: list[tuple[Slice, pl.DataFrame]] = []
    for one in shuffled:
        late = [p for p in done if p[0].kind.patches and p[0].read_at >= one[0].read_at]
        later.merge(one, *(late if not one[0].kind.patches else []))
        done.append(one)
    # Patches that came before there was a table are merged again by `load`, too.
    later.merge(*[one for one in done if one[0].kind.patches])
    assert later.rows() == at_once.rows()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_late_slice_does_not_undo_what_patches_said(order: Sequence[int]) -> None:
    made = [
        export(10, ("a", 1, "A", "1"), ("b", 1, "B", "1")),
        export(20, ("a", 1, "A", "1"), ("b", 1, "B", "1")),
        fields(30, ("a", 1, "9")),
    ]
    gone = deletions(30, "b")
    silver = Silver()
    for number in order:
        silver.merge(made[number], *([made[2], gone] if number != 2 else []))
    assert silver.rows() == [("a", "A", 9, False), ("b", "B", 1, True)]
