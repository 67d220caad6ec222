"""A field that the catalogue leaves out by now: nobody takes its old values for the org's."""

from typing import Any

from sf_assets.cli.report import Report, carry_out
from sf_assets.emulator.server import Emulator
from sf_assets.naming import Names
from sf_assets.pipeline.load import rebuild
from sf_assets.pipeline.reconciliation.reconcile import reconcile
from sf_assets.pipeline.refresh import refresh
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences


def refreshed(workspace: Workspace) -> Report:
    return carry_out([workspace.org()], refresh)


def schema_of(report: Report) -> dict[str, Any]:
    (found,) = (check for check in report.checks if check["check"] == "schema")
    return found


def test_its_column_is_told_as_not_read_and_a_rebuild_removes_it(
    living_org: Emulator, workspace: Workspace
) -> None:
    workspace.env |= living_org.environment
    workspace.catalogue({"Account": {"history": True}})
    assert schema_of(refreshed(workspace))["passed"]

    workspace.catalogue({"Account": {"history": True, "exclude": ["Industry"]}})
    ((account,),) = workspace.rows("SELECT min(Id) FROM silver.account_live")
    living_org.records.update("Account", account, {"Industry": "Energy", "Name": "new"})
    living_org.advance(60)
    found = schema_of(refreshed(workspace))
    assert not found["passed"]
    assert {name.lower() for name in found["facts"]} == {"industry"}
    org = workspace.org()
    (compared,) = reconcile(org, org.catalog.select([]), everything=True)
    assert compared.compared
    assert "industry" in map(str.lower, compared.compared.omitted)

    rebuild(workspace.org(), workspace.org().stored_raw, "account")
    assert "Industry" not in Names(workspace.columns("silver.account"))
    report = refreshed(workspace)
    assert schema_of(report)["passed"]
    assert report.errors == {}

    workspace.catalogue({"Account": {"history": True}})
    assert refreshed(workspace).errors == {}
    assert differences(living_org, workspace, "Account") == []


def test_its_declared_check_has_not_passed(living_org: Emulator, workspace: Workspace) -> None:
    workspace.env |= living_org.environment
    checks = [{"unique": "Id"}, {"not_null": "Name"}, {"in_picklist": "Industry"}]
    workspace.catalogue({"Account": {"checks": checks}})

    def passed(*names: str) -> list[bool]:
        asked = {c["check"]: c for c in refreshed(workspace).checks}
        return [asked[name]["passed"] for name in names]

    assert passed("in_picklist_Industry", "not_null_Name") == [True, True]
    workspace.catalogue({"Account": {"checks": checks, "exclude": ["Industry"]}})
    ((account,),) = workspace.rows("SELECT min(Id) FROM silver.account_live")
    living_org.records.update("Account", account, {"Name": "new"})
    living_org.advance(60)
    assert passed("in_picklist_Industry", "not_null_Name") == [False, True]

    workspace.catalogue({"Account": {"checks": checks}})
    assert passed("in_picklist_Industry", "not_null_Name") == [True, True]
    living_org.admin.hide_field("Account", "Industry")
    living_org.records.update("Account", account, {"Name": "newer"})
    living_org.advance(60)
    assert passed("in_picklist_Industry", "not_null_Name") == [False, True]
