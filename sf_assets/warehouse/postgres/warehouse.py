"""The warehouse that is a PostgreSQL database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import sqlglot

from sf_assets.addresses import shown
from sf_assets.errors import (
    ConfigError,
    WarehouseError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.postgres.connection import PostgresConnection
from sf_assets.warehouse.postgres.refusals import code, refusal
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.session import Session

PATIENCE = 60.0
"""Seconds for which a process waits for another that writes the same org's tables."""

_FOR_ALL_ROWS = "10s"
"""For how long a table is waited for that is to be written anew."""

_SCHEMAS = ("silver", "gold", "restricted")
"""How the names begin of schemas that are ours."""

_QUESTIONS = frozenset({"(", "EXPLAIN", "SELECT", "SHOW", "TABLE", "VALUES", "WITH"})
"""What a question begins with. That there is one alone, the server sees to."""

_CONNECT_SECONDS = 10
"""For which a server that does not answer is waited for, unless the address says otherwise."""

_OPS = "sf_assets.ops"
"""What the lock is called under which `ops` is brought up; an org's is called by its Id."""


class PostgresWarehouse:
    """Silver, gold and `ops` in schemas of a PostgreSQL database.

    Args:
        url: `postgresql://user:password@host:port/database`, with libpq's parameters, such as
            `?sslmode=require`; what it does not say, libpq takes from its own variables and files.

    Raises:
        ConfigError: The URL names no database.
    """

    engine = "postgres"

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

    def __str__(self) -> str:
        return self.url

    def exists(self) -> bool:
        """Whether anything was ever written."""
        with self._opened() as connection:
            return "orgs" in connection.tables("ops")

    @contextmanager
    def reading(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for reading; see `port.Warehouse`."""
        with self._opened() as connection:
            self._bring_up(connection, wait)
            if not ops.is_claimed(connection, org_id, name):
                with self.writing(org_id, name, wait=wait):
                    pass  # its name is new: what is noted is of other tables
            yield Session(connection, partial(self._explained, connection), org_id, name)

    @contextmanager
    def writing(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for writing, claimed for an org; see `port.Warehouse`."""
        with self._opened() as connection:
            self._bring_up(connection, wait)
            self._lock(connection, org_id, wait)
            ops.claim(connection, org_id, name, self.url)
            yield Session(connection, partial(self._explained, connection), org_id, name)

    def query(self, sql: str) -> pa.Table:
        """All rows that answer a question in PostgreSQL's SQL, as Arrow; nothing is changed.

        Raises:
            WarehouseError: It cannot be reached, refuses the question, or this is none.
        """
        words = sqlglot.tokenize(sql, dialect="postgres")
        if not words or words[0].text.upper() not in _QUESTIONS:
            raise WarehouseError(
                f"query() only reads, and takes one question: {', '.join(sorted(_QUESTIONS))}; to "
                "change the warehouse, connect to it by another client"
            )
        with self._opened() as connection, connection.transaction():
            connection.run("SET TRANSACTION READ ONLY")
            return connection.answer(sql)

    def publish(self) -> None:
        """Free files of removed rows where that is noted; readers see what is committed anyway.

        Where somebody keeps a table open for long, that is left to the next time.
        """
        if not self.exists():
            return
        with self._opened() as connection:
            if not ops.is_current(connection) or not ops.has_leftovers(connection):
                return
            connection.run(f"SET lock_timeout = '{_FOR_ALL_ROWS}'")
            with suppress(PostgresConnection.error):
                for schema, table in connection.everything():
                    if schema == "ops" or schema.startswith(_SCHEMAS):
                        connection.run(f"VACUUM FULL {quoted(schema, table)}")
                connection.execute("DELETE FROM ops.leftovers")

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

    def quarantined(self) -> list[Path]:
        """Nothing: a database is not put aside."""
        return []

    def stale_copies(self) -> list[Path]:
        """None: no copies are made of it."""
        return []

    def remove_stale_copies(self) -> list[Path]:
        """None: no copies are made of it."""
        return []

    def quarantine(self) -> Path:
        """Refuse to put a database aside, which is its administrator's to do.

        Raises:
            WarehouseError: Always.
        """
        raise WarehouseError(
            f"the warehouse {self.url} is damaged; restore it, or drop its schemas ops, silver and "
            "gold, and run `sf-assets rebuild`"
        )

    def _bring_up(self, connection: PostgresConnection, wait: bool) -> None:
        if not ops.is_current(connection):
            self._lock(connection, _OPS, wait)
            with connection.transaction():
                ops.bring_up(connection)

    def _lock(self, connection: PostgresConnection, what: str, wait: bool) -> None:
        """Keep others from writing until the connection ends, as a file would."""
        deadline = time.monotonic() + (PATIENCE if wait else 0)
        ask = f"SELECT pg_try_advisory_lock(hashtextextended({text_literal(what)}, 0))"
        while connection.run(ask) != [(True,)]:
            if time.monotonic() > deadline:
                raise WarehouseLockedError(
                    f"another program writes to the warehouse {self.url}; run again when it has "
                    "ended, raw is kept"
                )
            time.sleep(0.2)

    @contextmanager
    def _opened(self) -> Iterator[PostgresConnection]:
        try:
            connection = PostgresConnection(self._url)
        except PostgresConnection.error as error:
            raise WarehouseUnreachableError(
                f"the warehouse {self.url} cannot be reached: {_unreachable(error)}; check "
                "SF_ASSETS_WAREHOUSE_URL, and that the server runs and lets you in"
            ) from None
        try:
            with self._explained(connection):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def _explained(self, connection: PostgresConnection) -> Iterator[None]:
        try:
            yield
        except PostgresConnection.error as error:
            raise WarehouseError(
                f"the warehouse {self.url} refused: {connection.refusal(error)}; nothing half done "
                "was kept, the tables are as they were last committed"
            ) from None


def _unreachable(error: Exception) -> str:
    """What libpq says of a server that it cannot reach, which holds no value of a record."""
    if code(error):
        return refusal(error)
    return shown(" ".join(str(error).rpartition("[libpq]")[2].split()))[:300]
