"""Commands say of which warehouse they speak, and one that is away keeps them from no other."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sf_assets.cli.commands import cli
from sf_assets.emulator.server import Emulator
from sf_assets_tests.several import OBJECTS, in_the_way, two_files


@pytest.mark.slow
def test_all_commands_name_the_warehouse(tmp_path: Path, living_org: Emulator) -> None:
    files = two_files(tmp_path, living_org)

    def run(*arguments: str, code: int = 0) -> Any:
        found = CliRunner().invoke(cli, [*arguments, "--json"], env=files.env)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)

    made = run("refresh")
    assert {"silver/account", "reporting/silver/account"} <= {a["asset"] for a in made["assets"]}
    wanted = {(place, name.lower()) for place in files.places for name in OBJECTS}
    rebuilt = run("rebuild")["objects"]
    assert {(row["warehouse"], row["object"]) for row in rebuilt} == wanted
    only = run("rebuild", "--warehouse", "reporting", "--object", "Account")["objects"]
    assert [(row["warehouse"], row["object"]) for row in only] == [("reporting", "account")]
    compared = run("reconcile", "--object", "Contact")["objects"]
    assert [(row["warehouse"], row["equal"]) for row in compared] == [
        ("main", True), ("reporting", True)
    ]  # fmt: skip

    with in_the_way(files.main.folder / "warehouse.duckdb"):
        (org,) = run("status", code=1)["orgs"]
        assert org["errors"].keys() == {"main"}
        (other,) = org["warehouses"]
        assert (other["warehouse"], len(other["objects"])) == ("reporting", len(OBJECTS))
        told = {d["what"]: d["ok"] for d in run("doctor", code=1)["diagnoses"]}
        assert (told["warehouse main"], told["warehouse reporting"]) == (False, True)
        failed = run("reconcile", "--object", "Contact", code=1)
        assert [row["warehouse"] for row in failed["objects"] if row["equal"]] == ["reporting"]
    (org,) = run("status")["orgs"]
    assert [one["warehouse"] for one in org["warehouses"]] == ["main", "reporting"]
    assert org["objects"] == org["warehouses"][0]["objects"]
    shown = CliRunner().invoke(cli, ["status"], env=files.env).stdout
    assert "Org default, warehouse main" in shown
    assert "Gold, warehouse reporting" in shown

    unknown = CliRunner().invoke(cli, ["rebuild", "--warehouse", "elsewhere"], env=files.env)
    assert unknown.exit_code == 1
    assert "there is no warehouse elsewhere; there is main, reporting" in str(unknown.exception)
