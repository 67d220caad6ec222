"""The warehouse that is an Amazon Redshift database."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import polars as pl
import pyarrow as pa

from sf_assets.addresses import shown
from sf_assets.errors import WarehouseError, WarehouseLockedError
from sf_assets.sql import quoted
from sf_assets.storage.bucket import Access, AwsCredentials
from sf_assets.storage.store import Store
from sf_assets.warehouse.redshift.address import read_address
from sf_assets.warehouse.redshift.connection import LOCKS, RedshiftConnection
from sf_assets.warehouse.redshift.loading import FEW, Staging
from sf_assets.warehouse.redshift.refusals import THERE, WAITED, code, gave_way, unreachable
from sf_assets.warehouse.sql import ops, server

_CONNECT_SECONDS = 10
"""For which a server that does not answer is waited for."""

_IMPATIENCE = 0.5
"""Seconds for which a lock is waited for that is not to be waited for."""


class RedshiftWarehouse(server.ServerWarehouse[RedshiftConnection]):
    """Silver, gold and `ops` in schemas of a Redshift database.

    Args:
        url: As `address.read_address` has it.
        access: How the staging folder is reached and entered; None for what AWS' own tools find.

    Raises:
        ConfigError: The URL is not of that form.
    """

    engine = "redshift"
    questions = frozenset({"(", "EXPLAIN", "SELECT", "SHOW", "WITH"})
    """That there is one alone, the server sees to."""

    def __init__(self, url: str, access: Access | None = None) -> None:
        self.url = shown(url)
        self._address = read_address(url)
        self._access = access or Access()

    def check_writing(self) -> None:
        """Make sure that schemas and tables may be made, and that files come in.

        Raises:
            WarehouseError: They may not; what to grant.
        """
        with self._opened() as connection:
            ((may, may_temp, database, user),) = connection.run(
                "SELECT has_database_privilege(current_database(), 'CREATE'), "
                "has_database_privilege(current_database(), 'TEMP'), current_database(), "
                "current_user"
            )
            if not may_temp or (not may and "orgs" not in connection.tables("ops")):
                raise WarehouseError(
                    f"{user} may make no schemas and temporary tables in the database {database}; "
                    f"let its owner run: GRANT CREATE, TEMPORARY ON DATABASE {quoted(database)} TO "
                    f"{quoted(user)}"
                )
            if self._address.staging:
                connection.temporary("probe", "(n BIGINT)")
                connection.load("temp.probe", pl.DataFrame({"n": range(FEW + 1)}))

    def _connect(self) -> RedshiftConnection:
        told = self._address.parameters
        if "host" in told:  # what the connector takes as a time limit is that of each answer, too
            socket.create_connection((told["host"], told["port"]), _CONNECT_SECONDS).close()
        staging = None
        if self._address.staging:
            keys = self._access.credentials or AwsCredentials()
            store = Store(self._address.staging, self._access)
            staging = Staging(store, self._address.iam_role, keys)
        return RedshiftConnection(told, staging)

    def _unreachable(self, error: Exception) -> str | None:
        """What is said of a server that lets nobody in; of AWS, too, where it is asked for keys."""
        if isinstance(error, (RedshiftConnection.error, OSError, ValueError)):
            return unreachable(error)
        return unreachable(error) if type(error).__module__.startswith("botocore") else None

    def _bring_up(self, connection: RedshiftConnection, *, wait: bool) -> None:
        """Make what is lacking of `ops`."""
        del wait  # whoever is at it is done in seconds
        if not ops.is_current(connection):
            connection.begin = [_lock(connection, LOCKS)]
            with connection.transaction():
                ops.bring_up(connection)

    @contextmanager
    def _locked(self, connection: RedshiftConnection, org_id: str, *, wait: bool) -> Iterator[None]:
        """Keep others from writing an org's tables.

        A connection of its own holds a table of its own locked, in a transaction that does nothing
        else and ends with that connection: the lock of one that dies is gone.

        Where two read and write the same tables of `ops` side by side Redshift breaks one of them
        off, also where their rows are of two orgs. So transactions that write come one after the
        other.
        """
        mine = _lock(connection, f"{LOCKS}_{org_id.lower()}")
        connection.begin = [_lock(connection, LOCKS)]
        with self._opened() as guard:
            patience = server.PATIENCE if wait else _IMPATIENCE
            guard.run(f"SET statement_timeout TO {int(1000 * patience)}")
            guard.run("BEGIN")
            try:
                guard.run(mine)
            except RedshiftConnection.error as error:
                if code(error) not in WAITED and not gave_way(error):
                    raise
                raise self._held() from None
            connection.before_commit = partial(self._make_sure, guard)
            yield

    def _make_sure(self, guard: RedshiftConnection) -> None:
        """Make sure that others are still kept out."""
        try:
            guard.run("SELECT 1")
        except RedshiftConnection.error:
            raise WarehouseLockedError(
                f"the connection was lost by which no other program writes the org's tables in "
                f"{self.url}; what was done since the last commit is not kept, run again"
            ) from None

    def _answer(self, connection: RedshiftConnection, sql: str) -> pa.Table:
        return connection.answer(sql)

    def _freed(self, connection: RedshiftConnection) -> bool:
        """Vacuum all tables, unless another is at it."""
        with suppress(RedshiftConnection.error):
            for table in self._own_tables(connection):
                connection.run(f"VACUUM DELETE ONLY {table} TO 100 PERCENT")
            return True
        return False

    def _is_locked(self, error: Exception) -> bool:
        return gave_way(error)


def _lock(connection: RedshiftConnection, name: str) -> str:
    """The statement that locks a table which is there for that alone; it is made if need be."""
    table = quoted("ops", name)
    for statement in (
        'CREATE SCHEMA IF NOT EXISTS "ops"',
        f"CREATE TABLE IF NOT EXISTS {table} (nothing BOOLEAN)",
    ):
        try:
            connection.run(statement)
        except RedshiftConnection.error as error:  # others are at it, too
            if code(error) not in THERE and not gave_way(error):
                raise
    return f"LOCK {table}"
