"""History: the same intervals as a plain model works out, however the slices come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.storage.manifest import Slice, SliceKind
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.sql import history, ops
from sf_assets.warehouse.sql.merge import merge, rebuild
from sf_assets.warehouse.sql.tables import Table
from sf_assets_tests.warehouse.test_patch import (
    COLUMNS,
    DAWN,
    deletions,
    export,
    fields,
    piece,
    stamp,
)

Made = tuple[Slice, pl.DataFrame]
Interval = tuple[str, str | None, int | None, datetime, datetime | None]


class Silver:
    """A silver table in memory that keeps its history, loaded as `load` does it."""

    def __init__(self) -> None:
        self.connection = DuckDBConnection(duckdb.connect())
        self.connection.execute("SET TimeZone = 'UTC'")
        ops.bring_up(self.connection)
        self.table = Table(self.connection, "silver", "account", history=True)
        self.done: list[Made] = []
        self.rebuilt = 0

    def load(self, *made: Made) -> None:
        self.done += made
        frames = {p.id: frame for p, frame in self.done}
        pieces = [p for p, _ in made]
        if history.must_rebuild(self.table, "00D1", pieces):
            self.rebuilt += 1
            self.rebuild()
        else:
            list(merge(self.table, pieces, COLUMNS, lambda p: [frames[p.id]]))

    def rebuild(self) -> None:
        frames = {p.id: frame for p, frame in self.done}
        pieces = [p for p, _ in self.done]
        rebuild(self.table, "00D1", pieces, COLUMNS, lambda p: [frames[p.id]])

    def history(self) -> list[Interval]:
        return self.connection.execute(
            "SELECT Id, Name, Score__c, valid_from, valid_to FROM silver.account_history "
            "ORDER BY Id, valid_from"
        )

    def at(self, minute: int) -> list[tuple[Any, ...]]:
        return self.connection.execute(
            "SELECT Id, Name, Score__c FROM silver.account_history WHERE valid_from <= $at "
            "AND (valid_to > $at OR valid_to IS NULL) ORDER BY Id",
            {"at": moment(minute)},
        )


def moment(minute: int) -> datetime:
    return DAWN + timedelta(minutes=minute)


def test_a_version_is_valid_until_the_next_and_the_last_one_still_is() -> None:
    silver = Silver()
    silver.load(export(10, ("a", 1, "A", "1"), ("b", 2, "B", "1")))
    silver.load(export(20, ("a", 15, "A2", "1")))
    assert silver.history() == [
        ("a", "A", 1, moment(1), moment(15)),
        ("a", "A2", 1, moment(15), None),
        ("b", "B", 1, moment(2), None),
    ]
    assert silver.at(14) == [("a", "A", 1), ("b", "B", 1)]
    assert silver.at(15) == [("a", "A2", 1), ("b", "B", 1)]


def test_a_version_read_again_is_the_same_version() -> None:
    silver = Silver()
    silver.load(export(10, ("a", 1, "A", "1")))
    silver.load(export(20, ("a", 1, "A", "1")))
    assert silver.history() == [("a", "A", 1, moment(1), None)]
    versions = "SELECT count(*) FROM silver.account_versions"
    assert silver.connection.execute(versions) == [(1,)]
    assert silver.rebuilt == 0


def test_a_version_under_an_older_stamp_is_valid_from_when_it_was_read() -> None:
    silver = Silver()
    silver.load(export(10, ("a", 5, "A", "1")))
    silver.load(export(20, ("a", 4, "A2", "1")))
    silver.load(export(30, ("a", 25, "A3", "1")))
    assert silver.history() == [
        ("a", "A", 1, moment(5), moment(20)),
        ("a", "A2", 1, moment(20), moment(25)),
        ("a", "A3", 1, moment(25), None),
    ]
    assert silver.rebuilt == 0


def test_a_formula_is_valid_from_when_it_was_read() -> None:
    silver = Silver()
    silver.load(export(10, ("a", 1, "A", "1"), ("b", 1, "B", "1")))
    silver.load(fields(20, ("a", 1, "7"), ("b", 1, "1")))
    silver.load(fields(30, ("a", 1, "1")))
    assert silver.history() == [
        ("a", "A", 1, moment(1), moment(20)),
        ("a", "A", 7, moment(20), moment(30)),
        ("a", "A", 1, moment(30), None),
        ("b", "B", 1, moment(1), None),
    ]
    assert silver.rebuilt == 0


def test_a_deletion_for_good_ends_it_and_a_record_may_come_back() -> None:
    silver = Silver()
    silver.load(export(10, ("a", 1, "A", "1"), ("b", 1, "B", "1")))
    silver.load(deletions(20, "a", "nobody"))
    silver.load(deletions(25, "a"))
    silver.load(export(40, ("a", 30, "A again", "1")))
    assert silver.history() == [
        ("a", "A", 1, moment(1), moment(20)),
        ("a", "A again", 1, moment(30), None),
        ("b", "B", 1, moment(1), None),
    ]
    assert silver.at(29) == [("b", "B", 1)]


def test_a_record_that_a_snapshot_lacks_has_ended() -> None:
    def snapshot(read: int, *rows: tuple[str, str]) -> Made:
        named = [{"Id": i, "Name": n, "Score__c": None} for i, n in rows]
        made, frame = piece(read, SliceKind.SNAPSHOT, named, ["Id", "Name", "Score__c"])
        return made.model_copy(update={"cursor": None}), frame

    made = [
        snapshot(10, ("a", "A"), ("b", "B")),
        snapshot(20, ("a", "A"), ("b", "B2")),
        snapshot(30, ("a", "A")),
        snapshot(40, ("a", "A"), ("b", "B2")),
    ]
    one_by_one, at_once = Silver(), Silver()
    for some in made:
        one_by_one.load(some)
    at_once.load(*made)
    assert one_by_one.history() == [
        ("a", "A", None, moment(10), None),
        ("b", "B", None, moment(10), moment(20)),
        ("b", "B2", None, moment(20), moment(30)),
        ("b", "B2", None, moment(40), None),
    ]
    assert at_once.history() == one_by_one.history()


def test_numbers_that_need_more_room_and_columns_that_are_added_are_followed() -> None:
    silver = Silver()
    named = [{"Id": "a", "SystemModstamp": stamp(1), "Name": "A"}]
    silver.load(piece(10, SliceKind.EXPORT, named, ["Id", "SystemModstamp", "Name"]))
    silver.load(fields(20, ("a", 1, "7")))
    silver.load(export(30, ("a", 25, "A", "1.25")))
    assert [(score, valid_to) for _, _, score, _, valid_to in silver.history()] == [
        (None, moment(20)),
        (7, moment(25)),
        (Decimal("1.25"), None),
    ]


def test_turned_off_it_stops_and_turned_on_it_is_built_from_raw() -> None:
    silver = Silver()
    silver.load(export(10, ("a", 1, "A", "1")))
    without = Table(silver.connection, "silver", "account")
    made, frame = export(20, ("a", 15, "A2", "1"))
    silver.done.append((made, frame))
    list(merge(without, [made], COLUMNS, lambda _: [frame]))
    assert silver.history() == [("a", "A", 1, moment(1), None)]
    silver.load(export(30, ("a", 25, "A3", "1")))
    assert silver.rebuilt == 1
    assert [(name, valid_to) for _, name, _, _, valid_to in silver.history()] == [
        ("A", moment(15)),
        ("A2", moment(25)),
        ("A3", None),
    ]


@dataclass
class Seen:
    """What was read of one record: the model's row."""

    cursor: datetime
    read: datetime
    patch: bool
    content: tuple[Any, ...] | None
    """None for an end."""

    @property
    def order(self) -> tuple[datetime, datetime, bool]:
        return self.read, self.cursor, self.patch


