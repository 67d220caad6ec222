"""Every engine holds the tables of a DuckDB file, field by field, and what it refuses is told."""

import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from sf_assets.catalog import PACKAGED_GOLD
from sf_assets.emulator.server import Emulator
from sf_assets.errors import WarehouseError, WarehouseLockedError
from sf_assets.pipeline.gold.build import build_gold
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets.pipeline.load import rebuild
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.sql import server as server_module
from sf_assets.warehouse.sql.connection import Capabilities, Cause
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences, within
from sf_assets_tests.warehouse_servers import (
    SERVERS,
    Server,
    cut_before,
    cuts,
    env_of,
    running,
    server_connection,
)

pytestmark = cuts

OBJECTS = (
    "Account", "Case", "Contact", "Event", "Lead", "Opportunity", "OpportunityHistory",
    "Showcase__c", "Task", "User",
)  # fmt: skip
GOLD = tuple(sorted({path.name.partition(".")[0] for path in PACKAGED_GOLD.glob("*.sql")}))
DAYS = [date(2026, 11, day) for day in (1, 2, 15)]
VIEWS = ("_live", "_history")
SECRET = "Ada Lovelace"


SLOW = {
    "snowflake": [pytest.mark.clouds],
    "redshift": [pytest.mark.clouds],
    "bigquery": [pytest.mark.clouds, pytest.mark.timeout(900)],
}
"""Engines that `make test` leaves to targets of their own: emulators take their time."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=SLOW.get(name, [])) for name in SERVERS]
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if why := SERVERS[request.param].lacking():
        pytest.skip(why)
    with running(request.param) as found:
        yield found


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in env_of(server).items():
        monkeypatch.setenv(name, value)
    return server.new()


@pytest.fixture
def own(tmp_path: Path, living_org: Emulator, url: str) -> Workspace:
    found = Workspace(tmp_path, living_org.environment, url)
    found.catalogue(dict.fromkeys(OBJECTS) | {"Showcase__c": {"history": True}})
    return found


def capabilities(workspace: Workspace) -> Capabilities:
    """What its engine has otherwise."""
    connection = server_connection(workspace.env["SF_ASSETS_WAREHOUSE_URL"])
    assert connection
    connection.close()
    return connection.capabilities


def contents(
    workspace: Workspace, relation: str, longest: int = sys.maxsize
) -> list[dict[str, object]]:
    """All rows of a table or view, by lower-cased column, in an order that all engines share.

    Without texts of more bytes, and without what tells that they were rejected.
    """
    names = [name.lower() for name, _ in workspace.columns(relation)]
    rows = workspace.rows(f"SELECT * FROM {relation}")
    found = [
        {name: within(value, longest) for name, value in zip(names, row, strict=True)}
        for row in rows
        if not (relation.endswith("_rejects") and f"at most {longest}" in str(row))
    ]
    return sorted(found, key=lambda row: sorted((n, str(v)) for n, v in row.items()))


@pytest.mark.slow
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
        for table in gold_tables(org.catalog, engine=org.warehouse.engine):
            if table.name in GOLD:
                build_gold(org, org.stored_raw, table, DAYS if table.daily else ())
    longest, sized_views = own.longest_text, capabilities(own).sized_views
    relations = [f"silver.{n.lower()}{x}" for n in OBJECTS for x in ("", "_live", "_rejects")]
    for relation in [*relations, "silver.showcase__c_history", *(f"gold.{n}" for n in GOLD)]:
        assert contents(own, relation, longest) == contents(local, relation, longest), relation
        theirs = {name.lower(): kind for name, kind in local.columns(relation)}
        if relation.startswith("silver.") and (sized_views or not relation.endswith(VIEWS)):
            told = {n: k.replace(" ", "") for n, k in theirs.items()}
            ours = {n.lower(): k.replace(" ", "") for n, k in own.columns(relation)}
            assert ours == told


def test_every_type_comes_through_as_it_is(url: str) -> None:
    connection = server_connection(url)
    assert connection
    with closing(connection):
        declared = (
            "Id VARCHAR, Number DECIMAL(38, 9), Whole BIGINT, Few DECIMAL(19, 0), Day DATE, "
            "At TIMESTAMP WITH TIME ZONE, Hour TIME, Several VARCHAR[], Flag BOOLEAN, Real DOUBLE"
        )
        for schema in ("ops", "silver"):
            connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"CREATE TABLE silver.t ({declared})")
        row = {
            "Id": "é\U0001f600\t\\N\"'\r\n", "Number": Decimal("12345678901234567890.123456789"),
            "Whole": -(2**63), "Few": Decimal(10**18), "Day": date(1, 1, 1),
            "At": datetime(9999, 12, 31, 23, tzinfo=UTC), "Hour": time(23, 59, 59, 999000),
            "Several": ["a;b", "", '{"'], "Flag": False, "Real": 0.1,
        }  # fmt: skip
        nothing = dict.fromkeys(row)
        kinds = {"Number": pl.Decimal(38, 9), "Few": pl.Decimal(19, 0)}
        connection.load("silver.t", pl.DataFrame([row, nothing], schema_overrides=kinds))
        assert connection.execute("SELECT * FROM silver.t ORDER BY Id") == [
            tuple(row.values()),
            tuple(nothing.values()),
        ]
        (whole,) = connection.execute("SELECT Whole FROM silver.t WHERE Whole < 0")
        assert whole == (-(2**63),)
        told = dict(connection.types("silver", "t"))
        assert told.pop(connection.capabilities.kept("Few")) in {"DECIMAL(19,0)", "DECIMAL(20,0)"}
        assert list(told.values()) == [
            "VARCHAR", "DECIMAL(38,9)", "BIGINT", "DATE", "TIMESTAMP WITH TIME ZONE", "TIME",
            "VARCHAR[]", "BOOLEAN", "DOUBLE",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("SELECT 1 FROM silver.nothing", Cause.NAME),
        ("SELECT nothing FROM ops.t", Cause.MEANING),
        ("SELECT * FROM ops.t WHERE", Cause.SYNTAX),
        (f"SELECT CAST('{SECRET}' AS BIGINT)", Cause.DATA),
        (f"SELECT CAST(x AS DATE) FROM (SELECT '{SECRET}' AS x) q", Cause.DATA),
    ],
)
def test_a_refusal_is_told_apart_and_holds_no_value(url: str, sql: str, cause: Cause) -> None:
    connection = server_connection(url)
    assert connection
    with closing(connection):
        connection.execute("CREATE SCHEMA ops")
        connection.execute("CREATE TABLE ops.t (Id VARCHAR)")
        with pytest.raises(connection.error) as refused:
            connection.run(sql)
        assert connection.cause(refused.value) is cause
        assert SECRET not in connection.refusal(refused.value)
        assert connection.execute("SELECT 1") == [(1,)], "the connection goes on"


def test_query_reads_and_changes_nothing(url: str) -> None:
    warehouse = open_warehouse(url)
    assert not warehouse.exists()
    with warehouse.writing("00D1", "default") as session:
        assert session.silver.tables() == set()
    assert warehouse.exists()
    (row,) = warehouse.query("SELECT count(*) AS n FROM ops.orgs").to_pylist()
    assert list(row.values()) == [1]
    with pytest.raises(WarehouseError, match="only reads"):
        warehouse.query("DELETE FROM ops.orgs")
    assert warehouse.query("SELECT name FROM ops.orgs").num_rows == 1


def test_a_second_writer_of_an_org_waits_and_then_says_so(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = open_warehouse(url)
    monkeypatch.setattr(server_module, "PATIENCE", 0.5)
    with warehouse.writing("00D1", "default"):
        with pytest.raises(WarehouseLockedError), warehouse.writing("00D1", "default"):
            pass
        with warehouse.reading("00D1", "default") as session:
            assert session.silver.tables() == set()
        with warehouse.writing("00D2", "other"):
            pass  # another org's tables are none of its business
    with warehouse.writing("00D1", "default"):
        pass


def test_a_variant_is_run_in_the_engines_own_sql(own: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "gold"
    folder.mkdir()
    own.catalogue({"User": None}, gold="gold")
    own.tick()
    org = own.org()
    (folder / "n.sql").write_text("SELECT no_such_function(1) AS n", encoding="utf-8")
    only = {
        "postgres": "to_char(now(), 'YYYY')",
        "snowflake": "TO_VARCHAR(PARSE_JSON('2026'))",
        "redshift": "JSON_SERIALIZE(JSON_PARSE('2026'))",
    }
    engine = org.warehouse.engine
    if engine == "bigquery":
        told = "DATE(@day) AS day, FORMAT_DATE('%Y', @day) AS Year, 'it\\'s' AS Own"
    else:
        told = f"$day::date AS day, {only[engine]} AS \"Year\", 'it''s' AS \"Own\""
    (folder / f"n.{engine}.sql").write_text(
        f"SELECT {told}, (SELECT count(*) FROM silver.user) AS users -- at the end of the day",
        encoding="utf-8",
    )
    (table,) = gold_tables(org.catalog, engine=engine)
    built = build_gold(org, org.stored_raw, table, DAYS)
    assert built.rows == len(DAYS)
    assert [column.lower() for column in built.columns] == ["day", "year", "own", "users"]
    assert {(day, own) for day, _, own, _ in own.rows("SELECT * FROM gold.n")} == {
        (day, "it's") for day in DAYS
    }


@pytest.mark.more
def test_what_ends_in_the_middle_of_merges_leaves_nothing_half_done(
    own: Workspace, living_org: Emulator, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = type(own.org().warehouse).__module__
    monkeypatch.setattr(f"{module}.LEASE", 1, raising=False)  # of one that has died
    own.catalogue({"Account": None, "Showcase__c": {"history": True}})
    own.tick()
    ahead = not capabilities(own).load_in_transaction  # of which fewer are statements
    for statements in (15, 40, 60, 75) if ahead else (15, 40, 75, 110):
        for name in ("Account", "Showcase__c"):
            ((key,),) = own.rows(f"SELECT min(Id) FROM silver.{name.lower()}_live")
            living_org.org.records.update(name, key, {"Name": f"after {statements}"})
        living_org.advance(60)
        url = own.env["SF_ASSETS_WAREHOUSE_URL"]
        with cut_before(statements, url, server, monkeypatch), suppress(WarehouseError):
            own.tick()  # not refused where a session was about to end anyway
        own.tick()
        for slug in ("account", "showcase__c"):
            own.load(slug)
        for name in ("Account", "Showcase__c"):
            assert differences(living_org, own, name) == []
