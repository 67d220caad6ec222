"""Dagster's daemon itself, on a machine that dies: what it does with no hand and no test's help."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import pytest

from sf_assets.assets.dead_runs import BELIEVED
from sf_assets_tests.assets.shared import Shop

ROOT = Path(__file__).parents[2]
PATIENCE = 240


class Machine:
    """Runs Dagster's daemon on the definitions, with `DAGSTER_HOME` in a folder of its own."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self._home = home
        self._env = os.environ | env | {"DAGSTER_HOME": str(home)}
        self._started: list[subprocess.Popen[bytes]] = []
        shutil.copy(ROOT / "dagster.yaml", home)
        (home / "tmp").mkdir()

    def start(self) -> None:
        """Start the daemon, which starts its code server, which starts the runs."""
        program = Path(sys.executable).with_name("dagster-daemon")
        with (self._home / "daemon.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 (the program of our own environment)
                [program, "run", "-w", ROOT / "workspace.yaml"],
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)

    def kill_daemon(self) -> None:
        """Kill the daemon alone: its code server finds out by itself."""
        self._started[-1].kill()
        self._started[-1].wait()

    def die(self) -> None:
        """End all processes at once, as when the power fails."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def later(self) -> None:
        """Make what Dagster knows of runs so old that no run without a lock is believed."""
        with closing(sqlite3.connect(self._home / "history" / "runs.db")) as runs, runs:
            older = f"datetime(update_timestamp, '-{BELIEVED.total_seconds():.0f} seconds')"
            runs.execute(f"UPDATE runs SET update_timestamp = {older}")


@pytest.fixture
def machine(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    found = Machine(tmp_path_factory.mktemp("dagster"), shop.workspace.env)
    yield found
    found.die()


def wait_until(met: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait for something; while the warehouse is written it cannot be asked."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(duckdb.Error):
            if met():
                return
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.5)


class Pipe:
    """A file that a query reads for as long as nobody closes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end: int | None = None
        os.mkfifo(path)

    def is_read(self) -> bool:
        """Whether a program has opened it."""
        if self._end is None:
            with suppress(OSError):
                self._end = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        return self._end is not None

    def close(self) -> None:
        """Make place for a file."""
        if self._end is not None:
            os.close(self._end)
        self._path.unlink()


def write(shop: Shop, name: str, sql: str) -> None:
    (shop.workspace.folder / "gold" / f"{name}.sql").write_text(sql)


def gold(shop: Shop) -> dict[str, int | None]:
    """What each gold table counts, of those that are built."""
    names = shop.workspace.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'gold'")
    return {name: shop.gold(name) for (name,) in names}


def failed(shop: Shop) -> set[str]:
    """Tables of which a build has failed."""
    rows = shop.workspace.rows("SELECT name FROM ops.gold_attempts WHERE error IS NOT NULL")
    return {name for (name,) in rows}


@pytest.mark.slow
def test_gold_is_right_whatever_happened_while_the_daemon_was_dead(
    shop: Shop, machine: Machine
) -> None:
    folder = shop.workspace.folder
    write(shop, "rates", f"SELECT count(*) AS n FROM read_csv('{folder}/rates.csv')")
    write(shop, "wrong", "SELECT count(Nope) AS n FROM silver.lead")
    zones = Pipe(folder / "zones.csv")
    write(shop, "zones", f"SELECT count(*) AS n FROM read_csv('{folder}/zones.csv')")
    shop.declare()
    shop.org.advance(60)
    shop.workspace.tick()

    machine.start()
    wait_until(zones.is_read, "a build that is at work")
    machine.die()

    wait_until(lambda: gold(shop).keys() == {"accounts", "leads"}, "what was committed")
    leads, accounts = shop.accounts("silver.lead_live"), shop.accounts("silver.account_live")
    assert gold(shop) == {"accounts": accounts, "leads": leads}
    assert failed(shop) == {"rates", "wrong"}
    shop.account(Name="new")
    shop.org.advance(60)
    shop.workspace.tick()  # as a refresh that is killed before gold
    write(shop, "leads", "SELECT -count(*) AS n FROM silver.lead")
    write(shop, "wrong", "SELECT count(Id) AS n FROM silver.lead")
    write(shop, "both", "SELECT count(*) AS n FROM silver.account, silver.lead")
    zones.close()
    for name in ("rates", "zones"):
        (folder / f"{name}.csv").write_text("name\nx\ny\n")
    machine.later()

    machine.start()
    right = {
        "accounts": accounts + 1,
        "leads": -leads,
        "wrong": leads,
        "both": (accounts + 1) * leads,
        "rates": 2,
        "zones": 2,
    }
    wait_until(lambda: gold(shop) == right, "gold")


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_what_changes_arrives_by_itself_and_a_daemon_that_is_killed_goes_on(
    shop: Shop, machine: Machine
) -> None:
    rates = shop.workspace.folder / "rates.csv"
    write(shop, "rates", f"SELECT count(*) AS n FROM read_csv('{rates}'), silver.lead")
    write(shop, "wrong", "SELECT count(Nope) AS n FROM silver.lead")
    shop.declare()

    def arrives() -> None:
        """A change is seen by the next scheduled tick, and gold follows."""
        before = shop.gold("accounts") or 0
        shop.account(Name="new")
        shop.org.advance(60)
        wait_until(lambda: shop.gold("accounts") == before + 1, "a change in gold", 420)
        assert shop.accounts("silver.account_live") == before + 1

    machine.start()
    wait_until(lambda: shop.gold("accounts") is not None, "the first load of all", 420)
    wait_until(lambda: failed(shop) == {"rates", "wrong"}, "failures")
    leads = shop.accounts("silver.lead_live")
    rates.write_text("name\nx\n")
    wait_until(lambda: shop.gold("rates") == leads, "another try of what failed")
    write(shop, "wrong", "SELECT count(Id) AS n FROM silver.lead")
    wait_until(lambda: shop.gold("wrong") == leads, "a corrected file")
    write(shop, "leads", "SELECT -count(*) AS n FROM silver.lead")
    wait_until(lambda: shop.gold("leads") == -leads, "an edited file")
    write(shop, "new", "SELECT count(*) AS n FROM silver.lead")
    wait_until(lambda: shop.gold("new") == leads, "a new file")
    arrives()
    machine.kill_daemon()
    machine.start()
    arrives()
