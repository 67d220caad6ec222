"""The fault table of docs/reliability.md with raw in a bucket: what is shown there, once more."""

import shutil
from pathlib import Path

import pytest

from sf_assets.storage.store import Store
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.object_stores import Bucket
from sf_assets_tests.pipeline.test_fault_table import (
    Company,
    company_of_60,
    impatient,
    shared,
    test_a_fault_on_the_way,
    test_a_merge_that_fails_at_any_of_its_statements,
    test_a_warehouse_that_another_program_holds,
    test_another_run_at_work,
)

__all__ = (
    "company_of_60",
    "impatient",
    "shared",
    "test_a_fault_on_the_way",
    "test_a_merge_that_fails_at_any_of_its_statements",
    "test_a_warehouse_that_another_program_holds",
    "test_another_run_at_work",
)
pytestmark = pytest.mark.clouds


@pytest.fixture
def workspace(
    tmp_path: Path, shared: tuple[Company, Path], company_of_60: Company, bucket: Bucket
) -> Workspace:
    """A workspace that is behind: every record has changed since."""
    if bucket.kind == "file":
        pytest.skip("with a folder it is shown in every run of the tests")
    shutil.copytree(shared[1], tmp_path, dirs_exist_ok=True)
    here, there = Store(f"file://{tmp_path}/raw"), bucket.store()
    for entry in here.list(""):
        there.put(entry.path, here.get(entry.path))
    company_of_60.change()
    workspace = Workspace(tmp_path, {**company_of_60.emulator.environment, **bucket.env})
    workspace.env["SF_ASSETS_STORAGE_URL"] = bucket.url
    return workspace
