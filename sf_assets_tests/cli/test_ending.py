"""One Ctrl-C, or SIGTERM, ends any command: one line, exit code 130, within seconds."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.stopping import GRACE
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.emulator.conftest import Api

LINE = "error: stopped; what is committed stays, and the next run goes on from there"
BY_BULK = "import sf_assets.pipeline.extraction.extract as extract; extract.REST_ROWS = -1\n"
SLACK = 10.0
"""Seconds beside the grace that a busy machine takes to hand a signal on."""


@pytest.fixture(scope="module")
def slow_org() -> Iterator[Emulator]:
    """An org whose Bulk jobs take longer than anybody waits."""
    with Emulator(scale=0.02, seed=11, settings=Settings(job_seconds=300.0)) as org:
        yield org


@pytest.fixture
def mute_org() -> Iterator[dict[str, str]]:
    """An address that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        names = ("CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD")
        yield {f"SALESFORCE_{name}": "x" for name in names} | {"SALESFORCE_LOGIN_URL": url}


def stopped(
    folder: Path,
    arguments: list[str],
    env: dict[str, str],
    number: signal.Signals,
    ready: Callable[[], bool],
    *,
    first: str = "",
) -> tuple[str, str]:
    """Start a command, stop it once it is ready, and return what it said."""
    program = f"{first}from sf_assets.cli import main\nmain({arguments!r})"
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(  # noqa: S603 (our own program)
            [sys.executable, "-c", program],
            env=os.environ | env,
            cwd=folder,
            stdout=out,
            stderr=err,
        )
        while not ready():
            assert process.poll() is None, (folder / "err").read_text()
            time.sleep(0.05)
        process.send_signal(number)
        started = time.monotonic()
        assert process.wait(60) == 130, (folder / "err").read_text()
        assert time.monotonic() - started < GRACE + SLACK
    return (folder / "out").read_text(), (folder / "err").read_text()


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (["refresh"], signal.SIGINT),
        (["refresh", "--json"], signal.SIGTERM),
        (["backfill", "--from", "2026-11-01", "--to", "2026-11-03"], signal.SIGTERM),
    ],
)
def test_runs_of_several_groups(
    tmp_path: Path, slow_org: Emulator, command: list[str], number: signal.Signals
) -> None:
    workspace = Workspace(tmp_path, slow_org.environment)
    workspace.catalogue({"Account": None, "Contact": {"grain": "monthly"}, "Lead": None})

    def jobs() -> list[Path]:
        return [path for path in (tmp_path / "raw").rglob("journal/*/*") if path.is_file()]

    out, err = stopped(
        tmp_path, command, workspace.env, number, lambda: len(jobs()) > 0, first=BY_BULK
    )
    if "--json" in command:
        assert json.loads(out) == {"ok": False, "error": LINE.removeprefix("error: ")}
        assert err == ""
    else:
        assert err.splitlines()[-1] == LINE
        assert err.count("error") == 1
        assert "Traceback" not in err
    left = {record["id"] for record in Api(slow_org)("GET", "/jobs/query").json()["records"]}
    assert len(left) <= len(jobs()), "aborted, or in the journal"


@pytest.mark.parametrize("command", [["catalog", "--from-org"], ["doctor"], ["reconcile"]])
def test_an_org_that_does_not_answer(
    tmp_path: Path, mute_org: dict[str, str], command: list[str]
) -> None:
    workspace = Workspace(tmp_path, mute_org)
    workspace.catalogue({"Account": None})
    started = time.monotonic()
    _, err = stopped(
        tmp_path, command, workspace.env, signal.SIGINT, lambda: time.monotonic() - started > 4
    )
    assert err.splitlines()[-1] == LINE


def test_an_engine_in_a_long_query(tmp_path: Path) -> None:
    """Python hands a signal on between its own instructions alone."""
    workspace = Workspace(tmp_path, {})
    workspace.catalogue({"Account": None})
    mark = tmp_path / "began"
    hang = (
        "import ctypes, pathlib\n"
        "import sf_assets.pipeline.org as org\n"
        "def hang(*_):\n"
        f"    pathlib.Path({str(mark)!r}).touch()\n"
        "    while ctypes.CDLL(None).sleep(60): pass\n"
        "org.load_orgs = hang\n"
    )
    _, err = stopped(tmp_path, ["rebuild"], workspace.env, signal.SIGTERM, mark.exists, first=hang)
    assert err.splitlines() == [LINE]


@pytest.mark.parametrize("arguments", [["status"], ["refresh", "--json"]])
def test_a_command_that_is_still_being_imported(tmp_path: Path, arguments: list[str]) -> None:
    mark = tmp_path / "began"
    slow = (
        "import pathlib, sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click':\n"
        f"            pathlib.Path({str(mark)!r}).touch()\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
    )
    out, err = stopped(tmp_path, arguments, {}, signal.SIGINT, mark.exists, first=slow)
    if "--json" in arguments:
        assert (json.loads(out), err) == ({"ok": False, "error": LINE.removeprefix("error: ")}, "")
    else:
        assert (out, err.splitlines()) == ("", [LINE])
