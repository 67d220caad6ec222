"""A process that is killed at any moment leaves nothing wrong: about twenty of the kills."""

from pathlib import Path

import pytest

from bench.crash import crashes


@pytest.mark.slow
@pytest.mark.timeout(900)  # ten kills, each with all that is run again after it
@pytest.mark.parametrize("seed", [20, 21])
def test_killed_at_any_moment_and_run_again_the_tables_equal_the_org(
    tmp_path: Path, seed: int
) -> None:
    for crash in crashes(kills=10, seed=seed, folder=tmp_path):
        assert crash.differences == [], f"after {crash.step} was killed at {crash.after:.3f} s"
