"""Gold files as people write them: used, or refused with the file; built whatever values say."""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from sf_assets.catalog import PACKAGED_GOLD
from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.gold_columns import gold_columns, relations
from sf_assets.warehouse.gold_sql import GoldTable, read_gold
from sf_assets.warehouse.sql.daily import NOT_ITS_DAY, of_many_days, of_one_day
from sf_assets.warehouse.unwatched import CHANCE, CLOCK, pure

OBJECTS = frozenset(
    {"account", "case", "event", "invoice__c", "invoice__history", "lead", "opportunity",
     "opportunityhistory", "task", "user"}
)  # fmt: skip


def read(folder: Path, text: str | bytes, name: str = "a.sql") -> GoldTable:
    """The one table of a folder with this file."""
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(content)
    (table,) = read_gold(folder, OBJECTS)
    return table


@pytest.mark.parametrize(
    ("sql", "reads", "runs"),
    [
        ("FROM silver.account", {"account"}, '"silver_x"."account_live" AS account'),
        ("FROM SILVER.ACCOUNT", {"account"}, '"silver_x"."account_live" AS ACCOUNT'),
        ('FROM "Silver"."Account" AS a', {"account"}, '"silver_x"."account_live" AS a'),
        ("FROM silver.account_rejects", {"account"}, '"account_rejects" AS account_rejects'),
        ("FROM silver.Account_History", {"account"}, '"account_history" AS Account_History'),
        ("FROM silver.account_live", {"account"}, '"account_live" AS account_live'),
        ("FROM silver.Invoice__History", {"invoice__history"}, '"invoice__history_live"'),
        (
            "FROM silver.Invoice__History_history",
            {"invoice__history"},
            '"invoice__history_history"',
        ),
        ("FROM silver.nobody", {"nobody"}, '"nobody_live" AS nobody'),
    ],
)
def test_what_a_query_reads_is_found_in_any_case_and_by_the_catalogue(
    tmp_path: Path, sql: str, reads: set[str], runs: str
) -> None:
    table = read(tmp_path, f"SELECT Id {sql}")

    assert table.silver == reads
    assert runs in table.rendered("silver_x", "gold_x")


USUAL = """
    SELECT CAST(Amount AS DECIMAL(29, 2)), Name IN ('a'), count(*) FILTER (IsWon) OVER (),
        coalesce(Name, ''), list_transform([1], x -> x + (1)), ntile(2) OVER (ORDER BY Id)
    FROM silver.opportunity TABLESAMPLE 10% GROUP BY GROUPING SETS ((Id), ROLLUP (Id))
"""


@pytest.mark.parametrize(
    ("sql", "unwatched"),
    [
        ("SELECT * FROM read_csv('a.csv') JOIN read_json_auto('b') USING (Id)",
         ("read_csv()", "read_json_auto()")),
        ("SELECT * FROM 'rates.parquet'", ("rates.parquet",)),
        ("SELECT * FROM silver.account JOIN Ref.Rates USING (Id)", ("Ref.Rates",)),
        ("SELECT now() - CreatedDate FROM silver.account", ("the clock",)),
        ("SELECT age(CreatedDate), current_date FROM silver.account", ("the clock",)),
        ("SELECT age(CreatedDate, ClosedDate), random() FROM silver.case", ()),
        ("WITH c AS (SELECT 1 AS n) SELECT * FROM C, range(3), (VALUES (1)) v, unnest([1]) u", ()),
        ("SELECT * FROM silver.account a, a.items", ("a.items",)),
        ("SELECT ago(INTERVAL 1 DAY) FROM silver.account", ("the clock",)),
        ("SELECT CreatedDate.age() FROM silver.account", ("the clock",)),
        ("SELECT main.age(CreatedDate) FROM silver.account", ("the clock",)),
        ("SELECT get_current_timestamp(), 'today'::DATE FROM silver.account", ("the clock",)),
        ("SELECT * FROM silver.account AS a, rates.rates", ("rates.rates",)),
        ("SELECT * FROM silver.account ref JOIN ref.rates USING (Id)", ("ref.rates",)),
        ("SELECT * FROM silver.account, LATERAL read_csv('x.csv')", ("read_csv()",)),
        ("SELECT rate(Amount), main.rate(Id), Name.rate() FROM silver.opportunity", ("rate()",)),
        ("SELECT rate.x FROM (VALUES (1, 2)) AS rate(x, y), LATERAL unnest([x]) t(z)", ()),
        ("WITH rate(x, y) AS (SELECT 1, 2) SELECT rate(x, y) FROM rate", ("rate()",)),
        ("SELECT * FROM rates(2026) JOIN my.rates(2027) USING (Id)", ("rates()",)),
        ("SELECT nvl2(1, 2, 3), nextval('s'), getvariable('v')", ("getvariable()", "nextval()")),
        ('SELECT "my rate"(Id), count(*) AS now, Today FROM silver.account', ("my rate()",)),
        ("SELECT * FROM duckdb_tables(), glob('*')", ("duckdb_tables()", "glob()")),
        ("SELECT * FROM (WITH rates AS (SELECT 1) FROM rates) s, rates", ("rates",)),
        ("SELECT (WITH rates AS (SELECT 1 AS n) SELECT n FROM rates) FROM silver.account", ()),
        ("WITH a AS (FROM b), b AS (SELECT 1) FROM a, b", ("b",)),
        ("WITH a AS (FROM a) FROM a", ("a",)),
        ("WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a) FROM A", ()),
        ("WITH a AS (SELECT 1) FROM a UNION ALL (FROM a WHERE EXISTS (FROM a))", ()),
        (USUAL, ()),
    ],
)  # fmt: skip
def test_what_changes_without_a_note_is_found(
    tmp_path: Path, sql: str, unwatched: tuple[str, ...]
) -> None:
    assert read(tmp_path, sql).unwatched == unwatched


