"""Checks as the catalogue declares them: what can be said, and how errors are told."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from sf_assets.catalog_file import load_catalog
from sf_assets.checks.between import Between
from sf_assets.checks.builtin import ORG_CHECKS, RAW_CHECKS, SILVER_CHECKS
from sf_assets.checks.check import Severity, format_score
from sf_assets.checks.declared import WORDS
from sf_assets.checks.expectation import Expectation
from sf_assets.checks.of_rows import Matches
from sf_assets.checks.of_tables import Fresh, RowCount
from sf_assets.errors import ConfigError


def declared(folder: Path, checks: str) -> tuple[Expectation, ...]:
    path = folder / "catalog.yaml"
    path.write_text(f"objects:\n  Account:\n    checks:\n{checks}", encoding="utf-8")
    return load_catalog(path).objects["Account"].expectations


def test_each_word_becomes_checks_with_names_of_their_own(tmp_path: Path) -> None:
    checks = declared(
        tmp_path,
        """
    - unique: Name
    - unique: [Name, BillingCity]
    - not_null: [Name, OwnerId]
    - in_picklist: Industry
    - matches: {Website: "https?://.+", Phone: '\\+?[0-9 ()-]+'}
    - between: {NumberOfEmployees: [0, 1000000], LastActivityDate: [2001-02-03, null]}
    - references: ParentId
    - rows: {change: 20%}
    - fresh: 90m
      severity: error
      blocking: true
""",
    )
    assert [check.name for check in checks] == [
        "unique_Name", "unique_Name_BillingCity", "not_null_Name", "not_null_OwnerId",
        "in_picklist_Industry", "matches_Website", "matches_Phone", "between_NumberOfEmployees",
        "between_LastActivityDate", "references_ParentId", "rows", "fresh",
    ]  # fmt: skip
    assert {check.word for check in checks} == set(WORDS)
    assert [(c.severity, c.blocking) for c in checks[:-1]] == [(Severity.WARN, False)] * 11
    assert (checks[-1].severity, checks[-1].blocking) == (Severity.ERROR, True)
    by_name = {check.name: check for check in checks}
    assert isinstance(matches := by_name["matches_Phone"], Matches)
    assert matches.patterns == {"Phone": r"\+?[0-9 ()-]+"}
    assert isinstance(between := by_name["between_NumberOfEmployees"], Between)
    assert between.ranges == {"NumberOfEmployees": (Decimal(0), Decimal(1_000_000))}
    assert isinstance(days := by_name["between_LastActivityDate"], Between)
    assert days.ranges == {"LastActivityDate": (date(2001, 2, 3), None)}
    assert isinstance(rows := by_name["rows"], RowCount)
    assert rows.rows.change == 20
    assert isinstance(fresh := by_name["fresh"], Fresh)
    assert fresh.within == timedelta(minutes=90)


def test_what_a_check_asks_and_what_to_do_are_sentences(tmp_path: Path) -> None:
    checks = declared(
        tmp_path,
        "    - unique: [A, B]\n    - matches: {C: '[a-z]{2}'}\n    - rows: {change: 0.5%}\n"
        "    - between: {D: [1, 2], E: [null, 3]}\n    - fresh: 1d\n",
    )
    assert [check.asks for check in checks] == [
        "No two live rows have the same A and B.",
        "C matches [a-z]{2} as a whole.",
        "The live rows are within 0.5% of the median of earlier readings.",
        "D lies between 1 and 2.",
        "E lies at 3 or below.",
        "The newest live row changed at most 24 hours ago.",
    ]
    assert all(check.remedy and "{" not in check.remedy for check in checks)


DEFINITIONS = {
    "unique_Name_BillingCity": "790334f12192d9b8",
    "not_null_Name": "c36d957eb6a85365",
    "in_picklist_Industry": "86e090bbec5ce62b",
    "references_ParentId": "8d296eb418e8810b",
    "matches_Website": "2f2ef3ae6ab3a0e1",
    "between_NumberOfEmployees": "ca769117c93f9236",
    "between_LastActivityDate": "19c6e5d4f51a3bf2",
    "between_SystemModstamp": "e38569eb5b1551e0",
    "rows": "6ee055e238180692",
    "fresh": "3801b93533a92cf1",
}


def test_what_is_asked_keeps_its_digest_so_that_no_release_asks_it_again(tmp_path: Path) -> None:
    checks = declared(
        tmp_path,
        """
    - unique: [Name, BillingCity]
    - not_null: Name
      severity: error
    - in_picklist: Industry
    - references: ParentId
    - matches: {Website: "https?://.+"}
    - between: {NumberOfEmployees: [0, 1000000]}
    - between: {LastActivityDate: [2001-02-03, null]}
    - between: {SystemModstamp: [null, 2026-01-02 03:04:05]}
    - rows: {change: 20%}
    - fresh: 90m
