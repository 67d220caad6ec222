"""Values are hashed or masked whatever they are, and two are alike after it as they were before."""

import hashlib
import hmac
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.columns.column import Column, ColumnKind, column_of
from sf_assets.columns.treated import Treated
from sf_assets.describe import FieldInfo
from sf_assets.naming import Names
from sf_assets.privacy import Treatment, strictest

KEY = b"a key of thirty-two characters!!"
TEXTS = st.lists(st.none() | st.text(min_size=1), max_size=20)


def treat(treatment: Treatment, texts: list[Any], type_: str = "string") -> list[str | None]:
    column = column_of(FieldInfo(name="X", type=type_, precision=18, scale=2))
    treated = Treated(Names([("x", treatment)]), {"X": column}, KEY)
    rows = treated.rows(
        pl.DataFrame({"Id": texts, "X": texts}, dict.fromkeys(("Id", "X"), pl.String))
    )
    assert rows["Id"].to_list() == texts
    return rows["X"].to_list() if "X" in rows.columns else []


@given(TEXTS)
def test_a_hash_is_keyed_and_the_same_for_the_same_text(texts: list[str | None]) -> None:
    plain = [None if text is None else text.replace("\x00", "") for text in texts]
    assert treat(Treatment.HASH, texts) == [
        None if text is None else hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
        for text in plain
    ]


@given(TEXTS)
def test_a_mask_leaves_no_letter_and_no_digit(texts: list[str | None]) -> None:
    masked = treat(Treatment.MASK, texts)
    assert [text is None for text in masked] == [text is None for text in texts]
    assert not any(sign.isalnum() for text in masked if text for sign in text)


def test_a_mask_shows_of_which_form_a_value_is() -> None:
    assert treat(Treatment.MASK, ["ann.o'neil@example.com", "+1 (555) 010-2030", "木村 🦄"]) == [
        "***.*'****@*******.***", "+* (***) ***-****", "** *",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "one", "other"),
    [
        ("double", "100.0", "100"), ("double", "1E2", "100.00"), ("int", "15.0", "15"),
        ("datetime", "2026-01-31T10:00:00.000Z", "2026-01-31T10:00:00.000+0000"),
        ("boolean", "TRUE", "true"), ("time", "10:00:00.000Z", "10:00:00.000"),
    ],
)  # fmt: skip
def test_one_value_has_one_hash_however_it_is_spelt(type_: str, one: str, other: str) -> None:
    first, second = treat(Treatment.HASH, [one, other], type_)
    assert first == second
    assert treat(Treatment.HASH, [other, "3", "0.125"], type_)[0] == second


@pytest.mark.parametrize("type_", ["double", "datetime", "date", "boolean", "time", "int"])
def test_what_is_of_no_type_is_hashed_all_the_same(type_: str) -> None:
    (found,) = treat(Treatment.HASH, ["zq7 no value"], type_)
    assert found == hmac.new(KEY, b"zq7 no value", hashlib.sha256).hexdigest()


@pytest.mark.parametrize("treatment", [Treatment.DROP, Treatment.RESTRICTED])
def test_what_is_not_for_silver_has_no_column(treatment: Treatment) -> None:
    assert treat(treatment, ["a"]) == []
    columns = {"X": Column("X", ColumnKind.DATE), "Y": Column("Y", ColumnKind.DATE)}
    treated = Treated(Names([("X", treatment)]), columns)
    assert list(treated.stored()) == ["Y"]


def test_a_hashed_or_masked_column_is_text() -> None:
    columns = {"X": Column("X", ColumnKind.DECIMAL, 16, 2), "Y": Column("Y", ColumnKind.DATE)}
    stored = Treated(Names([("X", Treatment.HASH), ("Y", Treatment.MASK)]), columns, KEY).stored()
    assert {column.kind for column in stored.values()} == {ColumnKind.TEXT}


def test_the_stricter_of_two_treatments_counts() -> None:
    assert strictest([Treatment.MASK, Treatment.DROP, Treatment.HASH]) is Treatment.DROP
    assert strictest([]) is Treatment.KEEP
