"""Fields that the catalogue has treated: silver, and what follows, never has their values."""

import re
from hashlib import sha256
from hmac import new
from pathlib import Path
from typing import Any

import pytest

from sf_assets.catalog_file import load_catalog
from sf_assets.cli.report import Report, carry_out
from sf_assets.emulator.server import Emulator
from sf_assets.errors import ConfigError, StorageError
from sf_assets.naming import Names
from sf_assets.pipeline.extraction.formula_drift import measure
from sf_assets.pipeline.load import behind, load, rebuild
from sf_assets.pipeline.reconciliation.reconcile import Reconciled, reconcile
from sf_assets.pipeline.refresh import refresh
from sf_assets.pipeline.schema.described import describe_objects
from sf_assets_tests.conftest import Workspace

KEY = "a key of thirty-two characters!!"
NAME, MAIL, PHONE, TITLE = "zq7-Łucja ♞", "zq7@planted.example", "+48 zq7 73737373", "zq7 🦄 title"
CONTACT = {"LastName": "hash", "Email": "hash", "Phone": "mask", "Title": "drop",
           "Department": "restricted", "Birthdate": "hash"}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path, living_org: Emulator) -> Workspace:
    workspace = Workspace(tmp_path, living_org.environment)
    workspace.env["SF_ASSETS_HASH_KEY"] = KEY
    contacts = living_org.store.rows('SELECT "Id" FROM "Contact" LIMIT 3')
    for number, (contact,) in enumerate(contacts):
        living_org.org.records.update(
            "Contact", contact,
            {"LastName": f"{NAME} {number}", "Email": MAIL, "Phone": PHONE, "Title": TITLE,
             "Department": "zq7 ward", "Birthdate": "1973-07-03"},
        )  # fmt: skip
    living_org.advance(60)
    return workspace


def hashed(text: str) -> str:
    return new(KEY.encode(), text.encode(), sha256).hexdigest()


def refreshed(workspace: Workspace) -> Report:
    return carry_out([workspace.org()], refresh)


def compared(workspace: Workspace) -> Reconciled:
    org = workspace.org()
    (found,) = reconcile(org, org.catalog.select(["Contact"]), everything=True)
    assert found.error is None
    return found