OF_THE_PLACE = re.compile(
    """
    (icu_)?collate_.* | pg_.* | has_.* | inet_.* | .*obj_description | col_description | error
    | (current|session)_(catalog|connection_id|database|query|query_id|role|schemas?|setting|user)
    | current_transaction_id | currval | nextval | setval | user | version | create_sort_key
    | format(_pg)?_type | map_to_pg_oid | map_type_id_to_pg_oid | get_block_size | getvariable
    | in_search_path | json_serialize_plan | parse_duckdb_log_message | sleep_ms | stats
    | txid_current | vector_type | write_log
    """,
    re.VERBOSE,
)
"""Functions of DuckDB that tell of the session or the database, act, or are not for queries."""


def test_every_function_of_duckdb_is_known_for_what_it_is(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    functions = connection.execute(
        "SELECT lower(function_name), string_agg(macro_definition, ' ') FROM duckdb_functions() "
        "WHERE internal AND function_type IN ('scalar', 'aggregate', 'window', 'macro') AND "
        "function_name SIMILAR TO '[a-z]\\w*' GROUP BY ALL"
    ).fetchall()
    others = {name for name, _ in functions if OF_THE_PLACE.fullmatch(name)}

    assert pure() == {name for name, _ in functions} - others - CLOCK - CHANCE
    for name, macro in functions:
        of = set(re.findall(r"\w+", macro or "")) & (CLOCK | CHANCE | others - {"error", "stats"})
        assert name not in pure() or not of


def test_columns_may_be_named_by_table_and_schema(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "SELECT opportunity.Name, silver.account.Name AS company, opportunity.* "
        "FROM silver.opportunity JOIN silver.account ON account.Id = Opportunity.AccountId",
    )
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA silver_x")
        connection.execute("CREATE TABLE silver_x.account_live (Id TEXT, Name TEXT)")
        connection.execute("CREATE TABLE silver_x.opportunity_live (AccountId TEXT, Name TEXT)")
        result = connection.execute(table.rendered("silver_x", "gold_x")).description

    assert [name for name, *_ in result or ()] == ["Name", "company", "AccountId", "Name"]


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + b"SELECT Id FROM silver.account",
        codecs.BOM_UTF16_LE + "SELECT Id FROM silver.account".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "SELECT Id FROM silver.account".encode("utf-16-be"),
        b"SELECT Id FROM silver.account;\n-- last changed by Ann\n",
        b"SELECT Id FROM silver.account;;\n/* the end */;\r\n",
        b"-- what it is\r\nSELECT Id FROM silver.account\r\n",
    ],
)
def test_a_file_may_be_saved_by_any_editor(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content).silver == {"account"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("latin.sql", b"-- a\n-- Gr\xf6\xdfe\nSELECT 1", "latin.sql:2: byte 0xf6 is not UTF-8"),
        ("two.sql", b"SELECT 1; SELECT 2", "two.sql: a gold file holds one SELECT"),
        ("empty.sql", b"-- nothing yet\n", "empty.sql: a gold file holds one SELECT"),
        ("drop.sql", b"DROP TABLE silver.account", "drop.sql: a gold file holds one SELECT"),
        ("broken.sql", b"SELECT (1", "broken.sql: not SQL"),
        ("deep.sql", b"SELECT " + b"(" * 9000 + b"1", "deep.sql: not SQL"),
        (
            "hid.sql",
            b"FROM query('FROM silver.account')",
            "hid.sql: query\\(\\) hides which tables",
        ),
        ("foo.sql", b"SELECT $foo AS x", "foo.sql: nothing gives a value to \\$foo; the one"),
        ("mark.sql", b"SELECT ?, $day AS day", "nothing gives a value to \\?; the one"),
        ("a b.sql", b"SELECT 1", "a b.sql: a gold file is called like its table"),
        ("gr\u00f6\u00dfe.sql", b"SELECT 1", "is called like its table"),
        ("a.sql.txt", b"SELECT 1", "a.sql.txt: a gold file is called like its table"),
        ("a.sql~", b"SELECT 1", "a.sql~: a gold file is called like its table"),
        ("sub/odd", b"SELECT 1", "odd: a gold file is called like its table"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_file(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigError, match=says.replace(".", r"\.")):
        read_gold(tmp_path, OBJECTS)


def test_every_file_of_the_folder_is_used(tmp_path: Path) -> None:
    for name in ("a.sql", "B.SQL", "sub/c.Sql", "sub/deeper/2026_d.sql"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("SELECT 1 AS n")
    for name in (".hidden.sql", ".git/config", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("no SQL")

    assert {table.name for table in read_gold(tmp_path, OBJECTS)} == {"a", "b", "c", "2026_d"}


def test_an_engine_takes_its_own_variant_of_a_file(tmp_path: Path) -> None:
    written = {
        "a.sql": "SELECT 1 AS n FROM silver.account",
        "A.Postgres.SQL": "SELECT 2 AS n FROM silver.contact",
        "a.snowflake.sql": "SELECT f.value:x::string AS n FROM silver.lead, "
        "LATERAL FLATTEN(input => lead.Topics__c) AS f",
        "b.sql": "SELECT 1 AS n FROM gold.a",
    }
    for name, sql in written.items():
        (tmp_path / name).write_text(sql)

    def read(engine: str) -> dict[str, GoldTable]:
        return {table.name: table for table in read_gold(tmp_path, OBJECTS, engine=engine)}

    assert {"a", "b"} == read("duckdb").keys() == read("postgres").keys()
    found = {engine: read(engine)["a"] for engine in ("duckdb", "postgres", "snowflake")}
    assert [table.silver for table in found.values()] == [{"account"}, {"contact"}, {"lead"}]
    assert len({table.sql_hash for table in found.values()}) == 3
    assert "FLATTEN(input => lead.Topics__c)" in found["snowflake"].rendered("silver", "gold")


def test_a_variant_of_no_engine_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.oracle.sql").write_text("SELECT 1 AS n")
    refused: dict[str, SfAssetsError] = {}
    assert read_gold(tmp_path, OBJECTS, refused) == []
    assert "oracle is no engine; a variant" in str(refused["a"])
    assert "duckdb, postgres, snowflake" in str(refused["a"])


def test_two_files_of_one_table_are_refused(tmp_path: Path) -> None:
    for name in ("deals.sql", "sub/Deals.SQL"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("SELECT 1 AS n")

    with pytest.raises(ConfigError, match=r"both gold\.deals"):
        read_gold(tmp_path, OBJECTS)
    refused: dict[str, SfAssetsError] = {}
    assert read_gold(tmp_path, OBJECTS, refused) == [], "neither is taken for the one that is meant"
    assert list(refused) == ["deals"]


def test_what_is_refused_beside_a_table_has_the_name_of_its_file(tmp_path: Path) -> None:
    for name in ("a.sql", "a.txt", "a.oracle.sql", "b.txt", "c.sql", "c.duckdb.sql"):
        (tmp_path / name).write_text("SELECT 1 AS n" if name != "c.duckdb.sql" else "SELECT (")
    refused: dict[str, SfAssetsError] = {}
    assert [table.name for table in read_gold(tmp_path, OBJECTS, refused)] == ["a"]
    assert refused.keys() == {"a.txt", "a.oracle.sql", "b", "c"}


EVERY_COLUMN = (
    "FROM raw.account",
    "SELECT *, Name AS also FROM raw.account",
    "SELECT r.* FROM raw.account r JOIN raw.account s USING (ParentId)",
    "SELECT * EXCLUDE (Id) FROM raw.account",
    "SELECT * REPLACE (upper(Name) AS Name) FROM raw.account",
    "SELECT COLUMNS('.*Id') FROM raw.account",
    "SELECT max(COLUMNS(*)) FROM raw.account",
    "SELECT hash(*COLUMNS(*)) AS h FROM raw.account",
    "SELECT count(DISTINCT r) AS n, first(r.Name) AS one FROM raw.account r",
    "SELECT account FROM raw.account",
    "SELECT to_json(r) AS j FROM raw.account r",
    "SELECT (r).City FROM raw.account r",
    "SELECT #2 FROM raw.account",
    "SELECT t.b FROM raw.account AS t(a, b)",
    "SELECT a.Name FROM raw.account a NATURAL JOIN raw.account b",
    "SELECT Name FROM (FROM raw.account) UNION ALL BY NAME FROM raw.account",
    "FROM raw.account PIVOT (count(Name) FOR City IN ('a', 'b'))",
    "SELECT a.Name FROM raw.account a WHERE EXISTS (FROM raw.account b WHERE b.Id = a.ParentId)",
    "SELECT l.City FROM raw.account r, LATERAL (SELECT r.*) l",
    "WITH v AS (FROM raw.account) SELECT v FROM v",
)
SOME_COLUMNS = (
    "SELECT count(*) AS n, count(*) FILTER (WHERE City = 'a') AS a FROM raw.account",
    "SELECT r.Name FROM raw.account r JOIN raw.account s USING (ParentId)",
    "WITH v AS (SELECT Name, City FROM raw.account) SELECT v.*, 1 AS one FROM v",
    "SELECT * FROM (SELECT NAME FROM raw.account) s",
    'SELECT "name" FROM raw.account WHERE Id IN (SELECT ParentId FROM raw.account)',
    "FROM raw.account SELECT Name",
)


@pytest.mark.parametrize("sql", EVERY_COLUMN + SOME_COLUMNS)
def test_of_versions_of_raw_a_query_gets_every_column_that_it_reads(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    table = read(tmp_path, sql)
    columns = ["Id", "Name", "ParentId", "City", "Phone"]
    used = table.columns_used()
    kept = [c for c in columns if used is None or c.lower() in {"id", *used}]
    rendered = table.rendered("silver", "gold")

    def result(columns: list[str]) -> tuple[object, object]:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE raw_account AS SELECT {', '.join(columns)} FROM (VALUES "
            "('1', 'x', NULL, 'a', '7'), ('2', 'y', '1', 'b', '8')) v(Id, Name, ParentId, City, "
            "Phone)"
        )
        found = connection.execute(rendered)
        return found.description, found.fetchall()

    assert result(kept) == result(columns)
    assert (used is None) == (sql in EVERY_COLUMN)


@pytest.mark.parametrize(
    ("sql", "asked"),
    [
        ("SELECT Id FROM silver.account JOIN silver.lead USING (CurrencyIsoCode)", True),
        ("SELECT * EXCLUDE (CurrencyIsoCode) FROM silver.account", True),
        ("SELECT * REPLACE ('EUR' AS CurrencyIsoCode) FROM silver.account", True),
        ("SELECT a.CURRENCYISOCODE FROM silver.account a", True),
        ("SELECT *, 'EUR' AS CurrencyIsoCode FROM silver.account", False),
        ("SELECT * FROM silver.account -- CurrencyIsoCode", False),
    ],
)
def test_the_currency_is_there_wherever_a_query_names_it(
    tmp_path: Path, sql: str, *, asked: bool
) -> None:
    rendered = read(tmp_path, sql).rendered("silver", "gold", {"account_live"})
    assert ("CAST(NULL AS TEXT) AS CurrencyIsoCode" in rendered) == asked


COLUMNS = {
    "account": "Name VARCHAR",
    "user": "Name VARCHAR",
    "task": "AccountId VARCHAR, ActivityDate DATE",
    "event": "AccountId VARCHAR, ActivityDate DATE",
    "case": "ClosedDate TIMESTAMPTZ, Priority VARCHAR, IsClosed BOOLEAN, IsEscalated BOOLEAN",
    "lead": "LeadSource VARCHAR, IsConverted BOOLEAN, ConvertedOpportunityId VARCHAR, "
    "ConvertedDate DATE",
    "opportunity": "AccountId VARCHAR, OwnerId VARCHAR, StageName VARCHAR, Amount {0}, "
    "Probability {0}, IsClosed BOOLEAN, IsWon BOOLEAN, CloseDate DATE",
    "opportunityhistory": "OpportunityId VARCHAR, StageName VARCHAR, Amount {0}, Probability {0}, "
    "ForecastCategory VARCHAR",
}
SYSTEM = (
    "Id VARCHAR, CreatedDate TIMESTAMPTZ, IsDeleted BOOLEAN, _cursor TIMESTAMPTZ, "
    "_read_at TIMESTAMPTZ, _slice VARCHAR"
)
DAYS = ("0001-01-01", "2026-05-05", "9999-12-31")


def fill(connection: duckdb.DuckDBPyConnection, kind: str, number: str, *, currency: bool) -> None:
    """Tables whose values are at the end of what their columns can hold."""
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA silver")
    extra = ", CurrencyIsoCode VARCHAR" if currency else ""
    connection.execute("SELECT setseed(0.5)")
    for slug, columns in COLUMNS.items():
        places = [f"silver.{slug}_live", *(["temp.raw_opportunity"] * (slug == "opportunity"))]
        for place in places:
            temporary = "TEMP" if place.startswith("temp") else ""
            connection.execute(
                f"CREATE {temporary} TABLE {place} ({SYSTEM}, {columns.format(kind)}{extra})"
            )
            described = connection.execute(f"DESCRIBE {place}").fetchall()
            for row, day in enumerate(DAYS * 3):
                values = [value(name, type_, day, number, row) for name, type_, *_ in described]
                connection.execute(f"INSERT INTO {place} VALUES ({', '.join(values)})")


def value(name: str, type_: str, day: str, number: str, row: int) -> str:
    """A value for a column, as SQL; the newest rows are of what is open."""
    if name == "Probability" and day == DAYS[0]:
        return "1"
    known = {"IsDeleted": "false", "IsClosed": f"{row} < 4", "_slice": f"'{row}'"}
    if name in known:
        return known[name]
    fixed = {
        "BOOLEAN": "random() < 0.5",
        "DATE": f"DATE '{day}'",
        "TIMESTAMP WITH TIME ZONE": f"TIMESTAMPTZ '{day} 23:59:59 UTC'",
        "VARCHAR": "'x'",
    }
    return fixed.get(type_, number if day != DAYS[1] else f"-{number}")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize("currency", [True, False])
@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("DECIMAL(18, 2)", "9" * 16),
        ("DECIMAL(38, 2)", "9" * 36 + ".99"),
        ("DECIMAL(38, 0)", "9" * 38),
        ("DECIMAL(38, 37)", "9.9"),
    ],
)
def test_packaged_tables_are_built_whatever_numbers_and_dates_say(
    connection: duckdb.DuckDBPyConnection, kind: str, number: str, *, currency: bool
) -> None:
    fill(connection, kind, number, currency=currency)
    rows = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    lacking = set() if currency else {name for (name,) in rows}

    for table in read_gold(PACKAGED_GOLD, OBJECTS):
        query = table.rendered("silver", "gold", lacking)
        result = connection.execute(query, {"day": "2026-05-05"} if table.daily else None)
        names = [column[0] for column in result.description or ()]
        assert result.fetchall(), table.name
        assert ("currency" in names) == any("amount" in name for name in names), table.name


def test_amounts_of_several_currencies_are_not_added(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    fill(connection, "DECIMAL(18, 2)", "1", currency=True)
    connection.execute(
        "DELETE FROM silver.opportunity_live; INSERT INTO silver.opportunity_live "
        "(AccountId, StageName, Amount, Probability, IsClosed, CurrencyIsoCode) VALUES "
        "('a', 's', 100, 50, false, 'EUR'), ('a', 's', 1000, 50, false, 'JPY'), "
        "('a', 's', 10, 50, false, 'EUR')"
    )
    (table,) = (t for t in read_gold(PACKAGED_GOLD, OBJECTS) if t.name == "pipeline_by_account")

    rows = connection.execute(
        "SELECT currency, amount, weighted_amount FROM "
        f"({table.rendered('silver', 'gold')}) ORDER BY currency"
    ).fetchall()

    assert rows == [("EUR", 110, 55), ("JPY", 1000, 500)]


EVERY_DAY = {
    "an aggregate of all rows": "SELECT $day AS day, count(*) AS n, sum(a) FROM t WHERE d < $day",
    "none in the end": "SELECT $day AS day, count(*) AS n FROM t WHERE d < $day HAVING n > 999",
    "groups": "SELECT $day AS day, k, avg(a) FROM t WHERE d > $day - 3 AND d <= $day GROUP BY k",
    "a rollup": "SELECT $day AS day, k, count(*) FROM t WHERE d < $day GROUP BY ROLLUP (k)",
    "a window": "SELECT $day AS day, id, row_number() OVER (PARTITION BY k ORDER BY id) AS n "
    "FROM t WHERE d <= $day QUALIFY n < 4",
    "the first of some": "SELECT $day AS day, id FROM t WHERE d <= $day ORDER BY a, id LIMIT 3",
    "distinct": "SELECT DISTINCT ON (k) $day AS day, k, id FROM t WHERE d < $day ORDER BY k, id",
    "a CTE that is read twice": "WITH x AS (SELECT * FROM t WHERE d < $day) SELECT $day AS day, "
    "count(*) AS n FROM x UNION ALL SELECT $day, -count(*) FROM x",
    "a series": "SELECT $day AS day, g FROM generate_series(DATE '2026-01-01', $day, "
    "INTERVAL 1 DAY) AS s(g)",
    "what is not there": "SELECT $day AS day, k FROM (SELECT DISTINCT k FROM t) s WHERE NOT EXISTS "
    "(SELECT 1 FROM t WHERE t.k = s.k AND t.d = $day)",
    "an outer join": "SELECT $day AS day, x.id, y.id FROM (SELECT * FROM t WHERE d = $day) x FULL "
    "JOIN (SELECT * FROM t WHERE d = $day - 1) y ON x.k = y.k",
    "queries in queries": "SELECT $day AS day, (SELECT count(*) FROM t WHERE d = (SELECT max(d) "
    "FROM t WHERE d < $day)) AS n",
    "recursion": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < "
    "date_part('day', $day)) SELECT $day AS day, max(n) FROM r",
}


@pytest.mark.parametrize("name", EVERY_DAY)
def test_many_days_at_once_are_what_each_is_alone(
    connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    connection.execute(
        "CREATE TABLE t AS SELECT i AS id, DATE '2026-01-01' + (i * 7 % 40)::INT AS d, i % 5 AS k, "
        "(i * 31 % 17)::DECIMAL(10, 2) AS a FROM range(200) r(i)"
    )
    sql = EVERY_DAY[name]
    days = [date(2025, 12, 30) + timedelta(n) for n in range(50)]

    shape = DuckDBConnection(connection).shape(sql, {"day": days[0]})
    columns = [column for column, _ in shape]

    one, run = of_one_day(sql, columns), connection.execute
    alone = [row for d in days for row in run(one, {"day": d}).fetchall()]
    together = connection.execute(of_many_days(sql, columns), {"days": days}).fetchall()

    assert Counter(together) == Counter(alone)


@pytest.mark.parametrize("render", [of_many_days, of_one_day])
def test_rows_of_another_day_are_refused(
    connection: duckdb.DuckDBPyConnection, render: Callable[[str, Sequence[str]], str]
) -> None:
    days = [date(2026, 1, 1)]
    parameters = {"days": days} if render is of_many_days else {"day": days[0]}
    with pytest.raises(duckdb.InvalidInputException, match=re.escape(NOT_ITS_DAY)):
        connection.execute(render("SELECT $day + 1 AS day", ["day"]), parameters).fetchall()


def test_every_column_of_the_packaged_tables_is_described() -> None:
    read_from = {slug: dict.fromkeys(re.findall(r"(\w+) [A-Z{]", columns), "its label")
                 for slug, columns in COLUMNS.items()}  # fmt: skip
    system = dict.fromkeys(["Id", "CreatedDate", "CurrencyIsoCode", "OwnerId"], "its label")
    for table in read_gold(PACKAGED_GOLD, OBJECTS):
        comments = {
            place: read_from[name] | system for place, (_, name) in relations(table).items()
        }
        types = dict.fromkeys(table.query.named_selects, "VARCHAR")
        found = gold_columns(table, types, comments)
        bare = [name for name, column in found.items() if not column.comment]
        assert bare == [], table.name
