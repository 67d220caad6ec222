"""What of a warehouse in PostgreSQL is its own; `test_conformance` has what all engines share."""

import socket
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from sf_assets.columns.column import Column, ColumnKind
from sf_assets.emulator.server import Emulator
from sf_assets.errors import (
    ConfigError,
    WarehouseError,
    WarehouseUnreachableError,
)
from sf_assets.pipeline.gold.build import build_gold
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.postgres.connection import PostgresConnection
from sf_assets.warehouse.postgres.render import CAPABILITIES, render
from sf_assets.warehouse.sql import ops
from sf_assets.warehouse.sql.tables import Table
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.postgres import PostgresServer
from sf_assets_tests.warehouse.test_conformance import OBJECTS


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.new()


@pytest.fixture
def own(tmp_path: Path, living_org: Emulator, url: str) -> Workspace:
    found = Workspace(tmp_path, living_org.environment, url)
    found.catalogue(dict.fromkeys(OBJECTS) | {"Showcase__c": {"history": True}})
    return found


def test_a_name_that_postgres_would_cut_is_refused() -> None:
    longest = CAPABILITIES.longest_name
    assert longest
    with pytest.raises(ConfigError, match="longer than the 63 bytes"):
        render(f'SELECT "{"x" * (longest + 1)}"')


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://nobody@localhost:1/x", "cannot be reached"),
        ("postgresql://localhost:5432", "must name the database"),
        ("mysql://localhost/x", "must be like duckdb"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(url: str, says: str) -> None:
    with pytest.raises((WarehouseError, ConfigError), match=says):
        open_warehouse(url).check_writing()


def test_a_server_that_does_not_answer_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2"
        with pytest.raises(WarehouseUnreachableError, match="cannot be reached"):
            open_warehouse(url).check_writing()


def test_a_user_who_may_make_nothing_is_told_what_to_grant(url: str) -> None:
    with closing(PostgresConnection(url)) as connection:
        connection.run("CREATE ROLE reader LOGIN")
    with pytest.raises(WarehouseError, match=r"GRANT CREATE, TEMPORARY ON DATABASE \"\w+\" TO"):
        open_warehouse(url.replace("user=postgres", "user=reader")).check_writing()


def test_query_tells_any_number_and_changes_nothing(own: Workspace, url: str) -> None:
    own.tick()
    warehouse = open_warehouse(url)
    (wide,) = warehouse.query("SELECT 'NaN'::numeric AS a, 1e50::numeric AS b").to_pylist()
    assert (wide["a"], Decimal(wide["b"])) == ("nan", Decimal("1e50")), "no decimal holds them"
    for statement in (
        "DELETE FROM silver.account",
        "WITH gone AS (DELETE FROM silver.account RETURNING 1) SELECT * FROM gone",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "SET work_mem = '1MB'",
        "CREATE TEMP TABLE t AS SELECT 1",
        "",
    ):
        with pytest.raises(WarehouseError, match="only reads"):
            warehouse.query(statement)
    with pytest.raises(WarehouseError, match="cannot insert multiple commands"):
        warehouse.query("SELECT 1; SELECT 2")


def test_a_view_of_the_users_that_stands_in_the_way_is_told(url: str) -> None:
    number = Column("Number__c", ColumnKind.DECIMAL, integers=3, scale=1)
    with closing(PostgresConnection(url)) as connection:
        ops.bring_up(connection)
        table = Table(connection, "silver", "account")
        table.ensure([Column("Id", ColumnKind.TEXT), number])
        table.make_view()
        with connection.transaction():
            table.ensure([replace(number, scale=2)])
            table.make_view()
        connection.run("CREATE VIEW mine AS SELECT number__c FROM silver.account_live")
        with pytest.raises(connection.error) as refused, connection.transaction():
            table.ensure([replace(number, scale=3)])
        assert "other objects depend on it" in connection.refusal(refused.value)
        assert connection.types("silver", "account")["Number__c"] == "DECIMAL(5,2)"


def test_views_on_gold_stay_while_its_columns_do(own: Workspace) -> None:
    own.tick()
    own.catalogue({"Account": None}, gold="gold")
    file = own.folder / "gold" / "n.sql"
    file.parent.mkdir()
    org = own.org()

    def build(sql: str) -> None:
        file.write_text(sql, encoding="utf-8")
        (table,) = (one for one in gold_tables(own.org().catalog) if one.name == "n")
        build_gold(org, org.stored_raw, table)

    build("SELECT count(*) AS n FROM silver.account")
    own.change("CREATE VIEW public.mine AS SELECT n FROM gold.n")
    build("SELECT -count(*) AS n FROM silver.account")
    ((n,),) = own.rows("SELECT n FROM public.mine")
    assert n < 0
    with pytest.raises(WarehouseError, match="other objects depend on it"):
        build("SELECT 'x' AS n FROM silver.account")
    assert own.rows("SELECT n FROM gold.n") == [(n,)]
