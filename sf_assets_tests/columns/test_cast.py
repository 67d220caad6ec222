"""Typing: every value is kept as what it says, or told apart with the reason; none is lost."""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.columns.cast import cast, needs
from sf_assets.columns.column import Column, column_of
from sf_assets.describe import FieldInfo

TYPES = ("boolean", "int", "double", "date", "datetime", "time", "multipicklist", "string")


def column(type_: str, name: str = "X") -> Column:
    return column_of(FieldInfo(name=name, type=type_, precision=18, scale=2))


def typed(type_: str, texts: list[str | None]) -> tuple[list[Any], dict[str, str]]:
    """What a column becomes, and the reasons of the values that are rejected, by value."""
    frame = pl.DataFrame(
        {"Id": [f"{n}" for n in range(len(texts))], "X": texts, "_slice": ["S"] * len(texts)},
        schema=dict.fromkeys(("Id", "X", "_slice"), pl.String),
    )
    described = column(type_)
    need = needs(frame, [described]).get("X")
    wide = described.resized(*need) if need else described
    rows, lost = cast(frame, [wide], {"X"} if need and not wide.fits(*need) else ())
    assert rows["Id"].to_list() == frame["Id"].to_list()
    # Nothing is lost: a value is there, or was null, or is among the rejects by its own text.
    missing = [
        (i, x) for i, x, y in zip(frame["Id"], frame["X"], rows["X"], strict=True)
        if x is not None and y is None
    ]  # fmt: skip
    assert lost.select("Id", "text").rows() == missing
    assert set(lost["column"]) <= {"X"}
    assert set(lost["_slice"]) <= {"S"}
    return rows["X"].to_list(), dict(lost.select("text", "reason").rows())


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("anyType", "2026-01-31T10:00:00.000+0000", "2026-01-31T10:00:00.000Z"),
        ("anyType", "2026-01-31T10:00:00.000Z", "2026-01-31T10:00:00.000Z"),
        ("anyType", "at 2026-01-31T10:00:00.000+0000", "at 2026-01-31T10:00:00.000+0000"),
        ("string", "2026-01-31T10:00:00.000+0000", "2026-01-31T10:00:00.000+0000"),
        ("boolean", "true", True), ("boolean", "false", False), ("boolean", "TRUE", True),
        ("int", "15", 15), ("int", "-15", -15), ("int", "15.0", 15), ("int", "1.5E3", 1500),
        ("int", "0.0", 0), ("int", "1.5", Decimal("1.5")), ("int", "0", 0),
        ("int", "12345678901234567890", Decimal(12345678901234567890)),
        ("double", "100.0", Decimal(100)), ("double", "9.12260031E8", Decimal(912260031)),
        ("double", "1.005", Decimal("1.005")), ("double", "-0.0", Decimal(0)),
        ("double", "123456789012345678901234567890.12345678",
         Decimal("123456789012345678901234567890.12345678")),
        ("date", "2026-01-31", date(2026, 1, 31)), ("date", "1700-01-01", date(1700, 1, 1)),
        ("date", "4000-12-31", date(4000, 12, 31)), ("date", "2024-02-29", date(2024, 2, 29)),
        ("datetime", "2026-01-31T10:00:00.000Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("datetime", "2026-01-31T10:00:00.123Z", datetime(2026, 1, 31, 10, 0, 0, 123000, UTC)),
        ("datetime", "2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("datetime", "2026-01-31T10:00:00.000+0000", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("datetime", "2026-01-31T10:00:00.000+00:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("datetime", "2026-01-31T10:00:00.000+0530", datetime(2026, 1, 31, 4, 30, tzinfo=UTC)),
        ("datetime", "1700-01-01T00:00:00.000Z", datetime(1700, 1, 1, tzinfo=UTC)),
        ("datetime", "4000-12-31T23:59:59.000Z", datetime(4000, 12, 31, 23, 59, 59, 0, UTC)),
        ("time", "10:30:15.250Z", time(10, 30, 15, 250_000)), ("time", "00:00:00.000Z", time(0)),
        ("time", "10:30:15", time(10, 30, 15)),
        ("multipicklist", "A", ["A"]), ("multipicklist", "A;B;C D", ["A", "B", "C D"]),
        ("string", "NA", "NA"), ("string", "null", "null"), ("string", " ", " "),
        ("string", "a\r\nb\u2028c😀", "a\r\nb\u2028c😀"), ("string", "x" * 131_072, "x" * 131_072),
        ("reference", "0015000000Gv7qJAAR", "0015000000Gv7qJAAR"),
    ],
)  # fmt: skip
def test_values_of_every_kind_are_typed(type_: str, text: str, value: Any) -> None:
    values, rejected = typed(type_, [None, text])
    assert values == [None, value]
    assert type(values[1]) is type(value)
    assert rejected == {}


