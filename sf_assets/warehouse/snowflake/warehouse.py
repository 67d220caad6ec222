"""The warehouse that is a Snowflake database."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa
import sqlglot

from sf_assets.addresses import shown
from sf_assets.errors import WarehouseError, WarehouseLockedError, WarehouseUnreachableError
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.snowflake.address import parameters
from sf_assets.warehouse.snowflake.connection import SnowflakeConnection
from sf_assets.warehouse.snowflake.refusals import LOCKED, PRIVILEGE, code, unreachable
from sf_assets.warehouse.sql import beside, ops
from sf_assets.warehouse.sql.session import Session

PATIENCE = 60.0
"""Seconds for which a process waits for another that writes the same org's tables."""

LEASE = 120
"""Seconds after its last transaction for which a process that died keeps others from writing."""

_QUESTIONS = frozenset({"(", "DESCRIBE", "EXPLAIN", "SELECT", "SHOW", "VALUES", "WITH"})
"""How a question begins; Snowflake takes no change in one of these, and one statement at a time."""

_WRITERS = '"OPS"."SF_ASSETS_WRITERS"'


class SnowflakeWarehouse:
    """Silver, gold and `ops` in schemas of a Snowflake database.

    Args:
        url: As `address.parameters` has it.

    Raises:
        ConfigError: The URL is not of that form.
    """

    engine = "snowflake"

    def __init__(self, url: str) -> None:
        self.url = shown(url)
        self._parameters = parameters(url)

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
            _bring_up(connection)
            if not ops.is_claimed(connection, org_id, name):
                with self.writing(org_id, name, wait=wait):
                    pass  # its name is new: what is noted is of other tables
            yield Session(connection, partial(self._explained, connection), org_id, name)

    @contextmanager
    def writing(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for writing, claimed for an org; see `port.Warehouse`."""
        with self._opened() as connection:
            _bring_up(connection)
            with self._locked(connection, org_id, wait):
                ops.claim(connection, org_id, name, self.url)
                beside.finish(connection, org_id)
                yield Session(connection, partial(self._explained, connection), org_id, name)

    def query(self, sql: str) -> pa.Table:
        """All rows that answer a question in Snowflake's SQL, as Arrow; nothing is changed.

        Raises:
            WarehouseError: It cannot be reached, refuses the question, or this is none.
        """
        words = sqlglot.tokenize(sql, dialect="snowflake")
        if not words or words[0].text.upper() not in _QUESTIONS:
            raise WarehouseError(
                f"query() only reads, and takes one question: {', '.join(sorted(_QUESTIONS))}; to "
                "change the warehouse, connect to it by another client"
            )
        with self._opened() as connection:
            return connection.answer(sql)

    def publish(self) -> None:
        """Note that nothing is left of removed rows but what Snowflake keeps by itself.

        Its Time Travel and Fail-safe are not ours to shorten; readers see what is committed.
        """
        if not self.exists():
            return
        with self._opened() as connection:
            _bring_up(connection)
            if ops.has_leftovers(connection):
                connection.execute("DELETE FROM ops.leftovers")

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

    def check(self) -> None:
        """Do nothing: Snowflake looks after its files itself."""

    def stale_copies(self) -> list[Path]:
        """None: no copies are made of it."""
        return []

    def remove_stale_copies(self) -> list[Path]:
        """None: no copies are made of it."""
        return []

    def quarantine(self) -> Path:
        """Refuse to put a database aside, which is its owner's to do.

        Raises:
            WarehouseError: Always.
        """
        raise WarehouseError(
            f"the warehouse {self.url} is not put aside; drop its schemas ops, silver and gold, "
            "and run `sf-assets rebuild`"
        )

    def quarantined(self) -> list[Path]:
        """Nothing: a database is not put aside."""
        return []

    @contextmanager
    def _locked(self, connection: SnowflakeConnection, org_id: str, wait: bool) -> Iterator[None]:
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
        deadline = time.monotonic() + (PATIENCE if wait else 0)
        free = "(HOLDER IS NULL OR UNTIL < CURRENT_TIMESTAMP())"
        while not _changed(connection, take + free):
            if time.monotonic() > deadline:
                raise WarehouseLockedError(
                    f"another program writes to the warehouse {self.url}; run again when it has "
                    "ended, raw is kept"
                )
            time.sleep(0.5)
        connection.fence = take + f"HOLDER = {me}"
        try:
            yield
        finally:
            connection.release(
                f"UPDATE {_WRITERS} SET HOLDER = NULL WHERE {whose} AND HOLDER = {me}"
            )

    @contextmanager
    def _opened(self) -> Iterator[SnowflakeConnection]:
        try:
            connection = SnowflakeConnection(self._parameters)
        except (SnowflakeConnection.error, OSError, ValueError, TypeError) as error:
            raise WarehouseUnreachableError(
                f"the warehouse {self.url} cannot be reached: {unreachable(error)}; check "
                "SF_ASSETS_WAREHOUSE_URL, and that the account lets you in"
            ) from None
        try:
            with self._explained(connection):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def _explained(self, connection: SnowflakeConnection) -> Iterator[None]:
        try:
            yield
        except SnowflakeConnection.error as error:
            if code(error) == LOCKED:
                raise WarehouseLockedError(
                    f"another program writes to the warehouse {self.url}; run again when it has "
                    "ended, raw is kept"
                ) from None
            raise WarehouseError(
                f"the warehouse {self.url} refused: {connection.refusal(error)}; nothing half done "
                "was kept, the tables are as they were last committed"
            ) from None


def _bring_up(connection: SnowflakeConnection) -> None:
    """Make what is lacking of `ops`; each statement is committed as it is run."""
    if not ops.is_current(connection):
        connection.run('CREATE SCHEMA IF NOT EXISTS "OPS"')
        connection.run(
            f"CREATE TABLE IF NOT EXISTS {_WRITERS} "
            "(ORG_ID VARCHAR, HOLDER VARCHAR, UNTIL TIMESTAMP_TZ)"
        )
        ops.bring_up(connection)


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
