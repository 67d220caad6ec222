"""Several orgs in Dagster: each has assets, times and a reserve of its own."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from sf_assets import SalesforceResource, StorageResource, WarehouseResource
from sf_assets.assets.build import build_salesforce_definitions
from sf_assets.assets.integration import Integration
from sf_assets.catalog_file import load_catalog
from sf_assets_tests.orgs import Orgs


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    (tmp_path / "gold").mkdir()
    for name in ("account", "lead"):
        query = f"SELECT count(*) AS n FROM silver.{name}\n"
        (tmp_path / "gold" / f"{name}s.sql").write_text(query)
    orgs = Orgs(tmp_path, {})
    orgs.catalogue(
        {"Account": None, "Contact": None},
        gold="gold",
        orgs={
            "emea": None,
            "us": {
                "start": date(2026, 3, 1),
                "timezone": "America/New_York",
                "daily_checks": "at 03:00",
                "derived": "at 01:00",
                "api_reserve_percent": 60,
                "objects": {"Account": None, "Lead": None},
            },
        },
    )
    return tmp_path / "catalog.yaml"


def test_each_org_has_its_own(catalog: Path) -> None:
    salesforce = SalesforceResource(login_url="https://x.my.salesforce.com", lag_seconds=7)
    resources: dict[str, Any] = {
        "storage": StorageResource(url="file:///x"),
        "warehouse": WarehouseResource(url="duckdb:////x"),
    }
    found = build_salesforce_definitions(
        catalog, salesforce={"emea": salesforce, "us": salesforce}, **resources
    )
    graph = found.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert {"silver_emea/contact", "silver_us/lead", "gold_us/leads", "gold_emea/accounts"} <= keys
    assert not {"silver_emea/lead", "silver_us/contact", "gold_emea/leads"} & keys
    starts = {
        org: graph.get(dg.AssetKey([f"raw_{org}", "account"])).partitions_def
        for org in ("emea", "us")
    }
    assert starts["emea"] == dg.DailyPartitionsDefinition("2026-01-01", end_offset=1)
    assert starts["us"] == dg.DailyPartitionsDefinition("2026-03-01", end_offset=1)
    schedules = {s.name: s for s in found.schedules or () if isinstance(s, dg.ScheduleDefinition)}
    daily, own = schedules["daily_checks"], schedules["daily_checks_us"]
    assert (daily.cron_schedule, daily.execution_timezone) == ("0 6 * * *", "UTC")
    assert (own.cron_schedule, own.execution_timezone) == ("0 3 * * *", "America/New_York")
    assert schedules["derived_us_objects"].cron_schedule == ["0 1 * * *"]
    for name, org in (("daily_checks", "emea"), ("daily_checks_us", "us")):
        checks = found.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys
        homes = {key.asset_key.path[0] for key in checks}
        assert homes == {f"raw_{org}", f"silver_{org}"}

    integration = Integration(load_catalog(catalog))
    given = SimpleNamespace(salesforce_emea=salesforce, salesforce_us=salesforce, **resources)
    emea, us = (integration.org(given, org) for org in ("emea", "us"))
    assert (emea.settings.api_reserve_percent, us.settings.api_reserve_percent) == (20, 60)
    assert (emea.settings.lag_seconds, us.settings.lag_seconds) == (7, 7)
    assert list(us.catalog.objects) == ["Account", "Lead"]