@pytest.mark.parametrize(
    ("type_", "text", "reason"),
    [
        ("boolean", "1", "neither true nor false"), ("boolean", "yes", "neither true nor false"),
        ("boolean", " true", "neither true nor false"),
        ("int", "many", "not a number of at most 38 digits"),
        ("int", "1,000", "not a number of at most 38 digits"),
        ("int", "9" * 39, "not a number of at most 38 digits"),
        ("double", "NaN", "not a number of at most 38 digits"),
        ("double", "1e400", "not a number of at most 38 digits"),
        ("double", "1." + "1" * 38, "not a number of at most 38 digits"),
        ("date", "2026-02-30", "not a date"), ("date", "31.01.2026", "not a date"),
        ("date", "2026-01-31T00:00:00.000Z", "not a date"),
        ("datetime", "2026-01-31", "not a time with its zone"),
        ("datetime", "2026-01-31T10:00:00.000", "not a time with its zone"),
        ("datetime", "2026-13-31T10:00:00.000Z", "not a time with its zone"),
        ("datetime", "2026-01-31T10:00:00.5.000Z", "not a time with its zone"),
        ("datetime", "yesterday", "not a time with its zone"),
        ("time", "25:00:00.000Z", "not a time of day"), ("time", "10:00", "not a time of day"),
    ],
)  # fmt: skip
def test_values_that_are_not_of_their_kind_are_told_apart_with_the_reason(
    type_: str, text: str, reason: str
) -> None:
    good = {"boolean": "true", "date": "2026-01-31", "datetime": "2026-01-31T10:00:00.000Z",
            "time": "10:00:00.000Z"}.get(type_, "5")  # fmt: skip
    values, rejected = typed(type_, [good, text, None])
    assert values[1:] == [None, None]
    assert values[0] is not None
    assert rejected == {text: reason}


def test_one_column_that_fails_leaves_the_others_of_its_row() -> None:
    frame = pl.DataFrame({"Id": ["1"], "A": ["x"], "B": ["5"], "C": ["y"], "_slice": ["S"]})
    columns = [column("int", "A"), column("int", "B"), column("string", "C")]
    rows, lost = cast(frame, columns)
    assert rows.select("A", "B", "C").rows() == [(None, 5, "y")]
    assert lost.select("Id", "column", "text").rows() == [("1", "A", "x")]


def test_a_text_that_is_too_long_is_rejected_without_being_cut() -> None:
    texts = ["ä" * 5, "ä" * 5 + "b", None]
    frame = pl.DataFrame({"Id": ["1", "2", "3"], "A": texts, "_slice": ["S"] * 3})
    rows, lost = cast(frame, [column("string", "A")], longest=10)
    assert rows["A"].to_list() == ["ä" * 5, None, None]
    told = ("2", "A", None, "11 bytes, and a text has at most 10", "S")
    assert lost.rows() == [told]
    assert cast(frame, [column("string", "A")], longest=11)[1].is_empty()


