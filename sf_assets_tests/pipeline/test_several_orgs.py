"""Several orgs: each has objects, times and a budget of its own, and all are seen together."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from sf_assets.catalog import PACKAGED
from sf_assets.catalog_file import load_catalog
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.org import load_orgs
from sf_assets.warehouse.sql import united
from sf_assets_tests.conftest import FAST
from sf_assets_tests.orgs import Orgs

TEXT = {"type": "string", "length": 40}
NUMBER = {"type": "double", "precision": 12, "scale": 2}
FINE = {"type": "double", "precision": 16, "scale": 8}
DAY = {"type": "date"}
MOMENT = {"type": "datetime"}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Orgs]:
    with (
        Emulator(scale=0.002, seed=1, settings=FAST) as emea,
        Emulator(scale=0.002, seed=2, settings=FAST) as us,
    ):
        yield Orgs(tmp_path, {"emea": emea, "us": us})


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.more)])
def warehouse(request: pytest.FixtureRequest, two: Orgs) -> Orgs:
    """The same with each engine."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        two.env["SF_ASSETS_WAREHOUSE_URL"] = server.new()
    return two


def test_all_orgs_are_seen_together(warehouse: Orgs) -> None:
    orgs = warehouse
    emea, us = orgs.emulators.values()
    emea.admin.add_field("Account", "Only__c", TEXT, "here")
    for name, one, other in (
        ("Amount__c", NUMBER, FINE), ("Code__c", TEXT, NUMBER), ("Since__c", DAY, MOMENT)
    ):  # fmt: skip
        emea.admin.add_field("Account", name, one)
        us.admin.add_field("Account", name, other)
    (mine,) = _some(emea, "Account")
    (yours,) = _some(us, "Account")
    day, moment = date(2026, 11, 2), "2026-11-02T10:00:00.000Z"
    emea.records.update("Account", mine, {"Amount__c": 1.25, "Code__c": "A1", "Since__c": day})
    us.records.update("Account", yours, {"Amount__c": 0.12345678, "Code__c": 7.5})
    orgs.declare({"Account": None}, us={"objects": {"Account": None, "Lead": None}})
    report = orgs.refresh()
    assert report.errors == {}
    names = [name.lower() for name, _ in orgs.columns("silver_all.account")]
    assert names[0] == "_org"
    assert {"only__c", "amount__c", "_slice"} <= set(names)
    counts = orgs.rows("SELECT _org, count(*) FROM silver_all.account GROUP BY 1 ORDER BY 1")
    assert counts == [
        (name, orgs.rows(f"SELECT count(*) FROM silver_{name}.account")[0][0])
        for name in ("emea", "us")
    ]
    found = orgs.rows(
        "SELECT _org, Only__c, Amount__c, Code__c, Since__c FROM silver_all.account "
        f"WHERE Id IN ('{mine}', '{yours}') ORDER BY 1"
    )
    assert found == [
        ("emea", "here", Decimal("1.25"), "A1", "2026-11-02"),
        ("us", None, Decimal("0.12345678"), "7.50", None),
    ]
    assert orgs.rows("SELECT DISTINCT _org FROM silver_all.lead_live") == [("us",)]
    assert orgs.refresh().materialized.keys() == set()

    # What stands in the way of a table's change is made anew.
    us.admin.change_field("Account", "Amount__c", {"type": "double", "precision": 18, "scale": 2})
    us.records.update("Account", yours, {"Amount__c": 123456789012.5, "Since__c": moment})
    us.admin.add_field("Account", "Late__c", TEXT, "too")
    us.advance(3700)  # describes are looked at again by the hour
    assert orgs.refresh().errors == {}
    assert orgs.rows(
        "SELECT Amount__c, Late__c, Since__c FROM silver_all.account_live "
        f"WHERE _org = 'us' AND Id = '{yours}'"
    ) == [(Decimal("123456789012.5"), "too", "2026-11-02 10:00:00+00")]  # fmt: skip
    orgs.change("DROP VIEW silver_all.account_live")
    orgs.refresh()
    assert orgs.rows("SELECT DISTINCT _org FROM silver_all.account_live ORDER BY 1") == [
        ("emea",), ("us",)
    ]  # fmt: skip


