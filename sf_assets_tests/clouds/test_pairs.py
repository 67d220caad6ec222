"""Raw in a cloud's bucket and tables in a cloud's warehouse: the same as with a folder and a file.

Each warehouse comes with the storage that its users have. What a machine lacks is skipped, with the
reason.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.crash import crashes
from sf_assets.emulator.server import Emulator
from sf_assets.storage.store import Store
from sf_assets_tests.clouds.test_main_job import (
    OBJECTS,
    assert_right,
    failures,
    live_on,
    workspace_of,
)
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.object_stores import Bucket, new_bucket
from sf_assets_tests.pipeline.test_crash import KILLS
from sf_assets_tests.pipeline.test_fault_table import (
    Company,
    company_of_60,
    impatient,
    shared,
    test_a_fault_on_the_way,
    test_another_run_at_work,
)
from sf_assets_tests.warehouse.test_conformance import contents
from sf_assets_tests.warehouse_servers import (
    SERVERS,
    Server,
    cut_before,
    cuts,
    running,
)

__all__ = (
    "company_of_60",
    "impatient",
    "shared",
    "test_a_fault_on_the_way",
    "test_another_run_at_work",
)
pytestmark = [cuts, pytest.mark.clouds, pytest.mark.timeout(1200)]

STORAGE = {"postgres": "s3", "snowflake": "az", "bigquery": "gs"}
"""Where raw is, by the engine that has the tables."""


class Pair(NamedTuple):
    """An empty bucket, and the server that warehouses are on from now on."""

    bucket: Bucket
    server: Server

    def workspace(self, folder: Path, org: Emulator) -> Workspace:
        """A workspace on both."""
        env = {**org.environment, **self.bucket.env}
        workspace = Workspace(folder, env, self.server.new())
        workspace.env["SF_ASSETS_STORAGE_URL"] = self.bucket.url
        return workspace


class Servers:
    """The servers of warehouses, started when they are asked for."""

    def __init__(self, until: ExitStack) -> None:
        self._until = until
        self._running: dict[str, Server] = {}

    def of(self, engine: str) -> Server:
        """The one that an engine's warehouses are on."""
        if engine not in self._running:
            self._running[engine] = self._until.enter_context(running(engine))
        return self._running[engine]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with ExitStack() as until:
        yield Servers(until)


@pytest.fixture(params=STORAGE)
def pair(request: pytest.FixtureRequest, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """An empty bucket and a warehouse's server, of each pair in turn."""
    if why := SERVERS[request.param].lacking():
        pytest.skip(why)
    return Pair(new_bucket(STORAGE[request.param], request, monkeypatch), servers.of(request.param))


@pytest.fixture
def workspace(
    tmp_path: Path, shared: tuple[Company, Path], company_of_60: Company, pair: Pair
) -> Workspace:
    """A workspace that is behind: every record has changed since."""
    shutil.copy(shared[1] / "catalog.yaml", tmp_path)
    here, there = Store(f"file://{shared[1]}/raw"), pair.bucket.store()
    for entry in here.list(""):
        there.put(entry.path, here.get(entry.path))
    workspace = pair.workspace(tmp_path, company_of_60.emulator)
    for slug in ("account", "contact"):
        workspace.load(slug)
    company_of_60.change()
    return workspace


def content(workspace: Workspace) -> dict[str, list[dict[str, object]]]:
    """All rows of silver and gold, but when they were read and by which slice."""
    there = {schema: workspace.relations(schema) for schema in ("silver", "gold")}
    return {
        relation: [
            {name: value for name, value in row.items() if name not in {"_read_at", "_slice"}}
            for row in contents(workspace, relation)
        ]
        for schema, names in there.items()
        for relation in sorted(f"{schema}.{name}" for name in names)
    }


def test_tables_are_those_of_a_folder_and_a_file(
    tmp_path: Path, living_org: Emulator, pair: Pair
) -> None:
    here = workspace_of(tmp_path / "file", living_org, {})
    (tmp_path / "cloud").mkdir()
    there = pair.workspace(tmp_path / "cloud", living_org)
    there.catalogue(dict.fromkeys(OBJECTS))
    for _ in range(2):
        assert failures(here) == failures(there) == []
        assert_right(living_org, there)
        live_on(living_org)
    ours, theirs = content(there), content(here)
    assert ours == theirs
    assert len(ours) > 2 * len(OBJECTS)


def test_a_server_that_goes_away_in_the_middle_of_a_run_and_comes_back(
    tmp_path: Path, living_org: Emulator, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = pair.workspace(tmp_path, living_org)
    workspace.catalogue(dict.fromkeys(OBJECTS))
    module = type(workspace.org().warehouse).__module__
    monkeypatch.setattr(f"{module}.LEASE", 1, raising=False)  # of one that has died
    assert failures(workspace) == []
    found: list[str] = []
    for statement in (20, 50, 90):
        live_on(living_org)
        url = workspace.env["SF_ASSETS_WAREHOUSE_URL"]
        with cut_before(statement, url, pair.server, monkeypatch):
            found += failures(workspace)
        assert failures(workspace) == []
        assert_right(living_org, workspace)
    assert found


def test_killed_before_a_write_and_run_again_the_tables_equal_the_org(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = staticmethod(lambda folder: pair.server.new())  # noqa: ARG005
    monkeypatch.setattr(Workspace, "new_warehouse", new)
    env = {**pair.bucket.env, "SF_ASSETS_STORAGE_URL": pair.bucket.url}
    for crash in crashes(KILLS, 20, tmp_path, env):
        assert crash.killed, f"{crash.kill}: there was none"
        assert crash.differences == [], f"killed {crash.kill}"
