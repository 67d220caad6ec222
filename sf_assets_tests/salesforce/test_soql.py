"""Queries: generated from describe, and taken from files that people write."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sf_assets.describe import FieldInfo, ObjectInfo
from sf_assets.errors import ConfigError
from sf_assets.salesforce.soql import Query, generate, literal, read_soql
from sf_assets.windows import ALWAYS, BEGIN, Window

FIELDS = {
    "Id": "id", "IsDeleted": "boolean", "Name": "string", "Order__c": "double",
    "BillingAddress": "address", "BillingStreet": "string", "Photo__c": "base64",
    "CreatedDate": "datetime", "SystemModstamp": "datetime",
}  # fmt: skip
ACCOUNT = ObjectInfo(
    name="Account", fields=tuple(FieldInfo(name=name, type=kind) for name, kind in FIELDS.items())
)
NEEDED = "Id, IsDeleted, SystemModstamp"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 21, tzinfo=UTC)

lenient = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


def read(folder: Path, text: str, info: ObjectInfo = ACCOUNT) -> Query:
    path = folder / "account.soql"
    path.write_text(text, encoding="utf-8")
    return read_soql(path, info)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert str(caught.value).startswith(f"{folder}/account.soql")
    return str(caught.value)


def test_every_field_that_a_query_of_many_rows_may_select_is_selected() -> None:
    query = generate(ACCOUNT)
    assert query.fields == (
        "Id", "IsDeleted", "Name", "Order__c", "BillingStreet", "CreatedDate", "SystemModstamp",
    )  # fmt: skip


def test_fields_can_be_chosen_in_any_case_but_the_needed_ones_stay() -> None:
    assert generate(ACCOUNT, only=["name"]).fields == ("Id", "IsDeleted", "Name", "SystemModstamp")
    chosen = generate(ACCOUNT, exclude=["NAME", "Order__c", "billingaddress"])
    assert chosen.fields == ("Id", "IsDeleted", "BillingStreet", "CreatedDate", "SystemModstamp")


@pytest.mark.parametrize("name", ["Emial", "Birtdate", "Id", "systemmodstamp", "ISDELETED"])
def test_a_field_to_leave_out_that_is_not_there_or_must_be_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        generate(ACCOUNT, exclude=["Name", name])


@pytest.mark.parametrize("name", ["Nmae", "BillingAddress", "Photo__c"])
def test_a_field_that_cannot_be_exported_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"Account has no exportable field {name}"):
        generate(ACCOUNT, only=["Id", name])


def test_windows_are_half_open_unquoted_and_open_where_time_has_no_edge() -> None:
    query = Query("Account", ("Id", "Owner.Name"))
    select = "SELECT Id, Owner.Name FROM Account"
    both = f"{select} WHERE S >= 2026-11-20T12:00:00Z AND S < 2026-11-21T00:00:00Z"
    assert query.over("S", Window(NOON, NIGHT)) == both
    assert query.over("S", Window(BEGIN, NIGHT)) == f"{select} WHERE S < 2026-11-21T00:00:00Z"
    late = Window(NOON, ALWAYS.end)
    assert query.over("S", late) == f"{select} WHERE S >= 2026-11-20T12:00:00Z"
    assert query.over("S", ALWAYS) == query.over("S", None) == query.over(None, None) == select


def test_conditions_of_the_user_hold_in_every_query_and_cannot_reach_around_the_window() -> None:
    query = Query("Account", ("Id",), where="A = 1 OR B = 2", suffix="WITH SECURITY_ENFORCED")
    window = Window(BEGIN, NOON)
    end = "FROM Account WHERE (A = 1 OR B = 2) AND S < 2026-11-20T12:00:00Z WITH SECURITY_ENFORCED"
    assert query.over("S", window) == f"SELECT Id {end}"
    assert query.count("S", window) == f"SELECT COUNT() {end}"
    assert query.probe("S", window) == f"SELECT COUNT(Id) n, MAX(S) m {end}"
    days = f"SELECT DAY_ONLY(S) d, COUNT(Id) n {end} GROUP BY DAY_ONLY(S)"
    assert query.per_day("S", window) == days
    whole = "SELECT COUNT() FROM Account WHERE (A = 1 OR B = 2) WITH SECURITY_ENFORCED"
    assert query.count(None, None) == whole


def test_moments_are_written_to_the_second() -> None:
    assert literal(NOON) == "2026-11-20T12:00:00Z"
    assert literal(datetime(900, 1, 2, tzinfo=UTC)) == "0900-01-02T00:00:00Z"


def test_a_file_may_use_any_case_comments_and_line_breaks(tmp_path: Path) -> None:
    query = read(
        tmp_path,
        "\ufeff-- accounts that matter\n\nselect id, ISDELETED,\n  Owner.Name"
        "\n   -- a comment: FROM Nowhere WHERE it's\n, systemmodstamp, order__c\n"
        "From ACCOUNT\nwhere Name LIKE '%--%' \n",
    )
    assert query.object == "Account"
    assert query.fields == ("Id", "IsDeleted", "Owner.Name", "SystemModstamp", "Order__c")
    assert query.where == "Name LIKE '%--%'"
    assert (query.suffix, query.warnings) == ("", ())


@pytest.mark.parametrize(
    "text",
    [
        f"// queries of the team\n// it's for all\n\nSELECT {NEEDED}, Name FROM Account\n",
        f"SELECT {NEEDED}, Name FROM Account;\n",
        f"SELECT {NEEDED}, Name FROM Account ; // it's over\n\n",
        f"SELECT {NEEDED}, /* who's */ Name -- the name\r\nFROM Account\r\n;;\r\n",
        f"/* FROM Nowhere;\n * WHERE it's\n */ SELECT {NEEDED}, Name FROM/**/Account",
    ],
)
def test_files_of_the_salesforce_cli_are_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == Query("Account", ("Id", "IsDeleted", "SystemModstamp", "Name"))


def test_what_looks_like_a_comment_inside_a_value_is_none(tmp_path: Path) -> None:
    where = "Name LIKE 'http://x--y/*z*/;' OR Name = 'it\\'s // ;'"
    assert read(tmp_path, f"SELECT {NEEDED} FROM Account WHERE {where} // no\n;").where == where


def test_order_and_all_rows_are_dropped_and_said_so(tmp_path: Path) -> None:
    text = f"SELECT {NEEDED} FROM Account WITH SECURITY_ENFORCED ORDER BY Name ALL ROWS"
    query = read(tmp_path, text)
    assert query.over(None, None) == f"SELECT {NEEDED} FROM Account WITH SECURITY_ENFORCED"
    assert [w.split(":")[0] for w in query.warnings] == ["account.soql", "account.soql"]
    assert "ORDER BY" in query.warnings[0]


@pytest.mark.parametrize(
    "word", ["LIMIT 5", "OFFSET 5", "GROUP BY Name", "HAVING x = 1", "USING SCOPE mine", "FOR VIEW"]
)
def test_what_would_make_an_export_less_than_whole_is_refused(tmp_path: Path, word: str) -> None:
    refusal = f"{word.split(maxsplit=1)[0]} is refused"
    assert refusal in refused(tmp_path, f"SELECT {NEEDED} FROM Account {word}")
    assert refusal in refused(tmp_path, f"select {NEEDED} from Account {word.lower()}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"SELECT {NEEDED} FROM Contact", "must read FROM Account"),
        (f"SELECT {NEEDED} FROM Account a", "must read FROM Account"),
        (f"SELECT {NEEDED} FROM Account; SELECT Id FROM Contact", ":1: a file holds one query"),
        (f"SELECT {NEEDED}\n,Nmae FROM Account", ":2: Account has no field Nmae"),
        (f"SELECT {NEEDED}, Name,\n name FROM Account", ":2: name is selected twice"),
        (
            f"SELECT {NEEDED}, typeOf What WHEN Account THEN Id END FROM Account",
            "TYPEOF is refused",
        ),
        (
            f"SELECT {NEEDED},\nBillingAddress FROM Account",
            (
                ":2: BillingAddress is a field of type "
                "address, which is no column; select BillingStreet instead"
            ),
        ),
        (f"SELECT {NEEDED}, photo__C FROM Account", "type base64, which is no column; take it out"),
        (f"SELECT {NEEDED}\n/* for FROM Account", ":2: a comment /* has no end"),
        ("SELECT Id, Name FROM Account", "select SystemModstamp, IsDeleted"),
        (f"SELECT {NEEDED}, COUNT() FROM Account", "COUNT()"),
        (f"SELECT {NEEDED}, toLabel(Name) FROM Account", "toLabel"),
        (f"SELECT {NEEDED}, (SELECT Id FROM Contacts) FROM Account", "SELECT Id FROM Contacts"),
        (f"SELECT {NEEDED}, FIELDS(ALL) FROM Account", "FIELDS"),
        (f"SELECT {NEEDED}, Name n FROM Account", "Name n"),
        (f"SELECT {NEEDED}, FROM Account", "''"),
        (f"SELECT {NEEDED}, A.B.C.D.E.F.G FROM Account", "A.B.C.D.E.F.G"),
        ("", "begins SELECT"),
        ("FROM Account", "begins SELECT"),
        (f"SELECT {NEEDED}", "begins SELECT"),
        (f"UPDATE x SELECT {NEEDED} FROM Account", "begins SELECT"),
        (f"SELECT {NEEDED} FROM Account WHERE a = 1 WHERE b = 2", "WHERE is there twice"),
        (f"SELECT {NEEDED} FROM Account WHERE a IN (1", "never closed"),
        (f"\n\nSELECT {NEEDED} FROM Account\n\nWHERE a = 'x", ":5: a string has no end"),
        (f"-- one\n\n--two\nSELECT {NEEDED} FROM Account WHERE\na = 1)", ":5: a ')' without"),
    ],
)
def test_a_query_that_an_export_cannot_use_is_refused_with_the_reason(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problem in refused(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.soql cannot be read"):
        read_soql(tmp_path / "none.soql", ACCOUNT)
    path = tmp_path / "account.soql"
    path.write_bytes(b"SELECT Id FROM Account WHERE Name = 'caf\xe9'")
    with pytest.raises(ConfigError, match=r"account\.soql.* UTF-8"):
        read_soql(path, ACCOUNT)


def test_objects_and_fields_may_be_called_like_clauses(tmp_path: Path) -> None:
    order = ObjectInfo(name="Order", fields=(FieldInfo(name="Id", type="id"),))
    query = read(tmp_path, "SELECT Id, Order.Name, Group.Name FROM Order WHERE Order.X = 1", order)
    assert query.fields == ("Id", "Order.Name", "Group.Name")
    assert query.where == "Order.X = 1"


space = st.sampled_from([" ", "\n", "\t", "  \r\n ", "\n-- it's FROM a (comment\n", " \n\n   --\n"])
literals = st.text(st.sampled_from("ab '\\\"()%-\nÜ日"), max_size=8).map(
    lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
)
keywords = st.sampled_from(["'FROM x WHERE'", "'it\\'s ORDER BY'", "'('", "')'", "'-- no'"])
values = st.one_of(
    literals,
    keywords,
    st.sampled_from(["1", "-1.5E3", "null", "TRUE", "2026-01-31T10:00:00Z", "LAST_N_DAYS:5"]),
)
comparisons = st.builds(
    "{} {} {}".format,
    st.sampled_from(["Name", "Owner.Name", "From__c", "Where__c", "Ordering", "x"]),
    st.sampled_from(["=", "!=", "<", "LIKE"]),
    values,
)
subqueries = st.builds(
    "Id IN (SELECT AccountId FROM Contact WHERE {} ORDER BY Name LIMIT 5)".format, comparisons
)
conditions = st.recursive(
    comparisons | subqueries,
    lambda inner: (
        st.builds("({} AND {})".format, inner, inner) | st.builds("NOT ({})".format, inner)
    ),
    max_leaves=5,
)


@dataclass
class Written:
    """A query as its author wrote it, and the clauses that it has."""

    text: str
    where: str
    suffix: str
    ordered: bool


@st.composite
def queries(draw: st.DrawFn) -> Written:
    """Queries of all clauses that an export can do with, spaced and spelt anyhow."""

    def spelt(word: str) -> str:
        return draw(st.sampled_from([str.upper, str.lower, str.title]))(word)

    text = draw(st.sampled_from(["", "\n", "-- a ( comment's\n"]))
    text += f"{spelt('select')}{draw(space)}{NEEDED}{draw(space)}"
    text += f"{spelt('from')}{draw(space)}Account"
    where = draw(st.just("") | conditions)
    suffix = draw(st.sampled_from(["", "SECURITY_ENFORCED", "USER_MODE"]))
    ordered = draw(st.booleans())
    if where:
        text += f"{draw(space)}{spelt('where')}{draw(space)}{where}"
    if suffix:
        text += f"{draw(space)}{spelt('with')}{draw(space)}{suffix}"
    if ordered:
        text += f"{draw(space)}{spelt('order')} {spelt('by')}{draw(space)}Name DESC NULLS LAST"
    return Written(text + draw(st.just("") | space), where, suffix, ordered)


@given(queries())
@lenient
def test_a_query_falls_into_the_clauses_that_its_author_wrote(
    tmp_path: Path, written: Written
) -> None:
    query = read(tmp_path, written.text)
    assert query.where == written.where
    assert query.suffix == (f"WITH {written.suffix}" if written.suffix else "")
    assert len(query.warnings) == written.ordered
    # What we send is read as the same query again.
    assert read(tmp_path, query.over(None, None)).where.strip("()") == query.where.strip("()")


@given(queries().filter(lambda q: "'" in q.where))
@lenient
def test_a_query_cut_inside_a_string_is_told_with_the_line_where_it_begins(
    tmp_path: Path, written: Written
) -> None:
    start = written.text.index(written.where) + written.where.index("'")
    cut = written.text[:start]
    assert f":{cut.count(chr(10)) + 1}: " in refused(tmp_path, cut + "'never ends")


@given(st.text(st.sampled_from("selctfromwhrd ()'\\-\n,.aI12=\u2028"), max_size=60))
@lenient
def test_no_text_brings_anything_but_a_query_or_a_plain_error(tmp_path: Path, text: str) -> None:
    problem = ""
    try:
        read(tmp_path, f"SELECT {NEEDED} FROM Account {text}")
    except ConfigError as error:
        problem = str(error)
    assert not problem or "account.soql" in problem
