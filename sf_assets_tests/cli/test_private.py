"""What is written is its owner's alone, and nobody's credentials are written over."""

import stat
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sf_assets.emulator.command import _refuse_anothers, _write, emulator_command
from sf_assets.storage.store import Store
from sf_assets.warehouse.duckdb.database import Database
from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import Workspace


def open_to_others(folder: Path) -> list[str]:
    """What others than the owner may read."""
    paths = [folder, *folder.rglob("*")]
    return [str(p) for p in paths if stat.S_IMODE(p.stat().st_mode) & 0o077]


def test_storage_and_warehouse_are_private(
    shell: Shell, workspace: Workspace, tmp_path: Path
) -> None:
    workspace.catalogue({"Account": None})
    home = tmp_path / "home"
    env = workspace.env | {
        "SF_ASSETS_STORAGE_URL": f"file://{home}/raw",
        "SF_ASSETS_WAREHOUSE_URL": f"duckdb:///{home}/sf.duckdb",
    }
    assert shell("refresh", env=env, first="import os; os.umask(0o022)").code == 0
    assert open_to_others(home) == []


def test_folders_made_by_a_code_location_are_private(tmp_path: Path) -> None:
    Store(f"file://{tmp_path}/a/raw")
    warehouse = Database(f"duckdb:///{tmp_path}/b/sf.duckdb")
    with warehouse.connect():
        pass
    assert stat.S_IMODE(warehouse.path.stat().st_mode) == 0o600
    assert open_to_others(tmp_path / "a") == []
    assert open_to_others(tmp_path / "b") == []


@pytest.mark.parametrize("text", ["SALESFORCE_CLIENT_SECRET=mine\n", "# mine\nX=1\n", " \n"])
def test_the_emulator_never_writes_over_credentials_of_others(tmp_path: Path, text: str) -> None:
    theirs = tmp_path / ".env"
    theirs.write_text(text)
    result = CliRunner().invoke(emulator_command, ["--env-file", str(theirs)])
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert "was not written by the emulator" in result.output
    assert theirs.read_text() == text


def test_what_was_added_to_a_file_of_the_emulator_stays(tmp_path: Path) -> None:
    ours = tmp_path / ".env"
    _write(ours, "SALESFORCE_LOGIN_URL=http://127.0.0.1:1\nSALESFORCE_PASSWORD=a\n")
    with ours.open("a") as file:
        file.write("SF_ASSETS_LAG_SECONDS=0\n")
    _refuse_anothers(ours)
    _write(ours, "SALESFORCE_LOGIN_URL=http://127.0.0.1:2\nSALESFORCE_PASSWORD=b\n")
    assert ours.read_text().splitlines()[1:] == [
        "SALESFORCE_LOGIN_URL=http://127.0.0.1:2", "SALESFORCE_PASSWORD=b",
        "SF_ASSETS_LAG_SECONDS=0",
    ]  # fmt: skip
    ours.write_text(ours.read_text().replace("http://127.0.0.1:2", "https://my.salesforce.com"))
    with pytest.raises(click.ClickException, match="left as it is"):
        _refuse_anothers(ours)
