"""Ids are taken out of Dagster's home, and nothing else."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sf_assets.cli.dagster_home import forget_in_home

RECORD = "0035g00000XyZabAAF"
IDS = [RECORD, RECORD[:15]]
KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA wal_autocheckpoint = 0")
database.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT)")
for number in range(400):
    text = sys.argv[2] if number % 40 == 7 else "x"
    database.execute("INSERT INTO event_logs (event) VALUES (?)", [text * 20])
    database.commit()
database.execute("DELETE FROM event_logs WHERE id = 8")
database.commit()
os._exit(0)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def killed(path: Path) -> None:
    """A process that dies at work on a database, of which all is still in the WAL."""
    subprocess.run([sys.executable, "-c", KILLED, path, RECORD], check=True)  # noqa: S603
    assert RECORD.encode() in Path(f"{path}-wal").read_bytes()


def test_what_a_killed_process_committed_stays(home: Path) -> None:
    path = home / "history" / "runs" / "index.db"
    path.parent.mkdir(parents=True)
    killed(path)
    found = forget_in_home(IDS)
    assert (found.remains, found.errors) == ({}, {})
    assert found.removed == {str(path): 9}
    with closing(sqlite3.connect(path)) as database:
        (whole,) = database.execute("PRAGMA integrity_check").fetchone()
        assert (whole, *database.execute("SELECT count(*) FROM event_logs").fetchone()) == (
            "ok", 399,
        )  # fmt: skip
    left = b"".join(one.read_bytes() for one in home.rglob("*") if one.is_file())
    assert RECORD[:15].encode() not in left


def test_a_database_that_is_held_open_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sf_assets.cli.dagster_home._PATIENCE", 0.1)
    path = home / "index.db"
    killed(path)
    (home / "note").write_text(f"of {RECORD}")
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event_logs").fetchone()
        found = forget_in_home(IDS)
        assert "stop Dagster" in found.errors[str(path)]
        assert found.removed == {str(path): 9, str(home / "note"): 1}
    assert forget_in_home(IDS).errors == {}


def test_a_home_that_is_not_looked_into_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert forget_in_home(IDS).not_searched == "DAGSTER_HOME is not set"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "none"))
    assert "names no folder" in forget_in_home(IDS).errors[str(tmp_path / "none")]
