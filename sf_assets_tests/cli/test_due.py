"""What is due follows from what is committed, also where nothing has changed in the org."""

from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import Workspace

_UNFILLED = "SELECT count(*) FROM silver.account WHERE Industry IS NULL"


def test_a_column_asked_for_later_is_filled_though_no_record_changed(
    shell: Shell, workspace: Workspace
) -> None:
    workspace.catalogue({"Account": {"fields": ["Name"]}})
    assert shell("refresh", env=workspace.env).code == 0
    workspace.catalogue({"Account": {"fields": ["Name", "Industry"]}})
    assert shell("refresh", env=workspace.env).code == 0
    ((unfilled,),) = workspace.rows(_UNFILLED)
    ((rows,),) = workspace.rows("SELECT count(*) FROM silver.account")
    assert unfilled < rows
    again = shell("refresh", env=workspace.env)
    assert "nothing has changed" in again.err, "once is enough"


def test_gold_is_built_again_after_a_rebuild_of_what_it_reads(
    shell: Shell, workspace: Workspace
) -> None:
    gold = workspace.folder / "gold"
    gold.mkdir()
    (gold / "accounts.sql").write_text("SELECT count(*) AS n FROM silver.account\n")
    workspace.catalogue({"Account": None}, gold="gold")
    assert shell("refresh", env=workspace.env).code == 0
    assert shell("rebuild", env=workspace.env).code == 0
    assert shell("refresh", env=workspace.env).code == 0
    (org,) = shell("status", "--json", env=workspace.env).document["orgs"]
    assert org["gold"][0]["state"] == "built"
