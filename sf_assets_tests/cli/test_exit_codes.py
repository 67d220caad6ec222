"""Exit codes say whether what was asked for was done."""

from sf_assets.storage.locks import locked
from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import Workspace


def test_gold_that_needs_objects_nobody_asked_for_is_no_error(
    shell: Shell, workspace: Workspace
) -> None:
    gold = workspace.folder / "gold"
    gold.mkdir()
    for name in ("account", "lead"):
        (gold / f"{name}s.sql").write_text(f"SELECT count(*) AS n FROM silver.{name}\n")
    workspace.catalogue(dict.fromkeys(["Account", "Lead"]), gold="gold")
    outcome = shell("refresh", "--object", "Account", "--json", env=workspace.env)
    assert outcome.code == 0, outcome.err
    assert outcome.document["errors"] == {}
    assert outcome.document["left_out"] == {
        "gold/leads": "gold.leads is left out: there is no silver.lead"
    }
    assert workspace.rows("SELECT n > 0 FROM gold.accounts") == [(True,)]
    (org,) = shell("status", "--json", env=workspace.env).document["orgs"]
    accounts, leads = org["gold"]
    assert (accounts["name"], accounts["state"], leads["state"]) == (
        "accounts", "built", "not built",
    )  # fmt: skip
    assert accounts["rows"] == 1
    assert accounts["built_at"] is not None
    (gold / "accounts.sql").write_text("SELECT count(*) AS m FROM silver.account\n")
    (org,) = shell("status", "--json", env=workspace.env).document["orgs"]
    assert org["gold"][0]["state"] == "due", "the file has changed since"


def test_an_object_that_another_run_is_at_work_on_is_left_to_it(
    shell: Shell, workspace: Workspace
) -> None:
    workspace.catalogue(dict.fromkeys(["Account", "Lead"]))
    lake = workspace.org().lake
    with locked(lake.store, lake.lock_folder("account"), "Account"):
        overlapping = shell("refresh", env=workspace.env)
        insisting = shell("refresh", "--object", "Account", "--json", env=workspace.env)
    assert overlapping.code == 0, overlapping.err
    assert "account is left to another run" in overlapping.err
    assert workspace.rows("SELECT count(*) > 0 FROM silver.lead") == [(True,)]
    assert insisting.code == 1
    assert list(insisting.document["left"]) == ["account"]
