"""The warehouse that is a DuckDB file."""

from collections.abc import Iterator
from contextlib import contextmanager

from sf_assets.errors import WrongOrgError
from sf_assets.warehouse.duckdb.database import Database
from sf_assets.warehouse.duckdb.session import Session


class DuckDBWarehouse(Database):
    """Silver, gold and `ops` in a DuckDB file, by URL."""

    @contextmanager
    def reading(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for reading; see `port.Warehouse`."""
        with self.connect(read_only=True, wait=wait) as connection:
            yield Session(self, connection, org_id, name)

    @contextmanager
    def writing(self, org_id: str, name: str, *, wait: bool = True) -> Iterator[Session]:
        """Open it for writing, claimed for an org; see `port.Warehouse`."""
        with self.connect(wait=wait) as connection:
            row = connection.execute(
                "SELECT org_id FROM ops.orgs WHERE name = ?", [name]
            ).fetchone()
            if row is None:
                connection.execute("INSERT INTO ops.orgs VALUES (?, ?)", [name, org_id])
            elif row[0] != org_id:
                raise WrongOrgError(
                    f"the warehouse {self.path} holds the data of org {row[0]}, not of {org_id}; "
                    "set another SF_ASSETS_WAREHOUSE_URL or the other org's credentials"
                )
            yield Session(self, connection, org_id, name)
