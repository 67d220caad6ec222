"""Numbers keep every digit: against Python's decimal module."""

from decimal import Context, Decimal, InvalidOperation

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.columns.column import MOST_DIGITS
from sf_assets.columns.decimals import decimal, digits, fitting

EXACT = Context(prec=2000, Emax=999_999, Emin=-999_999)


def exact(text: str) -> Decimal:
    return EXACT.create_decimal(text)


def needed(text: str) -> tuple[int, int]:
    """Digits before and after the point that a number needs, by Python's account."""
    number = EXACT.normalize(exact(text))
    if not number:
        return 0, 0
    _, mantissa, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    return max(len(mantissa) + exponent, 0), max(-exponent, 0)


def cast(texts: list[str | None], scale: int) -> list[Decimal | None]:
    frame = pl.DataFrame({"n": pl.Series(texts, dtype=pl.String)})
    return frame.select(decimal(pl.col("n"), scale))["n"].to_list()


def kept(texts: list[str], scale: int) -> list[str | None]:
    frame = pl.DataFrame({"n": pl.Series(texts, dtype=pl.String)})
    return frame.select(fitting(pl.col("n"), scale).alias("n"))["n"].to_list()


def room(texts: list[str | None], integers: int = 0, scale: int = 0) -> tuple[int, int]:
    return digits(pl.Series("n", texts, dtype=pl.String), integers, scale)


sign = st.sampled_from(["", "-", "+"])
whole = st.text(st.sampled_from("0123456789"), max_size=24) | st.text("09", max_size=6)
fraction = st.none() | whole
exponent = st.none() | st.builds(
    "{}{}{}".format, st.sampled_from("eE"), sign, st.integers(0, 40).map(str) | st.just("007")
)


def spell(sign: str, whole: str, fraction: str | None, exponent: str | None) -> str:
    return sign + whole + ("" if fraction is None else f".{fraction}") + (exponent or "")


def is_number(text: str) -> bool:
    try:
        return exact(text).is_finite()
    except InvalidOperation:
        return False


spelt = st.builds(spell, sign, whole, fraction, exponent).filter(is_number)
java = st.floats(allow_nan=False, allow_infinity=False).map(
    lambda f: repr(f).replace("e+", "E").replace("e", "E")
)
moderate = st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str)
numbers = spelt | java | moderate


@given(
    st.lists(st.none() | numbers, min_size=1, max_size=8), st.integers(0, 20), st.integers(0, 20)
)
@settings(max_examples=300)
def test_the_room_asked_for_is_the_room_that_the_longest_numbers_need(
    texts: list[str | None], integers: int, scale: int
) -> None:
    needs = [needed(text) for text in texts if text is not None]
    expected = (
        max([integers, *(before for before, _ in needs)]),
        max([scale, *(after for _, after in needs)]),
    )
    assert room(texts, integers, scale) == expected


@given(st.lists(st.none() | numbers, min_size=1, max_size=8))
@settings(max_examples=300)
def test_numbers_that_have_room_keep_their_value_to_the_last_digit(
    texts: list[str | None],
) -> None:
    before, after = room(texts)
    if before + after > MOST_DIGITS:
        return
    assert cast(texts, after) == [None if text is None else exact(text) for text in texts]


@given(st.lists(numbers, min_size=1, max_size=8), st.integers(0, MOST_DIGITS))
@settings(max_examples=300)
def test_of_numbers_without_room_those_are_kept_that_lose_nothing_and_no_others(
    texts: list[str], scale: int
) -> None:
    found = kept(texts, scale)
    for text, result in zip(texts, found, strict=True):
        before, after = needed(text)
        assert result == (text if after <= scale and before + scale <= MOST_DIGITS else None)
    assert cast(list(found), scale) == [None if text is None else exact(text) for text in found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100.0", "100"),
        ("9.12260031E8", "912260031"),
        ("1.0E-5", "0.00001"),
        ("1.5e+3", "1500"),
        ("-0.0", "0"),
        ("0012.500", "12.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.7976931348623157E21", "1797693134862315700000"),
        ("9" * 38, "9" * 38),
        ("0." + "0" * 37 + "1", "1E-38"),
        ("-" + "9" * 18 + "." + "9" * 20, "-" + "9" * 18 + "." + "9" * 20),
        ("0" * 100 + "7" + "." + "0" * 100, "7"),
    ],
)
def test_all_spellings_of_a_number_are_read(text: str, value: str) -> None:
    before, after = room([text])
    assert before + after <= MOST_DIGITS
    assert cast([text], after) == [Decimal(value)]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "-", "+", "e5", "E", ".E1", "1E", "1E+", "1E5E5", "1.2.3", "1,000", "1_000",
        "0x10", "NaN", "nan", "Infinity", "-inf", "null", "NA", " 1", "1 ", "1\n", "--1", "٣", "½",
        "12a", "a12", "1E99999999999", "1\x00",
    ],
)  # fmt: skip
def test_what_is_no_number_takes_no_room_and_becomes_none(text: str) -> None:
    assert room([text], 3, 2) == (3, 2)
    assert cast([text], 2) == [None]
    assert kept([text], 2) in ([None], [text])


@given(st.text(st.sampled_from("0123456789.eE+- _,x٣")))
@settings(max_examples=300)
def test_no_text_becomes_a_number_that_it_does_not_say(text: str) -> None:
    before, after = room([text])
    if before + after > MOST_DIGITS:
        return
    (found,) = cast([text], after)
    if found is not None:
        assert found == exact(text.strip())
    elif text.strip("+-").isdecimal() and text.isascii() and text.count("-") + text.count("+") < 2:
        assert not is_number(text)


def test_digits_that_are_already_there_are_not_lost_when_no_number_needs_them() -> None:
    assert room([None, "1"], 16, 2) == (16, 2)
    assert room([], 16, 2) == (16, 2)
    assert room(["x"], 16, 2) == (16, 2)
    assert room(["12345678901234567", "0.123"], 16, 2) == (17, 3)
