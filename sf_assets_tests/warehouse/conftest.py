"""A PostgreSQL server for the tests of warehouses."""

from collections.abc import Iterator

import pytest

from sf_assets_tests import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """A server of the tests' own."""
    if postgres.binaries() is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: postgresql)")
    with postgres.running() as server:
        yield server
