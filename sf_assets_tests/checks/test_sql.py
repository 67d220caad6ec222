"""Checks as SQL give the same offenders as plain Python does."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlglot import exp

from sf_assets.checks.builtin import SILVER_CHECKS
from sf_assets.checks.check import Check, Finding, Subject
from sf_assets.checks.declared import WORDS, Declared
from sf_assets.checks.expectation import EXAMPLES, Expectation
from sf_assets.checks.of_rows import Matches
from sf_assets.describe import FieldInfo, Loss, ObjectInfo
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.sql.portable import make_portable
from sf_assets.warehouse.sql.silver import Silver

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
INFO = ObjectInfo(
    name="Thing__c",
    key_prefix="a00",
    fields=(
        FieldInfo(name="Text__c", type="string"),
        FieldInfo(name="Picked__c", type="picklist", picklist=("it's", "b")),
        FieldInfo(name="Several__c", type="multipicklist", picklist=("a", "b")),
        FieldInfo(name="Parent__c", type="reference", reference_to=("Thing__c",)),
        FieldInfo(name="Owner__c", type="reference", reference_to=("Thing__c", "Group")),
        FieldInfo(name="Far__c", type="reference", reference_to=("Group",)),
        FieldInfo(name="NotHere__c", type="string"),
        FieldInfo(name="Gone__c", type="string", gone=Loss(since=NOW, user="al@example")),
        FieldInfo(name="BillingStreet", type="textarea"),
        FieldInfo(name="BillingCity", type="string"),
        FieldInfo(name="BillingAddress", type="address"),
        FieldInfo(name="Place__c", type="location"),
    ),
)
COLUMNS = {
    "Text__c": "VARCHAR", "Other__c": "VARCHAR", "Gone__c": "VARCHAR",
    "LeftOut__c": "VARCHAR", "Picked__c": "VARCHAR", "Several__c": "VARCHAR[]",
    "Parent__c": "VARCHAR", "Owner__c": "VARCHAR", "Far__c": "VARCHAR",
    "Wide__c": "DECIMAL(38, 10)", "Money__c": "DECIMAL(18, 2)", "Whole__c": "BIGINT",
    "Flag__c": "BOOLEAN", "Day__c": "DATE", "Stamp__c": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip
Row = Mapping[str, Any]


def check(**entry: Any) -> Expectation:
    """A check as the catalogue would read it."""
    adapter: TypeAdapter[Expectation] = TypeAdapter(Declared)
    (one,) = adapter.validate_python(entry).each()
    return one


class World:
    """A warehouse with one object in it."""

    def __init__(self, connection: DuckDBConnection) -> None:
        self.connection = connection
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA silver")
        columns = {"Id": "VARCHAR", **COLUMNS, "_cursor": "TIMESTAMPTZ", "_deleted": "BOOLEAN"}
        spelt = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute(f"CREATE TABLE silver.thing__c ({spelt})")
        connection.execute(
            "CREATE VIEW silver.thing__c_live AS FROM silver.thing__c WHERE NOT _deleted"
        )
        connection.execute('CREATE TABLE silver.thing__c_rejects (Id VARCHAR, "column" VARCHAR)')

    def hold(self, *rows: Row) -> None:
        """Have these rows and no others; Ids are a00000, a00001 and so on unless they say."""
        self.connection.execute("DELETE FROM silver.thing__c")
        for number, row in enumerate(rows):
            full = {"Id": f"a{number:05}", "_cursor": NOW, "_deleted": False, **row}
            names, marks = ", ".join(map('"{}"'.format, full)), ", ".join("?" * len(full))
            self.connection.execute(
                f"INSERT INTO silver.thing__c ({names}) VALUES ({marks})", list(full.values())
            )

    def subject(self, earlier_rows: Sequence[int] = ()) -> Subject:
        """The object, as it is asked about."""
        silver, describes = Silver(self.connection, "silver", "restricted"), {"thing__c": INFO}
        read = {"id", *map(str.lower, COLUMNS)} - {"leftout__c"}
        return Subject(
            "thing__c", silver, NOW, describes.get, {"thing__c"}, lambda: earlier_rows, lambda: read
        )

    def ask(self, asked: Expectation, earlier_rows: Sequence[int] = ()) -> Finding:
        """Ask a check; its own SQL gives as many rows as it counts."""
        found = asked.ask(self.subject(earlier_rows))
        if found.offenders is not None:
            query = str(found.facts["sql"])
            ids = [row[0] for row in self.connection.execute(query)]
            assert (len(ids), tuple(sorted(ids)[:EXAMPLES])) == (found.offenders, found.ids)
        return found

    def offenders(self, asked: Expectation) -> int | None:
        return self.ask(asked).offenders


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with duckdb.connect() as raw:
        connection = DuckDBConnection(raw)
        yield World(connection)


many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)
texts = st.none() | st.text("ab'\n\\é", max_size=3)
rows_of_text = st.lists(st.fixed_dictionaries({"Text__c": texts, "Other__c": texts}), max_size=12)
PATTERNS = ["a+", "[^b]*", "a|b", "", ".", "(a|b)*'?", r"\\", "é.*", r"\w{1,2}", "(?i)A"]


@given(rows_of_text, st.sampled_from(PATTERNS))
@many
def test_matches(world: World, rows: list[Row], pattern: str) -> None:
    world.hold(*rows)
    filled = [row["Text__c"] for row in rows if row["Text__c"] is not None]
    expected = [t for t in filled if not re.fullmatch(pattern, t, re.ASCII)]
    assert world.offenders(check(matches={"Text__c": pattern})) == len(expected)


@given(rows_of_text, st.sampled_from([("Text__c",), ("Text__c", "Other__c")]))
@many
def test_unique(world: World, rows: list[Row], fields: tuple[str, ...]) -> None:
    world.hold(*rows)
    keys = [key for row in rows if None not in (key := tuple(row[f] for f in fields))]
    expected = sum(count for count in Counter(keys).values() if count > 1)
    assert world.offenders(check(unique=list(fields))) == expected


@given(rows_of_text)
@many
def test_not_null(world: World, rows: list[Row]) -> None:
    world.hold(*rows)
    expected = sum(row["Text__c"] is None for row in rows)
    assert world.offenders(check(not_null="text__C")) == expected


wide = st.decimals(-(10**28) + 1, 10**28 - 1, places=10, allow_nan=False)
money = st.decimals(-(10**16) + 1, 10**16 - 1, places=2, allow_nan=False)
whole = st.integers(-(2**63), 2**63 - 1)
near = st.integers(-5, 5)
bounds = st.none() | near | whole | st.integers(-(10**45), 10**45) | st.floats(-1e40, 1e40)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "Wide__c": st.none() | near.map(Decimal) | wide,
                "Money__c": st.none() | near.map(Decimal) | money,
                "Whole__c": st.none() | near | whole,
            }
        ),
        max_size=5,
    ),
    st.sampled_from(["Wide__c", "Money__c", "Whole__c"]),
    bounds,
    bounds,
)
@many
def test_between_numbers(
    world: World, rows: list[Row], name: str, one: float | None, other: float | None
) -> None:
    ends = [None if end is None else Decimal(str(end)) for end in (one, other)]
    if None not in ends:
        one, other = (float(end) if isinstance(end, float) else end for end in (one, other))
        if ends[0] > ends[1]:  # type: ignore[operator]  # neither is None
            one, other, ends = other, one, ends[::-1]
    if ends == [None, None]:
        return
    low, high = ends
    world.hold(*rows)
    values = [Decimal(row[name]) for row in rows if row[name] is not None]
    expected = [
        v for v in values if (low is not None and v < low) or (high is not None and v > high)
    ]
    assert world.offenders(check(between={name: [one, other]})) == len(expected)


days = st.dates(date(1700, 1, 1), date(4000, 12, 31))
stamps = st.datetimes(datetime(1700, 1, 1), datetime(4000, 12, 31)).map(  # noqa: DTZ001 (see map)
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
FEW = st.sampled_from([date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)])


@given(
    st.lists(
        st.fixed_dictionaries({"Day__c": st.none() | FEW | days, "Stamp__c": st.none() | stamps}),
        max_size=5,
    ),
    st.lists(FEW | days, min_size=2, max_size=2).map(sorted),
)
@many
def test_between_days_holds_all_of_the_last_one(
    world: World, rows: list[Row], ends: list[date]
) -> None:
    midnight = datetime(ends[1].year, ends[1].month, ends[1].day, tzinfo=UTC)
    last = {"Day__c": ends[1], "Stamp__c": midnight + timedelta(hours=23, minutes=59)}
    rows = [*rows, last]
    world.hold(*rows)
    for name in ("Day__c", "Stamp__c"):
        values = [row[name] for row in rows if row[name] is not None]
        seen = [v.date() if isinstance(v, datetime) else v for v in values]
        expected = sum(not ends[0] <= day <= ends[1] for day in seen)
        assert world.offenders(check(between={name: ends})) == expected


@given(st.lists(stamps, max_size=5), st.lists(stamps, min_size=2, max_size=2).map(sorted))
@many
def test_between_times(world: World, values: list[datetime], ends: list[datetime]) -> None:
    world.hold(*({"Stamp__c": value} for value in [*values, *ends]))
    expected = sum(not ends[0] <= value <= ends[1] for value in values)
    assert world.offenders(check(between={"Stamp__c": ends})) == expected


def test_deleted_rows_are_not_asked(world: World) -> None:
    world.hold({"Text__c": "a"}, {"Text__c": "a", "_deleted": True}, {"_deleted": True})
    assert world.offenders(check(unique="Text__c")) == 0
    assert world.offenders(check(not_null="Text__c")) == 0


def test_picklists_are_those_of_describe(world: World) -> None:
    world.hold(
        {"Picked__c": "it's", "Several__c": ["a", "b"]},
        {"Picked__c": "B", "Several__c": ["a", "c"]},
        {"Picked__c": None, "Several__c": None},
    )
    assert world.ask(check(in_picklist="Picked__c")).ids == ("a00001",)
    assert world.ask(check(in_picklist="Several__c")).ids == ("a00001",)


def test_a_reference_leads_to_a_record_that_is_there_and_not_deleted(world: World) -> None:
    world.hold(
        {},
        {"_deleted": True},
        {"Parent__c": "a00000"},
        {"Parent__c": "a00001"},
        {"Parent__c": "a00009"},
    )
    assert world.ask(check(references="Parent__c")).ids == ("a00003", "a00004")


def test_a_reference_to_an_object_that_is_not_in_silver_is_not_judged(world: World) -> None:
    world.hold({"Owner__c": "a00000"}, {"Owner__c": "00G001"}, {"Owner__c": "a00007"})
    answer = world.ask(check(references="Owner__c"))
    assert answer.ids == ("a00002",)
    assert answer.facts["not judged, not in silver"] == "Group"


def test_at_most_ten_offenders_are_named(world: World) -> None:
    world.hold(*({} for _ in range(25)))
    answer = world.ask(check(not_null="Text__c"))
    assert (answer.passed, answer.offenders) == (False, 25)
    assert answer.ids == tuple(f"a{number:05}" for number in range(10))


@pytest.mark.parametrize(
    ("readings", "rows", "passed"),
    [
        ([], 0, True), ([100] * 4, 1, True), ([10] * 5, 10, True), ([10] * 5, 12, True),
        ([10] * 5, 13, False), ([10] * 5, 7, False), ([10, 10, 10, 1, 900], 8, True),
        ([0] * 5, 1, False), ([0] * 5, 0, True),
    ],
)  # fmt: skip
def test_row_counts_are_judged_by_the_objects_own_history(
    world: World, readings: list[int], rows: int, passed: bool
) -> None:
    world.hold(*({} for _ in range(rows)))
    answer = world.ask(check(rows={"change": "20%"}), readings)
    assert (answer.passed, answer.offenders) == (passed, None)


def test_fresh_is_by_the_newest_live_row(world: World) -> None:
    world.hold(
        {"_cursor": NOW - timedelta(hours=2)}, {"_cursor": NOW, "_deleted": True},
        {"_cursor": NOW - timedelta(hours=5)},
    )  # fmt: skip
    assert world.ask(check(fresh="2h")).passed
    late = world.ask(check(fresh="119m"))
    assert not late.passed
    assert late.facts["hours old"] == 2
    world.hold()
    assert not world.ask(check(fresh="2h")).passed


COMPONENTS = (
    "compound and has no column of its own; name its components: BillingStreet, BillingCity"
)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"unique": "Nope__c"}, "describe knows no field Nope__c"),
        ({"not_null": "NotHere__c"}, "the org has NotHere__c, the table has not"),
        ({"not_null": "gone__c"}, "gone__c is not visible to al@example since 2026-11-20"),
        ({"unique": ["Text__c", "Gone__c"]}, "Gone__c is not visible to al@example"),
        ({"matches": {"LeftOut__c": "a+"}}, "LeftOut__c is not read any more; it keeps what was"),
        ({"unique": "Place__c"}, "Place__c is compound and has no column of its own"),
        ({"not_null": "billingAddress"}, f"BillingAddress is {COMPONENTS}"),
        ({"unique": ["Text__c", "Nope__c"]}, "describe knows no field Nope__c"),
        ({"in_picklist": "Text__c"}, "describe lists no values for Text__c"),
        ({"in_picklist": "Other__c"}, "describe lists no values for Other__c"),
        ({"references": "Text__c"}, "Text__c is no reference"),
        ({"references": "Far__c"}, "Far__c leads to Group, which silver has not"),
        ({"matches": {"Whole__c": "1"}}, "Whole__c is no text but BIGINT"),
        ({"between": {"Text__c": [0, 1]}}, "Text__c is VARCHAR; `between` is for numbers, "),
        ({"between": {"Flag__c": [0, 1]}}, "Flag__c is BOOLEAN; `between` is for numbers, "),
        (
            {"between": {"Whole__c": [None, NOW.date()]}},
            "Whole__c holds numbers; give",
        ),
        ({"between": {"Day__c": [NOW, None]}}, "Day__c holds days; give the range in days"),
        ({"between": {"Day__c": [0, 1]}}, "Day__c holds days; give the range in days"),
    ],
)
def test_a_check_that_cannot_be_asked_has_not_passed_and_says_why(
    world: World, entry: dict[str, Any], reason: str
) -> None:
    world.hold({"Text__c": "aaa"})
    answer = world.ask(check(**entry))
    assert not answer.passed
    assert answer.offenders is None
    assert answer.reason.startswith(reason)


def test_what_the_engine_alone_refuses_is_told_without_its_words(world: World) -> None:
    world.hold({"Text__c": "aaa"})
    of_another_release = Matches.model_construct(patterns={"Text__c": "a{1,2000}"})
    answer = world.ask(of_another_release)
    assert not answer.passed
    assert answer.reason.startswith("the warehouse refused (InvalidInputException)")


EVERY: Sequence[Check] = (
    check(unique=["Text__c", "Whole__c"]),
    check(not_null="Text__c"),
    check(in_picklist="Picked__c"),
    check(in_picklist="Several__c"),
    check(references="Owner__c"),
    check(matches={"Text__c": r"it's \d+|b"}),
    check(between={"Money__c": [-1, 2.5]}),
    check(between={"Whole__c": [10**20, None]}),
    check(between={"Day__c": [date(2026, 1, 1), date(2026, 2, 1)]}),
    check(between={"Stamp__c": [date(2026, 1, 1), date(2026, 2, 1)]}),
    check(between={"Stamp__c": [None, NOW]}),
    check(rows={"change": "20%"}),
    check(fresh="2h"),
    *SILVER_CHECKS.values(),
)
"""Of each kind, all that is asked in other words."""


class Overheard(Silver):
    """Silver tables that keep what they are asked."""

    def __init__(self, connection: DuckDBConnection) -> None:
        super().__init__(connection, "silver", "restricted")
        self.queries: list[str] = []

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        self.queries.append(sql)
        return super().select(sql)


def asked(world: World) -> list[str]:
    """The queries of every check, of a row that offends against each."""
    row = {"Several__c": ["c"], "Picked__c": "c", "Owner__c": "a00x", "Text__c": "c", "Whole__c": 1}
    world.hold(row, row, {})
    overheard = Overheard(world.connection)
    for one in EVERY:
        one.ask(replace(world.subject(), silver=overheard))
    return list(dict.fromkeys(overheard.queries))


def in_dialect(sql: str, dialect: str) -> str:
    """A query as another engine writes it."""
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    make_portable(tree)
    return tree.sql(dialect, unsupported_level=sqlglot.ErrorLevel.RAISE)


@pytest.mark.parametrize("dialect", ["postgres", "bigquery", "redshift", "snowflake"])
def test_all_that_is_asked_can_be_asked_of_other_engines(world: World, dialect: str) -> None:
    assert {one.word for one in EVERY if isinstance(one, Expectation)} == WORDS.keys()
    for query in asked(world):
        tree = sqlglot.parse_one(in_dialect(query, dialect), dialect=dialect)
        assert not list(tree.find_all(exp.Anonymous, exp.ArrayContainsAll, exp.RegexpFullMatch))
        assert "MATERIALIZED" not in tree.sql(dialect)
        names = [name for name in tree.find_all(exp.Identifier) if not name.name.islower()]
        assert all(name.quoted for name in names), "each engine folds names in its own way"


def test_what_other_engines_are_asked_has_the_same_answer(world: World) -> None:
    run = world.connection.execute
    for query in asked(world):
        assert run(in_dialect(query, "duckdb")) == run(query)
