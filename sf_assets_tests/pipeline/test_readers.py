"""Readers beside the pipeline: ticks, up to an hour, while one holds the published file open."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.naming import Layer
from sf_assets.pipeline.events import Failed
from sf_assets.pipeline.refresh import refresh
from sf_assets.warehouse.duckdb import database
from sf_assets_tests.conftest import Workspace

pytestmark = pytest.mark.duckdb

_READER = """
import duckdb, sys
held = duckdb.connect(sys.argv[1], read_only=True)
ask = "SELECT Name FROM silver.account WHERE Id = ?"
print("held", flush=True)
sys.stdin.readline()
print(held.execute(ask, [sys.argv[2]]).fetchone()[0])
"""


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(database, "PATIENCE", 0.0)  # whoever waits, fails
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Account": None})
    return workspace


@contextmanager
def holding(path: Path, record: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _READER, str(path), record]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as reader:  # noqa: S603
        assert reader.stdout
        assert reader.stdout.readline() == "held\n"
        yield reader


@pytest.mark.parametrize("ticks", [3, pytest.param(12, marks=pytest.mark.more)])
def test_ticks_while_a_reader_holds_the_published_file(
    workspace: Workspace, org: Emulator, ticks: int
) -> None:
    def tick() -> list[Failed]:
        org.advance(300)
        return [event for event in refresh(workspace.org()) if isinstance(event, Failed)]

    def name() -> str:
        with duckdb.connect(published, read_only=True) as reopened:
            found = reopened.execute(
                "SELECT Name FROM silver.account WHERE Id = ?", [account]
            ).fetchall()
        return str(found[0][0])

    published = workspace.folder / "warehouse.published.duckdb"
    assert tick() == []
    account, before = workspace.rows("SELECT Id, Name FROM silver.account_live ORDER BY Id")[0]
    with holding(published, account) as reader:
        for number in range(ticks):
            org.org.records.update("Account", account, {"Name": f"Name {number}"})
            assert tick() == []
            assert name() == f"Name {number}"
        told, _ = reader.communicate("now\n")
    assert told == f"{before}\n"


def test_a_copy_that_fails_is_told_and_keeps_nothing_else(
    workspace: Workspace, org: Emulator
) -> None:
    (workspace.folder / "warehouse.published.duckdb").mkdir()
    org.advance(300)
    failed = [event for event in refresh(workspace.org()) if isinstance(event, Failed)]
    assert [(f.layer, f.object) for f in failed] == [(Layer.OPS, "published copy")]
    assert "readers see the earlier state" in str(failed[0].error)
    assert workspace.rows("SELECT count(*) > 0 FROM silver.account_live") == [(True,)]
