"""Files of raw that are gone: silver has their rows, and somebody must hear of it all the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.status import ObjectStatus, status
from sf_assets_tests.conftest import Workspace


@pytest.fixture
def loaded(own_workspace: Workspace) -> Workspace:
    own_workspace.catalogue(dict.fromkeys(["Account", "Lead"]))
    own_workspace.tick()
    return own_workspace


def told(workspace: Workspace) -> dict[str, ObjectStatus]:
    org = workspace.org()
    return {found.slug: found for found in status(org, org.catalog.select([]))}


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [remove, cut])
def test_files_that_are_gone_or_cut_are_seen_by_status(
    loaded: Workspace, harm: Callable[[Path], None]
) -> None:
    assert not any(found.failing or found.error for found in told(loaded).values())
    part = next(loaded.folder.glob("raw/*/raw/lead/*/*.parquet"))
    content = part.read_bytes()
    harm(part)
    found = told(loaded)
    assert found["account"].failing is None
    failing = str(found["lead"].failing)
    assert "raw/lead lacks files, or has them cut, of 1 slices, the newest " in failing
    assert "restore the files, or" in failing
    part.write_bytes(content)
    assert told(loaded)["lead"].failing is None


def test_a_storage_that_is_older_than_the_warehouse_is_seen_by_status(
    loaded: Workspace, living_org: Emulator
) -> None:
    before = set(loaded.folder.glob("raw/*/manifests/*/*.json"))
    living_org.org.records.insert("Account", {"Name": "new"})
    living_org.advance(60)
    loaded.tick()
    for manifest in set(loaded.folder.glob("raw/*/manifests/account/*.json")) - before:
        manifest.unlink()
    for manifest in loaded.folder.glob("raw/*/manifests/lead/*.json"):
        manifest.unlink()
    found = told(loaded)
    assert "silver: raw does not list 1 slices that it was made of" in str(found["account"].failing)
    assert "silver: raw has no slice of it" in str(found["lead"].failing)
