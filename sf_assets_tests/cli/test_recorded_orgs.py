"""From nothing to equal tables on orgs described by recordings of real ones."""

from pathlib import Path

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import FAST, Workspace
from sf_assets_tests.equality import differences
from sf_assets_tests.shared import SHARED, needs_shared

DESCRIBES = SHARED / "salesforce" / "fixtures" / "describe"
PLAIN = (
    "Account", "Case", "Contact", "Custom__c", "Event", "Lead", "Opportunity",
    "OpportunityContactRole",
)  # fmt: skip


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(
    ("files", "objects"),
    [
        ([f"{name}_describe.json" for name in PLAIN], PLAIN),
        pytest.param(
            ["Account_PersonAccount_describe.json", "Contact_describe.json"],
            ("Account", "Contact"),
            marks=pytest.mark.more,
        ),
    ],
    ids=["plain", "person accounts"],
)
def test_catalogue_backfill_and_refresh(
    shell: Shell, tmp_path: Path, files: list[str], objects: tuple[str, ...]
) -> None:
    with Emulator(describes=[DESCRIBES / f for f in files], scale=0.2, settings=FAST) as org:
        workspace = Workspace(tmp_path, org.environment)
        written = shell("catalog", "--from-org", "--start", "2026-01-01", env=workspace.env)
        assert written.code == 0, written.err
        assert ("Custom__c: {grain: none}" in written.out) == ("Custom__c" in objects)
        backfilled = shell(
            "backfill", "--from", "2026-10-01", "--to", "2026-10-31", env=workspace.env
        )
        assert backfilled.code == 0, backfilled.out + backfilled.err
        refreshed = shell("refresh", "--json", env=workspace.env)
        assert refreshed.code == 0, refreshed.out
        assert refreshed.document["ok"]
        for name in objects:
            assert differences(org, workspace, name)[:20] == []
        compared = shell("reconcile", "--json", env=workspace.env)
        assert compared.code == 0, compared.out
        assert {o["slug"] for o in compared.document["objects"]} == {n.lower() for n in objects}
