"""Names are one thing in any case: an org, or a user's file, may spell one anew at any time."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.load import rebuild
from sf_assets.pipeline.org import load_orgs
from sf_assets.pipeline.planning.plan import plan_backfill
from sf_assets.pipeline.schema.described import Described, describe_objects
from sf_assets.schema_diff import diff
from sf_assets.windows import Window
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

pytestmark = pytest.mark.duckdb  # PostgreSQL keeps names in lower case

HOUR = 3700
TEXT = {"type": "string", "length": 40}
NUMBER = {"type": "double", "precision": 18, "scale": 2}
CASES = "SELECT Id, SystemModstamp, IsDeleted, Subject, Owner.Name, Account.Owner.Name FROM Case"
OBJECT = "Showcase__c"


def anyhow(text: str, dice: random.Random) -> str:
    """A text in some other case."""
    return "".join(dice.choice([str.upper, str.lower])(letter) for letter in text)


def columns(workspace: Workspace, slug: str) -> list[tuple[str, str]]:
    return workspace.rows(
        "SELECT column_name, data_type FROM information_schema.columns "
        f"WHERE table_schema = 'silver' AND table_name = '{slug}' ORDER BY lower(column_name)"
    )


def folded(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name.lower(), kind) for name, kind in found]


@pytest.mark.parametrize("seed", [1, 2])
def test_names_that_are_spelt_anew_between_ticks_change_no_value(
    tmp_path: Path, org: Emulator, seed: int
) -> None:
    """Fields, an object and a file are re-spelt at random, with describes fresh and stale."""
    dice = random.Random(seed)  # noqa: S311
    workspace = Workspace(tmp_path, org.environment)
    org.admin.add_field(OBJECT, "Room_no__c", TEXT, "12")
    org.admin.add_field(OBJECT, "Floor_no__c", NUMBER, 3)
    history = {"history": True} if seed == 1 else {}
    workspace.catalogue({OBJECT: history, "Case": {"soql": "case.soql"}})
    (tmp_path / "case.soql").write_text(CASES, encoding="utf-8")
    workspace.tick()
    before = [folded(columns(workspace, slug)) for slug in ("showcase__c", "case")]
    name = OBJECT
    for _ in range(4):
        for field in ("Room_no__c", "Floor_no__c"):
            if dice.random() < 0.7:
                org.admin.respell_field(name, field, anyhow(field[:-3], dice) + "__c")
        if dice.random() < 0.5:
            name = anyhow(OBJECT[:-3], dice) + "__c"
            org.admin.respell_object(OBJECT, name)
        (tmp_path / "case.soql").write_text(anyhow(CASES, dice), encoding="utf-8")
        org.advance(dice.choice([300, HOUR]))
        record = str(workspace.rows("SELECT min(Id) FROM silver.showcase__c_live")[0][0])
        room = org.org.schema.get(name).fields["room_no__c"].name  # type: ignore[union-attr]
        org.org.records.update(name, record, {room: str(dice.random())})
        org.advance(60)
        if dice.random() < 0.3:
            here = workspace.org()
            day = Window(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
            found = workspace.run(here, plan_backfill(here, here.catalog.select([]), day))
        else:
            found = workspace.tick()
        assert {slug: e.error for slug, e in found.items() if e.error} == {}
        assert differences(org, workspace, name) == []
        assert [folded(columns(workspace, slug)) for slug in ("showcase__c", "case")] == before
    for slug in ("showcase__c", "case"):
        here = workspace.org()
        rebuild(here, here.stored_raw, slug)
    assert differences(org, workspace, name) == []
    assert [folded(columns(workspace, slug)) for slug in ("showcase__c", "case")] == before
    assert ("Owner_Name", "VARCHAR") in columns(workspace, "case"), "as describes spell it"


def test_the_newest_spelling_is_the_columns_name(tmp_path: Path, org: Emulator) -> None:
    workspace = Workspace(tmp_path, org.environment)
    org.admin.add_field("Account", "Room_no__c", NUMBER, 12)
    workspace.catalogue({"Account": None})
    workspace.tick()
    record = str(workspace.rows("SELECT min(Id) FROM silver.account_live")[0][0])
    org.admin.respell_field("Account", "Room_no__c", "Room_No__c")
    org.advance(HOUR)
    org.org.records.update("Account", record, {"Room_No__c": 7})
    org.advance(60)
    workspace.tick()
    names = [name for name, _ in columns(workspace, "account")]
    assert "Room_No__c" in names
    assert "Room_no__c" not in names
    assert differences(org, workspace, "Account") == []
    kinds = {str(piece.kind) for piece in workspace.org().stored_raw.slices("account")}
    assert kinds == {"export"}, "nothing is filled: it is the same field"
    (_, before), (_, after) = workspace.org().stored_raw.describes.history()
    told = [(c.field, c.what, c.before, c.after) for c in diff(before, after)]
    assert told == [("Room_No__c", "name", "Room_no__c", "Room_No__c")]


def described(workspace: Workspace) -> Any:
    here = workspace.org()
    return describe_objects(here, here.catalog.select([]))


def soql(workspace: Workspace, text: str) -> Any:
    """What becomes of a query of cases."""
    (workspace.folder / "case.soql").write_text(text, encoding="utf-8")
    workspace.catalogue({"Case": {"soql": "case.soql"}, "Account": None})
    found = described(workspace)
    assert isinstance(found["account"], Described), "it has nothing to do with it"
    return found["case"]


def test_two_fields_of_one_column_are_refused_and_the_others_go_on(
    tmp_path: Path, org: Emulator
) -> None:
    workspace = Workspace(tmp_path, org.environment)
    org.admin.add_field("Account", "Region__c", TEXT, "of the account")
    org.admin.add_field("Case", "Account_region__c", TEXT, "of the case")
    base = "SELECT Id, SystemModstamp, IsDeleted, {} FROM Case"
    for both in ("Account.Region__c, Account_Region__c", "account_region__c, ACCOUNT.REGION__c"):
        assert "would both be the column" in str(soql(workspace, base.format(both)))
    found = soql(workspace, base.format("account.region__c"))
    assert found.query.fields[-1] == "Account.Region__c"
    workspace.tick()
    workspace.load("case")
    shown = "SELECT DISTINCT Account_Region__c FROM silver.case WHERE Account_Region__c IS NOT NULL"
    assert workspace.rows(shown) == [("of the account",)]
    soql(workspace, base.format("Account_Region__c"))
    org.advance(60)
    workspace.tick()
    assert workspace.rows(shown) == [("of the case",)]
    here = workspace.org()
    rebuild(here, here.stored_raw, "case")
    assert workspace.rows(shown) == [("of the case",)]


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("owner.userrole.name", "Owner.UserRole.Name"),
        ("owner.TYPE", "Owner.Type"),
        ("OWNER.profile.name", "Owner.Profile.Name"),
        ("owner.isactive", "Owner.IsActive"),
        ("contact.owner.email", "Contact.Owner.Email"),
    ],
)
def test_fields_of_parents_of_several_objects_are_known(
    workspace: Workspace, field: str, kind: str
) -> None:
    found = soql(workspace, f"SELECT Id, SystemModstamp, IsDeleted, {field} FROM Case")
    assert isinstance(found, Described), found
    assert found.query.fields[-1] == kind


def test_roles_of_owners_arrive_in_silver(workspace: Workspace) -> None:
    soql(workspace, "SELECT Id, SystemModstamp, IsDeleted, OwnerId, Owner.UserRole.Name FROM Case")
    workspace.catalogue(
        {"Case": {"soql": "case.soql"}, "User": None, "UserRole": {"grain": "none"}}
    )
    assert {slug: e.error for slug, e in workspace.tick().items() if e.error} == {}
    (there, different) = workspace.rows(
        "SELECT count(c.Owner_UserRole_Name), count(*) FILTER (c.Owner_UserRole_Name IS DISTINCT "
        "FROM r.Name) FROM silver.case c LEFT JOIN silver.user u ON u.Id = c.OwnerId "
        "LEFT JOIN silver.userrole r ON r.Id = u.UserRoleId"
    )[0]
    assert there > 0
    assert different == 0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("Account.Nmae", "no describe of Account knows Account.Nmae"),
        ("Acount.Name", "no describe of Case knows Acount.Name"),
        ("Account.BillingAddress", "Account.BillingAddress is a field of type address"),
        ("Account.Owner.Nmae", "knows Account.Owner.Nmae"),
    ],
)
def test_a_parents_field_that_nobody_knows_is_an_error_of_its_object(
    workspace: Workspace, fields: str, told: str
) -> None:
    found = soql(workspace, f"SELECT Id, SystemModstamp, IsDeleted, {fields} FROM Case")
    assert f"{workspace.folder}/case.soql" in str(found)
    assert told in str(found)


def test_a_field_to_leave_out_that_is_not_there_is_told_with_its_line(
    workspace: Workspace,
) -> None:
    workspace.catalogue({"Contact": {"exclude": ["Birtdate"]}, "Account": None})
    found = described(workspace)
    assert isinstance(found["account"], Described)
    place = f"{workspace.folder}/catalog.yaml:5: objects.Contact.exclude: Contact has no field Birt"
    assert str(found["contact"]).startswith(place)


def test_a_field_that_only_another_org_of_the_catalogue_has_is_no_typo(
    tmp_path: Path, org: Emulator, company: Emulator
) -> None:
    org.admin.add_field("Account", "Secret__c", TEXT)
    workspace = Workspace(tmp_path, {})
    for name, emulator in (("EMEA", org), ("US", company)):
        workspace.env |= {
            key.replace("SALESFORCE_", f"SALESFORCE_{name}_"): value
            for key, value in emulator.environment.items()
        }
    exclude = {"exclude": ["secret__c"]}
    workspace.catalogue({"Account": exclude, "Lead": exclude}, orgs=["emea", "us"])
    emea, us = load_orgs(workspace.env)
    for here in (emea, us):
        found = describe_objects(here, here.catalog.select([]))
        assert isinstance(found["account"], Described), found["account"]
        assert "Lead has no field secret__c" in str(found["lead"])


def test_a_field_that_is_younger_than_its_describe_may_be_named(
    tmp_path: Path, org: Emulator
) -> None:
    workspace = Workspace(tmp_path, org.environment)
    workspace.catalogue({"Account": {"exclude": ["Name"]}})
    assert isinstance(described(workspace)["account"], Described)
    org.admin.add_field("Account", "Secret__c", TEXT)
    workspace.catalogue({"Account": {"exclude": ["secret__c"]}})
    found = described(workspace)["account"]
    assert "Secret__c" not in found.query.fields
