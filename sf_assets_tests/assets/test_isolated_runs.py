"""In a run of Dagster's, too, what goes wrong for one object or table harms no other."""

from pathlib import Path

import dagster as dg
import pytest

from sf_assets.assets import commands
from sf_assets.assets.running import Runner
from sf_assets.assets.work import CHECKS
from sf_assets.catalog import load_catalog
from sf_assets.failures import Work
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.pipeline.test_isolation import KINDS, PLANTED, throw_in

SILVER = ("silver/account", "silver/lead")


@pytest.fixture
def catalogue(own_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of two objects with a gold table each."""
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    gold = own_workspace.folder / "gold"
    gold.mkdir()
    for name in ("account", "lead"):
        query = f"SELECT count(*) AS n FROM silver.{name}\n"
        (gold / f"{name}s.sql").write_text(query, encoding="utf-8")
    own_workspace.catalogue({"Account": None, "Lead": None}, start="2026-10-01", gold="gold")
    return own_workspace.folder / "catalog.yaml"


@pytest.mark.parametrize(
    ("place", "to_blame", "others"),
    [
        ((Work.REPORT, "account"), "account", {"silver/lead", "gold/leads"}),
        (
            (Work.BUILD, "accounts"),
            "gold/accounts",
            {"silver/account", "silver/lead", "gold/leads"},
        ),
        ((Work.CHECK, CHECKS), CHECKS, {*SILVER, "gold/leads"}),
    ],
    ids=["report", "build", "check"],
)
def test_what_is_thrown_for_one_is_named_and_the_others_are_there(
    catalogue: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Work, str],
    to_blame: str,
    others: set[str],
) -> None:
    work, slug = place
    with dg.DagsterInstance.ephemeral() as instance, monkeypatch.context() as patch:
        thrown = throw_in(patch, work, slug, KINDS["ValueError"])
        runner = Runner(instance)
        commands.refresh(runner, load_catalog(catalogue), [])
    assert thrown
    assert others <= {"/".join(key) for key in runner.report.materialized}
    # Of a gold table both its run and what ordered it are tried.
    assert {name.replace("__", "/") for name in runner.report.errors} == {to_blame}
    message = runner.report.errors[to_blame]
    assert f"{work} {slug} failed: ValueError" in message
    assert PLANTED not in message
