"""What holds for every object: types, Ids, references, stamps, deletions."""

import itertools

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sf_assets.emulator.ids import id18
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.schema import SObject
from sf_assets_tests.emulator.world.conftest import NOW, World

OBJECTS = [sobject.name for sobject in standard_schema()]
STAMPS = ("CreatedDate", "LastModifiedDate", "SystemModstamp")
TEXT = {
    *("id", "reference", "string", "textarea", "encryptedstring", "email", "phone", "url"),
    *("picklist", "multipicklist", "combobox", "anyType"),
}
TYPES = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "double": pa.float64(),
    "currency": pa.float64(),
    "percent": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("ms", "UTC"),
    "time": pa.time32("ms"),
    "base64": pa.binary(),
}


def stored(world: World, name: str) -> SObject:
    found = world.schema.get(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", OBJECTS)
def test_a_column_of_the_right_type_for_each_stored_field(world: World, name: str) -> None:
    fields = [f for f in stored(world, name).fields.values() if f.stored]
    rows = world.tables[name]
    assert rows.schema.names == [f.name for f in fields]
    for field in fields:
        expected = pa.string() if field.type in TEXT else TYPES[field.type]
        assert rows.schema.field(field.name).type == expected, field.name


@pytest.mark.parametrize("name", OBJECTS)
def test_values_that_the_fields_can_hold(world: World, name: str) -> None:
    for field in stored(world, name).fields.values():
        if not field.stored:
            continue
        values = world.tables[name][field.name]
        if not field.document["nillable"]:
            assert values.null_count == 0, field.name
        if pa.types.is_string(values.type):
            assert "" not in values.to_pylist(), "absent is null"
            longest = pc.max(pc.utf8_length(values)).as_py() or 0
            assert longest <= (field.document["length"] or longest), field.name
            assert not pc.any(pc.match_substring(values, "\0")).as_py()
        if field.type == "picklist" and field.document["picklistValues"]:
            known = {entry["value"] for entry in field.document["picklistValues"]}
            assert set(values.to_pylist()) <= known | {None}, field.name
        if field.type in {"double", "currency", "percent"}:
            assert pc.all(pc.is_finite(values)).as_py() is not False


@pytest.mark.parametrize("name", OBJECTS)
def test_ids_are_real_and_unique(world: World, name: str) -> None:
    ids = world.column(name, "Id")
    assert len(set(ids)) == len(ids) > 0
    assert all(id18(one[:15]) == one for one in ids)
    assert {one[:3] for one in ids} == {stored(world, name).key_prefix or "017"}


def test_ids_differ_between_objects(world: World) -> None:
    every = list(itertools.chain(*(world.column(name, "Id") for name in OBJECTS)))
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("name", OBJECTS)
def test_references_point_at_existing_rows(world: World, name: str) -> None:
    for field in stored(world, name).fields.values():
        if field.type != "reference" or not field.stored:
            continue
        values = set(world.column(name, field.name)) - {None}
        targets = [target for target in field.reference_to if target in world.tables]
        there = set(itertools.chain(*(world.column(target, "Id") for target in targets)))
        if (name, field.name) == ("Profile", "UserLicenseId"):
            assert len(values) == 1, "licences are not part of the org, and a profile must have one"
        else:
            assert values <= there, field.name


@pytest.mark.parametrize("name", OBJECTS)
def test_nothing_is_older_than_what_it_refers_to(world: World, name: str) -> None:
    if "CreatedDate" not in world.tables[name].schema.names:
        return
    # A record may come under an older one later on, and users get a manager like that too.
    later = {"ParentId", "MasterRecordId", "ManagerId", "ReportsToId", "LastModifiedById"}
    for field in stored(world, name).fields.values():
        if field.type != "reference" or not field.stored or field.name in later:
            continue
        # What a lead became, and the last entries of a deal's history, are younger by nature.
        if field.name.startswith(("Converted", "Last")) or field.name == "RecordTypeId":
            continue
        for target in field.reference_to:
            if "CreatedDate" not in world.tables.get(target, pa.table({})).schema.names:
                continue
            early = world.number(
                f'SELECT count(*) FROM "{name}" AS c JOIN "{target}" AS p'
                f' ON p.Id = c."{field.name}" WHERE c.CreatedDate < p.CreatedDate'
            )
            assert early == 0, (field.name, target)


@pytest.mark.parametrize("name", OBJECTS)
def test_stamps_are_in_order_and_in_the_past(world: World, name: str) -> None:
    columns = [column for column in STAMPS if column in world.tables[name].schema.names]
    stamps = [pc.cast(world.tables[name][column], pa.int64()) for column in columns]
    for earlier, later in itertools.pairwise(stamps):
        assert pc.all(pc.less_equal(earlier, later)).as_py()
    for values in stamps:
        assert pc.max(values).as_py() <= NOW.timestamp() * 1000
        assert not pc.any(pc.not_equal(pc.divide(values, 1000), pc.divide(values, 1000.0))).as_py()


def test_the_platform_changes_records_by_itself(world: World) -> None:
    for name in ("Account", "Contact", "Opportunity", "Task"):
        later = world.number(
            "SELECT count(*) FILTER (WHERE SystemModstamp > LastModifiedDate) / count(*)"
            f" FROM {name}"
        )
        assert 0.05 < later < 0.3, name


@pytest.mark.parametrize("name", OBJECTS)
def test_deleted_parents_have_no_live_children(world: World, name: str) -> None:
    if "IsDeleted" not in world.tables[name].schema.names:
        return
    for child in stored(world, name).document["childRelationships"]:
        bound = child["cascadeDelete"] or child["restrictedDelete"]
        columns = world.tables[child["childSObject"]].schema.names
        if bound and {"IsDeleted", child["field"]} <= set(columns):
            orphans = world.number(
                f'SELECT count(*) FROM "{child["childSObject"]}" AS c JOIN "{name}" AS p'
                f' ON p.Id = c."{child["field"]}" WHERE p.IsDeleted AND NOT c.IsDeleted'
            )
            assert orphans == 0, child["field"]


def test_a_few_of_the_records_are_deleted(world: World) -> None:
    for name in ("Account", "Contact", "Opportunity", "Case", "Task", "Event", "CampaignMember"):
        share = world.number(f'SELECT count(*) FILTER (WHERE IsDeleted) / count(*) FROM "{name}"')
        assert 0.005 < share < 0.05, name
    recent = world.rows(
        "SELECT min(SystemModstamp) > TIMESTAMPTZ '2026-11-04', max(SystemModstamp) FROM Contact"
        " WHERE IsDeleted"
    )
    assert recent[0][0], "the recycle bin keeps records for 15 days"


def test_merged_records(world: World) -> None:
    for name in ("Account", "Contact", "Lead"):
        merged = world.rows(
            f"SELECT l.IsDeleted, w.IsDeleted FROM {name} AS l JOIN {name} AS w"
            " ON w.Id = l.MasterRecordId"
        )
        assert merged, name
        assert {loser for loser, _ in merged} == {True}
    # Winners are alive unless their account was deleted later.
    assert not world.number(
        "SELECT count(*) FROM Account AS l JOIN Account AS w ON w.Id = l.MasterRecordId"
        " WHERE w.IsDeleted"
    )
    for child, field in (("Contact", "AccountId"), ("Opportunity", "AccountId")):
        assert not world.number(
            f"SELECT count(*) FROM {child} AS c JOIN Account AS l ON l.Id = c.{field}"
            " WHERE l.MasterRecordId IS NOT NULL"
        )