def mutated(valid: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Values, and values with a little something wrong."""
    edit = st.tuples(
        st.integers(0, 30),
        st.integers(0, 2),
        st.text(st.sampled_from("0123456789-:.TZ+ xE"), max_size=3),
    )
    edited = st.builds(lambda text, e: text[: e[0]] + e[2] + text[e[0] + e[1] :], valid, edit)
    return valid | edited.filter(lambda text: text.lstrip()[:1] not in {"+", "-", "0"})  # no B.C.


stamps = st.builds(
    lambda d, fraction, zone: f"{d:%Y-%m-%dT%H:%M:%S}{fraction}{zone}",
    st.datetimes(datetime(1700, 1, 1), datetime(4000, 12, 31)),  # noqa: DTZ001 -- zones follow
    st.sampled_from(["", ".000", ".1", ".123456"]),
    st.sampled_from(["Z", "+0000", "+00:00", "-0330", "+1400"]),
)
STAMP = re.compile(
    r" *(\d{1,4}- *\d\d?- *\d\d?)T *(\d\d?): *(\d\d?): *(\d\d?)(?:\.(\d{1,9}))?"
    r"(Z| *([+-])(\d\d)[ :]*(\d\d))"
)


def moment(text: str) -> datetime | None:
    """The moment that a text says, if it is one at all."""
    match = STAMP.fullmatch(text)
    if match is None:
        return None
    day, hour, minute, second, fraction, _, sign, hours, minutes = match.groups()
    try:
        midnight = datetime(*map(int, day.split("-")), tzinfo=UTC)  # type: ignore[arg-type, misc]
        clock = time(int(hour), int(minute), int(second))
        zone = time(int(hours or 0), int(minutes or 0))  # no zone is a day away
    except ValueError:
        return None
    offset = timedelta(hours=zone.hour, minutes=zone.minute)
    local = datetime.combine(midnight, clock, UTC)
    local += timedelta(microseconds=int((fraction or "").ljust(9, "0")) // 1000)
    return local - offset if sign == "+" else local + offset


@given(st.lists(mutated(stamps), min_size=1, max_size=5))
@settings(max_examples=500)
def test_a_stamp_is_the_moment_that_it_says_or_rejected(texts: list[str]) -> None:
    values, _ = typed("datetime", list(texts))
    for text, value in zip(texts, values, strict=True):
        if ":60" in text:  # a leap second, which Python does not know
            continue
        assert value in (moment(text), None)
        assert value is not None or not re.fullmatch(stamp_form, text) or moment(text) is None


stamp_form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)"


@given(st.lists(mutated(st.dates().map(str)), min_size=1, max_size=5))
@settings(max_examples=700)
def test_a_date_is_the_day_that_it_says_or_rejected(texts: list[str]) -> None:
    values, _ = typed("date", list(texts))
    for text, value in zip(texts, values, strict=True):
        match = re.fullmatch(r" *(\d{1,4})- *(\d\d?)- *(\d\d?)", text)
        try:
            said = date(*map(int, match.groups())) if match else None
        except ValueError:
            said = None
        assert value in (said, None)
        assert value is not None or said is None or not re.fullmatch(r"\d{4}-\d\d-\d\d", text)


@given(
    st.sampled_from(TYPES),
    st.lists(
        st.none() | st.text(max_size=12) | mutated(stamps) | mutated(st.integers().map(str)),
        min_size=1,
        max_size=6,
    ),
)
@settings(max_examples=700)
def test_no_value_of_any_text_and_kind_is_lost_without_being_told(
    type_: str, texts: list[str | None]
) -> None:
    values, rejected = typed(type_, [text or None for text in texts])
    if type_ == "string":
        assert values == [text or None for text in texts]
        assert rejected == {}
    if type_ == "multipicklist":
        assert [v and ";".join(v) for v in values] == [text or None for text in texts]
