"""`sf-assets catalog --from-org`: what it writes, and what it leaves as it is."""

import json
from pathlib import Path

from sf_assets.catalog import load_catalog
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
