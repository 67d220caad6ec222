"""Windows, coverage and the watermark, against sets of seconds."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.windows import (
    ALWAYS,
    BEGIN,
    Coverage,
    Grain,
    Window,
    compact,
    next_start,
    parse_compact,
    partition_starts,
    utc_day,
)

EPOCH = datetime(2026, 11, 20, tzinfo=UTC)
LAST = 16


def moment(second: int) -> datetime:
    """A moment of the small world of these tests, in which second 0 is minus infinity."""
    return BEGIN if second == 0 else EPOCH + timedelta(seconds=second)


def window(start: int, end: int) -> Window:
    return Window(moment(start), moment(end))


def seconds(windows: list[Window] | tuple[Window, ...]) -> set[int]:
    """The seconds of the small world that the windows hold."""
    return {s for s in range(LAST) if any(moment(s) in w for w in windows)}


windows = (
    st.tuples(st.integers(0, LAST), st.integers(0, LAST))
    .filter(lambda pair: pair[0] < pair[1])
    .map(lambda pair: window(*pair))
)
coverages = st.lists(windows, max_size=8).map(Coverage)


@given(st.lists(windows, max_size=8))
def test_coverage_holds_the_moments_of_its_windows_in_disjoint_order(some: list[Window]) -> None:
    covered = Coverage(some)
    assert seconds(covered.windows) == seconds(some)
    for earlier, later in zip(covered.windows, covered.windows[1:], strict=False):
        assert earlier.end < later.start


@given(coverages, coverages)
def test_a_union_covers_what_either_covers(one: Coverage, other: Coverage) -> None:
    both = one | other
    assert seconds(both.windows) == seconds(one.windows) | seconds(other.windows)
    assert both == other | one
    assert hash(both) == hash(other | one)


@given(coverages, st.integers(0, LAST))
def test_gaps_are_what_is_not_covered_the_newest_first(covered: Coverage, end: int) -> None:
    gaps = covered.gaps(moment(end))
    assert seconds(gaps) == set(range(end)) - seconds(covered.windows)
    assert gaps == sorted(gaps, reverse=True)
    assert all(not gap.overlaps(w) for gap in gaps for w in covered.windows)


@given(coverages, st.integers(1, LAST))
def test_filling_the_gaps_moves_the_watermark_to_the_end(covered: Coverage, end: int) -> None:
    filled = covered | Coverage(covered.gaps(moment(end)))
    assert filled.gaps(moment(end)) == []
    assert filled.watermark >= moment(end)


@given(coverages)
def test_the_watermark_is_the_first_moment_not_covered(covered: Coverage) -> None:
    missing = set(range(LAST)) - seconds(covered.windows)
    assert covered.watermark == moment(min(missing, default=LAST))


@given(coverages, windows)
def test_a_window_is_covered_when_every_moment_of_it_is(covered: Coverage, asked: Window) -> None:
    assert covered.covers(asked) == (seconds([asked]) <= seconds(covered.windows))


@given(windows, windows)
def test_windows_overlap_when_they_share_a_moment(one: Window, other: Window) -> None:
    assert one.overlaps(other) == bool(seconds([one]) & seconds([other]))


def test_a_coverage_that_does_not_reach_back_to_the_beginning_has_no_watermark() -> None:
    assert Coverage([window(5, 9)]).watermark == BEGIN
    assert Coverage().watermark == BEGIN


def test_windows_that_touch_leave_no_gap() -> None:
    touching = Coverage([window(5, 9), window(0, 5)])
    assert touching.windows == (window(0, 9),)
    assert Coverage([window(0, 5), window(6, 9)]).gaps(moment(9)) == [window(5, 6)]


@pytest.mark.parametrize("end", [3, 2])
def test_a_window_that_would_be_empty_or_run_backwards_is_refused(end: int) -> None:
    with pytest.raises(ValueError, match="ends after it starts"):
        window(3, end)


def test_a_window_holds_its_start_and_not_its_end() -> None:
    assert moment(3) in window(3, 5)
    assert moment(5) not in window(3, 5)


def test_widening_moves_the_start_back_and_stops_at_the_beginning() -> None:
    hour = timedelta(hours=1)
    assert window(3, 5).widened(hour) == Window(moment(3) - hour, moment(5))
    assert window(0, 5).widened(hour) == window(0, 5)
    near = Window(BEGIN + timedelta(minutes=5), moment(5))
    assert near.widened(hour) == window(0, 5)


def test_windows_read_like_a_sentence() -> None:
    assert str(window(0, 5)) == "the beginning to 2026-11-20 00:00:05 UTC"
    assert str(window(3, 5)) == "2026-11-20 00:00:03 to 2026-11-20 00:00:05 UTC"


stamps = st.datetimes(timezones=st.just(UTC)).map(lambda d: d.replace(microsecond=0))


@given(st.just(BEGIN) | stamps)
def test_moments_in_file_names_come_back_as_they_were(stamp: datetime) -> None:
    assert parse_compact(compact(stamp)) == stamp


@given(st.lists(stamps, max_size=5))
def test_moments_in_file_names_sort_as_in_time(some: list[datetime]) -> None:
    assert sorted(some, key=compact) == sorted(some)


def test_moments_in_file_names_are_utc_whatever_zone_they_came_in() -> None:
    local = datetime(2026, 11, 21, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert compact(local) == "20261120T200000Z"


@pytest.mark.parametrize(
    "text", ["", "2026-11-20", "20261120T100000", "20261320T100000Z", "begin ", "beginning"]
)
def test_other_texts_are_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match=r"match|month"):
        parse_compact(text)


def test_always_holds_every_stamp_that_an_org_can_hold() -> None:
    for stamp in (BEGIN, EPOCH, datetime(4000, 12, 31, tzinfo=UTC)):
        assert stamp in ALWAYS


def test_daily_partitions_are_every_day_up_to_the_present() -> None:
    starts = list(
        partition_starts(Grain.DAILY, date(2028, 2, 28), datetime(2028, 3, 1, 1, tzinfo=UTC))
    )
    assert starts == [utc_day(date(2028, 2, day)) for day in (28, 29)] + [utc_day(date(2028, 3, 1))]


def test_monthly_partitions_are_whole_months_wherever_the_catalogue_starts() -> None:
    starts = list(partition_starts(Grain.MONTHLY, date(2025, 11, 17), utc_day(date(2026, 2, 1))))
    assert [f"{start:%Y-%m-%d}" for start in starts] == ["2025-11-01", "2025-12-01", "2026-01-01"]


def test_a_partition_that_would_begin_at_the_end_is_not_there_yet() -> None:
    assert list(partition_starts(Grain.DAILY, date(2026, 1, 1), utc_day(date(2026, 1, 1)))) == []


@given(
    st.dates(date(1700, 1, 1), date(4000, 12, 31)), st.sampled_from([Grain.DAILY, Grain.MONTHLY])
)
def test_partitions_follow_each_other_without_gap_or_overlap(day: date, grain: Grain) -> None:
    following = next_start(grain, day)
    assert following > day
    length = (following - (day.replace(day=1) if grain is Grain.MONTHLY else day)).days
    assert length == 1 if grain is Grain.DAILY else 28 <= length <= 31
    assert grain is Grain.DAILY or following.day == 1
