"""The texts and numbers on which exporters break are there."""

from datetime import date
from typing import Any

from sf_assets.emulator.world import words
from sf_assets_tests.emulator.world.conftest import World


def values(world: World, name: str, field: str) -> set[Any]:
    return set(world.column(name, field)) - {None}


def test_every_awkward_text_is_in_a_long_text_field(world: World) -> None:
    wanted = set(words.AWKWARD_TEXTS.to_pylist())
    for name in ("Contact", "Lead", "Opportunity", "Task"):
        assert wanted <= values(world, name, "Description"), name


def test_what_the_awkward_texts_are_about() -> None:
    every = "\x1f".join(words.AWKWARD_TEXTS.to_pylist())
    for needle in (
        *(
            '"',
            ",",
            ";",
            "|",
            "^",
            "`",
            "\\",
            "\t",
            "\r",
            "\n",
            "\r\n",
            "\u2028",
            "\u2029",
            "\ufeff",
        ),
        *("😀", "מ", "ع", "\u0308", "\u200d", "\u00a0", "\u0085", "\u202e"),
    ):
        assert needle in every, repr(needle)
    singles = set(words.AWKWARD_TEXTS.to_pylist())
    assert singles >= {" ", "NA", "null", "N/A", "None", "nan", "#N/A", "=1+1", "\\N", '"', ","}
    assert "\0" not in every


def test_awkward_names(world: World) -> None:
    for name, field in (("Account", "Name"), ("Contact", "LastName"), ("Lead", "Company")):
        found = values(world, name, field) & set(words.AWKWARD_NAMES.to_pylist())
        assert len(found) > 15, name


def test_long_texts(world: World) -> None:
    for name in ("Account", "Contact", "Opportunity", "Case"):
        assert max(map(len, values(world, name, "Description"))) == 32_000, name
    longest = max(values(world, "Showcase__c", "Huge_Text__c"), key=len)
    assert len(longest) == 131_072
    assert len(longest.encode()) > 131_072
    assert {"\r\n", '"', "漢"} <= {part for part in ("\r\n", '"', "漢") if part in longest}


def test_numbers_at_the_edges(world: World) -> None:
    amounts = values(world, "Opportunity", "Amount")
    assert {0.0, -1500.25, 1e7} <= amounts
    assert max(amounts) > 1e7
    revenue = values(world, "Account", "AnnualRevenue")
    assert 0.0 in revenue
    assert sum(value >= 1e7 for value in revenue) > 50, "Java writes these with an exponent"
    assert max(values(world, "Showcase__c", "Currency__c")) == 9_999_999_999_999.99
    assert max(values(world, "Showcase__c", "Number_0__c")) == 999_999_999_999_999
    assert min(values(world, "Showcase__c", "Int__c")) == -99_999_999
    digits = [
        len(repr(value).split(".")[1]) for value in values(world, "Showcase__c", "Number_15__c")
    ]
    assert max(digits) >= 14


def test_dates_from_1700_to_4000(world: World) -> None:
    assert min(values(world, "Contact", "Birthdate")) == date(1700, 1, 1)
    assert max(values(world, "Opportunity", "CloseDate")) == date(4000, 12, 31)
    assert sum(value < date(1900, 1, 1) for value in values(world, "Contact", "Birthdate")) <= 2
    days = values(world, "Showcase__c", "Date__c")
    assert {date(1700, 1, 1), date(4000, 12, 31), date(1970, 1, 1), date(1969, 12, 31)} <= days


def test_keys_that_differ_by_case_alone(world: World) -> None:
    keys = values(world, "Showcase__c", "Case_Sensitive_Key__c")
    folded = {key.lower() for key in keys}
    assert len(folded) < len(keys)
    unfolded = values(world, "Showcase__c", "External_Key__c")
    assert len({key.lower() for key in unfolded}) == len(unfolded)
