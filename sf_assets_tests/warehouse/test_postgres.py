"""A warehouse in PostgreSQL: the tables of a DuckDB file, and what only a server can do to one."""

import socket
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sf_assets.catalog import PACKAGED_GOLD
from sf_assets.columns.column import Column, ColumnKind
from sf_assets.emulator.server import Emulator
from sf_assets.errors import (
    ConfigError,
    WarehouseError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from sf_assets.pipeline.gold.build import build_gold
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets.pipeline.load import rebuild
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.postgres import warehouse as module
from sf_assets.warehouse.postgres.connection import PostgresConnection
from sf_assets.warehouse.postgres.refusals import refusal
from sf_assets.warehouse.postgres.render import CAPABILITIES, render
from sf_assets.warehouse.sql.connection import Cause
from sf_assets.warehouse.sql.tables import Table
from sf_assets_tests import postgres
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences
from sf_assets_tests.postgres import PostgresServer

OBJECTS = (
    "Account", "Case", "Contact", "Event", "Lead", "Opportunity", "OpportunityHistory",
    "Showcase__c", "Task", "User",
)  # fmt: skip
GOLD = tuple(sorted(path.stem for path in PACKAGED_GOLD.glob("*.sql")))
DAYS = [date(2026, 11, day) for day in (1, 2, 15)]
SECRET = "Ada Lovelace"


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.new()


@pytest.fixture
def own(tmp_path: Path, living_org: Emulator, url: str) -> Workspace:
    found = Workspace(tmp_path, living_org.environment, url)
    found.catalogue(dict.fromkeys(OBJECTS) | {"Showcase__c": {"history": True}})
    return found


def contents(workspace: Workspace, relation: str) -> list[dict[str, object]]:
    """All rows of a table or view, by lower-cased column, in an order that all engines share."""
    names = [name.lower() for name, _ in workspace.columns(relation)]
    rows = workspace.rows(f"SELECT * FROM {relation}")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return sorted(found, key=lambda row: sorted((n, str(v)) for n, v in row.items()))


def test_tables_are_those_of_a_duckdb_file(
    own: Workspace, living_org: Emulator, tmp_path: Path
) -> None:
    own.tick()
    for name in ("Account", "Showcase__c"):
        ((key,),) = own.rows(f"SELECT min(Id) FROM silver.{name.lower()}")
        living_org.org.records.update(name, key, {"Name": 'it\'s \\ "new"'})
    ((gone,),) = own.rows("SELECT max(Id) FROM silver.contact")
    living_org.org.records.delete("Contact", gone)
    living_org.advance(60)
    own.tick()
    for name in OBJECTS:
        assert differences(living_org, own, name) == []

    local = Workspace(tmp_path, own.env, f"duckdb:///{tmp_path}/warehouse.duckdb")
    for workspace in (own, local):
        org = workspace.org()
        for name in OBJECTS:
            rebuild(org, org.stored_raw, name.lower())
        for table in gold_tables(org.catalog):
            if table.name in GOLD:
                build_gold(org, org.stored_raw, table, DAYS if table.daily else ())
    relations = [f"silver.{n.lower()}{x}" for n in OBJECTS for x in ("", "_live", "_rejects")]
    for relation in [*relations, "silver.showcase__c_history", *(f"gold.{n}" for n in GOLD)]:
        assert contents(own, relation) == contents(local, relation), relation
        theirs = {name.lower(): kind for name, kind in local.columns(relation)}
        if relation.startswith("silver."):
            told = {n: k.replace(" ", "") for n, k in theirs.items()}
            assert {n: k.replace(" ", "") for n, k in own.columns(relation)} == told


def test_every_type_comes_through_as_it_is(url: str) -> None:
    with closing(PostgresConnection(url)) as connection:
        declared = (
            "Id VARCHAR, Number DECIMAL(38, 9), Whole BIGINT, Day DATE, At TIMESTAMP WITH TIME "
            "ZONE, Hour TIME, Several VARCHAR[], Flag BOOLEAN"
        )
        connection.execute("CREATE SCHEMA silver")
        connection.execute(f"CREATE TABLE silver.t ({declared})")
        row = {
            "Id": "é\U0001f600\t\\N\"'\r\n", "Number": Decimal("12345678901234567890.123456789"),
            "Whole": -(2**63), "Day": date(1, 1, 1), "At": datetime(9999, 12, 31, 23, tzinfo=UTC),
            "Hour": time(23, 59, 59, 999000), "Several": ["a;b", "", '{"'], "Flag": False,
        }  # fmt: skip
        nothing = dict.fromkeys(row)
        frame = pl.DataFrame([row, nothing], schema_overrides={"Number": pl.Decimal(38, 9)})
        connection.load("silver.t", frame)
        assert connection.execute("SELECT * FROM silver.t ORDER BY Id") == [
            tuple(row.values()),
            tuple(nothing.values()),
        ]
        assert list(connection.types("silver", "T").values()) == [
            "VARCHAR", "DECIMAL(38,9)", "BIGINT", "DATE", "TIMESTAMP WITH TIME ZONE", "TIME",
            "VARCHAR[]", "BOOLEAN",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("SELECT 1 FROM silver.nothing", Cause.NAME),
        ("SELECT nothing FROM pg_class", Cause.MEANING),
        ("SELECT nothing(1, 2)", Cause.MEANING),
        (f"SELECT CAST('{SECRET}' AS BIGINT)", Cause.DATA),
        (f"SELECT CAST(x AS DATE) FROM (SELECT '{SECRET}' AS x) q", Cause.DATA),
    ],
)
def test_a_refusal_is_told_apart_and_holds_no_value(url: str, sql: str, cause: Cause) -> None:
    with closing(PostgresConnection(url)) as connection:
        with pytest.raises(connection.error) as refused:
            connection.execute(sql)
        assert connection.cause(refused.value) is cause
        assert SECRET not in refusal(refused.value)
        assert connection.execute("SELECT 1") == [(1,)], "the connection goes on"


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


