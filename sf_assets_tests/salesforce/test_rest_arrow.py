"""REST records: the same columns of text that Bulk would have brought."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.errors import PageBrokenError
from sf_assets.salesforce.rest_arrow import to_batch

ATTRIBUTES = {"type": "X", "url": "/services/data/v66.0/sobjects/X/1"}


def column(value: Any, *, stamp: bool = False) -> str | None:
    """What becomes of one value, as an answer holds it."""
    text = json.dumps({"attributes": ATTRIBUTES, "X": value})
    record = json.loads(text, parse_float=str, parse_int=str)
    batch = to_batch([record], ["X"], ["X"], ["X"] if stamp else [])
    assert batch.schema == pa.schema([("X", pa.string())])
    (found,) = batch["X"].to_pylist()
    assert found is None or isinstance(found, str)
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        (" ", " "),
        ("null", "null"),
        ("NA", "NA"),
        ("A;B", "A;B"),
        ("a\r\nb\u2028\x00😀", "a\r\nb\u2028\x00😀"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        ("2026-01-31", "2026-01-31"),
        ("10:00:00.000Z", "10:00:00.000Z"),
    ],
)
def test_values_read_as_bulk_writes_them(value: Any, text: str | None) -> None:
    assert column(value) == text


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"half \ud842", "half \ufffd"),
        (r"\udfb7 at the beginning", "\ufffd at the beginning"),
        (r"\ud842\udfb7 and \ud83d", "\U00020bb7 and \ufffd"),
    ],
)
def test_half_a_character_is_told_by_the_one_that_stands_for_none(escaped: str, text: str) -> None:
    records = [json.loads(f'{{"X": "{value}"}}') for value in (escaped, "whole \U0001f600")]
    batch = to_batch([*records, {"X": None}], ["X"], ["X"], [])
    assert batch["X"].to_pylist() == [text, "whole \U0001f600", None]


@pytest.mark.parametrize(
    "number", ["100.0", "0.10", "9.12260031E8", "12345678901234567890.12", "-0.0"]
)
def test_numbers_keep_every_digit_of_the_answer(number: str) -> None:
    record = json.loads(f'{{"X": {number}}}', parse_float=str, parse_int=str)
    assert to_batch([record], ["X"], ["X"], [])["X"].to_pylist() == [number]


def test_stamps_are_written_as_bulk_writes_them() -> None:
    assert column("2026-01-31T10:00:00.000+0000", stamp=True) == "2026-01-31T10:00:00.000Z"
    assert column("2026-01-31T10:00:00.000Z", stamp=True) == "2026-01-31T10:00:00.000Z"
    assert column("2026-01-31T10:00:00.000+0530", stamp=True) == "2026-01-31T10:00:00.000+0530"
    assert column(None, stamp=True) is None
    # A text that looks like one is left alone.
    assert column("2026-01-31T10:00:00.000+0000") == "2026-01-31T10:00:00.000+0000"


def test_parent_fields_are_dug_out_and_missing_parents_are_null() -> None:
    owner = {"attributes": ATTRIBUTES, "Name": "Ann", "Manager": {"Name": "Bo"}}
    records: list[dict[str, Any]] = [
        {"Id": "1", "Owner": owner},
        {"Id": "2", "Owner": {"Name": "", "Manager": None}},
        {"Id": "3", "Owner": None},
    ]
    fields = ["Owner.Manager.Name", "Id", "Owner.Name"]
    batch = to_batch(records, fields, ["Owner_Manager_Name", "Id", "Owner_Name"], [])
    assert batch.schema.names == ["Owner_Manager_Name", "Id", "Owner_Name"]
    assert batch.to_pylist() == [
        {"Owner_Manager_Name": "Bo", "Id": "1", "Owner_Name": "Ann"},
        {"Owner_Manager_Name": None, "Id": "2", "Owner_Name": None},
        {"Owner_Manager_Name": None, "Id": "3", "Owner_Name": None},
    ]


def test_fields_are_found_whatever_case_the_users_query_spells_them_in() -> None:
    record = {"Id": "1", "Account": {"Owner": {"Name": "Ann"}}}
    batch = to_batch([record], ["id", "account.OWNER.name"], ["Id", "x"], [])
    assert batch.to_pylist() == [{"Id": "1", "x": "Ann"}]


def test_an_answer_without_a_field_that_was_selected_is_broken() -> None:
    with pytest.raises(PageBrokenError, match=r"Owner\.Name"):
        to_batch([{"Id": "1", "Owner": {}}], ["Id", "Owner.Name"], ["Id", "Owner_Name"], [])


def test_no_records_are_an_empty_batch_with_all_columns() -> None:
    batch = to_batch([], ["Id", "Name"], ["Id", "Name"], [])
    assert (batch.num_rows, batch.schema.names) == (0, ["Id", "Name"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "Id": st.text(max_size=5),
                "Name": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
                "Flag": st.booleans(),
            }
        ),
        max_size=10,
    )
)
def test_rows_stay_rows(records: list[dict[str, Any]]) -> None:
    batch = to_batch(records, ["Id", "Flag", "Name"], ["Id", "Flag", "Name"], [])
    assert batch.to_pylist() == [
        {"Id": r["Id"] or None, "Flag": str(r["Flag"]).lower(), "Name": r["Name"] or None}
        for r in records
    ]
