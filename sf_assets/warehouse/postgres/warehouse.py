"""The warehouse that is a PostgreSQL database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pyarrow as pa

from sf_assets.addresses import shown
from sf_assets.errors import ConfigError, WarehouseError
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.postgres.connection import PostgresConnection
from sf_assets.warehouse.postgres.refusals import code, refusal
from sf_assets.warehouse.sql import ops, server

_FOR_ALL_ROWS = "10s"
"""For how long a table is waited for that is to be written anew."""

_CONNECT_SECONDS = 10
"""For which a server that does not answer is waited for, unless the address says otherwise."""

_OPS = "sf_assets.ops"
"""What the lock is called under which `ops` is brought up; an org's is called by its Id."""


class PostgresWarehouse(server.ServerWarehouse[PostgresConnection]):
    """Silver, gold and `ops` in schemas of a PostgreSQL database.

    Args:
        url: `postgresql://user:password@host:port/database`, with libpq's parameters, such as
            `?sslmode=require`; what it does not say, libpq takes from its own variables and files.

    Raises:
        ConfigError: The URL names no database.
    """

    engine = "postgres"
    questions = frozenset({"(", "EXPLAIN", "SELECT", "SHOW", "TABLE", "VALUES", "WITH"})
    """That there is one alone, the server sees to."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = shown(url)
        if not parts.path.strip("/"):
            raise ConfigError(
                f"SF_ASSETS_WAREHOUSE_URL is {self.url!r}; it must name the database, as in "
                "postgresql://user:password@host:5432/database"
            )
        apart = "&" if parts.query else "?"
        patient = "connect_timeout" in parts.query
        self._url = url if patient else f"{url}{apart}connect_timeout={_CONNECT_SECONDS}"

    def check_writing(self) -> None:
        """Make sure that schemas and tables may be made.

        Raises:
            WarehouseError: They may not.
        """
        with self._opened() as connection:
            ((may, database, user),) = connection.run(
                "SELECT has_database_privilege(current_database(), 'CREATE'), current_database(), "
                "current_user"
            )
            if not may and "orgs" not in connection.tables("ops"):
                raise WarehouseError(
                    f"{user} may make no schemas in the database {database}; let its owner run: "
                    f"GRANT CREATE, TEMPORARY ON DATABASE {quoted(database)} TO {quoted(user)}"
                )

    def check(self) -> None:
        """Read everything there is.

        Raises:
            WarehouseError: Something cannot be read.
        """
        with self._opened() as connection:
            for schema, table in connection.run(
                "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n "
                "ON n.oid = relnamespace WHERE relkind = 'r' AND (nspname IN ('ops', 'silver', "
                "'gold', 'restricted') OR nspname LIKE 'silver\\_%' OR nspname LIKE 'gold\\_%' "
                "OR nspname LIKE 'restricted\\_%')"
            ):
                table_name = quoted(schema, table)
                connection.run(f"SELECT sum(hashtextextended(t::text, 0)) FROM {table_name} t")

    def _connect(self) -> PostgresConnection:
        return PostgresConnection(self._url)

    def _unreachable(self, error: Exception) -> str | None:
        """What libpq says of a server that it cannot reach, which holds no value of a record."""
        if not isinstance(error, PostgresConnection.error):
            return None
        if code(error):
            return refusal(error)
        return shown(" ".join(str(error).rpartition("[libpq]")[2].split()))[:300]

    def _bring_up(self, connection: PostgresConnection, *, wait: bool) -> None:
        if not ops.is_current(connection):
            with self._locked(connection, _OPS, wait=wait), connection.transaction():
                ops.bring_up(connection)

    @contextmanager
    def _locked(self, connection: PostgresConnection, org_id: str, *, wait: bool) -> Iterator[None]:
        """Keep others from writing; the lock is held until the connection ends, as a file's is."""
        deadline = time.monotonic() + (server.PATIENCE if wait else 0)
        ask = f"SELECT pg_try_advisory_lock(hashtextextended({text_literal(org_id)}, 0))"
        while connection.run(ask) != [(True,)]:
            if time.monotonic() > deadline:
                raise self._held()
            time.sleep(0.2)
        yield

    def _answer(self, connection: PostgresConnection, sql: str) -> pa.Table:
        with connection.transaction():
            connection.run("SET TRANSACTION READ ONLY")
            return connection.answer(sql)
