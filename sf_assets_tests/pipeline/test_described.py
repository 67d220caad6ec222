"""Describes vanish, are damaged or are never told; no column becomes text for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.errors import SfAssetsError, StorageError
from sf_assets.pipeline.load import rebuild
from sf_assets.pipeline.planning import backoff
from sf_assets.pipeline.planning.backoff import FailedStep
from sf_assets.pipeline.schema.described import describe_objects
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

HOUR = 3700
NUMBER = {"type": "double", "precision": 18, "scale": 2}
CASES = (
    "SELECT Id, IsDeleted, SystemModstamp, CreatedDate, Account.AnnualRevenue, Account.CreatedDate "
    "FROM Case"
)

Damage = Callable[[Path], None]


@pytest.fixture
def workspace(tmp_path: Path, org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, org.environment)
    (tmp_path / "case.soql").write_text(CASES, encoding="utf-8")
    workspace.catalogue({"Account": None, "Case": {"soql": "case.soql"}})
    org.admin.add_field("Account", "Score__c", NUMBER, 1.5)
    workspace.tick()
    return workspace


def types(workspace: Workspace) -> list[Any]:
    return workspace.rows(
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'silver' ORDER BY table_name, column_name, data_type"
    )


def files(workspace: Workspace) -> list[Path]:
    return sorted(workspace.folder.glob("raw/00D*/describes/*.json"))


def last(workspace: Workspace) -> list[Path]:
    return [path for path in files(workspace) if not path.name[0].isdigit()]


def history(workspace: Workspace) -> list[Path]:
    return [path for path in files(workspace) if path.name[0].isdigit()]


def rebuild_all(workspace: Workspace) -> None:
    org = workspace.org()
    for slug in ("account", "case"):
        rebuild(org, org.stored_raw, slug)
    assert "client" not in org.__dict__, "raw alone is enough"


@pytest.mark.parametrize(
    ("damage", "only"),
    [
        (Path.unlink, ""),
        (Path.unlink, "account"),
        (lambda p: p.write_bytes(b""), "case"),
        (lambda p: p.write_bytes(p.read_bytes()[:200]), ""),
    ],
    ids=["all gone", "one gone", "one blank", "all cut"],
)
def test_describes_that_vanish_leave_types_as_they_were(
    workspace: Workspace, org: Emulator, damage: Damage, only: str
) -> None:
    before = types(workspace)
    for path in last(workspace):
        if path.stem.startswith(only):
            damage(path)
    rebuild_all(workspace)
    assert types(workspace) == before
    org.advance(HOUR)
    account = str(workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0])
    org.org.records.update("Account", account, {"Score__c": 7})
    org.advance(60)
    workspace.tick()
    assert types(workspace) == before
    assert differences(org, workspace, "Account") == []
    assert {"account", "case"} <= {path.stem for path in last(workspace)}


def test_a_field_that_is_gone_from_the_org_keeps_its_type_without_its_describe(
    workspace: Workspace, org: Emulator
) -> None:
    before = types(workspace)
    org.admin.delete_field("Account", "Score__c")
    org.advance(HOUR)
    workspace.tick()
    for path in last(workspace):
        path.unlink()
    rebuild_all(workspace)
    assert types(workspace) == before
    org.advance(HOUR)
    workspace.tick()
    rebuild_all(workspace)
    assert types(workspace) == before


def test_with_all_describes_lost_the_org_is_asked_again(
    workspace: Workspace, org: Emulator
) -> None:
    before = types(workspace)
    for path in files(workspace):
        path.unlink()
    offline = workspace.org()
    with pytest.raises(StorageError, match=r"account: no describe tells the type of .*Score__c"):
        rebuild(offline, offline.stored_raw, "account")
    assert types(workspace) == before, "silver stays as it is"
    org.advance(60)
    workspace.tick()
    rebuild_all(workspace)
    assert types(workspace) == before


def test_a_field_that_no_describe_knows_any_more_is_named(
    workspace: Workspace, org: Emulator
) -> None:
    before = types(workspace)
    org.admin.delete_field("Account", "Score__c")
    for path in files(workspace):
        path.unlink()
    org.advance(HOUR)
    workspace.tick()
    here = workspace.org()
    with pytest.raises(StorageError, match=r"tells the type of Score__c, .*Restore file://"):
        rebuild(here, here.stored_raw, "account")
    rebuild(here, here.stored_raw, "case")
    assert types(workspace) == before


def test_a_damaged_history_is_passed_over(workspace: Workspace, org: Emulator) -> None:
    before = types(workspace)
    for path in history(workspace):
        path.write_bytes(b"{")
    rebuild_all(workspace)
    org.advance(HOUR)
    workspace.tick()
    assert types(workspace) == before


@pytest.mark.parametrize("what", [FailedStep.EXTRACT, FailedStep.MERGE])
def test_by_the_describe_that_it_failed_with_an_object_is_not_tried_again(
    workspace: Workspace, what: FailedStep
) -> None:
    here = workspace.org()
    account = [spec for spec in here.catalog.select([]) if spec.slug == "account"]

    def asks() -> int:
        made = here.client.budget.made
        describe_objects(here, account)
        return here.client.budget.made - made

    assert asks() == 0
    soon = max(here.client.now(), datetime.now(UTC)) - timedelta(days=365)
    backoff.note(here.raw, what, {"account": SfAssetsError("odd")}, [], soon)
    assert asks() == 0, "it was told after that"
    soon = here.client.now() + timedelta(seconds=1)
    backoff.note(here.raw, FailedStep.EXTRACT, {"case": SfAssetsError("odd")}, [], soon)
    assert asks() == 0, "another failed"
    backoff.note(here.raw, what, {}, ["account"], soon)
    backoff.note(here.raw, what, {"account": SfAssetsError("odd")}, [], soon)
    assert asks() == 1
