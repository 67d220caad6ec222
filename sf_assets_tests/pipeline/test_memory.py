"""Memory does not grow with the rows: a first export, a window, a census, many deletions."""

from pathlib import Path

import pytest

from bench.memory import measure

pytestmark = pytest.mark.duckdb

ROWS, WINDOW, DELETIONS = 150_000, 40_000, 8_000
MOST_MB = 500


@pytest.mark.more
def test_each_step_grows_by_no_more_than_its_chunks(tmp_path: Path) -> None:
    found = list(measure(ROWS, WINDOW, DELETIONS, tmp_path))
    assert [f["step"] for f in found] == [
        "extract", "merge", "window", "merge", "compare", "repair", "merge"
    ]  # fmt: skip
    assert found[0]["rows"] == found[1]["rows"] == found[4]["rows"] == ROWS
    assert found[2]["rows"] > WINDOW
    assert found[5]["rows"] == found[6]["rows"] == DELETIONS
    assert {f["step"]: f["growth_mb"] for f in found if f["growth_mb"] > MOST_MB} == {}
