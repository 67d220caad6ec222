"""The object stores that tests run on: real servers, each on a free port of this machine.

`bucket` gives a new, empty bucket or folder on each of them in turn; `s3` one on S3 alone. What is
not installed is skipped, with the reason.
"""

import base64
import hashlib
import hmac
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest
import requests

from sf_assets.storage.bucket import Access
from sf_assets.storage.store import Store
from sf_assets_tests.salesforce.scripted import Answer, Heard, Reply, ScriptedServer

KINDS = ("file", "s3", "gs", "az")
AZURITE = Path(__file__).parents[1] / ".clouds" / "node_modules" / ".bin" / "azurite-blob"
"""Where `make test-clouds` installs it."""

_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Azurite's own, the same everywhere."""

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Bucket:
    """An empty bucket, or folder.

    Attributes:
        url: Its address.
        env: The environment that leads there.
        server: Address of the service; empty for a folder.
    """

    url: str
    env: Mapping[str, str] = field(default_factory=dict)
    server: str = ""

    @property
    def kind(self) -> str:
        """Such as `s3`."""
        return urlsplit(self.url).scheme

    @property
    def name(self) -> str:
        """The bucket alone."""
        return urlsplit(self.url).netloc

    def store(self) -> Store:
        """The storage at its address, as the environment has it."""
        return Store(self.url, Access(variables=self.env))


class Moto:
    """S3 and Google Cloud Storage in memory, for as long as it is entered.

    Attributes:
        s3: Address of S3.
        gs: Address of Google Cloud Storage.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-m", "sf_assets_tests.moto_process"]
        self._process = subprocess.Popen(  # noqa: S603 (our own program)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        ports = json.loads(self._out.readline())
        self.s3, self.gs = (f"http://127.0.0.1:{ports[kind]}" for kind in ("s3", "gs"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self._process.wait(10)
        self._out.close()

    def bucket(self, kind: str) -> Bucket:
        """A new bucket, on `s3` or `gs`."""
        name = _new_name()
        requests.put(f"{self.s3}/{name}", timeout=10).raise_for_status()
        url = f"{kind}://{name}/lake"
        if kind == "s3":
            return Bucket(url, s3_env(self.s3), self.s3)
        key = {"gcs_base_url": self.gs, "disable_oauth": True}
        key |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        env = {"GOOGLE_BASE_URL": self.gs, "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key)}
        return Bucket(url, env, self.gs)

    def fill(self, bucket: Bucket, folder: str, count: int) -> None:
        """Put so many empty objects into a bucket's folder, faster than through the door."""
        print(json.dumps([bucket.name, f"lake/{folder}", count]), file=self._in, flush=True)
        assert self._out.readline() == "filled\n"


def s3_env(endpoint: str) -> dict[str, str]:
    """The environment that leads to an S3 of our own."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
    }


class FaultyS3(ScriptedServer):
    """Stands before an S3, and passes on what it is not told to fail.

    Args:
        behind: A bucket there.

    Attributes:
        bucket: The same bucket, by way of here.
    """

    def __init__(self, behind: Bucket) -> None:
        super().__init__()
        self._behind = behind.server
        self.bucket = Bucket(behind.url, dict(behind.env) | s3_env(self.url), self.url)
        self.fail_all(self.passed_on)

    def fail(self, methods: str, *answers: Answer, path: str = ".*") -> None:
        """Give these answers to the next requests of these methods, and pass on those after."""
        for method in methods.split():
            self.on(method, path, *answers, self.passed_on)

    def fail_all(self, answer: Answer) -> None:
        """Give one answer to all requests from now on."""
        for method in _METHODS:
            self.on(method, ".*", answer)

    def passed_on(self, request: Heard) -> Reply:
        """What the S3 says."""
        headers = {n: v for n, v in request.headers.items() if n not in _OF_CONNECTION}
        said = requests.request(
            request.method,
            self._behind + request.target,
            headers=headers,
            data=request.body,
            timeout=30,
        )
        told = {n: v for n, v in said.headers.items() if n.lower() not in _OF_CONNECTION}
        return Reply(
            said.status_code, said.content, told, length=int(said.headers["content-length"])
        )


_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
_OF_CONNECTION = {"connection", "content-length", "date", "host", "transfer-encoding"}


@contextmanager
def _azurite() -> Iterator[str]:
    """Azure Blob Storage in memory; gives its address."""
    program = str(AZURITE) if AZURITE.exists() else shutil.which("azurite-blob")
    if program is None or shutil.which("node") is None:
        pytest.skip("Azurite is not installed; `make test-clouds` does")
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    options += ["--blobPort", "0"]
    process = subprocess.Popen(  # noqa: S603 (a program of our own choice)
        [program, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout
        for line in process.stdout:
            if "listens on " in line or "listening on " in line:
                yield f"{line.rpartition(' ')[2].strip()}/{_ACCOUNT}"
                break
    finally:
        process.terminate()
        process.communicate()


def _container(server: str) -> Bucket:
    """A new container of Azurite."""
    name = _new_name()
    date, version = formatdate(usegmt=True), "2021-08-06"
    path = f"/{_ACCOUNT}{urlsplit(server).path}/{name}\nrestype:container"
    to_sign = f"PUT{12 * chr(10)}x-ms-date:{date}\nx-ms-version:{version}\n{path}"
    key = base64.b64decode(_ACCOUNT_KEY)
    signed = base64.b64encode(hmac.new(key, to_sign.encode(), hashlib.sha256).digest()).decode()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {_ACCOUNT}:{signed}",
    }
    done = requests.put(f"{server}/{name}?restype=container", headers=headers, timeout=10)
    done.raise_for_status()
    text = f"AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};BlobEndpoint={server};"
    env = {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{text}"}
    return Bucket(f"az://{name}/lake", env, server)


def _new_name() -> str:
    return f"bucket{os.getpid()}n{next(_NUMBERS)}"  # Google's client spells "-" as moto does not


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """The server of S3 and Google Cloud Storage."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed; `make setup` does")
    with Moto() as server:
        yield server


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """Address of the server of Azure Blob Storage."""
    with _azurite() as address:
        yield address


@pytest.fixture
def s3(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket on S3, which the environment leads to."""
    return _entered(moto.bucket("s3"), monkeypatch)


@pytest.fixture
def faulty_s3(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """An empty bucket on an S3 that can be told to fail, which the environment leads to."""
    with FaultyS3(s3) as server:
        _entered(server.bucket, monkeypatch)
        yield server


@pytest.fixture(params=KINDS)
def bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bucket:
    """An empty folder or bucket on each kind of storage, which the environment leads to."""
    if request.param == "file":
        return Bucket(f"file://{tmp_path}/lake")
    return new_bucket(request.param, request, monkeypatch)


def new_bucket(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Bucket:
    """An empty bucket on `s3`, `gs` or `az`, which the environment leads to."""
    if kind == "az":
        return _entered(_container(request.getfixturevalue("azurite")), monkeypatch)
    return _entered(request.getfixturevalue("moto").bucket(kind), monkeypatch)


def _entered(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    return bucket


def all_asks(store: Store) -> tuple[Callable[[], object], ...]:
    """All that can be asked of a storage."""
    return (
        lambda: store.put("a/b", b"x"),
        lambda: store.create("a/b", b"x"),
        lambda: store.replace("a/b", b"x", "1"),
        lambda: store.get("a/b"),
        lambda: list(store.list("a")),
        lambda: store.delete(["a/b"]),
    )
