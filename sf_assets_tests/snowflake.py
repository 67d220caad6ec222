"""A Snowflake of the tests' own: fakesnow, in an environment that `make test-snowflake` makes."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

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


class Closing(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """End it."""


class SnowflakeServer:
    """A running server.

    Args:
        port: Its port.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        """Address of a database."""
        where = f"host=127.0.0.1&port={self._port}&protocol=http&network_timeout=5"
        return f"snowflake://tester:secret@fakesnow/{database}?warehouse=wh&role=loader&{where}"

    def new(self) -> str:
        """Address of a new database."""
        return self.url(f"W{os.getpid()}_{next(self._numbers)}")

    def cut(self, connection: Closing) -> None:
        """End in the middle what a connection needs: its session."""
        connection.close()

    def mend(self) -> None:
        """Do nothing: the next session is another one."""


@contextmanager
def running() -> Iterator[SnowflakeServer]:
    """A server, until the block ends.

    Raises:
        FileNotFoundError: There is none on this machine.
    """
    if why := lacking():
        raise FileNotFoundError(why)
    command = [str(PYTHON), "-I", str(_PROGRAM)]
    with subprocess.Popen(  # noqa: S603 (a program of our own choice)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:  # ends when its standard input is closed
        assert process.stdout
        yield SnowflakeServer(int(process.stdout.readline()))
