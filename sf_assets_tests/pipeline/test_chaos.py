"""A quarter of an hour of chaos, whose last minutes change the schema under late commits."""

from pathlib import Path

import pytest

from bench.chaos import chaos


@pytest.mark.more
@pytest.mark.timeout(300)
def test_after_a_quarter_of_an_hour_of_chaos_the_tables_equal_the_org(tmp_path: Path) -> None:
    told = list(chaos(minutes=15, seed=1, folder=tmp_path))
    assert [line for line in told if line.startswith("DIFFERENT")] == []
    assert any("failed" in line and ", 0 answers" not in line for line in told)
    assert told[-1].endswith("add up")
