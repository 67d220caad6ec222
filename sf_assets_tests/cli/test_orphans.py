"""Tables whose gold file or object was removed are named, with what to do, and stay as they are."""

import pytest

from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import Workspace


def test_tables_that_nothing_makes_any_more_are_named_until_they_are_dropped(
    shell: Shell, workspace: Workspace
) -> None:
    gold = workspace.folder / "gold"
    gold.mkdir()
    for name in ("kept", "old"):
        (gold / f"{name}.sql").write_text("SELECT count(*) AS n FROM silver.product2")
    workspace.catalogue({"Product2": None, "Campaign": None}, gold="gold")
    first = shell("refresh", "--json", env=workspace.env)
    assert first.code == 0
    assert first.document["orphans"] == {}

    (gold / "old.sql").unlink()
    (gold / "broken.sql").write_text("SELEC nonsense")  # refused, which is another matter
    workspace.catalogue({"Product2": None}, gold="gold")

    said = shell("refresh", env=workspace.env)
    assert said.err.count("gold.old, silver.campaign") == 1
    assert "`sf-assets status` says what to do" in said.err
    status = shell("status", "--json", env=workspace.env)
    (org,) = status.document["orgs"]
    assert org["orphans"].keys() == {"gold.old", "silver.campaign"}
    assert "DROP TABLE gold.old" in org["orphans"]["gold.old"]
    assert str(workspace.folder / "catalog.yaml") in org["orphans"]["silver.campaign"]
    assert "silver.campaign" in shell("status", env=workspace.env).out
    assert workspace.rows("SELECT count(*) > 0 FROM silver.campaign_live") == [(True,)]
    assert workspace.rows("SELECT n > 0 FROM gold.old") == [(True,)]

    for advice in org["orphans"].values():
        workspace.change(advice.split("`")[1])
    assert shell("status", "--json", env=workspace.env).document["orgs"][0]["orphans"] == {}


@pytest.mark.more
def test_a_history_that_is_kept_no_more_is_named_and_gold_of_it_is_refused(
    shell: Shell, workspace: Workspace
) -> None:
    gold = workspace.folder / "gold"
    gold.mkdir()
    (gold / "past.sql").write_text("SELECT count(*) AS n FROM silver.Product2_History")
    workspace.catalogue({"Product2": {"history": True}}, gold="gold")
    first = shell("refresh", "--json", env=workspace.env)
    assert (first.code, first.document["orphans"]) == (0, {})

    workspace.catalogue({"Product2": None}, gold="gold")
    said = shell("refresh", env=workspace.env)
    assert said.code == 1
    assert "past.sql reads silver.product2_history, and the catalogue" in said.err
    (org,) = shell("status", "--json", env=workspace.env).document["orgs"]
    assert [(table["name"], table["state"]) for table in org["gold"]] == [("past", "refused")]
    assert org["gold"][0]["built_at"], "its table stands as it was built last"
    assert org["gold"][0]["rows"] == 1
    assert org["orphans"].keys() == {"silver.product2_history"}
    workspace.change(org["orphans"]["silver.product2_history"].split("`")[1])
    (org,) = shell("status", "--json", env=workspace.env).document["orgs"]
    assert org["orphans"] == {}

    workspace.catalogue({"Product2": {"history": True}}, gold="gold")
    again = shell("refresh", "--json", env=workspace.env)
    assert (again.code, again.document["orphans"]) == (0, {})


def test_tables_of_an_org_that_got_a_name_are_told_under_the_one_they_had(
    shell: Shell, workspace: Workspace
) -> None:
    workspace.catalogue({"Product2": None})
    assert shell("refresh", env=workspace.env).code == 0
    workspace.catalogue({"Product2": None}, orgs=["us"])
    named = {k.replace("SALESFORCE_", "SALESFORCE_US_"): v for k, v in workspace.env.items()}
    outcome = shell("refresh", "--json", env=named)
    assert outcome.code == 0, outcome.err
    assert list(outcome.document["orphans"]) == ["silver.*"]
    workspace.change(outcome.document["orphans"]["silver.*"].split("`")[1])
    assert shell("refresh", "--json", env=named).document["orphans"] == {}
