"""What Dagster shows of a gold table's columns: types, what is said of them, what they are of."""

from typing import Any

import dagster as dg
import pytest

from sf_assets.naming import Layer
from sf_assets.warehouse.gold_columns import GoldColumn, Source, gold_columns
from sf_assets.warehouse.gold_sql import read_gold
from sf_assets_tests.assets.shared import Shop, look

QUERY = """-- Accounts.
WITH named AS (SELECT a.Id AS i, a.Name, a.Industry FROM silver.account AS a)
SELECT
    named.i AS account_id,
    -- The name, in capitals
    upper(named.Name) AS shouted,
    coalesce(named.Industry, '?') AS industry, -- Or ?
    count(l.Id) AS leads,
    count(*) AS n
FROM named LEFT JOIN raw.lead AS l ON l.Company = named.Name GROUP BY ALL
"""


def test_types_comments_and_lineage_of_gold_are_seen(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.declare()
    (shop.workspace.folder / "gold" / "mine.sql").write_text(QUERY)
    (shop.workspace.folder / "gold" / "more.sql").write_text(
        "SELECT *, leads * 2 AS twice FROM gold.mine"
    )
    shop.org.advance(60)
    shop.workspace.tick()
    events = [
        event.step_materialization_data.materialization
        for run in [*look(instance), *look(instance)]
        for event in run.get_asset_materialization_events()
    ]
    found = {event.asset_key.path[-1]: event.metadata for event in events}
    schema: Any = found["mine"]["dagster/column_schema"].value
    assert [(c.name, c.type, c.description) for c in schema.columns] == [
        ("account_id", "VARCHAR", "Account ID"),
        ("shouted", "VARCHAR", "The name, in capitals"),
        ("industry", "VARCHAR", "Or ?"),
        ("leads", "BIGINT", None),
        ("n", "BIGINT", None),
    ]
    assert lineage(found["mine"]) == {
        "account_id": [("silver/account", "Id")],
        "shouted": [("silver/account", "Name")],
        "industry": [("silver/account", "Industry")],
        "leads": [("raw/lead", "Id")],
    }
    assert lineage(found["more"]) == {
        name: [("gold/mine", {"twice": "leads"}.get(name, name))]
        for name in ("account_id", "shouted", "industry", "leads", "n", "twice")
    }


def lineage(metadata: Any) -> dict[str, list[tuple[str, str]]]:
    value = metadata["dagster/column_lineage"].value
    return {
        name: [("/".join(dep.asset_key.path), dep.column_name) for dep in deps]
        for name, deps in value.deps_by_column.items()
    }


def test_a_query_that_cannot_be_followed_has_its_types_all_the_same(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.sql").write_text("SELECT Id AS i, -- The Id\n Name FROM silver.account")
    (table,) = read_gold(tmp_path, {"account"})
    comments = {("silver", "account_live"): {"Id": "", "Name": "Account name"}}
    found = gold_columns(table, {"i": "VARCHAR", "Name": "VARCHAR"}, comments)
    of = {name: (Source(Layer.SILVER, "account", name),) for name in ("Id", "Name")}
    assert found["i"] == GoldColumn("VARCHAR", "The Id", of["Id"])
    assert found["Name"] == GoldColumn("VARCHAR", "Account name", of["Name"])

    def fails(*_: Any, **__: Any) -> None:
        raise KeyError

    monkeypatch.setattr("sqlglot.lineage.lineage", fails)
    found = gold_columns(table, {"i": "VARCHAR", "Name": "VARCHAR"}, comments)
    assert found == {"i": GoldColumn("VARCHAR", "The Id"), "Name": GoldColumn("VARCHAR")}


def test_where_an_org_has_one_currency_the_other_columns_are_followed(tmp_path: Any) -> None:
    (tmp_path / "a.sql").write_text(
        "WITH deals AS (SELECT o.Name, o.CurrencyIsoCode FROM silver.opportunity AS o) "
        "SELECT d.Name AS deal, d.CurrencyIsoCode AS currency FROM deals AS d"
    )
    (table,) = read_gold(tmp_path, {"opportunity"})
    comments = {("silver", "opportunity_live"): {"Name": "Opportunity Name"}}
    found = gold_columns(table, {"deal": "VARCHAR", "currency": "VARCHAR"}, comments)
    of = Source(Layer.SILVER, "opportunity", "Name")
    assert found["deal"] == GoldColumn("VARCHAR", "Opportunity Name", (of,))
    assert found["currency"] == GoldColumn("VARCHAR")
