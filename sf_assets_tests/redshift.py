"""A Redshift of the tests' own: PostgreSQL behind a proxy, and an S3 in memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from sf_assets.warehouse.postgres.connection import PostgresConnection
from sf_assets_tests import postgres
from sf_assets_tests.object_stores import Bucket, Moto
from sf_assets_tests.redshift_proxy import PASSWORD, RedshiftProxy
from sf_assets_tests.redshift_sql import SET_UP


def lacking() -> str:
    """What is not there to be had; empty where all is."""
    if find_spec("redshift_connector") is None:
        return "Redshift's connector is not installed (pip install 'sf-assets[redshift]')"
    if find_spec("moto") is None:
        return "moto is not installed; `make setup` does"
    return postgres.lacking()


class RedshiftServer:
    """A running server.

    Args:
        behind: The PostgreSQL.
        bucket: Where files are staged.

    Attributes:
        proxy: What stands before the PostgreSQL.
    """

    def __init__(self, behind: postgres.PostgresServer, bucket: Bucket) -> None:
        self._behind = behind
        self.bucket = bucket
        key, secret = (bucket.env[f"AWS_{n}"] for n in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        socket = behind.folder / ".s.PGSQL.5432"
        self.proxy = RedshiftProxy(socket, (bucket.server, key, secret))

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that leads to the S3."""
        return self.bucket.env

    def url(self, database: str, *, staging: bool = True) -> str:
        """Address of a database."""
        where = f"redshift://tester:{PASSWORD}@127.0.0.1:{self.proxy.port}/{database}?ssl=false"
        role = "iam_role=arn:aws:iam::123456789012:role/loader"
        return f"{where}&staging={self.bucket.url}/staging&{role}" if staging else where

    def new(self) -> str:
        """Address of a new database."""
        return self.url(self.new_database())

    def new_database(self) -> str:
        """Name of a new database."""
        address = self._behind.new()
        connection = PostgresConnection(address)
        for statement in SET_UP.split(";\n"):
            if statement.strip():
                connection.run(statement)
        connection.close()
        return address.partition("///")[2].partition("?")[0]

    def cut(self, _: object) -> None:
        """End in the middle what a connection needs: the server."""
        self._behind.kill()

    def mend(self) -> None:
        """Have it there again."""
        self._behind.start()


@contextmanager
def running() -> Iterator[RedshiftServer]:
    """A server, until the block ends.

    Raises:
        FileNotFoundError: There is none on this machine.
    """
    if why := lacking():
        raise FileNotFoundError(why)
    with postgres.running() as behind, Moto() as moto:
        server = RedshiftServer(behind, moto.bucket("s3"))
        try:
            yield server
        finally:
            server.proxy.stop()
