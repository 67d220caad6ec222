"""In a whole refresh, too, what goes wrong for one object or table harms no other."""

import pytest

from sf_assets.failures import Work
from sf_assets.naming import ONLY
from sf_assets.pipeline.publish import COPY
from sf_assets.pipeline.run import CHECKS
from sf_assets_tests.assets.shared import refresh
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.pipeline.test_isolation import KINDS, PLANTED, throw_in

SILVER = ("silver/account", "silver/lead")


@pytest.fixture
def catalogue(own_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two objects with a gold table each."""
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    gold = own_workspace.folder / "gold"
    gold.mkdir()
    for name in ("account", "lead"):
        query = f"SELECT count(*) AS n FROM silver.{name}\n"
        (gold / f"{name}s.sql").write_text(query, encoding="utf-8")
    own_workspace.catalogue({"Account": None, "Lead": None}, start="2026-10-01", gold="gold")


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("place", "to_blame", "others"),
    [
        ((Work.REPORT, "account"), "account", {"silver/lead", "gold/leads"}),
        (
            (Work.BUILD, "accounts"),
            "gold__accounts",
            {"silver/account", "silver/lead", "gold/leads"},
        ),
        ((Work.PUBLISH, COPY), COPY, {*SILVER, "gold/leads", "gold/accounts"}),
        ((Work.CHECK, CHECKS), CHECKS, {*SILVER, "gold/leads"}),
        ((Work.COMMAND, ONLY), ONLY, {*SILVER, "gold/leads", "gold/accounts"}),
    ],
    ids=["report", "build", "publish", "check", "command"],
)
def test_what_is_thrown_for_one_is_named_and_the_others_are_there(
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Work, str],
    to_blame: str,
    others: set[str],
) -> None:
    work, slug = place
    with monkeypatch.context() as patch:
        thrown = throw_in(patch, work, slug, KINDS["ValueError"])
        report = refresh()
    assert thrown
    assert others <= {"/".join(key) for key in report.materialized}
    assert report.errors.keys() == {to_blame}
    message = report.errors[to_blame]
    assert f"{work} {slug} failed: ValueError" in message
    assert PLANTED not in message