def shown(workspace: Workspace) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all relations; what only some may see is left out."""
    return {
        f"{schema}.{relation}": workspace.rows(f"SELECT * FROM {schema}.{relation}")
        for schema in ("silver", "gold", "ops")
        for relation in workspace.relations(schema)
    }


def tables(workspace: Workspace) -> set[str]:
    """The relations of the schemas where objects may be, and those schemas."""
    found = workspace.rows("SELECT table_schema, table_name FROM information_schema.tables")
    return {f"{schema}.{table}" for schema, table in found} | {schema for schema, _ in found}


def planted(tables: dict[str, list[tuple[Any, ...]]]) -> set[str]:
    """Tables in which planted values are."""
    marks = ("zq7", "73737373", "♞", "🦄")
    return {name for name, rows in tables.items() if any(mark in repr(rows) for mark in marks)}


def test_treated_values_are_nowhere_in_the_tables_but_where_they_may_be(
    workspace: Workspace, living_org: Emulator
) -> None:
    gold = workspace.folder / "gold"
    gold.mkdir()
    (gold / "versions.sql").write_text("SELECT Id, Email, LastName FROM raw.contact")
    (gold / "people.sql").write_text("SELECT Id, Email, Phone FROM silver.contact_live")
    workspace.catalogue(
        {"Contact": {"privacy": CONTACT, "history": True, "checks": [{"not_null": "Email"}]}},
        gold="gold",
    )
    report = refreshed(workspace)
    assert report.errors == {}
    columns = Names(workspace.columns("silver.contact"))
    assert {"Title", "Department"}.isdisjoint(columns)
    assert {columns[name] for name in ("LastName", "Email", "Phone", "Birthdate")} <= {"VARCHAR"}
    people = "SELECT DISTINCT Email, Phone, Birthdate FROM silver.contact WHERE Email = "
    assert workspace.rows(f"{people}'{hashed(MAIL)}'") == [
        (hashed(MAIL), "+** *** ********", hashed("1973-07-03"))
    ]
    assert workspace.rows("SELECT count(*) FROM gold.versions WHERE Email IS NOT NULL") != [(0,)]
    assert workspace.rows(
        "SELECT count(*) FROM restricted.contact WHERE Department = 'zq7 ward'"
    ) == [(3,)]
    assert Names(workspace.columns("restricted.contact")).keys() >= {"Department", "IsDeleted"}
    assert "Email" not in Names(workspace.columns("restricted.contact"))
    if workspace.env["SF_ASSETS_WAREHOUSE_URL"].startswith("duckdb"):
        assert planted(shown(workspace)) == set()
    found = compared(workspace)
    assert found.equal
    assert found.compared
    assert {"Title", "Department"} <= set(found.compared.omitted)
    assert refreshed(workspace).materialized == {}
    assert behind(workspace.org(), workspace.org().stored_raw) == set()

    records = living_org.org.records
    contact = records.insert("Contact", {"LastName": NAME, "Department": "zq7 ward"})
    living_org.advance(60)
    workspace.tick()
    records.update("Contact", contact, {"Department": "zq7 other"})
    records.delete("Contact", contact)
    living_org.advance(60)
    workspace.tick()
    assert workspace.rows(
        f"SELECT Department, IsDeleted FROM restricted.contact WHERE Id = '{contact}'"
    ) == [("zq7 other", True)]


def test_a_tag_that_comes_later_takes_what_is_there_out_of_silver(workspace: Workspace) -> None:
    (workspace.folder / "gold").mkdir()
    (workspace.folder / "gold" / "versions.sql").write_text("SELECT Id, Email FROM raw.contact")
    workspace.catalogue({"Contact": {"history": True}}, gold="gold")
    assert refreshed(workspace).errors == {}
    assert workspace.rows(f"SELECT count(*) FROM silver.contact WHERE Email = '{MAIL}'") == [(3,)]

    workspace.catalogue({"Contact": {"history": True, "privacy": CONTACT}}, gold="gold")
    raw = workspace.org().stored_raw
    assert behind(workspace.org(), raw) == {"contact"}
    assert refreshed(workspace).errors == {}
    assert workspace.rows("SELECT count(*) FROM restricted.contact_live") != [(0,)]
    for table in ("silver.contact", "silver.contact_history", "gold.versions"):
        assert workspace.rows(f"SELECT count(*) FROM {table} WHERE Email = '{MAIL}'") == [(0,)]
        assert workspace.rows(
            f"SELECT count(*) > 2 FROM {table} WHERE Email = '{hashed(MAIL)}'"
        ) == [(True,)]
    assert behind(workspace.org(), raw) == set()

    workspace.env["SF_ASSETS_HASH_KEY"] = KEY + "another"
    assert behind(workspace.org(), raw) == {"contact"}
    workspace.catalogue({"Contact": {"history": True}}, gold="gold")
    assert refreshed(workspace).errors == {}
    assert workspace.rows(f"SELECT count(*) FROM silver.contact WHERE Email = '{MAIL}'") == [(3,)]
    assert "restricted" not in tables(workspace)
    assert behind(workspace.org(), raw) == set()


def test_without_a_key_nothing_is_loaded(workspace: Workspace) -> None:
    workspace.catalogue({"Contact": {"privacy": {"Email": "hash"}}, "Lead": None})
    for key, why in (("", "is not set"), ("short", "has fewer than 16 characters")):
        workspace.env["SF_ASSETS_HASH_KEY"] = key
        report = refreshed(workspace)
        assert set(report.errors) == {"contact"}
        assert f"SF_ASSETS_HASH_KEY {why}" in report.errors["contact"]
        assert "silver.contact" not in tables(workspace)
        assert workspace.rows("SELECT count(*) FROM silver.lead") != [(0,)]
    with pytest.raises(ConfigError, match="SF_ASSETS_HASH_KEY"):
        rebuild(workspace.org(), workspace.org().stored_raw, "contact")
    workspace.env["SF_ASSETS_HASH_KEY"] = KEY
    assert refreshed(workspace).errors == {}
    assert workspace.rows("SELECT count(*) FROM silver.contact") != [(0,)]


REFUSED = (
    ({"Id": "hash"}, "Id cannot be treated"),
    ({"SystemModstamp": "drop"}, "SystemModstamp cannot be treated"),
    ({"IsDeleted": "mask"}, "IsDeleted cannot be treated"),
    ({"AccountId": "hash"}, "AccountId leads to a record"),
    ({"Emial": "hash"}, r"catalog.yaml:5: .*Contact has no field Emial"),
    ({"MailingAddress": "hash"}, "MailingAddress has no column of its own"),
)


def test_what_cannot_be_treated_is_refused_by_name(workspace: Workspace) -> None:
    workspace.catalogue({"Contact": None})
    workspace.tick()
    before = workspace.rows("SELECT * FROM silver.contact ORDER BY Id")
    for tags, why in REFUSED:
        workspace.catalogue({"Contact": {"privacy": tags}})
        with pytest.raises(ConfigError, match=why):
            load(workspace.org(), workspace.org().stored_raw, "contact")
        assert set(refreshed(workspace).errors) == {"contact"}
    assert workspace.rows("SELECT * FROM silver.contact ORDER BY Id") == before
    workspace.catalogue({"Contact": {"privacy": {"AccountId": "drop", "Id": "keep"}}})
    assert refreshed(workspace).errors == {}
    assert "AccountId" not in Names(workspace.columns("silver.contact"))


def test_a_field_is_treated_wherever_it_is_read(workspace: Workspace) -> None:
    (workspace.folder / "case.soql").write_text(
        "SELECT Id, SystemModstamp, IsDeleted, Contact.Email, Contact.Phone, Owner.Name FROM Case"
    )
    workspace.catalogue(
        {"Contact": {"privacy": CONTACT}, "Case": {"soql": "case.soql"},
         "User": {"privacy": {"Name": "mask"}}},
    )  # fmt: skip
    assert refreshed(workspace).errors == {}
    names = workspace.rows(
        "SELECT DISTINCT Contact_Email FROM silver.case WHERE Contact_Email IS NOT NULL"
    )
    assert names
    assert {len(name) for (name,) in names} == {64}
    assert workspace.rows("SELECT count(*) FROM silver.case WHERE Owner_Name LIKE '%e%'") == [(0,)]
    assert workspace.rows("SELECT count(*) FROM silver.case WHERE Owner_Name LIKE '%*%'") != [(0,)]
    org = workspace.org()
    items = describe_objects(org, org.catalog.select(["Case"]))
    ((_, drift),) = measure(org, items.values())  # type: ignore[arg-type]
    assert not drift.any  # type: ignore[union-attr]


def test_rejects_of_treated_fields_hold_no_value(
    workspace: Workspace, living_org: Emulator
) -> None:
    living_org.admin.add_field("Contact", "Odd__c", {"type": "string", "length": 80}, "zq7 odd")
    workspace.catalogue({"Contact": {"privacy": {"Odd__c": "hash"}}})
    assert refreshed(workspace).errors == {}
    living_org.admin.change_field("Contact", "Odd__c", {"type": "date"})
    living_org.advance(7200)
    assert refreshed(workspace).errors == {}
    assert workspace.rows("SELECT count(*) FROM silver.contact_rejects") == [(0,)]


def test_checks_say_what_they_cannot_see(workspace: Workspace) -> None:
    checks = [
        {"unique": "Email"},
        {"not_null": ["Phone", "Title"]},
        {"matches": {"Email": ".*@.*"}},
    ]
    workspace.catalogue(
        {"Contact": {"privacy": CONTACT | {"LeadSource": "hash"}, "checks": checks}}
    )
    found = {check["check"]: check for check in refreshed(workspace).checks}
    assert not found["unique_Email"]["passed"], "three have the same"
    assert "reason" not in found["not_null_Phone"]["facts"]
    assert "out of silver (drop)" in found["not_null_Title"]["facts"]["reason"]
    assert "silver has Email as a hash alone" in found["matches_Email"]["facts"]["reason"]
    assert found["picklists"]["passed"]


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ("{Email: blur}", "4: objects.Contact.privacy.Email: "),
        ("{Email: hash, email: mask}", "objects.Contact.privacy.email: email is there twice"),
        ("{'E mail': hash}", "objects.Contact.privacy.E mail"),
    ],
)
def test_the_catalogue_refuses_what_it_does_not_know(tmp_path: Path, tags: str, why: str) -> None:
    tagged = tmp_path / "tagged.yaml"
    tagged.write_text(f"start: 2026-01-01\nobjects:\n  Contact:\n    privacy: {tags}\n")
    with pytest.raises(ConfigError) as refusal:
        load_catalog(tagged)
    assert why in str(refusal.value)


def test_fields_are_treated_by_how_the_org_classifies_them(
    workspace: Workspace, living_org: Emulator
) -> None:
    admin = living_org.admin
    admin.classify_field("Contact", "Email", "GDPR;PII", "Restricted")
    admin.classify_field("Contact", "Name", "PII")
    admin.classify_field("Contact", "MailingAddress", None, "Confidential")
    workspace.catalogue(
        {"Contact": {"privacy": {"Title": "drop", "Salutation": "keep"}}},
        privacy_defaults={"pii": "hash", "Confidential": "drop", "GDPR": "mask"},
    )
    assert refreshed(workspace).errors == {}
    columns = Names(workspace.columns("silver.contact"))
    assert {"MailingCity", "MailingStreet", "Title"}.isdisjoint(columns)
    assert workspace.rows(
        f"SELECT DISTINCT Email, length(LastName), length(Name) FROM silver.contact "
        f"WHERE Email = '{hashed(MAIL)}'"
    ) == [(hashed(MAIL), 64, 64)]
    assert workspace.rows("SELECT max(length(Salutation)) < 64 FROM silver.contact") == [(True,)]

    admin.classify_field("Contact", "Phone", "PII")
    living_org.advance(7200)
    assert refreshed(workspace).errors == {}
    assert workspace.rows(
        f"SELECT count(*) FROM silver.contact WHERE Phone = '{hashed(PHONE)}'"
    ) == [(3,)]


def test_where_the_org_does_not_say_nothing_is_loaded(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.catalogue({"Contact": None})
    workspace.tick()
    workspace.catalogue({"Contact": None}, privacy_defaults={"PII": "hash"})
    with pytest.raises(StorageError, match="classified was not asked"):
        load(workspace.org(), workspace.org().stored_raw, "contact")
    monkeypatch.setattr("sf_assets.emulator.org._OF_DEFINITIONS", re.compile("nothing"))
    assert "privacy_defaults; let " in refreshed(workspace).errors["contact"]


def test_a_field_that_is_restricted_later_is_beside_those_that_were_before(
    workspace: Workspace,
) -> None:
    workspace.catalogue({"Contact": {"privacy": {"Department": "restricted"}}})
    assert refreshed(workspace).errors == {}
    ((filled,),) = workspace.rows("SELECT count(Phone) FROM silver.contact")
    both = {"Department": "restricted", "Phone": "restricted"}
    workspace.catalogue({"Contact": {"privacy": both}})
    assert refreshed(workspace).errors == {}
    assert workspace.rows("SELECT count(Phone) FROM restricted.contact") == [(filled,)]
    assert "phone" not in {name.lower() for name, _ in workspace.columns("silver.contact")}
    assert behind(workspace.org(), workspace.org().stored_raw) == set()


def test_rejects_of_restricted_fields_are_counted(workspace: Workspace) -> None:
    workspace.catalogue({"Contact": {"privacy": {"Birthdate": "restricted"}}})
    refreshed(workspace)
    workspace.change(
        "INSERT INTO restricted.contact_rejects SELECT Id, 'Birthdate', 'x', 'no date', _slice "
        "FROM restricted.contact LIMIT 1"
    )
    workspace.change("DELETE FROM ops.quality")
    found = {check["check"]: check for check in refreshed(workspace).checks}
    assert found["rejects"]["facts"] == {"Birthdate": 1}
    assert not found["rejects"]["passed"]


def test_a_history_that_is_kept_no_more_has_nothing_that_is_hidden_by_now(
    workspace: Workspace,
) -> None:
    workspace.catalogue({"Contact": {"history": True}})
    refreshed(workspace)
    workspace.catalogue({"Contact": {"privacy": {"Email": "drop"}}})
    assert refreshed(workspace).errors == {}
    assert MAIL not in str(shown(workspace))
