"""Commands for one org of several, and for objects that only some of them have."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from sf_assets.cli.commands import cli
from sf_assets.emulator.server import Emulator
from sf_assets_tests.conftest import FAST
from sf_assets_tests.orgs import Orgs


def test_commands_take_orgs_and_the_objects_that_these_have(tmp_path: Path) -> None:
    with (
        Emulator(scale=0.001, seed=1, settings=FAST) as emea,
        Emulator(scale=0.001, seed=2, settings=FAST) as us,
    ):
        orgs = Orgs(tmp_path, {"emea": emea, "us": us})
        orgs.declare({"Account": None}, us={"objects": {"Account": None, "Lead": None}})

        def run(*arguments: str, code: int = 0) -> Any:
            found = CliRunner().invoke(cli, [*arguments, "--json"], env=orgs.env)
            assert found.exit_code == code, found.output
            return json.loads(found.stdout) if code == 0 else str(found.exception or found.stdout)

        made = run("refresh", "--org", "us", "--object", "Lead")["assets"]
        assert {one["asset"] for one in made} >= {"raw_us/lead", "silver_us/lead"}
        assert not any("emea" in one["asset"] for one in made)
        made = run("refresh", "--object", "Lead", "--object", "Account")["assets"]
        assert {"silver_emea/account", "silver_us/account"} <= {one["asset"] for one in made}
        assert orgs.rows("SELECT count(DISTINCT _org) FROM silver_all.account") == [(2,)]
        rebuilt = run("rebuild", "--org", "us")["objects"]
        assert [(row["org"], row["object"]) for row in rebuilt] == [
            ("us", "account"), ("us", "lead")
        ]  # fmt: skip
        assert orgs.rows("SELECT count(DISTINCT _org) FROM silver_all.account") == [(2,)]
        assert [org["org"] for org in run("status", "--org", "emea")["orgs"]] == ["emea"]
        told = {d["org"] for d in run("doctor", "--org", "us")["diagnoses"]}
        assert told == {"", "us"}
        assert "no org fr; it has emea, us" in run("refresh", "--org", "fr", code=1)
        assert "has no case" in run("refresh", "--object", "Case", code=1)
        assert "has no lead" in run("reconcile", "--org", "emea", "--object", "Lead", code=1)
