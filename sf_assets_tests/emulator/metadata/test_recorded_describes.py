"""Schemas from describe documents on disk."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.metadata import load_describes, standard_schema
from sf_assets_tests.shared import SHARED, needs_shared

RECORDED = SHARED / "salesforce" / "fixtures" / "describe"


def write(folder: Path, file_name: str, document: Any) -> Path:
    path = folder / file_name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def small(name: str, *fields: str) -> dict[str, Any]:
    return {"name": name, "fields": [{"name": f, "type": "string"} for f in ("Id", *fields)]}


@needs_shared
def test_a_folder_of_recorded_describes(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        schema = load_describes(RECORDED)
    assert {o.name for o in schema} == {
        *("Account", "Case", "Contact", "Custom__c", "Event", "Lead", "Opportunity"),
        "OpportunityContactRole",
    }
    account = schema.get("account")
    assert account is not None
    assert (
        account.document["fields"]
        == json.loads((RECORDED / "Account_describe.json").read_bytes())["fields"]
    )
    assert "Account_PersonAccount_describe.json ignored" in caplog.text


@needs_shared
def test_chosen_files_and_their_calculated_fields() -> None:
    schema = load_describes([RECORDED / "Account_PersonAccount_describe.json"])
    account = schema.get("Account")
    assert account is not None
    calculated = [f for f in account.fields.values() if f.document["calculated"]]
    assert len(calculated) == 16
    assert all(f.stored for f in calculated)


def test_our_own_documents_come_back(tmp_path: Path) -> None:
    mine = standard_schema()
    for sobject in mine:
        write(tmp_path, f"{sobject.name}_describe.json", sobject.document)
    back = {o.name: o.document for o in load_describes(tmp_path)}
    assert back == {o.name: o.document for o in mine}


def test_missing_attributes_are_added(tmp_path: Path) -> None:
    write(tmp_path, "Thing__c_describe.json", small("Thing__c"))
    thing = load_describes(tmp_path).get("Thing__c")
    assert thing is not None
    assert thing.field("ID") is not None
    assert thing.parents == {}
    assert thing.key_prefix is None


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "not an object"),
        ({"fields": []}, "it has no name"),
        ({"name": "X"}, "it has no fields"),
        ({"name": "X", "fields": [{"name": "A"}]}, "field 0 has no name or type"),
    ],
)
def test_what_is_no_describe_is_named(tmp_path: Path, document: Any, problem: str) -> None:
    path = write(tmp_path, "X_describe.json", document)
    with pytest.raises(ValueError, match=f"X_describe.json: not a describe document: {problem}"):
        load_describes([path])


def test_broken_files_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \*_describe.json there"):
        load_describes(tmp_path)
    with pytest.raises(ValueError, match="no describe documents given"):
        load_describes([])
    broken = tmp_path / "X_describe.json"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"X_describe.json: cannot be read as JSON"):
        load_describes(tmp_path)
    with pytest.raises(ValueError, match=r"absent.json: cannot be read"):
        load_describes([tmp_path / "absent.json"])


def test_of_two_files_the_one_named_after_the_object(tmp_path: Path) -> None:
    exact = write(tmp_path, "X_describe.json", small("X", "Exact"))
    other = write(tmp_path, "X_Other_describe.json", small("X", "Other"))
    later = write(tmp_path, "Xz_describe.json", small("X", "Later"))
    found = load_describes(tmp_path).get("X")
    assert found is not None
    assert found.field("Exact") is not None
    with pytest.raises(ValueError, match="a second describe of X"):
        load_describes([exact, other])
    exact.unlink()
    first = load_describes(tmp_path).get("X")
    assert first is not None
    assert first.field("Other") is not None
    assert later.exists()
