"""The servers that warehouses of the tests are kept by, by engine."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any, Protocol

import pytest

from sf_assets.warehouse.engines import engine_of
from sf_assets.warehouse.sql.connection import Connection
from sf_assets_tests import bigquery, postgres, redshift, snowflake

SERVERS: dict[str, ModuleType] = {
    "postgres": postgres,
    "snowflake": snowflake,
    "redshift": redshift,
    "bigquery": bigquery,
}
"""Each says what it lacks on this machine (`lacking`), and runs (`running`)."""

cuts = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
"""Marks tests among which some cut: threads of Snowflake's connector fail then, and later."""


class ServerConnection(Connection, Protocol):
    """A connection to a server."""

    def close(self) -> None:
        """End it."""

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement in the server's own SQL."""


class Server(Protocol):
    """A running server."""

    def new(self) -> str:
        """Address of a new database."""

    def cut(self, connection: ServerConnection) -> None:
        """End in the middle what a connection needs."""

    def mend(self) -> None:
        """Have it there again."""


def env_of(server: Server) -> Mapping[str, str]:
    """The environment in which programs reach what a server needs beside itself."""
    found: Mapping[str, str] = getattr(server, "env", {})
    return found


def running(engine: str) -> AbstractContextManager[Server]:
    """A server of an engine, until the block ends."""
    found: AbstractContextManager[Server] = SERVERS[engine].running()
    return found


def server_connection(url: str) -> ServerConnection | None:
    """A connection to a server; None where the address is of a file."""
    match engine_of(url):
        case "postgres":
            from sf_assets.warehouse.postgres.connection import PostgresConnection

            return PostgresConnection(url)
        case "snowflake":
            from sf_assets.warehouse.snowflake.address import parameters
            from sf_assets.warehouse.snowflake.connection import SnowflakeConnection

            return SnowflakeConnection(parameters(url))
        case "redshift":
            from sf_assets.warehouse.redshift.address import read_address
            from sf_assets.warehouse.redshift.connection import RedshiftConnection

            return RedshiftConnection(read_address(url).parameters)
        case "bigquery":
            from sf_assets.warehouse.bigquery.address import parsed
            from sf_assets.warehouse.bigquery.connection import BigQueryConnection

            return BigQueryConnection(parsed(url))
    return None


@contextmanager
def cut_before(
    statement: int, url: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Have a server go away before so many statements of the block's."""
    connection = server_connection(url)
    assert connection
    connection.close()
    kind, left = type(connection), statement
    run = kind.run

    def counting(connection: ServerConnection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        nonlocal left
        left -= 1
        if left == 0:
            server.cut(connection)
        return run(connection, sql, *values)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "run", counting)
        yield
    assert left <= 0, "it was in the middle"
    server.mend()
