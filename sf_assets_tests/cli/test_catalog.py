"""`sf-assets catalog --from-org`: what it writes, and what it leaves as it is."""

import json
from pathlib import Path

from sf_assets.catalog_file import load_catalog
from sf_assets.emulator.server import Emulator
from sf_assets.windows import Grain
from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import FAST, Workspace

NAMES = ("--include", "Account", "--include", "Contact", "--include", "Opportunity*")


def test_a_catalogue_is_written_once_and_over_only_by_force(
    shell: Shell, workspace: Workspace
) -> None:
    path = workspace.folder / "catalog.yaml"
    first = shell("catalog", "--from-org", *NAMES, env=workspace.env)
    assert (first.code, path.read_text()) == (0, first.out)
    assert f"written to {path}" in first.err
    own = "# mine\nobjects:\n  Account: {history: true}\n  Nope__c:\n  Contact: {grain: daily}\n"
    path.write_text(own)
    again = shell("catalog", "--from-org", *NAMES, env=workspace.env)
    assert (again.code, path.read_text()) == (0, own)
    for line in (
        "new: OpportunityHistory",
        "gone: Nope__c: the org does not have it",
        "changed: Contact: grain daily → monthly, start 2025-01-01 → ",
        f"lost if written over: {path}:1: # mine",
        f"lost if written over: {path}:3: objects.Account.history",
        f"{path} holds a catalogue already and is left as it is; --force writes over it",
    ):
        assert line in again.err
    forced = shell("catalog", "--from-org", *NAMES, "--force", "--json", env=workspace.env)
    document = forced.document
    assert (document["ok"], document["path"]) == (True, str(path))
    assert path.read_text() == document["catalog"] == first.out
    assert document["diff"]["gone"].keys() == {"Nope__c"}
    assert len(document["diff"]["lost"]) == 2
    account = document["objects"]["Account"]
    assert (account["label"], account["grain"]) == ("Account", "monthly")
    assert account["records"] > account["changed_in_a_month"] >= 0


def test_comments_are_no_catalogue_and_stay_above_the_one_that_is_written(
    shell: Shell, workspace: Workspace
) -> None:
    path = workspace.folder / "catalog.yaml"
    path.write_text("# mine\n\n  # too\n")
    refused = shell("status", env=workspace.env)
    assert f"{path}:1: there is no object; name some under `objects:`" in refused.err
    outcome = shell("catalog", "--from-org", *NAMES, env=workspace.env)
    assert (outcome.code, path.read_text()) == (0, f"# mine\n# too\n{outcome.out}")
    assert f"written to {path}" in outcome.err
    assert "Account" in load_catalog(path).objects


def test_a_catalogue_of_several_orgs_is_written_of_all_of_them(
    shell: Shell, workspace: Workspace, living_org: Emulator
) -> None:
    path = workspace.folder / "catalog.yaml"
    path.write_text("orgs: [eu, us]  # both\n")
    living_org.admin.hide_object("Contact")
    env = {n: v for n, v in workspace.env.items() if n.startswith("SF_ASSETS_")} | {
        name.replace("SALESFORCE_", f"SALESFORCE_{org}_"): value
        for org, found in (("US", workspace.env), ("EU", living_org.environment))
        for name, value in found.items()
        if name.startswith("SALESFORCE_")
    }
    outcome = shell("catalog", "--from-org", *NAMES, env=env)
    assert (outcome.code, path.read_text()) == (0, f"# both\n{outcome.out}"), outcome.err
    catalog = load_catalog(path)
    assert catalog.orgs == ("eu", "us")
    assert {"Account", "Contact", "Opportunity"} <= catalog.objects.keys()
    assert "#: Written by `sf-assets catalog --from-org` for orgs eu 00D" in outcome.out
    (contact,) = (line for line in outcome.out.splitlines() if line.startswith("  Contact:"))
    assert contact.endswith("; not in eu: this user may not see it")
    again = shell("catalog", "--from-org", *NAMES, "--json", env=env).document
    assert again["diff"]["lost"] == [f"{path}:1: # both"]
    records = [
        json.loads(shell("catalog", "--from-org", "--json", *NAMES, env=one).out)["objects"]
        for one in ({**living_org.environment}, {**workspace.env, "SF_ASSETS_CATALOG": ""})
    ]
    both = [found["Account"]["records"] for found in records]
    assert again["objects"]["Account"]["records"] == sum(both) > max(both)


def test_a_start_that_the_catalogue_may_not_have_is_refused_before_the_org_is_asked(
    shell: Shell, workspace: Workspace
) -> None:
    outcome = shell("catalog", "--from-org", "--start", "2999-01-01", env=workspace.env)
    assert outcome.code == 2
    assert "between 1999-01-01 and today" in outcome.err
    assert outcome.out == ""


def test_a_catalogue_of_200_objects_is_small_and_asked_for_in_few_calls(
    shell: Shell, tmp_path: Path
) -> None:
    """Dagster's bookkeeping of its first fill takes five minutes at most."""
    with Emulator(custom_objects=176, scale=0.2, seed=7, settings=FAST) as org:
        workspace = Workspace(tmp_path, org.environment)
        outcome = shell("catalog", "--from-org", "--json", env=workspace.env)
        calls = org.org.limits.requests.used
    document = json.loads(outcome.out)
    specs = load_catalog(tmp_path / "catalog.yaml").objects.values()
    assert len(specs) == len(document["objects"]) == 200
    assert 2 * document["partitions"] * 0.02 <= 5 * 60
    assert calls <= 100
    assert {spec.grain for spec in specs} <= {Grain.DAILY, Grain.MONTHLY}


def test_an_object_of_which_nothing_is_known_now_is_not_written_over(
    shell: Shell, tmp_path: Path
) -> None:
    with Emulator(scale=0.02, seed=7, settings=FAST) as org:
        workspace = Workspace(tmp_path, org.environment)
        workspace.catalogue({"Account": None, "Lead": None})
        before = (tmp_path / "catalog.yaml").read_text()
        org.org.restrictions.restrict("Lead", most_rows=0)
        outcome = shell(
            "catalog", "--from-org", *NAMES, "--include", "Lead", "--force", env=workspace.env
        )
    assert (outcome.code, (tmp_path / "catalog.yaml").read_text()) == (1, before)
    assert "left as it is: nothing could be found out of Lead" in outcome.err