@dataclass
class Model:
    """History in plain Python: everything that was read, in the order of reading."""

    seen: dict[str, list[Seen]] = field(default_factory=dict)

    def read(self, made: Made) -> None:
        slice_, frame = made
        for row in frame.to_dicts():
            known = self.seen.setdefault(row["Id"], [])
            newest = max(known, key=lambda s: s.order, default=None)
            if slice_.kind is SliceKind.DELETIONS:
                if newest and newest.content:
                    known.append(Seen(newest.cursor, slice_.read_at, patch=True, content=None))
                continue
            cursor = datetime.fromisoformat(row["SystemModstamp"])
            score = int(row["Score__c"])
            if slice_.kind is SliceKind.EXPORT:
                content = (cursor, row["Name"], score)
                known.append(Seen(cursor, slice_.read_at, patch=False, content=content))
            elif newest and newest.content and newest.cursor == cursor:
                content = (cursor, newest.content[1], score)
                known.append(Seen(cursor, slice_.read_at, patch=True, content=content))

    def history(self) -> list[Interval]:
        return [interval for i in sorted(self.seen) for interval in self._of(i)]

    def _of(self, record: str) -> list[Interval]:
        kept: list[Seen] = []
        for one in sorted(self.seen[record], key=lambda s: s.order):
            if not kept or one.content != kept[-1].content:
                kept.append(one)
        starts = []
        for number, one in enumerate(kept):
            newer = all(before.cursor < one.cursor for before in kept[:number])
            first = not one.patch and newer
            starts.append(one.cursor if first else one.read)
        for n in reversed(range(len(starts) - 1)):
            starts[n] = min(starts[n], starts[n + 1])
        ends = [*starts[1:], None]
        return [
            (record, one.content[1], one.content[2], start, end)
            for one, start, end in zip(kept, starts, ends, strict=False)
            if one.content and start != end
        ]


