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
        "accounts", "built", "left out",
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
    raw = workspace.org().raw
    with locked(raw.store, raw.lock_folder("account"), "Account"):
        overlapping = shell("refresh", env=workspace.env)
        insisting = shell("refresh", "--object", "Account", "--json", env=workspace.env)
    assert overlapping.code == 0, overlapping.err
    assert "account is left to another run" in overlapping.err
    assert workspace.rows("SELECT count(*) > 0 FROM silver.lead") == [(True,)]
    assert insisting.code == 1
    assert list(insisting.document["left"]) == ["account"]


def test_an_object_that_the_org_does_not_have_fails_only_those_who_named_it(
    shell: Shell, workspace: Workspace
) -> None:
    workspace.catalogue(dict.fromkeys(["Account", "Nope__c"]))
    path = workspace.folder / "catalog.yaml"
    packaged = f"import pathlib, sf_assets.catalog as c; c.PACKAGED = pathlib.Path({str(path)!r})"
    for _ in range(2):
        outcome = shell("refresh", env=workspace.env, first=packaged)
        assert outcome.code == 0, outcome.err
        assert "nope__c is left out: " in outcome.err
    (org,) = shell("status", "--json", env=workspace.env).document["orgs"]
    assert "left out" in org["objects"][1]["failing"]
    day = ("--from", "2026-11-01", "--to", "2026-11-02")
    for command in (("reconcile",), ("backfill", *day)):
        outcome = shell(*command, env=workspace.env, first=packaged)
        assert (outcome.code, "nope__c is left out: " in outcome.err) == (0, True), outcome
    named = shell("refresh", "--object", "Nope__c", "--json", env=workspace.env, first=packaged)
    assert (named.code, list(named.document["errors"])) == (1, ["nope__c"])
    owned = shell("refresh", "--json", env=workspace.env)
    assert (owned.code, list(owned.document["errors"])) == (1, ["nope__c"])


def test_of_several_orgs_one_that_is_away_ends_the_work_of_none(
    shell: Shell, workspace: Workspace
) -> None:
    workspace.catalogue({"Account": None}, orgs=["away", "us"])
    env = {
        name.replace("SALESFORCE_", "SALESFORCE_US_"): value
        for name, value in workspace.env.items()
    }
    env |= {"SALESFORCE_AWAY_LOGIN_URL": "http://127.0.0.1:1"}
    env |= {f"SALESFORCE_AWAY_CLIENT_{what}": "x" for what in ("ID", "SECRET")}
    days = ("--from", "2026-11-01", "--to", "2026-11-02")
    for command, found in (
        (("refresh",), "assets"),
        (("reconcile",), "objects"),
        (("backfill", *days, "--plan"), "orgs"),
    ):
        outcome = shell(*command, "--json", env=env)
        assert outcome.code == 1
        assert outcome.document["errors"].keys() == {"away"}, command
        assert "nothing answers at" in outcome.document["errors"]["away"]
        assert "SALESFORCE_AWAY_LOGIN_URL" in outcome.document["errors"]["away"]
        assert outcome.document[found], "what there is of the other org is told"
        told = shell(*command, env=env)
        assert "away: nothing answers at" in told.err.replace("\n", " ")


def test_a_command_line_that_is_not_understood_is_told_like_any_error(shell: Shell) -> None:
    plain = shell("status", "--nope")
    assert plain.code == 2
    assert plain.err.startswith("Usage: sf-assets status ")
    assert plain.err.splitlines()[-1].startswith("error: No such option")
    document = shell("backfill", "--json")
    assert document.code == 2
    assert document.document == {"ok": False, "error": "Missing option '--from'."}
    assert shell("nothing").err.splitlines()[-1] == "error: No such command 'nothing'."
    assert "Commands:" in shell().err
    assert (shell("--help").code, shell("--version").code) == (0, 0)
