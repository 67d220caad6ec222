"""What time it is in the org, whatever single answers say of it."""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sf_assets.errors import OrgUnreachableError
from sf_assets.salesforce.clock import TOLERANCE, Clock
from sf_assets_tests.salesforce.scripted import Heard, Reply, as_json
from sf_assets_tests.salesforce.scripted_org import DATA, ScriptedOrg, connected

ABSURD = (
    timedelta(days=1),
    timedelta(days=-1),
    timedelta(hours=7),
    timedelta(days=365 * 60),
    timedelta(days=365 * 7900),
    timedelta(days=-365 * 1900),
)


def dated(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0), usegmt=True)


def told(offset: timedelta | str | None) -> str | None:
    """A Date header that is so far off from the org's time; None, or a text, as it is."""
    if not isinstance(offset, timedelta):
        return offset
    present = datetime.now(UTC)
    try:
        return dated(present + offset)
    except OverflowError:
        return dated(datetime(9999 if offset > timedelta(0) else 1, 12, 31, tzinfo=UTC))


class DatedOrg(ScriptedOrg):
    """An org each of whose answers is off by what comes next; the last value stays."""

    def __init__(self, offsets: Sequence[timedelta | str | None]) -> None:
        super().__init__()
        self._offsets = list(offsets)

    def answer(self, request: Heard) -> Reply:
        given = super().answer(request)
        if not request.path.startswith("/services/data"):
            return given
        offset = self._offsets.pop(0) if len(self._offsets) > 1 else self._offsets[0]
        return Reply(given.status, given.body, {**given.headers, "Date": told(offset)})


def off_by(offsets: Sequence[timedelta | str | None], requests: int = 1) -> Iterator[timedelta]:
    """How far off from this machine's clock the client takes the org's to be."""
    with DatedOrg(offsets) as org:
        org.on("GET", f"{DATA}/limits/?", as_json({"A": {}}))
        with connected(org) as client:
            for _ in range(requests):
                client.rest.limits()
                yield client.now() - datetime.now(UTC)


Offset = timedelta | str | None

NONE = timedelta(0)
HOUR = timedelta(hours=1)
SEQUENCES: dict[str, tuple[list[Offset], timedelta]] = {
    "right": ([NONE], NONE),
    "no date at all": ([None], NONE),
    "garbage": (["yesterday"], NONE),
    "the first answer a day ahead": ([timedelta(days=1), NONE], NONE),
    "the first answer a day behind": ([timedelta(days=-1), NONE], NONE),
    "the first answer in the year 9999": ([ABSURD[4], NONE], NONE),
    "one answer a day ahead": ([NONE, timedelta(days=1), NONE], NONE),
    "one answer in the year 9999": ([NONE, ABSURD[4], NONE], NONE),
    "two answers a day ahead": ([NONE, timedelta(days=1), timedelta(days=1), NONE], NONE),
    "every second answer a day ahead": ([NONE, timedelta(days=1)] * 20, NONE),
    "this machine is two hours behind": ([2 * HOUR], 2 * HOUR),
    "this machine is a day ahead": ([-24 * HOUR], -24 * HOUR),
    "this machine is an hour behind, and one answer a day": (
        [HOUR, HOUR, HOUR, timedelta(days=1), HOUR],
        HOUR,
    ),
    "servers that differ by seconds": ([timedelta(seconds=n % 3 * 4) for n in range(30)], NONE),
    "the org's clock is set right": ([*[HOUR] * 6, NONE], NONE),
    "this machine's clock jumps": ([*[NONE] * 6, HOUR], HOUR),
}


@pytest.mark.parametrize("case", SEQUENCES.values(), ids=SEQUENCES.keys())
def test_no_single_date_header_moves_the_time(
    case: tuple[list[timedelta | str | None], timedelta],
) -> None:
    """One answer that was a day ahead once made coverage reach into tomorrow, for good."""
    offsets, truth = case
    for found in off_by(offsets, 8):
        last = found
        assert found <= 2 * HOUR + TOLERANCE
    assert -timedelta(seconds=15) <= last - truth <= timedelta(seconds=15)


