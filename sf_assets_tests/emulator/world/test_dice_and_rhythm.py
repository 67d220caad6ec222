"""Chance that can be looked up, and time that passes in office hours."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.emulator.world.calendar import Rhythm
from sf_assets.emulator.world.seeded_random import Dice

ROWS = st.lists(st.integers(0, 10**9), min_size=1, max_size=30)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is given apart


@given(st.integers(0, 2**31), ROWS)
def test_a_row_has_the_same_luck_in_any_company(seed: int, rows: list[int]) -> None:
    together = Dice(seed, "Account", np.array(rows)).share("x")
    alone = [Dice(seed, "Account", np.array([row])).share("x")[0] for row in rows]
    assert together.tolist() == alone
    assert all(0 <= share < 1 for share in alone)


@given(ROWS, st.integers(-50, 50), st.integers(0, 50))
def test_limits_are_kept(rows: list[int], low: int, width: int) -> None:
    dice = Dice(1, "Account", np.array(rows))
    values = dice.between("x", low, low + width)
    assert values.min() >= low
    assert values.max() <= low + width
    assert set(dice.pick("y", 3, skew=4.0).tolist()) <= {0, 1, 2}


def test_chances_are_even_and_independent() -> None:
    dice = Dice(5, "Account", np.arange(200_000))
    share = dice.share("a")
    assert abs(share.mean() - 0.5) < 0.005
    assert np.abs(np.histogram(share, 20)[0] / 10_000 - 1).max() < 0.05
    for other in (dice.share("b"), Dice(6, "Account", np.arange(200_000)).share("a"), share[1:]):
        assert abs(np.corrcoef(share[: len(other)], other)[0, 1]) < 0.01
    normal = dice.normal("n")
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01


@given(MOMENTS, st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_work_moves_on_with_the_clock(now: datetime, shares: list[float]) -> None:
    rhythm = Rhythm(now)
    moments = np.sort(rhythm.grown(np.array(shares)))
    seconds = rhythm.seconds(moments)
    assert (np.diff(seconds) >= 0).all()
    assert seconds.max() <= now.timestamp()
    assert abs(rhythm.seconds(np.array([rhythm.work(now)]))[0] - now.timestamp()) <= 1


@given(MOMENTS, st.integers(1, 10_000), st.floats(0, 1))
def test_rows_that_exist_were_made_by_then(now: datetime, rows: int, share: float) -> None:
    rhythm = Rhythm(now)
    moment = rhythm.grown(np.array([share]))
    there = int(rhythm.existing(moment, rows)[0])
    assert 1 <= there <= rows
    if there > 1:
        # Row number n is made when n + chance of all rows are: at the latest at n + 1.
        assert rhythm.grown(np.array([there / rows]))[0] <= moment[0] + 1e-9
