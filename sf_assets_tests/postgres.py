"""A PostgreSQL server of the tests' own, in a temporary folder, without a network."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sf_assets.warehouse.postgres.connection import PostgresConnection

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`; None where there is no server to be had."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return Path(path).resolve().parent if path else None


def lacking() -> str:
    """What is not there to be had; empty where all is."""
    return "" if binaries() else "no PostgreSQL server on this machine (Debian: postgresql)"


class PostgresServer:
    """A running server.

    Args:
        folder: Where its files and its socket are.
        programs: The folder of its programs.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """Address of a database."""
        return f"postgresql:///{database}?host={self.folder}&user=postgres"

    def new(self) -> str:
        """Address of a new database."""
        name = f"w{os.getpid()}_{next(self._numbers)}"
        connection = PostgresConnection(self.url())
        connection.run(f"CREATE DATABASE {name} TEMPLATE template0")
        connection.close()
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [part for name, value in _FAST.items() for part in ("-c", f"{name}={value}")]
        where = ["-D", str(self.folder / "data"), "-k", str(self.folder), "-h", ""]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (the system's own program)
                [str(self._programs / "postgres"), *where, *settings],
                stdout=log, stderr=log, user=_user(),
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                PostgresConnection(self.url()).close()
            except PostgresConnection.error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def cut(self, _: object) -> None:
        """End in the middle what a connection needs: the server."""
        self.kill()

    def mend(self) -> None:
        """Have it there again."""
        self.start()


def _user() -> str | None:
    """Whom the server runs as: it refuses to be root's."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def running() -> Iterator[PostgresServer]:
    """A server, until the block ends.

    Raises:
        FileNotFoundError: There is none on this machine.
    """
    programs = binaries()
    if programs is None:
        raise FileNotFoundError("no PostgreSQL server on this machine (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    folder.chmod(0o700)
    if (user := _user()) is not None:
        shutil.chown(folder, user)
    server = PostgresServer(folder, programs)
    try:
        subprocess.run(  # noqa: S603 (the system's own program)
            [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--locale=C", "-N"],
            check=True, capture_output=True, user=user, cwd=folder,
        )  # fmt: skip
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server of the tests' own."""
    if binaries() is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: postgresql)")
    with running() as server:
        yield server
