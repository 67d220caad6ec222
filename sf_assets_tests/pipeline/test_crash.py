"""A process that is killed before any kind of write leaves nothing wrong.

`make bench-crash` kills two hundred, and at any moment.
"""

from pathlib import Path

import pytest

from bench.crash import Kill, crashes

KILLS = (
    Kill("tick", "put manifests", 3),
    Kill("tick", "commit", 2),
    Kill("backfill", "put raw", 4),
    Kill("backfill", "commit", 2),
    Kill("compact", "put manifests", 7),
    Kill("tick", "put coverage", 1),
    Kill("compact", "delete raw", 1),
    Kill("compact", "commit", 4),
    Kill("sweep", "put manifests", 1),
    Kill("repair", "commit", 1),
    Kill("rebuild", "commit", 2),
)
FEW = (KILLS[1], KILLS[2], KILLS[4], KILLS[9], KILLS[10])


@pytest.mark.slow
@pytest.mark.timeout(600)  # kills, each with all that is run again after it
@pytest.mark.parametrize(
    "kills",
    [pytest.param(FEW, id="few"), pytest.param(KILLS, id="all", marks=pytest.mark.more)],
)
def test_killed_before_a_write_and_run_again_the_tables_equal_the_org(
    tmp_path: Path, kills: tuple[Kill, ...]
) -> None:
    for crash in crashes(kills, 20, tmp_path):
        assert crash.killed, f"{crash.kill}: there was none"
        assert crash.differences == [], f"killed {crash.kill}"
