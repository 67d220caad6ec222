"""Records from CSV and JSON files."""

import json
import shutil
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_assets.emulator.ids import id_at
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.world import load_folder
from sf_assets_tests.shared import SHARED, needs_shared

SAMPLES = SHARED / "salesforce" / "fixtures" / "sample-data"
SCHEMA = standard_schema()
NOW = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def load(folder: Path, **files: str | bytes) -> dict[str, list[dict[str, Any]]]:
    """Rows by object, from files that are written first: `Account_csv` is `Account.csv`."""
    for name, content in files.items():
        path = folder / name.replace("_csv", ".csv").replace("_json", ".json")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, rows in load_folder(SCHEMA, folder, now=NOW):
        found.setdefault(name, []).extend(rows.to_pylist())
    return found


def test_csv_values_of_every_type(tmp_path: Path) -> None:
    header = (
        "name,Checkbox__c,Int__c,Number_2__c,Currency__c,Date__c,Date_Time__c,Time__c,"
        "Multi_Picklist__c,Document__c,Account__c,OwnerId"
    )
    values = (
        '"a ""b""\r\nc, NA",TRUE,7.0,1.5E3,9.12260031E8,4000-12-31,2026-01-31T10:00:00.000Z,'
        f"10:00:00.500Z,Red;Blue,aGk=,{id_at('001', 5)[:15]},"
    )
    odd = ",0,,-0.25,,1700-01-01,2026-01-31T11:00:00+01:00,,NA,,,"
    (first, second) = load(tmp_path, Showcase__c_csv=f"{header}\r\n{values}\r\n{odd}\r\n")[
        "Showcase__c"
    ]
    assert first["Name"] == 'a "b"\r\nc, NA'
    assert (first["Checkbox__c"], second["Checkbox__c"]) == (True, False)
    assert (first["Int__c"], first["Number_2__c"], first["Currency__c"]) == (7, 1500.0, 912260031.0)
    assert (first["Date__c"], second["Date__c"]) == (date(4000, 12, 31), date(1700, 1, 1))
    moment = datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert first["Date_Time__c"] == second["Date_Time__c"] == moment
    assert first["Time__c"] == time(10, 0, 0, 500_000)
    assert (first["Multi_Picklist__c"], second["Multi_Picklist__c"]) == ("Red;Blue", "NA")
    assert first["Document__c"] == b"hi"
    assert first["Account__c"] == id_at("001", 5)
    assert second["Name"] is None


def test_what_files_leave_out_is_filled_in(tmp_path: Path) -> None:
    accounts = load(
        tmp_path,
        Account_csv="Name,LastModifiedDate\nA,2024-05-06T07:08:09.000Z\nB,\n",
        Case_csv="Subject\nhelp\n",
    )
    first, second = accounts["Account"]
    assert (first["Id"], second["Id"]) == (id_at("001", 1), id_at("001", 2))
    then = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert [first[n] for n in ("CreatedDate", "LastModifiedDate", "SystemModstamp")] == [then] * 3
    assert [second[n] for n in ("CreatedDate", "LastModifiedDate", "SystemModstamp")] == [NOW] * 3
    assert first["OwnerId"] == first["CreatedById"] == id_at("005", 1)
    assert first["IsDeleted"] is False
    assert accounts["Case"][0]["CaseNumber"] == "00000001"


def test_records_belong_to_a_user_of_the_files(tmp_path: Path) -> None:
    user = id_at("005", 77)
    found = load(tmp_path, User_csv=f"Id,LastName\n{user},Boss\n", Account_csv="Name\nA\n")
    assert found["Account"][0]["OwnerId"] == user


def test_rows_come_in_the_columns_of_the_object(tmp_path: Path) -> None:
    (tmp_path / "Contact.csv").write_text("LastName\nx\n")
    ((name, rows),) = load_folder(SCHEMA, tmp_path, now=NOW)
    contact = SCHEMA.get(name)
    assert contact is not None
    assert rows.schema.names == [f.name for f in contact.fields.values() if f.stored]
    assert rows.schema.field("SystemModstamp").type == pa.timestamp("ms", "UTC")


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("Nothing.csv", "Name\nx\n", "Nothing.csv: the org has no object Nothing"),
        ("Account.csv", "Name,Colour\nx,y\n", "Account.csv: Account has no field Colour"),
        ("Account.csv", "Name,name\nx,y\n", "a column comes twice"),
        ("Account.csv", 'Name,Phone\n"a\nb",1\nx,' + "9" * 41, "record 2, Phone: 41 characters"),
        (
            "Account.csv",
            "NumberOfEmployees\n1\n2.5\n",
            "record 2, NumberOfEmployees: '2.5' is no int",
        ),
        ("Account.csv", "AnnualRevenue\n1\nnan\n", "record 2, AnnualRevenue: 'nan' is no currency"),
        ("Account.csv", "ParentId\nnope\n", "record 1, ParentId: 'nope' is no reference"),
        ("Account.csv", "Name,Phone\nx\n", "no CSV of Account in UTF-8"),
        ("Account.csv", "Id,Name\n001Hs0000000001IAA,x\n,y\n", "some records have an Id"),
        ("Account.json", '[{"IsDeleted": "maybe"}]', "record 1, IsDeleted: 'maybe' is no boolean"),
        ("Account.json", '[{"Name": ["x"]}]', "record 1, Name:"),
        ("Account.json", '[{"ParentId": "@a"}]', "'@a' is no reference"),
        ("Account.json", '[{"Boxes": {"records": []}}]', "no children called Boxes"),
        ("Account.json", "{}", "no list of Account records"),
        ("Account.json", "[", "no JSON in UTF-8"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, file: str, content: str, problem: str) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8", newline="")
    with pytest.raises(ValueError, match=file) as error:
        list(load_folder(SCHEMA, tmp_path, now=NOW))
    assert problem in str(error.value)


