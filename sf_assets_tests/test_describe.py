"""Describes, as orgs write them, cut down to what an export needs."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sf_assets.describe import FieldInfo, ObjectInfo, parse_describe
from sf_assets.naming import gold_name, raw_name, silver_name
from sf_assets_tests.shared import SHARED, needs_shared

RECORDED = sorted((SHARED / "salesforce/fixtures/describe").glob("*_describe.json"))
OBJECTS = [path for path in RECORDED if not path.name.startswith("Global")]


def field(name: str, type_: str = "string", **more: Any) -> FieldInfo:
    return FieldInfo(name=name, type=type_, **more)


def stamped(*names: str, **more: Any) -> ObjectInfo:
    """An object with these datetime fields."""
    return ObjectInfo(name="X", fields=tuple(field(name, "datetime") for name in names), **more)


def history(**more: Any) -> ObjectInfo:
    """An object whose rows each tell of one change, as those of CaseHistory do."""
    names = ("Field", "OldValue", "NewValue")
    fields = (field("CreatedDate", "datetime"), *(field(name, "anyType") for name in names))
    return ObjectInfo(name="XHistory", fields=fields, **more)


def read(name: str) -> ObjectInfo:
    path = SHARED / "salesforce/fixtures/describe" / f"{name}_describe.json"
    return parse_describe(json.loads(path.read_text(encoding="utf-8")))


@needs_shared
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.stem)
def test_recorded_describes_are_read_and_can_be_exported(path: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    info = parse_describe(document)
    assert info.name == document["name"]
    assert [f.name for f in info.fields] == [f["name"] for f in document["fields"]]
    stamped = any(f["name"] == "SystemModstamp" for f in document["fields"])
    assert info.cursor == ("SystemModstamp" if stamped else None)
    exported = {f.name: f.type for f in info.exportable}
    assert not {"address", "location", "base64"} & set(exported.values())
    assert exported["Id"] == "id"
    kept = json.loads(json.dumps(info.model_dump(mode="json", exclude_defaults=True)))
    assert ObjectInfo.model_validate(kept) == info


@needs_shared
def test_a_name_that_says_it_is_part_of_itself_is_exported() -> None:
    account = read("Account")
    name = account.field("name")
    assert name is not None
    assert name.exportable
    address = account.field("BillingAddress")
    assert address is not None
    assert not address.exportable
    assert account.field("BillingStreet") in account.exportable
    assert account.field("Nonsense") is None


@needs_shared
def test_references_picklists_and_numbers_come_as_described() -> None:
    who = read("Event").field("WhoId")
    assert who is not None
    assert (who.reference_to, who.relationship) == (("Contact", "Lead"), "Who")
    assert who.leads_to("WHO")
    assert not who.leads_to("What")
    stage = read("Opportunity").field("StageName")
    assert stage is not None
    assert {"Prospecting", "Closed Won"} <= set(stage.picklist)
    amount = read("Opportunity").field("Amount")
    assert amount is not None
    assert (amount.precision, amount.scale) == (18, 2)


def test_values_no_longer_active_stay_known_because_old_records_have_them() -> None:
    entries = [{"value": "New", "active": True}, {"value": "Old", "active": False}]
    document = {"name": "Status", "type": "picklist", "picklistValues": entries}
    assert FieldInfo.model_validate(document).picklist == ("New", "Old")


@pytest.mark.parametrize(
    ("info", "cursor"),
    [
        (stamped("CreatedDate", "LastModifiedDate", "SystemModstamp"), "SystemModstamp"),
        (stamped("CreatedDate", "LastModifiedDate"), "LastModifiedDate"),
        (history(updateable=False), "CreatedDate"),
        (history(updateable=True), None),
        (stamped("CreatedDate", updateable=False), None),  # as AsyncApexJob, whose status moves on
        (stamped("CreatedDate", updateable=True), None),
        (stamped("LoginTime", updateable=False), None),
    ],
)
def test_windows_are_cut_by_the_best_stamp_that_no_change_can_pass_by(
    info: ObjectInfo, cursor: str | None
) -> None:
    assert info.cursor == cursor


def test_a_stamp_that_cannot_be_filtered_on_is_no_cursor() -> None:
    modstamp = field("SystemModstamp", "datetime", filterable=False)
    info = ObjectInfo(name="X", fields=(modstamp, field("LastModifiedDate", "datetime")))
    assert info.cursor == "LastModifiedDate"


def test_a_field_that_the_org_dropped_is_remembered_but_not_asked_for() -> None:
    before = ObjectInfo(name="X", fields=(field("Id", "id"), field("Old__c", "double", scale=3)))
    now = ObjectInfo(name="X", fields=(field("Id", "id"), field("New__c")))
    noon, later = (datetime(2026, 11, 20, hour, tzinfo=UTC) for hour in (12, 13))
    both = now.remembering(before, noon, "etl@example.com")
    assert [f.name for f in both.exportable] == ["Id", "New__c"]
    old = both.field("old__c")
    assert old is not None
    assert (old.type, old.scale) == ("double", 3)
    assert str(old.gone) == "not visible to etl@example.com since 2026-11-20 12:00:00 UTC"
    # Still known at the next describe, and no longer gone once the field is back.
    assert now.remembering(both, later, "someone.else@example.com").field("Old__c") == old
    back = before.remembering(both, later, "etl@example.com")
    assert [f.name for f in back.exportable] == ["Id", "Old__c"]


def test_a_field_is_as_it_is_since_it_came_came_back_or_changed_type() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    first = ObjectInfo(name="X", fields=(field("Id", "id"), field("A"), field("B", "double")))
    then = ObjectInfo(name="X", fields=(field("Id", "id"), field("B"), field("C")))

    def since(info: ObjectInfo) -> dict[str, datetime | None]:
        return {f.name: f.since for f in info.fields if not f.gone}

    second = then.remembering(first, noon, "u")
    assert since(second) == {"Id": None, "B": noon, "C": noon}
    labelled = then.model_copy(update={"fields": (*then.fields[:2], field("C", label="See"))})
    third = labelled.remembering(second, noon + timedelta(hours=1), "u")
    assert since(third) == {"Id": None, "B": noon, "C": noon}
    back = first.remembering(third, noon + timedelta(hours=2), "u")
    later = noon + timedelta(hours=2)
    assert since(back) == {"Id": None, "A": later, "B": later}


def test_a_field_renamed_in_case_only_is_not_taken_for_a_second_one() -> None:
    before = ObjectInfo(name="X", fields=(field("amount__c"),))
    now = ObjectInfo(name="X", fields=(field("Amount__c"),))
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert now.remembering(before, noon, "u").fields == now.fields


def test_only_objects_with_a_mark_for_deletion_keep_deleted_rows_for_a_while() -> None:
    assert ObjectInfo(name="X", fields=(field("IsDeleted", "boolean"),)).soft_deletes
    assert not ObjectInfo(name="User", fields=(field("Id", "id"),)).soft_deletes


def test_layers_of_one_org_have_plain_names_and_those_of_several_are_told_apart() -> None:
    assert (raw_name("default"), silver_name("default"), gold_name("default")) == (
        "raw", "silver", "gold",
    )  # fmt: skip
    assert (raw_name("uk"), silver_name("uk"), gold_name("uk")) == (
        "raw_uk", "silver_uk", "gold_uk",
    )  # fmt: skip
