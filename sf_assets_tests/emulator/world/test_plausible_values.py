"""Rows of objects that no company stands behind."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sf_assets.emulator.metadata import load_describes, standard_schema
from sf_assets.emulator.metadata.fields import describe_field
from sf_assets.emulator.schema import Schema, SObject
from sf_assets.emulator.world.columns import arrow_type
from sf_assets_tests.emulator.world.conftest import NOW, World
from sf_assets_tests.shared import SHARED, needs_shared

RECORDED = SHARED / "salesforce" / "fixtures" / "describe"
SYSTEM: dict[str, Any] = {
    "Id": {"type": "id"},
    "IsDeleted": {"type": "boolean", "system": True},
    "Name": {"type": "string", "length": 80, "nameField": True},
    "CreatedDate": {"type": "datetime", "system": True, "required": True},
    "CreatedById": {
        "type": "reference",
        "referenceTo": "User",
        "system": True,
        "required": True,
    },
    "SystemModstamp": {"type": "datetime", "system": True, "required": True},
}


def an_object(name: str, prefix: str | None, children: Any = (), **fields: Any) -> SObject:
    """An object with system fields and some more."""
    documents = [describe_field(n, spec, {}) for n, spec in (SYSTEM | fields).items()]
    return SObject(
        {
            "name": name,
            "label": name,
            "keyPrefix": prefix,
            "fields": documents,
            "childRelationships": list(children),
            "recordTypeInfos": [],
            "deletable": True,
        },
        {},
    )


def child(name: str, field: str) -> dict[str, Any]:
    return {"childSObject": name, "field": field, "cascadeDelete": True}


@pytest.fixture(scope="module")
def recorded() -> World:
    return World(load_describes(RECORDED), rows={"Account": 2000})


@needs_shared
def test_recorded_objects_get_rows_that_fit(recorded: World) -> None:
    assert len(recorded.tables["Account"]) == 2000
    for sobject in recorded.schema:
        rows = recorded.tables[sobject.name]
        for field in sobject.fields.values():
            if not field.stored:
                continue
            values = rows[field.name]
            assert values.type == arrow_type(field)
            if not field.document["nillable"]:
                assert values.null_count == 0, (sobject.name, field.name)
            if pa.types.is_string(values.type) and field.document["length"]:
                longest = pc.max(pc.utf8_length(values)).as_py() or 0
                assert longest <= field.document["length"], (sobject.name, field.name)
            if field.document["restrictedPicklist"]:
                assert set(values.to_pylist()) <= {*field.picklist, None}


@needs_shared
def test_references_among_recorded_objects(recorded: World) -> None:
    owners = set(recorded.column("Account", "OwnerId"))
    assert all(owner.startswith("005") for owner in owners)
    assert len(owners) > 5
    for name, field, target in (
        ("Contact", "AccountId", "Account"),
        ("Opportunity", "AccountId", "Account"),
        ("OpportunityContactRole", "ContactId", "Contact"),
        ("Lead", "ConvertedOpportunityId", "Opportunity"),
        ("Contact", "ReportsToId", "Contact"),
    ):
        values = set(recorded.column(name, field)) - {None}
        assert len(values) > 5
        assert values <= set(recorded.column(target, "Id")), (name, field)
    # Nothing that the folder has no describe of is pointed at.
    assert set(recorded.column("Opportunity", "CampaignId")) == {None}
    who = {one[:3] for one in recorded.column("Event", "WhoId") if one}
    assert who == {"003", "00Q"}


@needs_shared
def test_deletions_and_stamps_of_recorded_objects(recorded: World) -> None:
    assert recorded.number("SELECT count(*) FILTER (WHERE IsDeleted) FROM Account") > 10
    for name in ("Contact", "Opportunity", "Event"):
        field = "WhatId" if name == "Event" else "AccountId"
        assert not recorded.number(
            f"SELECT count(*) FROM {name} AS c JOIN Account AS p ON p.Id = c.{field}"
            " WHERE p.IsDeleted AND NOT c.IsDeleted"
        )
        assert not recorded.number(
            f"SELECT count(*) FROM {name} WHERE CreatedDate > LastModifiedDate"
            f" OR LastModifiedDate > SystemModstamp OR SystemModstamp > TIMESTAMPTZ '{NOW}'"
        )
    names = recorded.rows("SELECT Name = concat_ws(' ', FirstName, LastName) FROM Contact")
    assert set(names) == {(True,)}


@needs_shared
def test_an_object_without_any_stamp(recorded: World) -> None:
    assert recorded.tables["Custom__c"].schema.names == ["Id", "Name", "CustomField__c"]
    assert len(recorded.tables["Custom__c"]) == 60


@needs_shared
def test_an_org_with_person_accounts() -> None:
    world = World(load_describes([RECORDED / "Account_PersonAccount_describe.json"]))
    rows = world.tables["Account"]
    assert rows.num_columns == 246
    assert rows["npsp__Membership_Status__c"].null_count < len(rows)


def test_unique_and_automatic_values() -> None:
    fields: dict[str, Any] = {
        "Key__c": {"type": "string", "length": 40, "unique": True, "externalId": True},
        "Short__c": {"type": "string", "length": 6, "unique": True},
        "Mail__c": {"type": "email", "unique": True},
        "Number__c": {"type": "double", "unique": True},
        "Auto__c": {"type": "string", "autoNumber": True},
    }
    world = World(Schema([an_object("Thing__c", "a0Z", **fields)]), rows={"Thing__c": 3000})
    for name in fields:
        values = world.column("Thing__c", name)
        assert len(set(values)) == 3000, name


def test_children_of_children_go_with_the_deleted() -> None:
    top = an_object("Top__c", "a0A", [child("Middle__c", "Top__c")])
    reference = {"type": "reference", "required": True}
    middle = an_object(
        "Middle__c",
        "a0B",
        [child("Bottom__c", "Middle__c")],
        Top__c={**reference, "referenceTo": "Top__c"},
    )
    bottom = an_object("Bottom__c", "a0C", Middle__c={**reference, "referenceTo": "Middle__c"})
    # Listed children first: the order of the objects must not matter.
    world = World(Schema([bottom, middle, top]), rows={"Top__c": 500, "Middle__c": 800})
    for name, parent in (("Middle__c", "Top__c"), ("Bottom__c", "Middle__c")):
        rows = world.rows(
            f"SELECT p.IsDeleted, c.IsDeleted, count(*) FROM {name} AS c"
            f" JOIN {parent} AS p ON p.Id = c.{parent} GROUP BY 1, 2"
        )
        found = {(parent_gone, gone) for parent_gone, gone, _ in rows}
        assert (True, True) in found
        assert (True, False) not in found


def test_circles_of_cascades_come_to_an_end() -> None:
    reference = {"type": "reference", "required": True}
    one = an_object(
        "One__c", "a0A", [child("Two__c", "One__c")], Two__c={**reference, "referenceTo": "Two__c"}
    )
    two = an_object(
        "Two__c", "a0B", [child("One__c", "Two__c")], One__c={**reference, "referenceTo": "One__c"}
    )
    world = World(Schema([one, two]))
    assert set(world.column("One__c", "Two__c")) <= set(world.column("Two__c", "Id"))


def test_dependent_picklists_have_valid_pairs(world: World) -> None:
    pairs = set(
        zip(
            world.column("Showcase__c", "Continent__c"),
            world.column("Showcase__c", "Country__c"),
            strict=True,
        )
    )
    allowed = {
        *(("Europe", "Germany"), ("Europe", "Türkiye"), ("America", "Brazil")),
        *(("America", "Canada"), ("Asia", "Türkiye"), ("Asia", "Japan")),
    }
    assert {pair for pair in pairs if None not in pair} == allowed
    assert {country for continent, country in pairs if continent is None} <= {None}


def test_multiple_choices_and_retired_values(world: World) -> None:
    chosen = set(world.column("Showcase__c", "Multi_Picklist__c")) - {None}
    options = ["Red", "Green", "Blue", "Dark Blue", "Other"]
    for value in chosen:
        places = [options.index(part) for part in value.split(";")]
        assert places == sorted(set(places))
    assert len(chosen) > 20
    assert "Gamma" in world.column("Showcase__c", "Open_Picklist__c"), "inactive, yet in use"


def test_custom_objects_refer_to_the_company() -> None:
    custom = World(standard_schema(custom_objects=4), scale=2)
    accounts = set(custom.column("Account", "Id"))
    pointed = {
        account
        for number in range(1, 5)
        if "Account__c" in custom.tables[f"Custom_Object_00{number}__c"].schema.names
        for account in custom.column(f"Custom_Object_00{number}__c", "Account__c")
    }
    assert len(pointed) > 10
    assert pointed - {None} <= accounts
    previous = set(custom.column("Custom_Object_002__c", "Previous__c")) - {None}
    assert previous <= set(custom.column("Custom_Object_001__c", "Id"))


def test_an_org_of_our_standard_objects_with_custom_fields() -> None:
    base = standard_schema()
    extra = describe_field("Region__c", {"type": "picklist", "values": ["North", "South"]}, {})
    objects = []
    for sobject in base:
        document = dict(sobject.document)
        if sobject.name == "Account":
            document["fields"] = [*document["fields"], extra]
        objects.append(SObject(document, sobject.formulas))
    world = World(Schema(objects))
    assert set(world.column("Account", "Region__c")) == {"North", "South", None}
    assert world.number("SELECT count(DISTINCT AccountId) FROM Opportunity") > 50