def test_query_reads_and_changes_nothing(own: Workspace, url: str) -> None:
    own.tick()
    warehouse = open_warehouse(url)
    assert warehouse.query("SELECT count(*) AS n FROM silver.account").to_pylist()[0]["n"] > 0
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


def test_a_second_writer_of_an_org_waits_and_then_says_so(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    warehouse, began, end = open_warehouse(url), threading.Event(), threading.Event()

    def write() -> None:
        with warehouse.writing("00D1", "default"):
            began.set()
            end.wait(30)

    other = threading.Thread(target=write)
    other.start()
    assert began.wait(30)
    try:
        with pytest.raises(WarehouseLockedError), warehouse.writing("00D1", "default"):
            pass
        with warehouse.reading("00D1", "default") as session:
            assert session.silver.tables() == set()
        with warehouse.writing("00D2", "other"):
            pass  # another org's tables are none of its business
    finally:
        end.set()
        other.join()


def test_a_view_of_the_users_that_stands_in_the_way_is_told(url: str) -> None:
    number = Column("Number__c", ColumnKind.DECIMAL, integers=3, scale=1)
    with closing(PostgresConnection(url)) as connection:
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


def test_a_variant_is_run_in_the_servers_own_sql(own: Workspace) -> None:
    own.tick()
    own.catalogue({"Account": None}, gold="gold")
    (own.folder / "gold").mkdir()
    written = {
        "n.sql": "SELECT no_such_function(1) AS n",
        "n.postgres.sql": "SELECT $day::date AS day, array_position(ARRAY['a', 'it''s'], 'it''s') "
        'AS n, (SELECT count(*) FROM silver.account) AS "Rows" -- of this day',
    }
    for name, sql in written.items():
        (own.folder / "gold" / name).write_text(sql, encoding="utf-8")
    org = own.org()
    (table,) = gold_tables(org.catalog, engine=org.warehouse.engine)
    built = build_gold(org, org.stored_raw, table, DAYS)
    assert built.rows == len(DAYS)
    assert list(built.columns) == ["day", "n", "rows"]
    assert {n for _, n, _ in own.rows("SELECT * FROM gold.n")} == {2}


def test_a_server_that_dies_in_the_middle_of_merges_leaves_nothing_half_done(
    tmp_path: Path, living_org: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    if postgres.binaries() is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: postgresql)")
    left, run = [0], PostgresConnection.run
    with postgres.running() as server:

        def counting(connection: PostgresConnection, sql: str) -> list[tuple[Any, ...]]:
            left[0] -= 1
            if left[0] == 0:
                server.kill()
            return run(connection, sql)

        monkeypatch.setattr(PostgresConnection, "run", counting)
        own = Workspace(tmp_path, living_org.environment, server.new())
        own.catalogue({"Account": None, "Showcase__c": {"history": True}})
        own.tick()
        for statements in (15, 40, 75, 110):
            for name in ("Account", "Showcase__c"):
                ((key,),) = own.rows(f"SELECT min(Id) FROM silver.{name.lower()}_live")
                living_org.org.records.update(name, key, {"Name": f"after {statements}"})
            living_org.advance(60)
            left[0] = statements
            with pytest.raises(WarehouseError, match=r"refused|cannot be reached"):
                own.tick()
            server.start()
            own.tick()
            for slug in ("account", "showcase__c"):
                own.load(slug)
            for name in ("Account", "Showcase__c"):
                assert differences(living_org, own, name) == []
