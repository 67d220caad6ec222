"""SOQL text to tree and back."""

import dataclasses
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.soql import nodes
from sf_assets.emulator.soql.parser import parse
from sf_assets_tests.emulator.spelling import spell

WORDS = [
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "INCLUDES", "EXCLUDES", "NULL",
    "TRUE", "FALSE", "GROUP", "ORDER", "BY", "HAVING", "LIMIT", "OFFSET", "FOR", "ALL", "WITH",
    "UPDATE", "USING", "AS", "ASC", "DESC", "NULLS", "TYPEOF", "TODAY",
]  # fmt: skip

names = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}(__[cr])?", fullmatch=True).filter(
    lambda name: name.upper() not in WORDS
)
fields = st.builds(nodes.FieldRef, st.lists(names, min_size=1, max_size=4).map(tuple))
calls = st.builds(
    nodes.Call,
    st.sampled_from(["COUNT", "MAX", "CALENDAR_YEAR", "TOLABEL"]),
    st.tuples(fields),
)
expressions = fields | calls
strings = st.builds(
    nodes.StringLiteral,
    st.text(st.characters(exclude_characters="'\\", exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from([r"\'", r"a\\b", r"\n\r\t", r"50\%", r"a\_b", r"é"]),
)
values = st.one_of(
    strings,
    st.builds(
        nodes.NumberLiteral,
        st.from_regex(r"-?[0-9]{1,5}(\.[0-9]{1,3})?(E[+-]?[0-9])?", fullmatch=True),
    ),
    st.builds(nodes.BooleanLiteral, st.booleans()),
    st.just(nodes.NullLiteral()),
    st.builds(nodes.DateLiteral, st.dates(date(1700, 1, 1), date(4000, 12, 31))),
    st.builds(
        nodes.DateTimeLiteral,
        st.datetimes(datetime(1700, 1, 1), datetime(4000, 1, 1)).map(  # noqa: DTZ001  zone below
            lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
        ),
    ),
    st.builds(nodes.TimeLiteral, st.times().map(lambda t: t.replace(microsecond=0))),
    st.builds(nodes.DateFormula, st.sampled_from(["TODAY", "LAST_MONTH", "THIS_FISCAL_YEAR"])),
    st.builds(
        nodes.DateFormula, st.sampled_from(["LAST_N_DAYS", "N_YEARS_AGO"]), st.integers(0, 999)
    ),
)
lists = st.lists(values, min_size=1, max_size=3).map(tuple)
simple = st.builds(
    nodes.Comparison,
    expressions,
    st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "LIKE"]),
    values,
) | st.builds(
    nodes.Comparison, fields, st.sampled_from(["IN", "NOT IN", "INCLUDES", "EXCLUDES"]), lists
)


def junctions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(nodes.Junction, st.sampled_from(["AND", "OR"]), several) | st.builds(
        nodes.Not, inner
    )


conditions = st.recursive(simple, junctions, max_leaves=6)
orders = st.builds(nodes.Order, expressions, st.booleans(), st.booleans())


def queries(select: st.SearchStrategy[Any]) -> st.SearchStrategy[nodes.Query]:
    return st.builds(
        nodes.Query,
        select=st.lists(select, min_size=1, max_size=4).map(tuple),
        object_name=names,
        alias=st.none() | names,
        where=st.none() | conditions,
        group_by=st.lists(expressions, max_size=2).map(tuple),
        having=st.none() | conditions,
        order_by=st.lists(orders, max_size=2).map(tuple),
        limit=st.none() | st.integers(0, 50_000),
        offset=st.none() | st.integers(0, 2000),
        security_enforced=st.booleans(),
        all_rows=st.booleans(),
    ).map(lambda q: q if q.group_by else dataclasses.replace(q, having=None))


selected = st.builds(nodes.Selected, expressions, st.none() | names)
subqueries = st.builds(nodes.Selected, queries(selected), st.none())


@settings(max_examples=50)
@given(queries(selected | subqueries))
def test_a_tree_survives_its_own_text(query: nodes.Query) -> None:
    assert parse(spell(query)) == query


@settings(max_examples=150)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*WORDS, "Id", "(", ")", ",", "'a'", "1", "="]), max_size=12).map(
        " ".join
    )
)
def test_nonsense_is_refused_and_nothing_else_happens(text: str) -> None:
    codes = []
    try:
        parse(text)
    except ApiError as error:
        codes.append(error.code)
    assert codes in ([], ["MALFORMED_QUERY"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "SELECT Id FORM Account",
            "\nSELECT Id FORM Account\n"
            + " " * 10
            + "^\nERROR at Row:1:Column:11\nunexpected token: 'FORM'",
        ),
        (
            "SELECT Id\nFROM Account\nWHERE *",
            "\nWHERE *\n      ^\nERROR at Row:3:Column:7\nunexpected token: '*'",
        ),
        ("", "SOQL statements cannot be empty or null"),
    ],
)
def test_errors_point_at_the_place(text: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse(text)
    assert (refused.value.code, refused.value.message) == ("MALFORMED_QUERY", message)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT Id FROM Account WHERE A = 1 AND B = 2 OR C = 3",
        "SELECT Id FROM Account WHERE A = 1 OR B = 2 AND C = 3",
        "SELECT * FROM Account",
        "SELECT Id FROM Account WHERE Name = :name",
        "SELECT Id FROM Account WHERE Name = 'open",
        "SELECT Id FROM Account LIMIT -1",
        "SELECT Id FROM Account WHERE CreatedDate > 2026-02-30",
        "SELECT Id FROM Account WHERE CreatedDate > 2026-01-01T10:00:00",
        "SELECT Id FROM Account ORDER Name",
        "SELECT Name FROM Account HAVING COUNT(Id) > 1",
        "SELECT Id FROM Account WHERE Id IN (SELECT Id FROM Account HAVING COUNT(Id) > 1)",
        "SELECT Id FROM Account; DROP",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(ApiError, match="MALFORMED_QUERY"):
        parse(text)


def test_case_and_clauses_that_change_nothing() -> None:
    plain = parse("SELECT Id FROM Account WHERE Name != 'x'")
    assert parse("select Id from Account where Name <> 'x' for view") == plain
    assert parse("SELECT Id FROM Account WHERE Name != 'x' FOR REFERENCE FOR VIEW") == plain


def test_datetimes_become_utc() -> None:
    for text in (
        "2026-01-31T12:00:00+02:00",
        "2026-01-31T10:00:00.000Z",
        "2026-01-31T05:00:00-0500",
    ):
        condition = parse(f"SELECT Id FROM A WHERE D = {text}").where
        assert isinstance(condition, nodes.Comparison)
        assert condition.right == nodes.DateTimeLiteral(datetime(2026, 1, 31, 10, tzinfo=UTC))
