"""The changes that are hard to export, each alone, and all of them together."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.world.life import OFFICE, UPHEAVAL, Life
from sf_assets_tests.emulator.conftest import Api
from sf_assets_tests.emulator.world.test_company_at_work import START, Org


@pytest.fixture(scope="module")
def schema() -> Schema:
    return standard_schema()


@pytest.fixture
def org(schema: Schema) -> Iterator[Org]:
    """A small org, an hour after its last change."""
    org = Org(schema)
    org.clock.advance(3600)
    yield org
    org.store.close()


def only(org: Org, *names: str, steps: int = 1) -> list[str | None]:
    """Steps of which only these changes happen."""
    life = Life(org.records, 7, rate=1, weights=dict.fromkeys(names, 1), late=0)
    return [life.step() for _ in range(steps)]


def rows(org: Org, name: str) -> dict[str, dict[str, Any]]:
    return {row["Id"]: row for row in org.records.select(f'SELECT * FROM "{name}"')}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {key for key in after if before.get(key) != after[key]}


def purged(org: Org) -> Any:
    return org.number("SELECT count(*) FROM emulator.purged")


def test_hard_deletes(org: Org) -> None:
    assert only(org, "live record purged") == ["live record purged"]
    assert purged(org) == 1
    assert only(org, "record deleted", "record purged", steps=30).count("record purged") > 3
    before = purged(org)
    assert set(only(org, "record deleted", "bin emptied", steps=6)) >= {"bin emptied"}
    assert purged(org) > before


@pytest.mark.parametrize(
    ("name", "parent", "child", "field"),
    [
        ("account deleted", "Account", "Contact", "AccountId"),
        ("showcase deleted", "Showcase__c", "Showcase_Item__c", "Showcase__c"),
    ],
)
def test_cascades(org: Org, name: str, parent: str, child: str, field: str) -> None:
    only(org, name, steps=5)
    gone = {key for key, row in rows(org, parent).items() if row["IsDeleted"]}
    assert len(gone) >= 5
    children = [row for row in rows(org, child).values() if row[field] in gone]
    assert children
    assert all(row["IsDeleted"] for row in children)


@pytest.mark.parametrize(("name", "kind"), [("accounts merged", "Account"),
                                            ("leads merged", "Lead")])  # fmt: skip
def test_merges(org: Org, name: str, kind: str) -> None:
    before = rows(org, kind)
    contacts = rows(org, "Contact")
    only(org, name, steps=4)
    losers = {
        key: row["MasterRecordId"]
        for key, row in rows(org, kind).items()
        if row["IsDeleted"] and not before[key]["IsDeleted"]
    }
    assert len(losers) == 4
    assert all(losers.values())
    if kind == "Account":
        moved = changed(contacts, rows(org, "Contact"))
        assert {contacts[key]["AccountId"] for key in moved} <= set(losers)
        assert not any(
            row["AccountId"] in losers and not row["IsDeleted"]
            for row in rows(org, "Contact").values()
        )


def test_two_versions_in_one_second_and_many_records_with_one_stamp(org: Org) -> None:
    before = {name: rows(org, name) for name in ("Account", "Contact", "Lead", "Task")}
    only(org, "changed twice")
    ids = {n: changed(was, rows(org, n)) for n, was in before.items()}
    assert sum(map(len, ids.values())) == 1
    org.clock.advance(60)
    only(org, "mass updated")
    stamp = org.clock.stamp().replace(tzinfo=None)
    count = sum(
        org.number(f'SELECT count(*) FROM "{name}" WHERE "SystemModstamp" = \'{stamp}\'')
        for name in (*before, "Showcase_Item__c")
    )
    assert count >= 20


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("parent renamed", "Formula_Parent__c"),
        ("item changed", "Item_Total__c"),
        ("item created", "Item_Count__c"),
    ],
)
def test_formulas_drift_without_a_stamp(name: str, formula: str) -> None:
    with Emulator(scale=0.1, seed=3) as emulator:
        api = Api(emulator)
        soql = f"SELECT Id, SystemModstamp, {formula} FROM Showcase__c"
        before = {row["Id"]: row for row in api.query(soql)}
        life = Life(emulator.records, 1, rate=1, weights={name: 1}, late=0)
        assert [life.step() for _ in range(3)] == [name] * 3
        after = {row["Id"]: row for row in api.query(soql)}
        drifted = [key for key in after if after[key][formula] != before[key][formula]]
        assert drifted
        stamps = [(before[k]["SystemModstamp"], after[k]["SystemModstamp"]) for k in after]
        assert all(old == new for old, new in stamps)
        described = api("GET", "/sobjects/Showcase__c/describe").json()["fields"]
        assert next(f for f in described if f["name"] == formula)["calculated"] is True
        api.http.close()


def test_some_changes_become_visible_late(org: Org) -> None:
    life = Life(org.records, 2, rate=1, weights={"lead created": 1}, late=1, longest=10)
    last = f'SELECT count(*) FROM "Lead" WHERE "CreatedDate" > \'{START:%Y-%m-%d %H:%M:%S}\''
    assert life.step() == "lead created"
    stamp = org.clock.stamp()
    assert org.number(last) == 0
    org.clock.advance(11)
    org.records.commit_due()
    assert org.number(last) == 1
    seen = org.number('SELECT max("SystemModstamp") FROM "Lead"')
    assert (
        seen
        == stamp.replace(tzinfo=None)
        < (org.clock.stamp() - timedelta(seconds=5)).replace(tzinfo=None)
    )


@pytest.mark.more
def test_a_wild_life_is_the_same_for_the_same_seed(schema: Schema) -> None:
    lives = []
    for seed in (1, 1, 2):
        org = Org(schema)
        life = Life(org.records, seed, rate=1, late=0.3)
        happened = []
        for _ in range(150):
            org.clock.advance(3)
            happened.append(life.step())
        found = {o.name: rows(org, o.name) for o in schema}
        lives.append((happened, found, purged(org)))
        org.records.close()
        org.store.close()
    assert lives[0] == lives[1]
    assert lives[0] != lives[2]
    assert len(Counter(lives[0][0]) & Counter(OFFICE | UPHEAVAL)) >= 18


def test_an_unknown_change_is_refused(org: Org) -> None:
    with pytest.raises(ValueError, match="no such change: sung"):
        Life(org.records, 1, rate=1, weights={"sung": 1})
