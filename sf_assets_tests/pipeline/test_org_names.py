"""An org that the catalogue calls otherwise than before, and one that has two names."""

from pathlib import Path

import pytest

from sf_assets.cli.report import Report, carry_out
from sf_assets.emulator.server import Emulator
from sf_assets.errors import WrongOrgError
from sf_assets.pipeline.org import load_orgs
from sf_assets.pipeline.refresh import refresh
from sf_assets_tests.conftest import Workspace


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    """Credentials of one org, under three names."""
    workspace = Workspace(tmp_path, org.environment)
    for name in ("EMEA", "US"):
        workspace.env |= {
            key.replace("SALESFORCE_", f"SALESFORCE_{name}_"): value
            for key, value in org.environment.items()
        }
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold" / "n.sql").write_text("SELECT count(*) AS n FROM silver.account_live")
    return workspace


def called(workspace: Workspace, *names: str) -> Report:
    """A refresh with the orgs so called."""
    workspace.catalogue({"Account": {"history": True}}, gold="gold", orgs=list(names))
    return carry_out(load_orgs(workspace.env), refresh)


def count(workspace: Workspace, table: str) -> int:
    return int(workspace.rows(f"SELECT count(*) FROM {table}")[0][0])


def test_an_org_that_is_renamed_and_gets_its_old_name_back_is_complete_each_time(
    workspace: Workspace, org: Emulator
) -> None:
    assert called(workspace).errors == {}
    before = count(workspace, "silver.account_live")
    for names, suffix in ((("emea",), "_emea"), ((), ""), (("emea",), "_emea")):
        org.org.records.insert("Account", {"Name": "New"})
        before += 1
        org.advance(900)
        report = called(workspace, *names)
        assert report.errors == {}
        assert [check for check in report.checks if check["severity"] == "ERROR"] != []
        assert all(check["passed"] for check in report.checks if check["severity"] == "ERROR")
        assert count(workspace, f"silver{suffix}.account_live") == before
        assert count(workspace, f"silver{suffix}.account_history") >= before
        assert workspace.rows(f"SELECT n FROM gold{suffix}.n") == [(before,)]


def test_of_two_names_that_lead_to_one_org_the_second_is_refused(workspace: Workspace) -> None:
    for _ in range(2):
        report = called(workspace, "emea", "us")
        assert list(report.errors) == ["us"]
        assert "emea and us lead to one org, 00D" in report.errors["us"]
        assert count(workspace, "silver_emea.account_live")
    with pytest.raises(WrongOrgError):
        _ = load_orgs(workspace.env)[1].raw
