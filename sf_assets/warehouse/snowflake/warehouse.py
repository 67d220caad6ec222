"""The warehouse that is a Snowflake database."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from sf_assets.addresses import shown
from sf_assets.errors import WarehouseError
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.snowflake.address import parameters
from sf_assets.warehouse.snowflake.connection import SnowflakeConnection
from sf_assets.warehouse.snowflake.refusals import LOCKED, PRIVILEGE, code, unreachable
from sf_assets.warehouse.sql import beside, ops, server

LEASE = 120
"""Seconds after its last transaction for which a process that died keeps others from writing."""

_WRITERS = '"OPS"."SF_ASSETS_WRITERS"'


class SnowflakeWarehouse(server.ServerWarehouse[SnowflakeConnection]):
    """Silver, gold and `ops` in schemas of a Snowflake database.

    Args:
        url: As `address.parameters` has it.

    Raises:
        ConfigError: The URL is not of that form.
    """

    engine = "snowflake"
    questions = frozenset({"(", "DESCRIBE", "EXPLAIN", "SELECT", "SHOW", "VALUES", "WITH"})
    """Snowflake takes no change in one of these, and one statement at a time."""

    def __init__(self, url: str) -> None:
        self.url = shown(url)
        self._parameters = parameters(url)

    def check_writing(self) -> None:
        """Make sure that a warehouse runs, and that schemas, tables and stages may be made.

        Raises:
            WarehouseError: They may not; what to grant.
        """
        with self._opened() as connection:
            ((database, warehouse, role),) = connection.run(
                "SELECT CURRENT_DATABASE(), CURRENT_WAREHOUSE(), CURRENT_ROLE()"
            )
            of_role = f"TO ROLE {quoted(role or '…')}"
            named = self._parameters["database"]
            if database is None:
                raise WarehouseError(
                    f"there is no database {named}, or the role {role} may not use it: GRANT "
                    f"USAGE, CREATE SCHEMA ON DATABASE {named} {of_role}"
                )
            if warehouse is None:
                asked = self._parameters.get("warehouse", "…")
                raise WarehouseError(
                    f"no warehouse computes: name one in the address (?warehouse=…) that the role "
                    f"{role} may use: GRANT USAGE ON WAREHOUSE {asked} {of_role}"
                )
            on_database = f"GRANT CREATE SCHEMA ON DATABASE {quoted(database)} {of_role}"
            on_schema = (
                'GRANT USAGE, CREATE TABLE, CREATE VIEW, CREATE STAGE ON SCHEMA "OPS" '
                f"{of_role}, and likewise for SILVER and GOLD, whose tables it must own"
            )
            _try(connection, 'CREATE SCHEMA IF NOT EXISTS "OPS"', on_database)
            for made in ("TABLE {} (X NUMBER)", "STAGE {}"):
                statement = f"CREATE OR REPLACE TEMPORARY {made.format(f'OPS.{_probe()}')}"
                _try(connection, statement, on_schema)

    def _connect(self) -> SnowflakeConnection:
        return SnowflakeConnection(self._parameters)

    def _unreachable(self, error: Exception) -> str | None:
        if isinstance(error, (SnowflakeConnection.error, OSError, ValueError, TypeError)):
            return unreachable(error)
        return None

    def _bring_up(self, connection: SnowflakeConnection, *, wait: bool) -> None:
        """Make what is lacking of `ops`; each statement is committed as it is run."""
        del wait  # nobody keeps others from it
        if not ops.is_current(connection):
            connection.run('CREATE SCHEMA IF NOT EXISTS "OPS"')
            connection.run(
                f"CREATE TABLE IF NOT EXISTS {_WRITERS} "
                "(ORG_ID VARCHAR, HOLDER VARCHAR, UNTIL TIMESTAMP_TZ)"
            )
            ops.bring_up(connection)

    @contextmanager
    def _locked(
        self, connection: SnowflakeConnection, org_id: str, *, wait: bool
    ) -> Iterator[None]:
        """Keep others from writing an org's tables.

        A row tells who writes, for as long as it lasts. Each transaction renews it, which locks it
        until the end of that; and fails, where somebody else has taken it meanwhile.
        """
        me, whose = text_literal(uuid.uuid4().hex), f"ORG_ID = {text_literal(org_id)}"
        take = (
            f"UPDATE {_WRITERS} SET HOLDER = {me}, "
            f"UNTIL = DATEADD(SECOND, {LEASE}, CURRENT_TIMESTAMP()) WHERE {whose} AND "
        )
        connection.run(
            f"INSERT INTO {_WRITERS} (ORG_ID) SELECT {text_literal(org_id)} "
            f"WHERE NOT EXISTS (SELECT 1 FROM {_WRITERS} WHERE {whose})"
        )
        deadline = time.monotonic() + (server.PATIENCE if wait else 0)
        free = "(HOLDER IS NULL OR UNTIL < CURRENT_TIMESTAMP())"
        while not _changed(connection, take + free):
            if time.monotonic() > deadline:
                raise self._held()
            time.sleep(0.5)
        connection.fence = take + f"HOLDER = {me}"
        try:
            beside.finish(connection, org_id)
            yield
        finally:
            connection.release(
                f"UPDATE {_WRITERS} SET HOLDER = NULL WHERE {whose} AND HOLDER = {me}"
            )

    def _answer(self, connection: SnowflakeConnection, sql: str) -> pa.Table:
        return connection.answer(sql)

    def _is_locked(self, error: Exception) -> bool:
        return code(error) == LOCKED


def _changed(connection: SnowflakeConnection, statement: str) -> bool:
    """Whether a statement changed a row; not, where others change it at this moment."""
    try:
        return bool(connection.run(statement)[0][0])
    except SnowflakeConnection.error as error:
        if code(error) != LOCKED:
            raise
        return False


def _try(connection: SnowflakeConnection, statement: str, grant: str) -> None:
    try:
        connection.run(statement)
    except SnowflakeConnection.error as error:
        if code(error) != PRIVILEGE:
            raise
        raise WarehouseError(f"{connection.refusal(error)}; let its owner run: {grant}") from None


def _probe() -> str:
    return f"SF_ASSETS_PROBE_{uuid.uuid4().hex}"
