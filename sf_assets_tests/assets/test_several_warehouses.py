"""Several warehouses in Dagster: assets, checks and sensors of each, and each failing alone."""

from pathlib import Path

import dagster as dg
import pytest

from sf_assets import SalesforceAsset, SalesforceTranslator, WarehouseResource
from sf_assets.assets.build import build_salesforce_assets, build_salesforce_definitions
from sf_assets.assets.runless import Reporter
from sf_assets.cli.report import carry_out
from sf_assets.definitions import defs
from sf_assets.emulator.server import Emulator
from sf_assets.errors import ConfigError
from sf_assets.pipeline.org import load_orgs
from sf_assets.pipeline.refresh import refresh
from sf_assets_tests.assets.shared import look, materialized, run_assets, tick
from sf_assets_tests.several import Several, in_the_way, two_files


@pytest.fixture
def files(tmp_path: Path, living_org: Emulator, monkeypatch: pytest.MonkeyPatch) -> Several:
    several = two_files(tmp_path, living_org)
    for name, value in several.env.items():
        monkeypatch.setenv(name, value)
    return several


def keys_of(*names: str) -> list[dg.AssetKey]:
    return [dg.AssetKey(name.split("/")) for name in names]


@pytest.mark.slow
def test_each_has_assets_of_its_own_and_fails_alone(
    files: Several, instance: dg.DagsterInstance
) -> None:
    keys = keys_of("raw/account", "silver/account", "reporting/silver/account")
    with in_the_way(files.main.folder / "warehouse.duckdb"):
        result = run_assets(instance, keys, "2026-11-01")
    assert not result.success
    assert materialized(result) == {"raw/account", "reporting/silver/account"}
    checks = {
        each.asset_key.to_user_string()
        for each in result.get_asset_check_evaluations()
        if each.passed
    }
    assert checks >= {"raw/account", "reporting/silver/account"}
    failure = result.failure_data_for_node("objects_daily")
    assert failure
    assert "account: the warehouse" in str(failure.user_failure_data)

    files.emulator.advance(60)
    with in_the_way(files.other.folder / "warehouse.duckdb"):
        result = tick(instance)
    assert not result.success
    assert {"raw/contact", "silver/account", "silver/contact"} <= materialized(result)
    assert not any(name.startswith("reporting/") for name in materialized(result))
    result = tick(instance)
    assert result.success
    assert materialized(result) == {
        f"reporting/silver/{name}" for name in ("account", "contact", "campaignmember")
    }
    for sensor, table in (("rebuild_gold", "gold"), ("rebuild_reporting_gold", "reporting/gold")):
        (result,) = look(instance, sensor)
        assert materialized(result) == {f"{table}/accounts"}
    files.assert_alike()

    files.change("Seen without a run")
    files.emulator.advance(60)
    carry_out(load_orgs(), refresh, Reporter(instance).report)
    for key in keys_of("reporting/silver/account", "reporting/gold/accounts", "silver/account"):
        event = instance.get_latest_materialization_event(key)
        assert event
        assert not event.run_id


@pytest.mark.usefixtures("files")
def test_names_of_all_that_there_is_of_each() -> None:
    found = defs()
    graph = found.resolve_asset_graph()
    silver = graph.get(dg.AssetKey(["reporting", "silver", "account"]))
    assert silver.parent_keys == {dg.AssetKey(["raw", "account"])}
    assert silver.group_name == "reporting_silver"
    gold = graph.get(dg.AssetKey(["reporting", "gold", "accounts"]))
    assert gold.parent_keys == {silver.key}
    sensors = {sensor.name for sensor in found.sensors or ()}
    assert sensors >= {"rebuild_gold", "rebuild_reporting_gold", "score_ops", "score_reporting_ops"}
    resources = found.resources or {}
    assert resources.keys() >= {"warehouse", "warehouse_reporting"}
    assert resources["warehouse_reporting"].url == dg.EnvVar("SF_ASSETS_WAREHOUSES")
    assert resources["warehouse_reporting"].kind == "duckdb"
    checks = {key.asset_key.to_user_string() for key in graph.asset_check_keys}
    assert checks >= {"silver/account", "reporting/silver/account"}
    asked = {key.name for key in graph.asset_check_keys if key.asset_key == silver.key}
    assert not asked & {"derived", "reconciled"}, "the org is asked for one of them alone"


def test_a_project_gives_several_by_name(files: Several, tmp_path: Path) -> None:
    given = {
        name: WarehouseResource(url=f"duckdb:///{tmp_path}/{name}.duckdb") for name in ("a", "b")
    }
    catalog = files.env["SF_ASSETS_CATALOG"]
    found = build_salesforce_definitions(catalog, warehouse=given, prefix="crm")
    assert (found.resources or {})["crm_warehouse_b"] is given["b"]
    keys = found.resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(["crm", "b", "silver", "account"]) in keys
    with pytest.raises(ConfigError, match="a warehouse's name has small letters"):
        build_salesforce_definitions(catalog, warehouse={"A-1": given["a"]})

    class Flat(SalesforceTranslator):
        def get_asset_spec(self, asset: SalesforceAsset) -> dg.AssetSpec:
            return asset.spec.replace_attributes(key=[asset.layer.value, asset.name])

    with pytest.raises(ConfigError, match=r"silver/account and b/silver/account .*asset.warehouse"):
        build_salesforce_definitions(catalog, warehouse=given, translator=Flat())
    assets = build_salesforce_assets(catalog, warehouses={"a": "duckdb", "b": "postgres"})
    assert dg.AssetKey(["b", "gold", "accounts"]) in {key for one in assets for key in one.keys}
