"""Column types come from describe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.columns.column import MOST_DIGITS, Column, ColumnKind, column_of
from sf_assets.describe import FieldInfo
from sf_assets.warehouse.sql.types import type_of


def of(type_: str, **more: int) -> Column:
    return column_of(FieldInfo.model_validate({"name": "X", "type": type_, **more}))


@pytest.mark.parametrize(
    ("type_", "sql"),
    [
        ("id", "VARCHAR"), ("reference", "VARCHAR"), ("string", "VARCHAR"), ("textarea", "VARCHAR"),
        ("picklist", "VARCHAR"), ("combobox", "VARCHAR"), ("encryptedstring", "VARCHAR"),
        ("anyType", "VARCHAR"), ("json", "VARCHAR"), ("a type of the future", "VARCHAR"),
        ("boolean", "BOOLEAN"), ("int", "BIGINT"), ("long", "BIGINT"),
        ("date", "DATE"), ("datetime", "TIMESTAMP WITH TIME ZONE"), ("time", "TIME"),
        ("multipicklist", "VARCHAR[]"),
    ],
)  # fmt: skip
def test_types_of_salesforce_become_types_of_the_warehouse(type_: str, sql: str) -> None:
    assert type_of(of(type_)) == sql


@pytest.mark.parametrize("type_", ["double", "currency", "percent"])
def test_numbers_have_the_digits_that_describe_tells(type_: str) -> None:
    assert type_of(of(type_, precision=18, scale=2)) == "DECIMAL(18, 2)"
    assert type_of(of(type_, precision=3)) == "DECIMAL(3, 0)"
    assert type_of(of(type_, precision=2, scale=15)) == "DECIMAL(15, 15)"
    assert type_of(of(type_)) == "DECIMAL(18, 0)"


@given(precision=st.integers(-9, 999), scale=st.integers(-9, 999))
def test_whatever_digits_a_describe_tells_the_column_can_be_made(
    precision: int, scale: int
) -> None:
    column = of("double", precision=precision, scale=scale)
    assert column.scale >= 0
    assert 1 <= column.integers + column.scale <= MOST_DIGITS


def test_labels_and_help_texts_become_comments() -> None:
    described = FieldInfo(name="A", type="string", label="Amount", help="In euro")
    assert column_of(described).comment == "Amount: In euro"
    assert column_of(FieldInfo(name="A", type="string", label="Amount")).comment == "Amount"
    assert column_of(FieldInfo(name="A", type="string")).comment == ""


def test_parent_fields_are_kept_under_their_own_names() -> None:
    owner = FieldInfo(name="Name", type="reference", reference_to=("User", "Group"))
    column = column_of(owner, "Owner_Name")
    assert (column.name, column.references) == ("Owner_Name", ("User", "Group"))


@given(st.integers(0, 45), st.integers(0, 45), st.booleans())
def test_a_resized_column_has_the_room_asked_for_as_far_as_38_digits_go(
    integers: int, scale: int, whole: bool
) -> None:
    column = (of("int") if whole else of("double", precision=18, scale=2)).resized(integers, scale)
    assert column.fits(integers, scale) or integers + scale > MOST_DIGITS
    assert column.integers + column.scale <= MOST_DIGITS
    assert column.integers >= min(integers, MOST_DIGITS)
    assert column.name == "X"


def test_whole_numbers_stay_whole_as_long_as_they_fit() -> None:
    assert of("int").resized(18, 0).kind is ColumnKind.INTEGER
    assert type_of(of("int").resized(19, 0)) == "DECIMAL(19, 0)"
    assert type_of(of("int").resized(18, 1)) == "DECIMAL(19, 1)"
