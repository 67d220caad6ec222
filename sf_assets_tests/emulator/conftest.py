"""Orgs to test against."""

import time
from collections.abc import Iterator

import pytest
import requests

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings


class Api:
    """A plain HTTP client of an org, logged in."""

    def __init__(self, emulator: Emulator, version: str = "66.0") -> None:
        self.emulator = emulator
        self.http = requests.Session()
        self.base = f"{emulator.url}/services/data/v{version}"
        self.http.headers["Authorization"] = f"Bearer {self.token()}"

    def token(self) -> str:
        """A new access token."""
        environment = self.emulator.environment
        form = {
            "grant_type": "client_credentials",
            "client_id": environment["SALESFORCE_CLIENT_ID"],
            "client_secret": environment["SALESFORCE_CLIENT_SECRET"],
        }
        answer = requests.post(f"{self.emulator.url}/services/oauth2/token", form, timeout=10)
        return str(answer.json()["access_token"])

    def __call__(self, method: str, path: str, **more: object) -> requests.Response:
        """One request for a resource."""
        return self.http.request(method, self.base + path, timeout=30, **more)  # type: ignore[arg-type]

    def create(self, object_name: str, **values: object) -> str:
        """A new record's Id."""
        answer = self("POST", f"/sobjects/{object_name}", json=values)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def job(self, soql: str, operation: str = "query", **more: object) -> str:
        """Id of a Bulk job that is over."""
        body = {"operation": operation, "query": soql, **more}
        answer = self("POST", "/jobs/query", json=body)
        assert answer.status_code == 200, answer.text
        job_id = str(answer.json()["id"])
        while self("GET", f"/jobs/query/{job_id}").json()["state"] in (
            "UploadComplete",
            "InProgress",
        ):
            time.sleep(0.01)
        return job_id

    def query(self, soql: str, resource: str = "query") -> list[dict[str, object]]:
        """All records of a query."""
        document = self("GET", f"/{resource}", params={"q": soql}).json()
        records = document["records"]
        while not document["done"]:
            url = document["nextRecordsUrl"].partition("/services/data/v66.0")[2]
            document = self("GET", url).json()
            records += document["records"]
        return list(records)


@pytest.fixture(scope="session")
def schema() -> Schema:
    """The standard objects."""
    return standard_schema()


@pytest.fixture(scope="module")
def emulator(schema: Schema) -> Iterator[Emulator]:
    """An org that begins without records; the tests of a module share it."""
    settings = Settings(job_seconds=0.02, page_rows=1000)
    with Emulator(schema=schema, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def api(emulator: Emulator) -> Iterator[Api]:
    """A client of that org."""
    client = Api(emulator)
    yield client
    client.http.close()


@pytest.fixture(scope="session")
def demo() -> Iterator[Emulator]:
    """A small org full of records, which tests only read."""
    settings = Settings(job_seconds=0.02, page_rows=100)
    with Emulator(scale=0.1, seed=7, settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def demo_api(demo: Emulator) -> Iterator[Api]:
    """A client of the org full of records."""
    client = Api(demo)
    yield client
    client.http.close()
