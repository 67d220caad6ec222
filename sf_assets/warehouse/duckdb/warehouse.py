"""The warehouse that is a DuckDB file."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sf_assets.warehouse.duckdb.database import Database
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.session import Session


class DuckDBWarehouse(Database):
    """Silver, gold and `ops` in a DuckDB file, by URL."""

    @contextmanager
    def reading(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for reading; see `port.Warehouse`."""
        with self.connect(read_only=True, wait=wait) as connection:
            if ops.is_claimed(connection, org_id, name):
                yield Session(connection, partial(self.explained, connection), org_id, name)
                return
        with self.writing(org_id, name, wait=wait):
            pass  # its name is new: what is noted is of other tables
        with self.connect(read_only=True, wait=wait) as connection:
            yield Session(connection, partial(self.explained, connection), org_id, name)

    @contextmanager
    def writing(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for writing, claimed for an org; see `port.Warehouse`."""
        with self.connect(wait=wait) as connection:
            ops.claim(connection, org_id, name, str(self.path))
            yield Session(connection, partial(self.explained, connection), org_id, name)
