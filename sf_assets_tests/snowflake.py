"""A Snowflake of the tests' own: fakesnow, in an environment that `make test-snowflake` makes."""

import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

PYTHON = Path(
    os.environ.get("FAKESNOW_PYTHON")
    or Path(__file__).parents[1] / ".clouds" / "fakesnow" / "bin" / "python"
)
"""Of the environment that has fakesnow, which wants other releases than the project has."""

_PROGRAM = Path(__file__).with_name("fakesnow_process.py")


def lacking() -> str:
    """What is not there to be had; empty where all is."""
    if find_spec("snowflake") is None:
        return "Snowflake's connector is not installed (pip install 'sf-assets[snowflake]')"
    return "" if PYTHON.exists() else "fakesnow is not installed; `make test-snowflake` does"


class SnowflakeServer:
    """A running server.

    Args:
        folder: Where its databases are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        """Address of a database."""
        where = f"host=127.0.0.1&port={self._port}&protocol=http&network_timeout=5"
        return f"snowflake://tester:secret@fakesnow/{database}?warehouse=wh&role=loader&{where}"

    def new(self) -> str:
        """Address of a new database."""
        return self.url(f"W{os.getpid()}_{next(self._numbers)}")

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        command = [str(PYTHON), "-I", str(_PROGRAM), str(self._folder), str(self._port)]
        self._process = subprocess.Popen(  # noqa: S603 (a program of our own choice)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # ends when its standard input is closed
        assert self._process.stdout
        self._port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.communicate()

    def cut(self, _: object) -> None:
        """End in the middle what a connection needs: the server."""
        self.kill()

    def mend(self) -> None:
        """Have it there again, with what was committed."""
        self.kill()
        self.start()


@contextmanager
def running() -> Iterator[SnowflakeServer]:
    """A server, until the block ends.

    Raises:
        FileNotFoundError: There is none on this machine.
    """
    if why := lacking():
        raise FileNotFoundError(why)
    with tempfile.TemporaryDirectory(prefix="sf_assets_") as folder:
        server = SnowflakeServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()
