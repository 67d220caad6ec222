"""Records are forgotten in each place, whatever becomes of the others; what is away is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sf_assets.cli.commands import cli
from sf_assets.emulator.server import Emulator
from sf_assets.errors import ConfigError, WarehouseError
from sf_assets.pipeline.forget import forget
from sf_assets.warehouse.duckdb.warehouse import DuckDBWarehouse
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.several import Several, two_files


def ran(files: Several | Workspace, *arguments: str, code: int = 0) -> Any:
    found = CliRunner().invoke(cli, [*arguments, "--json"], env=files.env)
    assert found.exit_code == code, found.output
    return json.loads(found.stdout)


def gone_from(org: Emulator, files: Several) -> str:
    """A contact that both warehouses have, and the org has no more."""
    contact = str(org.org.records.insert("Contact", {"LastName": "zq7"}))
    org.advance(60)
    ran(files, "refresh")
    org.org.records.delete("Contact", contact)
    org.org.records.purge("Contact", contact)
    org.advance(60)
    return contact


def test_a_warehouse_that_is_away_is_told_and_keeps_from_no_other_place(
    tmp_path: Path, living_org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = two_files(tmp_path, living_org)
    home = tmp_path / "dagster"
    home.mkdir()
    record = gone_from(living_org, files)
    asked = ("forget", "--object", "Contact", "--id", record)
    (home / "note").write_text(record)
    monkeypatch.setenv("DAGSTER_HOME", str(home))

    def unreachable(self: DuckDBWarehouse) -> bool:
        if "main" in str(self):
            raise WarehouseError("it is away")
        return True

    with monkeypatch.context() as patched:
        patched.setattr(DuckDBWarehouse, "exists", unreachable)
        told = ran(files, *asked, code=1)
    assert list(told["errors"].values()) == ["it is away"]
    places = {row["place"] for row in told["removed"]}
    assert {"reporting: silver.contact", str(home / "note")} <= places

    path = files.main.folder / "warehouse.duckdb"
    aside = path.rename(tmp_path / "aside")
    told = ran(files, *asked, code=1)
    assert told["errors"] == {}
    assert list(told["not_searched"]) == [f"default: main: {path}"]
    aside.rename(path)
    told = ran(files, *asked)
    assert (told["ok"], told["not_searched"]) == (True, {})
    assert "main: silver.contact" in {row["place"] for row in told["removed"]}


def test_an_id_whose_letters_do_not_fit_is_refused(
    own_workspace: Workspace, living_org: Emulator
) -> None:
    own_workspace.catalogue({"Contact": None})
    org = own_workspace.org()
    record = str(living_org.org.records.insert("Contact", {"LastName": "zq7"}))
    for wrong in (record.swapcase(), record[:15] + record[15:].lower(), f"{record[:15]}zzz"):
        with pytest.raises(ConfigError, match="last three letters say which of the others are"):
            forget(org, org.catalog.select(["Contact"])[0], [wrong])
