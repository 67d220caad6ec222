"""The main job with raw in a bucket: the same tables as with a folder, whatever happens to it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import obstore.store
import pytest

from bench.crash import crashes
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.world.life import OFFICE, Life
from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.events import Failed
from sf_assets.pipeline.refresh import refresh
from sf_assets.storage import bucket as bucket_module
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences
from sf_assets_tests.object_stores import Bucket, FaultyS3
from sf_assets_tests.pipeline.test_crash import KILLS
from sf_assets_tests.salesforce.scripted import Heard, Reply
from sf_assets_tests.storage.test_store_faults import EXPIRED, PASSING

OBJECTS = ("Account", "Opportunity", "User")
_CHANGES = 30


def workspace_of(folder: Path, org: Emulator, env: Mapping[str, str]) -> Workspace:
    """A workspace whose raw is where an environment says."""
    folder.mkdir(exist_ok=True)
    workspace = Workspace(folder, {**org.environment, **env})
    workspace.catalogue(dict.fromkeys(OBJECTS))
    return workspace


def in_bucket(folder: Path, org: Emulator, bucket: Bucket) -> Workspace:
    """A workspace whose raw is in a bucket."""
    workspace = workspace_of(folder, org, bucket.env)
    workspace.env["SF_ASSETS_STORAGE_URL"] = bucket.url
    return workspace


def failures(workspace: Workspace) -> list[str]:
    """What fails of a refresh."""
    try:
        return [str(e.error) for e in refresh(workspace.org()) if isinstance(e, Failed)]
    except SfAssetsError as error:
        return [str(error)]


def gold(workspace: Workspace) -> dict[str, Any]:
    """All gold tables, row by row."""
    names = workspace.rows(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'gold' ORDER BY 1"
    )
    return {name: workspace.rows(f"SELECT * FROM gold.{name} ORDER BY ALL") for (name,) in names}


def assert_right(org: Emulator, workspace: Workspace) -> None:
    for name in OBJECTS:
        assert differences(org, workspace, name) == []


def live_on(org: Emulator) -> None:
    life = Life(org.records, 5, 1.0, weights=OFFICE, late=0.0)
    for _ in range(_CHANGES):
        life.step()
    org.advance(60)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that fails is sent once more, not ten times."""
    once = partial(obstore.store.from_url, retry_config={"max_retries": 1})
    monkeypatch.setattr(bucket_module, "from_url", once)


class Stop(NamedTuple):
    """How a storage stops: what it says, and what is told of that."""

    said: Reply
    told: str


GONE = Stop(PASSING["reset"], "nothing answers there")
OUT = Stop(EXPIRED, "credentials have expired")


def _stopped_and_run_again(
    tmp_path: Path, org: Emulator, s3: FaultyS3, stop: Stop, write: int
) -> None:
    """Before a write S3 stops; when it is back, the tables are those of a folder, and the org's."""
    there = in_bucket(tmp_path / "bucket", org, s3.bucket)
    assert failures(there) == []
    live_on(org)
    left = write

    def until_then(request: Heard) -> Reply:
        nonlocal left
        left -= request.method == "PUT"
        return stop.said if left <= 0 else s3.passed_on(request)

    s3.fail_all(until_then)
    found = failures(there)
    assert left <= 0
    assert found
    assert all(stop.told in error for error in found), found
    s3.fail_all(s3.passed_on)
    assert failures(there) == []
    assert_right(org, there)
    here = workspace_of(tmp_path / "folder", org, {})
    assert failures(here) == []
    assert gold(here) == gold(there)
    assert gold(here)


@pytest.mark.clouds
@pytest.mark.usefixtures("_impatient")
def test_s3_that_goes_away_in_the_middle_of_a_run_and_comes_back(
    tmp_path: Path, living_org: Emulator, faulty_s3: FaultyS3
) -> None:
    _stopped_and_run_again(tmp_path, living_org, faulty_s3, GONE, 7)


@pytest.mark.clouds
@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("write", [1, 3, 6, 9])
@pytest.mark.parametrize("stop", [GONE, OUT], ids=["gone", "expired"])
def test_s3_that_stops_at_any_moment_and_comes_back(
    tmp_path: Path, living_org: Emulator, faulty_s3: FaultyS3, stop: Stop, write: int
) -> None:
    _stopped_and_run_again(tmp_path, living_org, faulty_s3, stop, write)


@pytest.mark.clouds
def test_tables_are_the_same_wherever_raw_is(
    tmp_path: Path, living_org: Emulator, bucket: Bucket
) -> None:
    here = workspace_of(tmp_path / "folder", living_org, {})
    there = in_bucket(tmp_path / "bucket", living_org, bucket)
    for _ in range(2):
        assert failures(here) == failures(there) == []
        assert_right(living_org, there)
        assert gold(here) == gold(there)
        live_on(living_org)
    assert gold(here)


@pytest.mark.clouds
@pytest.mark.timeout(900)
def test_killed_before_a_write_and_run_again_the_tables_equal_the_org(
    tmp_path: Path, bucket: Bucket
) -> None:
    if bucket.kind == "file":
        pytest.skip("with a folder it is shown in every run of the tests")
    env = {**bucket.env, "SF_ASSETS_STORAGE_URL": bucket.url}
    for crash in crashes(KILLS, 20, tmp_path, env):
        assert crash.killed, f"{crash.kill}: there was none"
        assert crash.differences == [], f"killed {crash.kill}"
