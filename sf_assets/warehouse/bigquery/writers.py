"""Which program writes an org's tables: one at a time.

A table of one row, the lease, tells who does, in which session, and until when unless it says so
again, as a thread of its own does for as long as it lives. Another, the fence, is changed within
each transaction: BigQuery lets no two transactions change one table, so that whoever takes the
lease over and changes the fence has made sure that nothing is committed by who had it before.

Both are tables for each org: two that are written side by side are none of each other's business.
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sf_assets.errors import WarehouseLockedError
from sf_assets.sql import text_literal
from sf_assets.warehouse.bigquery.connection import BigQueryConnection
from sf_assets.warehouse.bigquery.refusals import DENIED, BigQueryError, is_conflict
from sf_assets.warehouse.bigquery.render import Statement
from sf_assets.warehouse.bigquery.service import Service

_LATER = "TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {} SECOND)"


@dataclass(frozen=True, slots=True)
class Turn:
    """The turn of one program to write an org's tables.

    Attributes:
        connection: Its connection.
        lease: The table that tells whose turn it is.
        fence: The table that transactions change.
        seconds: For how long it lasts, unless it is kept.
        me: What the program is called there.
    """

    connection: BigQueryConnection
    lease: str
    fence: str
    seconds: int
    me: str

    @classmethod
    def of(cls, connection: BigQueryConnection, dataset: str, org_id: str, seconds: int) -> "Turn":
        """A program's turn, which it does not have yet; the tables are made where they lack."""
        lease, fence = (
            f"`{dataset}`.`sf_assets_{what}_{org_id.lower()}`" for what in ("lease", "fence")
        )
        if not connection.types("ops", fence.rpartition(".")[2].strip("`")):
            nobody = "CAST(NULL AS STRING) AS holder"
            since = "CAST(NULL AS STRING) AS session, CAST(NULL AS TIMESTAMP) AS until"
            connection.run(f"CREATE TABLE IF NOT EXISTS {lease} AS SELECT {nobody}, {since}")
            connection.run(f"CREATE TABLE IF NOT EXISTS {fence} AS SELECT {nobody}")
        return cls(connection, lease, fence, seconds, uuid.uuid4().hex)

    def take(self) -> bool:
        """Take it, where nobody else has it who lives; whether that came to pass.

        A transaction of one who has died would stay for a day: its session is ended.
        """
        run = self.connection.run
        ((holder, session, over),) = run(
            f"SELECT holder, session, until < CURRENT_TIMESTAMP() FROM {self.lease}"
        )
        if holder is not None and not over:
            return False
        if holder is not None:
            _end(self.connection.service, session)
        mine = text_literal(self.connection.service.session)
        try:
            ((taken,),) = run(
                f"UPDATE {self.lease} SET holder = '{self.me}', session = {mine}, "
                f"until = {_LATER.format(self.seconds)} "
                "WHERE holder IS NULL OR until < CURRENT_TIMESTAMP()"
            )
        except BigQueryError as error:
            if not is_conflict(error):
                raise
            return False
        if taken:
            run(f"UPDATE {self.fence} SET holder = '{self.me}' WHERE TRUE")
        return bool(taken)

    @contextmanager
    def kept(self, heart: Callable[[], Service]) -> Iterator[None]:
        """Keep it until the block ends.

        Args:
            heart: Opens what the thread asks by that says so.
        """
        ended = threading.Event()
        beat = threading.Thread(target=self._keep, args=(heart, ended), daemon=True)
        self.connection.fence = (
            f"UPDATE {self.fence} SET holder = '{self.me}' WHERE holder = '{self.me}'"
        )
        beat.start()
        try:
            yield
        finally:
            self.connection.fence = ""
            ended.set()
            beat.join()
            self.connection.release(
                f"UPDATE {self.lease} SET holder = NULL WHERE holder = '{self.me}'"
            )

    def _keep(self, heart: Callable[[], Service], ended: threading.Event) -> None:
        mine = f"holder = '{self.me}'"
        until = _LATER.format(self.seconds)
        statement = f"UPDATE {self.lease} SET until = {until} WHERE {mine}"
        service = None
        while not ended.wait(self.seconds / 3):
            with suppress(BigQueryError, OSError, ValueError):  # the next one may come through
                service = service or heart()
                service.answered(Statement(statement))
        if service is not None:
            service.close()


def _end(service: Service, session: str) -> None:
    """End a session.

    Raises:
        WarehouseLockedError: It is another user's, and stays.
    """
    try:
        service.abort(session)
    except BigQueryError as error:
        if error.reason == DENIED:
            raise WarehouseLockedError(
                "a program of another user has died in the middle of writing to BigQuery; run with "
                "its credentials, or let these end its session (bigquery.jobs.update, BigQuery "
                "Admin), or wait until it ends by itself after a day"
            ) from None
