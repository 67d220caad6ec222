"""Words that people are shown, and the keys that programs have known since the first release."""

import pytest

from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import Workspace


@pytest.mark.slow
def test_tables_speak_plainly_and_keys_stay(shell: Shell, workspace: Workspace) -> None:
    workspace.catalogue({"Account": None}, start="2026-11-01")
    told = shell("refresh", env=workspace.env).out
    assert "deduplicated" in told
    assert "known" not in told
    day = ("--from", "2026-11-01", "--to", "2026-11-02", "--json")
    (raw,) = (
        asset
        for asset in shell("backfill", *day, env=workspace.env).document["assets"]
        if asset["asset"] == "raw/account"
    )
    assert {"ledger/known", "api/calls of this run so far", "dagster/uri"} <= raw.keys()
    status = shell("status", env=workspace.env).out
    assert "lag (s)" in status
    (org,) = shell("status", "--json", env=workspace.env).document["orgs"]
    assert org["objects"][0]["behind_seconds"] >= 0
    assert "records in the org" in shell("reconcile", env=workspace.env).out
