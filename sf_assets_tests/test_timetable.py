"""When things recur: what people write, and when that is."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dagster._utils.schedules import cron_string_iterator, is_valid_cron_string
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.timetable import parse_times

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("written", "cron", "pause", "a_day"),
    [
        ("every 5 minutes", "*/5 * * * *", 5 * MINUTE, 288),
        ("every 30 minutes", "*/30 * * * *", 30 * MINUTE, 48),
        ("Every  Hour", "0 * * * *", HOUR, 24),
        ("every 6 hours", "0 */6 * * *", 6 * HOUR, 4),
        ("at 05:30", "30 5 * * *", DAY, 1),
        ("at 5:00", "0 5 * * *", DAY, 1),
        ("0 5 * * 1-5", "0 5 * * 1-5", 3 * DAY, 5 / 7),
        ("0  6,18 * * MON-FRI", "0 6,18 * * MON-FRI", 2 * DAY + 12 * HOUR, 10 / 7),
        ("*/10 8-17 * * *", "*/10 8-17 * * *", 14 * HOUR + 10 * MINUTE, 60),
    ],
)
def test_people_write_it_in_words_or_as_cron(
    written: str, cron: str, pause: timedelta, a_day: float
) -> None:
    times = parse_times(written)
    assert (times.cron, times.pause) == (cron, pause)
    assert times.a_day == pytest.approx(a_day, rel=0.01)


@pytest.mark.parametrize(
    "written",
    [
        "", "sometimes", "every 7 minutes", "every 5 hours", "every 0 minutes", "at 24:00",
        "at 5", "@daily", "5 * * *", "60 * * * *", "0 5 31 2 *", "5-1 * * * *", "0 5 * * mon#1",
        "0 5 L * *", "* 0/5 * * *", "0 5 * * 1-", "*/0 * * * *", "0 ٥ * * *", 330, None, ["0"],
    ],
)  # fmt: skip
def test_what_is_neither_is_refused_with_what_can_be_written(written: object) -> None:
    with pytest.raises(ValueError, match=r"`every 5 minutes`.*`at 05:30`.*cron"):
        parse_times(written)


@pytest.mark.parametrize("written", ["* * * * *", "*/3 * * * *", "0,4 * * * *", "58,2 * * * *"])
def test_what_recurs_within_five_minutes_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="five minutes"):
        parse_times(written)


FIELDS = (
    st.sampled_from(["0", "7", "*/15", "5-20/5", "10,40", "59"]),
    st.sampled_from(["*", "5", "*/6", "8-17", "0,23", "2"]),
    st.sampled_from(["*", "1", "31", "*/10", "29"]),
    st.sampled_from(["*", "3", "jan,JUL", "1-6"]),
    st.sampled_from(["*", "1-5", "sun", "7", "0", "*/2"]),
)
crons = st.tuples(*FIELDS).map(" ".join)


@given(crons, st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
@settings(deadline=None, max_examples=100)
def test_the_times_are_those_at_which_dagster_would_run_it(cron: str, now: datetime) -> None:
    try:
        times = parse_times(cron)
    except ValueError:
        return  # February has no 31st, or every ten minutes of five
    assert is_valid_cron_string(cron)
    last = times.last(now, UTC)
    following = cron_string_iterator((last - MINUTE).timestamp(), cron, "UTC")
    assert next(following) == last <= now
    after = next(following)
    assert now < after
    assert after - last <= times.pause
    assert times.at(last, UTC)
    assert not times.at(last + MINUTE, UTC)


def test_times_are_of_a_time_zone() -> None:
    times = parse_times("at 05:30")
    summer = datetime(2026, 7, 1, 3, 30, tzinfo=UTC)
    assert times.last(summer, BERLIN) == summer
    assert times.last(summer - MINUTE, BERLIN) == summer - DAY
    winter = datetime(2026, 12, 1, 4, 30, tzinfo=UTC)
    assert times.last(winter, BERLIN) == winter
    assert times.at(winter, BERLIN)
    assert not times.at(winter, UTC)
