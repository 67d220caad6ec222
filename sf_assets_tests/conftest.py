"""What several kinds of test share: an org, and a place where its tables go."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.pipeline.extraction.execute import Extraction, execute
from sf_assets.pipeline.load import Loaded, load
from sf_assets.pipeline.org import Org, load_orgs
from sf_assets.pipeline.planning.plan import Plan, plan_tick
from sf_assets_tests.object_stores import azurite, bucket, faulty_s3, moto, s3
from sf_assets_tests.postgres import postgres_server
from sf_assets_tests.warehouse_servers import (
    SERVERS,
    ServerConnection,
    env_of,
    server_connection,
)

__all__ = ("azurite", "bucket", "faulty_s3", "moto", "postgres_server", "s3")

FAST = Settings(job_seconds=0.0)
_OF_WAREHOUSE: dict[str, str] = {}
"""The environment that leads to what the warehouse of `--warehouse` needs beside itself."""
_SETTINGS = ("SALESFORCE_", "SF_ASSETS_", "DAGSTER_", "AWS_", "GOOGLE_", "AZURE_")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--warehouse postgres`: tests of the pipeline keep their tables there."""
    parser.addoption("--warehouse", choices=("duckdb", *SERVERS), default="duckdb")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests mostly wait for processes of theirs."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def _warehouse_of_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    if (engine := request.config.getoption("--warehouse")) == "duckdb":
        yield
        return
    if why := SERVERS[engine].lacking():
        pytest.skip(why)
    with SERVERS[engine].running() as server:
        Workspace.new_warehouse = staticmethod(lambda folder: server.new())  # noqa: ARG005
        _OF_WAREHOUSE.update(env_of(server))
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no worker is left alone with one in the end."""
    if config.getoption("--warehouse") != "duckdb":
        skip = pytest.mark.skip(reason="is about the file that a DuckDB warehouse is")
        for item in items:
            if item.get_closest_marker("duckdb"):
                item.add_marker(skip)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@cache
def _reader() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@contextmanager
def attached(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB file to be read, which nobody has open: six times faster than to connect to it."""
    connection = _reader()
    connection.execute(f"ATTACH '{path}' AS warehouse (READ_ONLY)")
    try:
        yield connection.execute("USE warehouse")
    finally:
        connection.execute("USE memory")
        connection.execute("DETACH warehouse")


class Workspace:
    """An empty storage and warehouse, a catalogue, and the way to an org.

    Attributes:
        folder: Where all of it is.
        env: The environment that says so.
    """

    new_warehouse = staticmethod(lambda folder: f"duckdb:///{folder}/warehouse.duckdb")
    """Makes the address of an empty warehouse for a folder."""

    def __init__(
        self, folder: Path, org_env: Mapping[str, str], warehouse: str | None = None
    ) -> None:
        self.folder = folder
        self.env = dict(org_env) | {
            "SF_ASSETS_CATALOG": str(folder / "catalog.yaml"),
            "SF_ASSETS_STORAGE_URL": f"file://{folder}/raw",
            "SF_ASSETS_WAREHOUSE_URL": warehouse or self.new_warehouse(folder),
            "SF_ASSETS_LAG_SECONDS": "0",
        }

    def catalogue(self, objects: Mapping[str, Any], **more: Any) -> None:
        """Write the catalogue: objects with what is declared of each."""
        document = {"start": "2026-01-01", **more, "objects": dict(objects)}
        text = yaml.safe_dump(document, sort_keys=False)
        (self.folder / "catalog.yaml").write_text(text, encoding="utf-8")

    def org(self) -> Org:
        """The org, with a login of its own."""
        (org,) = load_orgs(self.env)
        return org

    def tick(self) -> dict[str, Extraction]:
        """One tick of all objects, silver included; what became of each that had work."""
        org = self.org()
        return self.run(org, plan_tick(org, org.catalog.select([])))

    def run(self, org: Org, plan: Plan) -> dict[str, Extraction]:
        """Carry out a plan, and load what it brought."""
        found = {}
        for extracted in execute(org, plan):
            found[extracted.slug] = extracted
            if extracted.error is None:
                self.load(extracted.slug, org)
        return found

    def load(self, slug: str, org: Org | None = None) -> Loaded:
        """Merge an object into silver."""
        org = org or self.org()
        return load(org, org.stored_raw, slug)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        if (server := self._server()) is not None:
            with closing(server):
                return server.execute(query)
        with attached(self.folder / "warehouse.duckdb") as connection:
            return connection.execute(query).fetchall()

    @property
    def longest_text(self) -> int:
        """Bytes that a text may have in the warehouse; longer ones are none there."""
        bound = None
        if (server := self._server()) is not None:
            with closing(server):
                bound = server.capabilities.longest_text
        return sys.maxsize if bound is None else bound

    def columns(self, table: str) -> list[tuple[str, str]]:
        """Columns of a table, in its order, and their types."""
        if (server := self._server()) is not None:
            with closing(server):
                return list(server.types(*table.split(".")).items())
        return [(name, kind) for name, kind, *_ in self.rows(f"DESCRIBE {table}")]

    def relations(self, schema: str) -> list[str]:
        """Names of the tables and views of a schema."""
        if (server := self._server()) is not None:
            with closing(server):
                return list(server.relations(schema))
        found = self.rows(
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'"
        )
        return [name for (name,) in found]

    def change(self, statements: str) -> None:
        """Do something to the warehouse, as its owner may."""
        if (server := self._server()) is not None:
            with closing(server):
                for statement in statements.split(";"):
                    server.execute(statement)
            return
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            connection.execute(statements)

    def _server(self) -> ServerConnection | None:
        """A connection to a warehouse that is no file."""
        return server_connection(self.env["SF_ASSETS_WAREHOUSE_URL"])

    def lose_warehouse(self) -> None:
        """Have an empty one in its place."""
        (self.folder / "warehouse.duckdb").unlink(missing_ok=True)
        self.env["SF_ASSETS_WAREHOUSE_URL"] = self.new_warehouse(self.folder)


@pytest.fixture(autouse=True)
def _nobody_elses_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests run in an empty folder and never see the settings of whoever runs them."""
    import os

    for name in os.environ:
        if name.startswith(_SETTINGS):
            monkeypatch.delenv(name)
    for name, value in _OF_WAREHOUSE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def company() -> Iterator[Emulator]:
    """A small company's org that nobody changes."""
    with Emulator(scale=0.1, seed=7, settings=FAST) as org:
        yield org


@pytest.fixture
def living_org() -> Iterator[Emulator]:
    """A tiny company's org of one's own, to change at will."""
    with Emulator(scale=0.02, seed=11, settings=FAST) as org:
        yield org


@pytest.fixture
def workspace(tmp_path: Path, company: Emulator) -> Workspace:
    """A workspace on the org that nobody changes."""
    return Workspace(tmp_path, company.environment)


@pytest.fixture
def own_workspace(tmp_path: Path, living_org: Emulator) -> Workspace:
    """A workspace on an org of one's own."""
    return Workspace(tmp_path, living_org.environment)
