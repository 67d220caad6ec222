"""A BigQuery of the tests' own: bqemulator, in an environment that `make test-bigquery` makes."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sf_assets.warehouse.bigquery.connection import BigQueryConnection

PYTHON = Path(
    os.environ.get("BQEMULATOR_PYTHON")
    or Path(__file__).parents[1] / ".clouds" / "bqemulator" / "bin" / "python"
)
"""Of the environment that has bqemulator, which wants other releases than the project has."""

_PROGRAM = Path(__file__).with_name("bqemulator_process.py")


def lacking() -> str:
    """What is not there to be had; empty where all is."""
    return "" if PYTHON.exists() else "bqemulator is not installed; `make test-bigquery` does"


class BigQueryServer:
    """A running server.

    Args:
        port: Its port.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = itertools.count(1)

    def url(self, project: str) -> str:
        """Address of a project."""
        return f"bigquery://{project}?endpoint=http://127.0.0.1:{self._port}"

    def new(self) -> str:
        """Address of a new project."""
        return self.url(f"w{os.getpid()}-{next(self._numbers)}")

    def cut(self, connection: BigQueryConnection) -> None:
        """End in the middle what a connection needs: its session."""
        connection.service.abort(connection.service.session)

    def mend(self) -> None:
        """Do nothing: the next session is another one."""


@contextmanager
def running() -> Iterator[BigQueryServer]:
    """A server, until the block ends.

    Raises:
        FileNotFoundError: There is none on this machine.
    """
    if why := lacking():
        raise FileNotFoundError(why)
    command = [str(PYTHON), "-I", str(_PROGRAM)]
    with subprocess.Popen(  # noqa: S603 (a program of our own choice)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:  # ends when its standard input is closed
        assert process.stdout
        port = next(line for line in process.stdout if line.strip().isdigit())
        yield BigQueryServer(int(port))