def test_other_encodings_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no .csv or .json file there"):
        load(tmp_path)
    with pytest.raises(ValueError, match="no CSV of Account in UTF-8"):
        load(tmp_path, Account_csv="Name\nx\n".encode("utf-16"))


def test_what_the_org_works_out_is_passed_over(tmp_path: Path) -> None:
    lines = "Name,StageName,CloseDate,IsClosed,Fiscal\nA,Closed Won,2026-01-31,false,2026 1\n"
    (deal,) = load(tmp_path, Opportunity_csv=lines)["Opportunity"]
    assert deal["StageName"] == "Closed Won"
    assert "IsClosed" not in deal


def test_headers_alone_and_byte_order_marks(tmp_path: Path) -> None:
    assert load(tmp_path, Account_csv="Name\n") == {}
    assert load(tmp_path, Account_csv="\ufeffName\nx\n")["Account"][0]["Name"] == "x"


def test_json_trees(tmp_path: Path) -> None:
    tree = {
        "records": [
            {
                "attributes": {"type": "Account", "referenceId": "Parent"},
                "name": "Parent",
                "NumberOfEmployees": "100",
                "Contacts": {"records": [{"lastname": "Nested"}]},
            },
            {"Name": "Child", "ParentId": "@Parent", "AnnualRevenue": 1e7},
        ]
    }
    opportunity = [{"Name": "Deal", "AccountId": "@Parent", "CloseDate": "2026-02-28"}]
    found = load(tmp_path, Account_json=json.dumps(tree), Opportunity_json=json.dumps(opportunity))
    parent, child = found["Account"]
    assert child["ParentId"] == parent["Id"]
    assert parent["NumberOfEmployees"] == 100
    assert found["Contact"][0]["AccountId"] == parent["Id"]
    assert found["Opportunity"][0]["AccountId"] == parent["Id"]
    assert found["Opportunity"][0]["CloseDate"] == date(2026, 2, 28)


@needs_shared
def test_sample_files_of_other_projects(tmp_path: Path) -> None:
    for source, name in (
        ("jsforce/Account_bulk2_test.csv", "Account.csv"),
        ("plugin-data/commonChild__Case.json", "Case.json"),
        ("plugin-data/commonChild__Task.json", "Task.json"),
        ("plugin-data/commonChild__Opportunity.json", "Opportunity.json"),
    ):
        shutil.copy(SAMPLES / source, tmp_path / name)
    accounts = tmp_path / "more"
    accounts.mkdir()
    shutil.copy(SAMPLES / "plugin-data/commonChild__Account.json", accounts / "Account.json")
    with pytest.raises(ValueError, match="is no reference"):
        load(tmp_path)
    (tmp_path / "Account.csv").unlink()
    shutil.copy(accounts / "Account.json", tmp_path)
    found = load(tmp_path)
    assert {name: len(rows) for name, rows in found.items()} == {
        "Account": 2,
        "Case": 1,
        "Opportunity": 1,
        "Task": 2,
    }
    for path in list(tmp_path.glob("*.json")):
        path.unlink()
    shutil.copy(SAMPLES / "jsforce/Account_bulk2_test.csv", tmp_path / "Account.csv")
    rows = load(tmp_path)["Account"]
    assert len(rows) == 100
    assert rows[0]["BillingStreet"] == "345 Shoreline Park\nMountain View, CA 94043\nUSA"
    assert rows[0]["AnnualRevenue"] == 3e7


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=8))
def test_any_text_comes_through_csv(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    lines = "\n".join(f"{text},x" for text in quoted)
    folder = tmp_path_factory.mktemp("csv")
    rows = load(folder, Account_csv=f"Description,Name\n{lines}\n")["Account"]
    assert [row["Description"] for row in rows] == [text or None for text in texts]
