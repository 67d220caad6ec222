"""Our objects against the describes that real orgs gave."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sf_assets.emulator.metadata import global_describe, standard_schema
from sf_assets.emulator.metadata.fields import BLANK, describe_field, valid_for
from sf_assets.emulator.schema import Schema, SObject
from sf_assets_tests.shared import SHARED, needs_shared

RECORDED = SHARED / "salesforce" / "fixtures" / "describe"
COMPARED = (
    "Account",
    "Contact",
    "Opportunity",
    "OpportunityContactRole",
    "Lead",
    "Case",
    "Event",
)
# What is ours on purpose. The recorded org has dozens of objects that ours lacks and to which an
# event can be related, and lists every time zone.
OURS = {("Event", "WhatId", "referenceTo"), ("Event", "RecurrenceTimeZoneSidKey", "picklistValues")}
# Fields that the authors of the recording put into their Account.
FOREIGN = {
    "Primary_Contact__c",
    "ns__Description__c",
    "History__c",
    "ns__LinkedAccount__c",
}
# Addresses of pages for people.
FOR_PEOPLE = {"uiDetailTemplate", "uiEditTemplate", "uiNewRecord"}


@pytest.fixture(scope="module")
def schema() -> Schema:
    return standard_schema()


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{name}_describe.json").read_bytes())
    return found


def ours(schema: Schema, name: str) -> SObject:
    found = schema.get(name)
    assert found is not None
    return found


@needs_shared
@pytest.mark.parametrize("name", COMPARED)
def test_every_attribute_of_every_field_is_as_recorded(schema: Schema, name: str) -> None:
    theirs = {field["name"]: field for field in recorded(name)["fields"]}
    fields = {field["name"]: field for field in ours(schema, name).document["fields"]}
    assert set(theirs) - set(fields) <= FOREIGN
    assert [field for field in theirs if field in fields] == list(fields)
    for field_name, field in fields.items():
        assert list(field) == list(theirs[field_name]), "the same 57 attributes in the same order"
        differing = {key for key in field if field[key] != theirs[field_name][key]}
        explained = {key for key in differing if (name, field_name, key) in OURS}
        assert differing == explained, field_name


@needs_shared
@pytest.mark.parametrize("name", COMPARED)
def test_the_object_itself_is_as_recorded(schema: Schema, name: str) -> None:
    document, theirs = ours(schema, name).document, recorded(name)
    newer = {"associateEntityType", "associateParentEntity", "sobjectDescribeOption"}
    assert set(document) - set(theirs) <= newer
    assert set(theirs) <= set(document)
    elsewhere = {"fields", "childRelationships", "urls", "recordTypeInfos", "supportedScopes"}
    for key in set(theirs) - elsewhere - newer:
        assert document[key] == theirs[key], key


@needs_shared
@pytest.mark.parametrize("name", COMPARED)
def test_child_relationships_are_as_recorded(schema: Schema, name: str) -> None:
    theirs = {(c["childSObject"], c["field"]): c for c in recorded(name)["childRelationships"]}
    present = ours(schema, name).document["childRelationships"]
    shared = [c for c in present if (c["childSObject"], c["field"]) in theirs]
    assert len(shared) >= (0 if name == "OpportunityContactRole" else 1)
    for child in shared:
        assert child == theirs[child["childSObject"], child["field"]]


@needs_shared
def test_the_list_of_objects_has_the_recorded_shape(schema: Schema) -> None:
    theirs = json.loads((RECORDED / "Global_describe.json").read_bytes())
    listed = global_describe(schema)
    assert list(listed) == list(theirs)
    assert {k: v for k, v in listed.items() if k != "sobjects"} == {
        k: v for k, v in theirs.items() if k != "sobjects"
    }
    shapes = {tuple(sobject) for sobject in theirs["sobjects"]}
    assert {tuple(sobject) for sobject in listed["sobjects"]} == shapes
    known = {sobject["name"]: sobject for sobject in theirs["sobjects"]}
    # The recording's own Event and Lead are made up.
    for sobject in listed["sobjects"]:
        name = sobject["name"]
        if name in known and name not in {"Event", "Lead"}:
            assert _flags(sobject) == _flags(known[name]), name


def _flags(sobject: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sobject.items() if key != "urls"}


@needs_shared
def test_other_standard_objects_have_the_known_fields(schema: Schema) -> None:
    source = json.loads((RECORDED / "standard_objects_fields_from_jsforce.json").read_bytes())
    # Rights that no export reads, and a field of an edition that ours is not.
    left_out = {"Profile": 200, "Organization": 1}
    for name, theirs in source["objects"].items():
        found = schema.get(name)
        if found is None or name in COMPARED:
            continue
        fields = {field["name"]: field for field in found.document["fields"]}
        missing = set(theirs["fields"]) - set(fields)
        assert len(missing) <= left_out.get(name, 0), (name, missing)
        for field_name, field in theirs["fields"].items():
            if field_name in fields and fields[field_name]["type"] != "boolean":
                assert fields[field_name]["nillable"] == field["nullable"], (name, field_name)
        for relationship, parent in theirs["parents"].items():
            pointing = found.parents.get(relationship.lower())
            assert pointing is not None, (name, relationship)
            assert parent["to"] in (*pointing.reference_to, "Name"), (name, relationship)


def test_every_field_has_all_attributes_and_sound_values(schema: Schema) -> None:
    for sobject in schema:
        names = [field["name"] for field in sobject.document["fields"]]
        assert len(set(names)) == len(names)
        for field in sobject.document["fields"]:
            assert list(field) == list(BLANK), (sobject.name, field["name"])
            assert field["compoundFieldName"] in {None, "Fiscal", *names}
            assert field["controllerName"] in {None, *names}
            if field["type"] == "reference":
                assert field["referenceTo"], (sobject.name, field["name"])
                assert (len(field["referenceTo"]) > 1) == field["polymorphicForeignKey"]
        assert set(sobject.formulas) <= set(names)


def test_objects_differ_as_real_ones_do(schema: Schema) -> None:
    user, history = ours(schema, "User"), ours(schema, "CaseHistory")
    assert user.field("IsDeleted") is None
    assert not user.document["deletable"]
    assert history.key_prefix is None
    assert history.field("SystemModstamp") is None
    assert history.field("LastModifiedDate") is None
    assert history.field("CreatedDate") is not None
    assert ours(schema, "OpportunityHistory").field("SystemModstamp") is not None
    assert ours(schema, "OpportunityHistory").field("LastModifiedDate") is None
    assert ours(schema, "Task").field("IsArchived") is not None
    assert all(sobject.document["queryable"] for sobject in schema)


def test_the_showcase_has_every_kind_of_field(schema: Schema) -> None:
    showcase = ours(schema, "Showcase__c")
    kinds = {field.type for field in showcase.fields.values()}
    assert kinds >= {
        *("id", "string", "textarea", "encryptedstring", "email", "phone", "url", "picklist"),
        *("multipicklist", "combobox", "boolean", "int", "double", "currency", "percent", "date"),
        *("datetime", "time", "address", "location", "reference", "base64"),
    }
    lengths = {f.document["length"] for f in showcase.fields.values() if f.type == "textarea"}
    assert lengths >= {255, 32_768, 131_072}
    calculated = [f for f in showcase.fields.values() if f.document["calculated"]]
    assert {f.type for f in calculated} >= {"string", "double", "currency", "date", "boolean"}
    assert all(f.formula for f in calculated)
    item = ours(schema, "Showcase_Item__c")
    master = item.field("Showcase__c")
    assert master is not None
    assert master.document["cascadeDelete"]
    assert not master.document["nillable"]


def test_derived_values_are_not_stored(schema: Schema) -> None:
    stored = {f.name for f in ours(schema, "Opportunity").fields.values() if f.stored}
    assert not stored & {"IsClosed", "IsWon", "FiscalYear", "Fiscal", "ExpectedRevenue"}
    address = ours(schema, "Account").field("BillingAddress")
    assert address is not None
    assert not address.stored


def test_dependent_picklists_say_what_is_valid() -> None:
    # As recorded: the first and the second controlling value.
    assert valid_for([0]) == "gAAA"
    assert valid_for([1]) == "QAAA"
    assert valid_for([0, 2]) == "oAAA"
    assert valid_for([24]) == "AAAAgAAA"


def test_a_misspelt_attribute_is_refused() -> None:
    with pytest.raises(ValueError, match="Name: no such attribute: lenght"):
        describe_field("Name", {"type": "string", "lenght": 5}, {})


def test_custom_objects_in_any_number() -> None:
    schema = standard_schema(custom_objects=230)
    custom = [o for o in schema if o.name.startswith("Custom_Object_")]
    assert len(custom) == 230
    prefixes = [o.key_prefix for o in schema if o.key_prefix]
    assert len(set(prefixes)) == len(prefixes)
    own = [{f.name for f in o.fields.values() if f.document["custom"]} for o in custom]
    assert all(15 <= len(fields) <= 25 for fields in own)
    assert len({frozenset(fields - {"Previous__c"}) for fields in own}) == 3
    previous = custom[1].field("Previous__c")
    assert previous is not None
    assert previous.reference_to == ("Custom_Object_001__c",)


def test_record_types_of_describe_have_ids(schema: Schema) -> None:
    infos = ours(schema, "Account").document["recordTypeInfos"]
    assert [info["master"] for info in infos] == [False, False, True]
    assert len({info["recordTypeId"] for info in infos}) == 3
    assert sum(info["defaultRecordTypeMapping"] for info in infos) == 1