def test_answers_that_never_agree_are_no_time_and_say_so() -> None:
    offsets = [HOUR * n for n in (3, 9, 31, 77, -44, 123, -9, 400)] * 20
    with pytest.raises(OrgUnreachableError, match="tell different times"):
        list(off_by(offsets))


def test_the_time_follows_an_org_that_is_not_where_this_machine_is(org: ScriptedOrg) -> None:
    """An org whose clock was moved: answers agree soon, and are followed."""
    ten = datetime(2026, 8, 1, 10, tzinfo=UTC)
    moved = ten

    def tell(_: Heard) -> Reply:
        return as_json([{"version": "66.0"}], headers={"Date": dated(moved)})

    for path in ("/services/data", f"{DATA}/limits/?"):
        org.on("GET", path, tell)
    with connected(org) as client:
        for moved in (ten, ten + 2 * HOUR, ten):
            client.session.get(f"{org.url}{DATA}/limits")
            assert NONE <= client.now() - moved <= timedelta(seconds=3)


def test_who_wants_to_know_the_time_waits_until_a_doubtful_answer_is_judged() -> None:
    """One answer is off, and another thread needs the time before the org was asked again."""
    clock, doubted = Clock(), threading.Event()

    def answered() -> None:
        with clock.judging:
            clock.observe(dated(datetime.now(UTC) + timedelta(days=1)), datetime.now(UTC))
            doubted.set()
            time.sleep(0.05)
            clock.observe(dated(datetime.now(UTC)), datetime.now(UTC))

    other = threading.Thread(target=answered)
    other.start()
    doubted.wait()
    assert abs(clock.now() - datetime.now(UTC)) <= TOLERANCE
    other.join()


def test_the_time_does_not_go_back_behind_what_an_earlier_run_was_told() -> None:
    clock = Clock()
    clock.recall(datetime.now(UTC) + HOUR)
    settled = []
    for offset in (NONE, HOUR, HOUR, HOUR, HOUR):
        clock.observe(dated(datetime.now(UTC) + offset), datetime.now(UTC))
        settled.append(clock.settled)
    assert settled[0] is False
    assert settled[-1] is True
    assert clock.now() - datetime.now(UTC) > HOUR - TOLERANCE


@given(
    truth=st.sampled_from([NONE, timedelta(seconds=20), 2 * HOUR, -48 * HOUR]),
    rest=st.lists(st.sampled_from([None, None, None, "nonsense", *ABSURD]), max_size=25),
)
def test_good_and_absurd_answers(truth: timedelta, rest: list[timedelta | str | None]) -> None:
    """Where absurd answers differ, or are fewer, the time is right, or known to be unknown."""
    clock, present = Clock(), datetime.now(UTC)
    for position, absurd in enumerate(rest):
        # No absurd answer comes three times before as many good ones came.
        clock.observe(told(absurd), present)
        clock.observe(dated(present + truth), present)
        if position % 2:
            clock.observe(dated(present + truth), present)
    for _ in range(4):
        clock.observe(dated(present + truth), present)
    assert clock.settled
    assert abs(clock.now() - datetime.now(UTC) - truth) <= timedelta(seconds=5)


@given(st.lists(st.sampled_from([NONE, *ABSURD]), max_size=2))
def test_two_answers_alone_never_make_it_another_time(offsets: list[timedelta]) -> None:
    clock = Clock()
    for offset in offsets:
        clock.observe(told(offset), datetime.now(UTC))
    assert abs(clock.last_believed() - datetime.now(UTC)) <= timedelta(seconds=5)


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000", "", "UTC"])
def test_a_date_is_utc_unless_it_says_otherwise(zone: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        clock = Clock()
        for _ in range(3):
            clock.observe(f"Sat, 01 Aug 2026 10:00:00 {zone}".strip(), datetime.now(UTC))
        passed = clock.now() - datetime(2026, 8, 1, 10, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert timedelta(seconds=-1) <= passed < timedelta(seconds=3)


@given(st.text() | st.none())
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Thu, 21 Nov 2026 10:00:00 +99999999")
def test_any_date_header_is_read_or_passed_over(header: str | None) -> None:
    clock = Clock()
    clock.observe(header, datetime.now(UTC))
    assert clock.last_believed().tzinfo is UTC
