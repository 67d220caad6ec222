"""The warehouse that is in datasets of BigQuery."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pyarrow as pa

from sf_assets.addresses import shown
from sf_assets.errors import ConfigError, WarehouseError
from sf_assets.warehouse.bigquery.address import parsed
from sf_assets.warehouse.bigquery.connection import BigQueryConnection
from sf_assets.warehouse.bigquery.refusals import BigQueryError, is_conflict, unreachable
from sf_assets.warehouse.bigquery.writers import Turn
from sf_assets.warehouse.sql import beside, ops, server

LEASE = 120
"""Seconds for which a process that died keeps others from writing."""


class BigQueryWarehouse(server.ServerWarehouse[BigQueryConnection]):
    """Silver, gold and `ops` in datasets of a project.

    Args:
        url: As `address.parsed` has it.
        credentials: Of google-auth; None for those that the address names, or the application's
            default ones.

    Raises:
        ConfigError: The URL is not of that form.
    """

    engine = "bigquery"
    questions = frozenset({"(", "SELECT", "WITH"})

    def __init__(self, url: str, credentials: Any = None) -> None:
        self.url = shown(url)
        self._address = parsed(url)
        self._credentials = credentials

    def check_writing(self) -> None:
        """Make sure that jobs may be run, and datasets and tables be made, filled and removed.

        Raises:
            WarehouseError: They may not; which role is lacking.
        """
        with self._opened() as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS ops")
            connection.temporary("probe", "(Id VARCHAR)")
            connection.load("temp.probe", pl.DataFrame({"Id": ["probe"]}))
            with connection.transaction():
                connection.execute("DELETE FROM temp.probe")

    def _connect(self) -> BigQueryConnection:
        connection = BigQueryConnection(self._address, self._credentials)
        asked, found = self._address.location, connection.found
        if asked and found and asked.lower() != found.lower():
            connection.close()
            raise ConfigError(
                f"the warehouse {self.url} lies in {found}, not in {asked}: give "
                f"?location={found}, or another prefix"
            )
        return connection

    def _unreachable(self, error: Exception) -> str | None:
        if isinstance(error, BigQueryError):
            return unreachable(error)
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, ConfigError):
            return f"the file of credentials cannot be used ({type(error).__name__})"
        return None

    def _bring_up(self, connection: BigQueryConnection, *, wait: bool) -> None:
        """Make what is lacking of `ops`; each statement is committed as it is run."""
        del wait  # nobody keeps others from it
        if not ops.is_current(connection):
            ops.bring_up(connection)

    @contextmanager
    def _locked(self, connection: BigQueryConnection, org_id: str, *, wait: bool) -> Iterator[None]:
        """Keep others from writing an org's tables."""
        turn = Turn.of(connection, self._address.dataset("ops"), org_id, LEASE)
        deadline = time.monotonic() + (server.PATIENCE if wait else 0)
        while not turn.take():
            if time.monotonic() > deadline:
                raise self._held()
            time.sleep(1)
        with turn.kept(connection.service.another):
            beside.finish(connection, org_id)
            yield

    def _answer(self, connection: BigQueryConnection, sql: str) -> pa.Table:
        if (kind := connection.kind_of(sql)) != "SELECT":
            raise WarehouseError(f"query() only reads, and takes one question; this is {kind}")
        return connection.answer(sql)

    def _is_locked(self, error: Exception) -> bool:
        return is_conflict(error)