ids = st.sampled_from("ab")
names = st.sampled_from(["x", "y"])
scores = st.sampled_from(["1", "2"])


@st.composite
def readings(draw: st.DrawFn) -> list[Made]:
    """Slices in the order of reading, as an org could have told them, late stamps included."""
    made = []
    state: dict[str, tuple[int, str, str]] = {}
    hidden: dict[str, tuple[int, str, str]] = {}
    for read in range(0, 10 * draw(st.integers(2, 8)), 10):
        state |= hidden  # a transaction that took long has become visible, with its old stamp
        hidden = {}
        for i in draw(st.lists(ids, max_size=2)):
            kind = draw(st.sampled_from(["changed", "changed late", "set back", "drifted"]))
            old = state.get(i)
            if kind == "drifted" and old:
                state[i] = (*old[:2], draw(scores))
            elif kind == "set back" and old:  # by a server whose clock is behind
                state[i] = (old[0] - draw(st.integers(1, 3)), draw(names), draw(scores))
            elif kind == "changed late" and old:
                hidden[i] = (read + 1, draw(names), draw(scores))
            else:
                state[i] = (read + 1, draw(names), draw(scores))
        kind = draw(st.sampled_from(["export", "export", "fields", "deletions"]))
        chosen = draw(st.sets(ids)) & state.keys()
        if kind == "export":
            made.append(export(read + 5, *[(i, *state[i]) for i in sorted(chosen)]))
        elif kind == "fields":
            rows = [(i, state[i][0], state[i][2]) for i in sorted(chosen)]
            made.append(fields(read + 5, *rows))
        else:
            for i in chosen:
                state.pop(i)
                hidden.pop(i, None)
            made.append(deletions(read + 5, *chosen))
    return made


@given(readings(), st.lists(st.integers(1, 3)), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_history_is_what_a_plain_model_works_out_however_slices_are_merged(
    made: list[Made], sizes: Sequence[int], shuffled: bool, random: Any
) -> None:
    made = [m for m in made if m[0].counts.written or m[0].kind is SliceKind.EXPORT]
    if not any(slice_.kind is SliceKind.EXPORT for slice_, _ in made):
        return
    model = Model()
    for one in made:
        model.read(one)
    silver, order = Silver(), list(made)
    if shuffled:
        random.shuffle(order)
    portions = iter(sizes)
    while order:
        size = next(portions, 2)
        silver.load(*order[:size])
        order = order[size:]
    assert silver.history() == model.history()
    assert shuffled or silver.rebuilt == 0
    live = silver.connection.execute(
        "SELECT Id, Name, Score__c FROM silver.account_live ORDER BY Id"
    )
    assert live == [interval[:3] for interval in silver.history() if interval[4] is None]
    silver.rebuild()
    assert silver.history() == model.history()
