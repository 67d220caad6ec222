"""Gold under a real daemon, where nothing else happens: no tick changes anything, nobody clicks."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from sf_assets_tests.assets.shared import Shop

ROOT = Path(__file__).parents[2]
PATIENCE = 300


@pytest.fixture
def daemon(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts Dagster's daemon on the definitions; it is ended with the test."""
    home = tmp_path_factory.mktemp("dagster")
    shutil.copy(ROOT / "dagster.yaml", home)
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        program = Path(sys.executable).with_name("dagster-daemon")
        with (home / "daemon.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 (the program of our own environment)
                [program, "run", "-w", ROOT / "workspace.yaml"],
                env=os.environ | shop.workspace.env | {"DAGSTER_HOME": str(home)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
        process.wait()


def wait_for(shop: Shop, query: str, wanted: object) -> None:
    """Until a query gives a value; while the warehouse is written it gives none."""
    deadline = time.monotonic() + PATIENCE
    found: object = None
    while found != wanted:
        assert time.monotonic() < deadline, f"{query} gives {found}, not {wanted}"
        time.sleep(0.5)
        try:
            found = shop.workspace.rows(query)[0][0]
        except (duckdb.Error, IndexError) as error:
            found = type(error).__name__


@pytest.mark.slow
def test_a_daemon_builds_what_is_due_and_tries_again_what_failed(
    shop: Shop, daemon: Callable[[], subprocess.Popen[bytes]]
) -> None:
    gold = shop.workspace.folder / "gold"
    rates = shop.workspace.folder / "rates.csv"
    (gold / "rates.sql").write_text(
        f"SELECT count(*) AS n FROM read_csv('{rates}'), (SELECT 1 FROM silver.lead LIMIT 1)"
    )
    shop.declare()
    shop.org.advance(60)
    shop.workspace.tick()
    daemon()
    wait_for(shop, "SELECT n > 0 FROM gold.accounts", wanted=True)
    wait_for(shop, "SELECT error IS NOT NULL FROM ops.gold_attempts", wanted=True)
    rates.write_text("rate\n1\n2\n")
    (gold / "accounts.sql").write_text("SELECT -count(*) AS n FROM silver.account")
    wait_for(shop, "SELECT n FROM gold.rates", wanted=2)
    wait_for(shop, "SELECT n < 0 FROM gold.accounts", wanted=True)
