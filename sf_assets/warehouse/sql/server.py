"""What a warehouse is that is a database of a server, whichever engine it has."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

import pyarrow as pa
import sqlglot

from sf_assets.errors import WarehouseError, WarehouseLockedError, WarehouseUnreachableError
from sf_assets.sql import quoted
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.connection import Connection
from sf_assets.warehouse.sql.session import Session

PATIENCE = 60.0
"""Seconds for which a process waits for another that writes the same org's tables."""

_SCHEMAS = ("silver", "gold", "restricted")
"""How the names begin of schemas that are ours."""


class ServerConnection(Connection, Protocol):
    """A connection to a server."""

    def close(self) -> None:
        """End it."""

    def answer(self, sql: str) -> pa.Table:
        """All rows that answer a query in the server's own SQL."""


OpenConnection = TypeVar("OpenConnection", bound=ServerConnection)


class ServerWarehouse(ABC, Generic[OpenConnection]):
    """Silver, gold and `ops` in schemas of a database; see `port.Warehouse`.

    Attributes:
        engine: What it is called in the names of gold files, and what sqlglot calls its SQL.
        questions: How a question begins, in capital letters.
        url: Its address, without what is secret.
    """

    engine: str
    questions: ClassVar[frozenset[str]]
    url: str

    def __str__(self) -> str:
        return self.url

    _is_there = False

    def exists(self) -> bool:
        """Whether anything was ever written; once it was, nobody is asked again."""
        if not self._is_there:
            with self._opened() as connection:
                self._is_there = "orgs" in connection.tables("ops")
        return self._is_there

    @contextmanager
    def reading(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for reading; see `port.Warehouse`."""
        with self._opened() as connection:
            self._bring_up(connection, wait=wait)
            if not ops.is_claimed(connection, org_id, name):
                with self.writing(org_id, name, wait=wait):
                    pass  # its name is new: what is noted is of other tables
            yield Session(connection, partial(self._explained, connection), org_id, name)

    @contextmanager
    def writing(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for writing, claimed for an org; see `port.Warehouse`."""
        with self._opened() as connection:
            self._bring_up(connection, wait=wait)
            with self._locked(connection, org_id, wait=wait):
                ops.claim(connection, org_id, name, self.url)
                yield Session(connection, partial(self._explained, connection), org_id, name)

    def query(self, sql: str) -> pa.Table:
        """All rows that answer a question in the engine's SQL, as Arrow; nothing is changed.

        Raises:
            WarehouseError: It cannot be reached, refuses the question, or this is none.
        """
        words = sqlglot.tokenize(sql, dialect=self.engine)
        if not words or words[0].text.upper() not in self.questions:
            raise WarehouseError(
                f"query() only reads, and takes one question: {', '.join(sorted(self.questions))}; "
                "to change the warehouse, connect to it by another client"
            )
        with self._opened() as connection:
            return self._answer(connection, sql)

    def publish(self) -> None:
        """Free the room of removed rows where that is noted; readers see what is committed anyway.

        What the engine keeps of them by itself, for a time, is not ours to shorten.
        """
        with self._opened() as connection:
            there = ops.is_current(connection) and ops.has_leftovers(connection)
            if there and self._freed(connection):
                connection.execute("DELETE FROM ops.leftovers")

    def check(self) -> None:
        """Do nothing: the engine looks after its files itself."""

    def quarantine(self) -> Path:
        """Refuse to put a database aside, which is its administrator's to do.

        Raises:
            WarehouseError: Always.
        """
        raise WarehouseError(
            f"the warehouse {self.url} is not put aside; restore it, or drop its schemas ops, "
            "silver and gold, and run `sf-assets rebuild`"
        )

    def quarantined(self) -> list[Path]:
        """Nothing: a database is not put aside."""
        return []

    def stale_copies(self) -> list[Path]:
        """None: no copies are made of it."""
        return []

    def remove_stale_copies(self) -> list[Path]:
        """None: no copies are made of it."""
        return []

    @abstractmethod
    def _connect(self) -> OpenConnection:
        """Open a connection.

        Raises:
            Exception: One for which `_unreachable` has words.
        """

    @abstractmethod
    def _unreachable(self, error: Exception) -> str | None:
        """What is said of an error of connecting, which holds no value; None for any other."""

    @abstractmethod
    def _bring_up(self, connection: OpenConnection, *, wait: bool) -> None:
        """Make what is lacking of `ops`."""

    @abstractmethod
    def _locked(
        self, connection: OpenConnection, org_id: str, *, wait: bool
    ) -> AbstractContextManager[None]:
        """Keep others from writing an org's tables, until the block ends.

        Raises:
            WarehouseLockedError: Another writes, and stays at it.
        """

    @abstractmethod
    def _answer(self, connection: OpenConnection, sql: str) -> pa.Table:
        """All rows that answer a question."""

    def _freed(self, connection: OpenConnection) -> bool:
        """Free the room of removed rows, where that is not the engine's own business.

        Returns:
            Whether it came to pass; where others are in the way, the next time will do.
        """
        del connection
        return True

    def _own_tables(self, connection: OpenConnection) -> list[str]:
        """All tables of the project's schemas, as SQL writes them."""
        return [
            quoted(schema, table)
            for schema, table in connection.everything()
            if schema == "ops" or schema.startswith(_SCHEMAS)
        ]

    def _is_locked(self, error: Exception) -> bool:
        """Whether a statement was refused because others hold what it needs."""
        del error
        return False

    def _held(self) -> WarehouseLockedError:
        return WarehouseLockedError(
            f"another program writes to the warehouse {self.url}; run again when it has ended, raw "
            "is kept"
        )

    @contextmanager
    def _opened(self) -> Iterator[OpenConnection]:
        try:
            connection = self._connect()
        except Exception as error:
            if (why := self._unreachable(error)) is None:
                raise
            raise WarehouseUnreachableError(
                f"the warehouse {self.url} cannot be reached: {why}; check that it runs and lets "
                "you in, and its address in SF_ASSETS_WAREHOUSE_URL or SF_ASSETS_WAREHOUSES"
            ) from None
        try:
            with self._explained(connection):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def _explained(self, connection: OpenConnection) -> Iterator[None]:
        try:
            yield
        except connection.error as error:
            if self._is_locked(error):
                raise self._held() from None
            raise WarehouseError(
                f"the warehouse {self.url} refused: {connection.refusal(error)}; nothing half done "
                "was kept, the tables are as they were last committed"
            ) from None