def _some(emulator: Emulator, name: str, count: int = 1) -> list[str]:
    keys = sorted(r["Id"] for batch in emulator.store.table(name) for r in batch.to_pylist())
    return keys[:count]


def test_each_org_has_what_is_its_own(
    two: Orgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gold").mkdir()
    for name in ("account", "lead"):
        (tmp_path / "gold" / f"{name}s.sql").write_text(
            f"SELECT count(*) AS n FROM silver.{name}\n"
        )
    two.declare(
        {"Account": {"history": True}, "Contact": None},
        gold="gold",
        us={
            "start": date(2026, 6, 1),
            "api_reserve_percent": 60,
            "objects": {"Account": {"grain": "monthly"}, "Lead": None},
        },
    )
    emea, us = load_orgs(two.env)
    assert list(emea.catalog.objects) == ["Account", "Contact"]
    assert list(us.catalog.objects) == ["Account", "Lead"]
    assert us.catalog.objects["Account"].history
    assert (us.client.budget.look()["DailyApiRequests"].reserve_percent) == 60
    assert (emea.client.budget.look()["DailyApiRequests"].reserve_percent) == 20
    with monkeypatch.context() as patch:
        patch.setattr(united, "unite", lambda *_: 1 // 0)
        report = two.refresh()
    assert report.errors.keys() == {"emea/silver_all", "us/silver_all"}
    made = {"/".join(key) for key in report.materialized}
    assert {"gold_emea/accounts", "gold_us/accounts", "gold_us/leads", "silver_us/lead"} <= made
    assert not {"gold_emea/leads", "silver_emea/lead", "silver_us/contact"} & made
    assert report.orphans == {}
    assert report.left_out == {}, "what only another org can have is not missed"
    assert two.refresh().errors == {}
    assert two.rows("SELECT DISTINCT _org FROM silver_all.lead") == [("us",)]


def test_one_org_that_is_down_leaves_the_others_green(two: Orgs) -> None:
    two.declare({"Account": None})
    two.refresh()
    us = two.emulators["us"]
    (key,) = _some(us, "Account")
    us.records.update("Account", key, {"Name": "Said while emea was down"})
    two.env["SALESFORCE_EMEA_LOGIN_URL"] = "http://127.0.0.1:9"
    report = two.refresh()
    assert report.errors.keys() == {"emea"}
    assert ("silver_us", "account") in report.materialized
    found = two.rows("SELECT Name FROM silver_all.account WHERE Name LIKE 'Said while%'")
    assert found == [("Said while emea was down",)]


@pytest.mark.parametrize(("many", "count"), [(3, 2), pytest.param(10, 20, marks=pytest.mark.long)])
def test_many_orgs_of_many_objects(tmp_path: Path, many: int, count: int) -> None:
    names = [f"org{number}" for number in range(many)]
    more = ("CampaignMember", "Pricebook2", "PricebookEntry", "Profile", "RecordType", "UserRole")
    objects = [*dict.fromkeys([*load_catalog(PACKAGED).objects, *more])][:count]
    assert len(objects) == count
    with ExitStack() as stack:
        emulators = {
            name: stack.enter_context(Emulator(scale=0.001, seed=seed, settings=FAST))
            for seed, name in enumerate(names)
        }
        orgs = Orgs(tmp_path, emulators)
        orgs.declare(dict.fromkeys(objects))
        report = orgs.refresh()
        assert report.errors == {}
        silver = {key for key in report.materialized if key[0].startswith("silver_")}
        assert len(silver) == many * count
        for slug in ("account", "user"):
            counts = dict(orgs.rows(f"SELECT _org, count(*) FROM silver_all.{slug} GROUP BY 1"))
            assert counts == {
                name: sum(len(batch) for batch in emulator.store.table(slug.title()))
                for name, emulator in emulators.items()
            }
        assert orgs.refresh().materialized.keys() == set()
