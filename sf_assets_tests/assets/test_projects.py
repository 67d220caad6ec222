"""The projects of docs/embed.md, made and run as they stand there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from sf_assets_tests.conftest import Workspace

ROOT = Path(__file__).parents[2]
DG = Path(sys.executable).with_name("dg")
SECTION = re.compile(r"^## ", re.MULTILINE)
BLOCK = re.compile(r"`([\w./]+)`[^`]*:\n\n```\w+\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.skipif(not DG.exists(), reason="dagster-dg-cli is not installed")


class Project:
    """A project that a section of the page describes.

    Attributes:
        folder: Where it is.
    """

    def __init__(self, workspace: Workspace, title: str) -> None:
        self.folder = workspace.folder / "project"
        self._env = os.environ | workspace.env
        self._env |= {"DAGSTER_HOME": str(workspace.folder), "PYTHONPATH": str(self.folder)}
        self._env.pop("SF_ASSETS_CATALOG")
        shutil.copy(ROOT / "dagster.yaml", workspace.folder)
        files = {name: text for section in sections().values() for name, text in section.items()}
        files = {"pyproject.toml": files["pyproject.toml"], "shop/__init__.py": ""}
        for name, text in (files | sections()[title]).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def dg(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `dg`."""
        return subprocess.run(  # noqa: S603 (the program of our own environment)
            [DG, *words],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def assets(self) -> set[str]:
        """Keys that `dg list defs` lists."""
        listed = self.dg("list", "defs", "--json")
        assert listed.returncode == 0, listed.stderr
        return {asset["asset_key"] for asset in json.loads(listed.stdout)["assets"]}


def sections() -> dict[str, dict[str, str]]:
    """Files by their names, section by section of the page."""
    text = (ROOT / "docs" / "embed.md").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in SECTION.split(text)[1:])
    return {title: dict(BLOCK.findall(body)) for title, _, body in parts}


@pytest.mark.slow
def test_five_lines(own_workspace: Workspace) -> None:
    project = Project(own_workspace, "Five lines")
    checked = project.dg("check", "defs")
    assert checked.returncode == 0, checked.stdout
    assert project.assets() >= {"raw/account", "silver/contact", "ops/quality", "customers"}
    launched = project.dg(
        "launch", "--assets", "raw/account,silver/account,customers", "--partition", "2026-11-01"
    )
    assert launched.returncode == 0, launched.stderr
    ((accounts,),) = own_workspace.rows("SELECT count(*) FROM silver.account_live")
    assert accounts > 0
    with dg.DagsterInstance.from_config(str(own_workspace.folder)) as instance:
        counted = instance.get_latest_materialization_event(dg.AssetKey("customers"))
        check = dg.AssetCheckKey(dg.AssetKey(["silver", "account"]), "accounts_have_names")
        storage = instance.event_log_storage
        (answer,) = storage.get_latest_asset_check_execution_by_key([check]).values()
        (run,) = instance.get_runs()
        told = [entry.message for entry in instance.all_logs(run.run_id)]
    assert counted
    assert counted.asset_materialization
    assert counted.asset_materialization.metadata["dagster/row_count"].value == accounts
    assert answer.status is AssetCheckExecutionRecordStatus.SUCCEEDED
    assert any("multiprocess executor" in message for message in told), "the project's own"


@pytest.mark.slow
def test_as_a_component(own_workspace: Workspace) -> None:
    project = Project(own_workspace, "As a component")
    checked = project.dg("check", "defs")
    assert checked.returncode == 0, checked.stdout
    launched = project.dg(
        "launch", "--assets", "raw/account,silver/account", "--partition", "2026-11-01"
    )
    assert launched.returncode == 0, launched.stderr
    assert own_workspace.rows("SELECT count(*) > 0 FROM silver.account_live") == [(True,)]
    declared = project.folder / "shop/defs/salesforce/defs.yaml"
    text = declared.read_text(encoding="utf-8")
    declared.write_text(text.replace("monthly", "hourly"), encoding="utf-8")
    refused = project.dg("check", "defs")
    assert refused.returncode != 0
    assert f"{declared}:9: objects.Contact.grain: " in refused.stdout + refused.stderr
