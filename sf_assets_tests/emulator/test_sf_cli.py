"""Salesforce's own command line against this org.

Opt-in: set `SF_CLI` to the `sf` executable of the npm package `@salesforce/cli`, which needs
Node.js 22 or newer; `node` is looked for beside `sf` first, then on the path. The tool keeps
its settings in a home folder of its own, which is thrown away. Nothing leaves the machine:
telemetry and updates are off.
"""

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api

SF = os.environ.get("SF_CLI", "")

pytestmark = [
    pytest.mark.optin,
    pytest.mark.skipif(not SF, reason="SF_CLI does not name the sf executable"),
]

Sf = Callable[..., Any]


@pytest.fixture(scope="module")
def org() -> Iterator[Emulator]:
    with Emulator(scale=0.2, settings=Settings(page_rows=100)) as running:
        yield running


@pytest.fixture(scope="module")
def sf(org: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Sf:
    """Runs the tool, logged in by an access token, and gives its JSON result."""
    home = tmp_path_factory.mktemp("home")
    beside = str(Path(SF).parent)
    environment = {
        **os.environ,
        "HOME": str(home),
        "PATH": beside + os.pathsep + os.environ["PATH"],
        "SF_ACCESS_TOKEN": Api(org).token(),
        "SF_AUTOUPDATE_DISABLE": "true",
        "SF_DISABLE_TELEMETRY": "true",
    }
    node = shutil.which("node", path=environment["PATH"])
    assert node is not None

    def run(*arguments: str) -> Any:
        done = subprocess.run(  # noqa: S603  the program that the tester named
            [node, SF, *arguments, "--json"],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["result"]

    login = ("--instance-url", org.url, "--no-prompt", "--set-default")
    found = run("org", "login", "access-token", *login)
    assert found["orgId"] == org.org.id
    return run


def test_the_org_is_connected(sf: Sf, org: Emulator) -> None:
    found = sf("org", "display")
    assert (found["connectedStatus"], found["id"]) == ("Connected", org.org.id)


def test_queries(sf: Sf, org: Emulator) -> None:
    soql = "SELECT Id, Name, Owner.Name, (SELECT LastName FROM Contacts) FROM Account"
    found = sf("data", "query", "--query", soql)
    count = sf("data", "query", "--query", "SELECT COUNT() FROM Account")
    assert found["totalSize"] == len(found["records"]) == count["totalSize"]
    assert found["records"][0]["Owner"]["Name"]
    assert org


def test_limits(sf: Sf) -> None:
    limits = {limit["name"]: limit for limit in sf("org", "list", "limits")}
    assert limits["DailyApiRequests"]["remaining"] < limits["DailyApiRequests"]["max"]


def test_records(sf: Sf) -> None:
    created = sf("data", "create", "record", "--sobject", "Account", "--values", "Name=Shell")
    where = ("--sobject", "Account", "--record-id", created["id"])
    sf("data", "update", "record", *where, "--values", "Site=Ulm")
    assert sf("data", "get", "record", *where)["Site"] == "Ulm"
    sf("data", "delete", "record", *where)


def test_a_bulk_export_over_several_pages(sf: Sf, org: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "leads.csv"
    soql = "SELECT Id, LastName, Description, Owner.Name FROM Lead"
    target = ("--output-file", str(file), "--result-format", "csv")
    found = sf("data", "export", "bulk", "--query", soql, "--wait", "5", "--all-rows", *target)
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text))
    stored = org.store.table("Lead").read_all().column("Id").to_pylist()
    assert found["totalSize"] == len(stored) > 3 * 100
    assert rows[0] == ["Id", "LastName", "Description", "Owner.Name"]
    assert sorted(row[0] for row in rows[1:]) == sorted(stored)


def test_a_tree_of_records(sf: Sf, tmp_path: Path) -> None:
    def leaf(kind: str, reference: str, **values: Any) -> dict[str, Any]:
        return {"attributes": {"type": kind, "referenceId": reference}, **values}

    contacts = {"records": [leaf("Contact", "c", LastName="Leaf")]}
    file = tmp_path / "tree.json"
    file.write_text(json.dumps({"records": [leaf("Account", "a", Name="Stem", Contacts=contacts)]}))
    found = sf("data", "import", "tree", "--files", str(file))
    assert [row["refId"] for row in found] == ["a", "c"]


def test_jwt_login(sf: Sf, org: Emulator, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = tmp_path / "key.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    credentials = org.settings.credentials
    found = sf(
        "org", "login", "jwt", "--username", credentials.username, "--jwt-key-file", str(file),
        "--client-id", credentials.client_id, "--instance-url", org.url,
    )  # fmt: skip
    assert found["orgId"] == org.org.id