""",
    )
    assert {check.name: check.definition(lambda: None) for check in checks} == DEFINITIONS


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    (check,) = declared(tmp_path, "    - between: {T: [2026-01-02 03:04:05, null]}")
    assert isinstance(check, Between)
    assert check.ranges["T"][0] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("pattern", [r"\p{Greek}+", r"\pN", r"\Q(\E", r"a\z", "(?U)a+"])
def test_what_re2_alone_knows_is_no_error(tmp_path: Path, pattern: str) -> None:
    (found,) = declared(tmp_path, f"    - matches: {{A: '{pattern}'}}")
    assert isinstance(found, Matches)
    with duckdb.connect() as connection:
        connection.execute("SELECT regexp_full_match('a', ?)", [pattern]).fetchall()


ERRORS = {
    "an unknown word": ("- unique: A\n- uniqe: Name", 5, "no such check; the words are unique,"),
    "a check that is a word": ("- unique", 4, "no such check"),
    "checks that are no list": ("  unique: Name", 3, "checks"),
    "two words": ("- unique: Name\n  not_null: Name", 5, "checks.0.not_null"),
    "an unknown word beside": ("- unique: Name\n  sevrity: error", 5, "checks.0.sevrity"),
    "an unknown severity": ("- unique: Name\n  severity: bad", 5, "'warn' or 'error'"),
    "a warning that blocks": ("- unique: Name\n  blocking: true", 4, "severity: error"),
    "no field": ("- unique: []", 4, "checks.0.unique"),
    "a field by a bad name": ("- not_null:\n  - Name\n  - First Name", 6, "checks.0.not_null.1"),
    "a regex that is none": ("- matches:\n    A: x\n    Website: '('", 6, "no regular expression"),
    "a regex that looks ahead": ("- matches: {A: '(?=x)'}", 4, "RE2"),
    "a regex that looks back": ("- matches: {A: '(?<!x)y'}", 4, "RE2"),
    "a back-reference": (r"- matches: {A: '(x)\1'}", 4, "RE2"),
    "a regex that Python alone knows": ("- matches: {A: 'a++b'}", 4, "bad repetition operator: ++"),
    "a regex that is too large": ("- matches: {A: 'a{1,2000}'}", 4, "invalid repetition size"),
    "a group as others name it": ("- matches: {A: '(?<year>x)'}", 4, "(?P<name>…)"),
    "no pattern": ("- matches: {}", 4, "checks.0.matches"),
    "an empty range": ("- between:\n    A: [3, 2]", 5, "the range is empty"),
    "a range without ends": ("- between: {A: [null, null]}", 4, "at least one end"),
    "a range of one": ("- between: {A: [1]}", 4, "[lowest, highest]"),
    "a range of two kinds": ("- between: {A: [1, 2026-01-01]}", 4, "both ends"),
    "a range of text": ("- between: {A: [a, b]}", 4, "a number or a date"),
    "a range of booleans": ("- between: {A: [false, true]}", 4, "a number or a date"),
    "an infinite range": ("- between: {A: [0, .inf]}", 4, "a number or a date"),
    "a time without a unit": ("- fresh: 12", 4, "such as 2h"),
    "no time": ("- fresh: 0h", 4, "such as 2h"),
    "a change without a sign": ("- rows: {change: 20}", 4, "such as 20%"),
    "no change": ("- rows: {change: 0%}", 4, "such as 20%"),
    "an unknown word of rows": ("- rows:\n    change: 1%\n    chnge: 2%", 6, "rows.chnge"),
    "a check twice": ("- unique: Name\n- not_null: A\n- unique: name", 6, "unique_name is there"),
    "a check twice in a list": ("- not_null: [A, B, A]", 4, "not_null_A is there twice"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_names_the_line_and_what_is_wrong(tmp_path: Path, case: str) -> None:
    text, line, what = ERRORS[case]
    with pytest.raises(ConfigError) as caught:
        declared(tmp_path, "".join(f"    {one}\n" for one in text.splitlines()))
    assert str(caught.value).startswith(f"{tmp_path}/catalog.yaml:{line}: objects.Account.checks")
    assert what in str(caught.value)


def test_no_declared_check_can_have_the_name_of_a_built_in_one() -> None:
    built_in = RAW_CHECKS.keys() | SILVER_CHECKS.keys()
    assert {"rows", "fresh"}.isdisjoint(built_in)
    assert not [name for name in built_in for word in WORDS if name.startswith(f"{word}_")]


def test_there_is_something_to_do_about_each_built_in_check() -> None:
    assert all(check.remedy for check in SILVER_CHECKS.values())
    assert all(check.remedy for check in ORG_CHECKS.values())


@pytest.mark.parametrize(
    ("score", "spelt"),
    [(100.0, "100.00"), (99.9999, "99.99"), (99.995, "99.99"), (92.5, "92.50"), (0.0, "0.00")],
)
def test_a_score_is_never_rounded_up_to_100(score: float, spelt: str) -> None:
    assert format_score(score) == spelt
