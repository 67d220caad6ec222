"""How often a tick comes on a given budget."""

from datetime import timedelta

import pytest

from sf_assets.pipeline.pace import LONGEST, SHORTEST, interval, probing_calls
from sf_assets.salesforce.budget import Standing


@pytest.mark.parametrize(
    ("calls_a_day", "used", "minutes"),
    [(5_000, 0, 30), (15_000, 0, 10), (100_000, 0, 5), (5_000, 2_000, 60), (15_000, 11_000, 120)],
)
def test_two_hundred_objects(calls_a_day: int, used: int, minutes: int) -> None:
    assert probing_calls(200) == 40
    assert interval(40, Standing(used, calls_a_day)) == timedelta(minutes=minutes)


@pytest.mark.parametrize("calls_a_day", [0, 50, 500, 5_000, 15_000, 100_000, 1_000_000])
@pytest.mark.parametrize("objects", [1, 20, 200, 2_000])
def test_probing_stays_within_half_of_what_is_left(calls_a_day: int, objects: int) -> None:
    standing = Standing(calls_a_day // 4, calls_a_day)
    cost = probing_calls(objects)
    found = interval(cost, standing)
    assert SHORTEST <= found <= LONGEST
    assert found % SHORTEST == timedelta()
    if found < LONGEST:
        assert cost * (timedelta(days=1) / found) <= standing.left / 2
