"""The grain and the start of each object, by how often its records change."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.pipeline.discovery.activity import Activity
from sf_assets.pipeline.discovery.partitioning import BUSY, Partitioning, partition
from sf_assets.windows import Grain

TODAY = date(2026, 11, 20)
BOOKKEEPING = 0.02
"""Seconds that Dagster takes for a partition of one layer."""


def months(back: int) -> list[date]:
    """First days of this month and of those before it, the oldest first."""
    ends = [TODAY.year * 12 + TODAY.month - 1 - n for n in range(back + 1)]
    return [date(end // 12, end % 12 + 1, 1) for end in reversed(ends)]


def steady(a_month: int, back: int = 60) -> Activity:
    """An object in which as many records changed in each month as in any other."""
    return Activity(
        records=a_month * (back + 1),
        lately=a_month,
        months=dict.fromkeys(months(back), a_month),
    )


def idle(records: int, month: date) -> Activity:
    """An object of which nothing has changed since a month."""
    return Activity(records=records, lately=0, months={month: records})


def only(activity: Activity, start: date | None = None) -> Partitioning:
    return partition({"X": activity}, TODAY, start)["X"]


def test_what_changes_ten_times_a_day_is_cut_by_day_and_other_objects_by_month() -> None:
    assert only(steady(BUSY)).grain is Grain.DAILY
    assert only(steady(BUSY - 1)).grain is Grain.MONTHLY


def test_an_object_whose_records_cannot_be_counted_in_time_is_a_busy_one() -> None:
    assert only(Activity(too_many=True, problem="QUERY_TIMEOUT")).grain is Grain.DAILY
    assert only(Activity(problem="MALFORMED_QUERY")).grain is Grain.MONTHLY
    assert only(Activity(lately=BUSY, problem="MALFORMED_QUERY")).grain is Grain.DAILY


def test_an_object_without_a_cursor_has_no_partitions() -> None:
    assert only(Activity(records=5, has_cursor=False)).grain is Grain.NONE


def test_an_object_begins_where_its_records_do() -> None:
    """What is older, and little, is in the first partition, too."""
    assert only(steady(100)).start == date(2023, 11, 1), "three years of months at most"
    assert only(steady(1_000)).start == date(2025, 11, 1), "a year of days at most"
    young = Activity(
        records=1_010, lately=100, months={date(2024, 1, 1): 10} | dict.fromkeys(months(9), 100)
    )
    assert only(young).start == date(2025, 11, 1)
    assert only(idle(500, date(2012, 3, 1))).start == date(2025, 11, 1)


def test_a_start_that_was_asked_for_is_the_start_of_all() -> None:
    asked = date(2026, 1, 1)
    chosen = partition({"A": steady(1), "B": steady(5_000)}, TODAY, asked)
    assert {one.start for one in chosen.values()} == {asked}
    assert [one.grain for one in chosen.values()] == [Grain.MONTHLY, Grain.DAILY]


def test_the_busiest_keep_their_days_where_there_is_no_room_for_all() -> None:
    chosen = partition({f"O{n}": steady(300 + n) for n in range(200)}, TODAY)
    daily = [name for name, one in chosen.items() if one.grain is Grain.DAILY]
    assert daily == [f"O{n}" for n in range(200 - len(daily), 200)]
    assert 20 < len(daily) < 100
    assert all(one.crowded for name, one in chosen.items() if name not in daily)
    few = partition({f"O{n}": steady(300 + n) for n in range(10)}, TODAY)
    assert {one.grain for one in few.values()} == {Grain.DAILY}


activities = st.builds(
    Activity,
    records=st.integers(0, 10**8),
    lately=st.none() | st.sampled_from([0, 5, 299, 300, 10**6]),
    months=st.dictionaries(st.sampled_from(months(100)), st.integers(0, 10**6), max_size=30),
    too_many=st.booleans(),
)


@given(st.lists(activities, min_size=1, max_size=200))
@settings(max_examples=25, deadline=None)
def test_bookkeeping_of_any_200_objects_takes_five_minutes_at_most(found: list[Activity]) -> None:
    chosen = partition({f"O{n}": one for n, one in enumerate(found)}, TODAY)
    partitions = sum(one.partitions(TODAY) for one in chosen.values())
    assert 2 * partitions * BOOKKEEPING <= 5 * 60
    assert all(one.start <= TODAY for one in chosen.values())


@given(st.lists(activities, min_size=2, max_size=60))
@settings(max_examples=25, deadline=None)
def test_none_is_cut_by_day_that_changes_less_than_one_cut_by_month(
    found: list[Activity],
) -> None:
    found = [one for one in found if one.lately is not None and not one.too_many]
    chosen = partition({f"O{n}": one for n, one in enumerate(found)}, TODAY)
    ranked = sorted(range(len(found)), key=lambda n: -(found[n].lately or 0))
    for busier, other in pairwise(ranked):
        if found[busier].lately != found[other].lately:
            grains = (chosen[f"O{busier}"].grain, chosen[f"O{other}"].grain)
            assert grains != (Grain.MONTHLY, Grain.DAILY)


@pytest.mark.parametrize("objects", [1_000, pytest.param(3_000, marks=pytest.mark.more)])
def test_a_very_large_org_is_cut_by_month_and_its_busiest_objects_by_day(objects: int) -> None:
    chosen = partition({f"O{n}": steady(n) for n in range(objects)}, TODAY)
    assert sum(one.partitions(TODAY) for one in chosen.values()) <= 30 * objects
    assert chosen[f"O{objects - 1}"].grain is Grain.DAILY
