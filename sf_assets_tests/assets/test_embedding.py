"""A guest in other people's Dagster projects: it takes nothing over, and can be there twice."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from dagster.components.testing.utils import component_defs

import sf_assets
from sf_assets import (
    SalesforceAsset,
    SalesforceComponent,
    SalesforceResource,
    SalesforceTranslator,
    StorageResource,
    WarehouseResource,
    build_salesforce_assets,
    build_salesforce_definitions,
)
from sf_assets.assets.integration import Integration
from sf_assets.catalog_file import load_catalog
from sf_assets.errors import ConfigError
from sf_assets.naming import ONLY
from sf_assets.settings import ReadingSettings
from sf_assets.warehouse.open import open_warehouse
from sf_assets.warehouse.port import Warehouse
from sf_assets_tests.conftest import Workspace


@pytest.fixture
def catalog(own_workspace: Workspace) -> Path:
    """A catalogue, and no variable of the environment that says so."""
    (own_workspace.folder / "gold").mkdir()
    query = "SELECT count(*) AS n FROM silver.account\n"
    (own_workspace.folder / "gold" / "accounts.sql").write_text(query, encoding="utf-8")
    own_workspace.catalogue({"Account": None}, start="2026-11-01", gold="gold")
    return own_workspace.folder / "catalog.yaml"


def resources_of(workspace: Workspace, folder: str = "") -> dict[str, Any]:
    """Resources that name everything, as a project does that has no variables of ours."""
    home = workspace.folder / folder
    fields: dict[str, Any] = {
        n.removeprefix("SALESFORCE_").lower(): v
        for n, v in workspace.env.items()
        if n.startswith("SALESFORCE_")
    }
    return {
        "salesforce": SalesforceResource(**fields, lag_seconds=0),
        "storage": StorageResource(url=f"file://{home}/raw"),
        "warehouse": WarehouseResource(url=f"duckdb:///{home}/warehouse.duckdb"),
    }


def test_a_resource_of_ones_own_opens_what_steps_use(catalog: Path, tmp_path: Path) -> None:
    class Elsewhere(WarehouseResource):
        @property
        def warehouse(self) -> Warehouse:
            return open_warehouse(f"duckdb:///{tmp_path}/elsewhere.duckdb")

    resources = SimpleNamespace(
        salesforce=SalesforceResource.from_environment(),
        storage=StorageResource(url=f"file://{tmp_path}/raw"),
        warehouse=Elsewhere(url="duckdb:///unused"),
    )
    org = Integration(load_catalog(catalog)).org(resources, ONLY)

    assert str(org.warehouse) == f"{tmp_path}/elsewhere.duckdb"
    assert org.storage.url == f"file://{tmp_path}/raw"
    assert org.settings.lag.total_seconds() == 300


def downstream(key: dg.AssetKey, warehouse: str = "warehouse") -> dg.Definitions:
    """A project that counts what silver holds, with an executor, a resource and a check."""

    @dg.asset(deps=[key], required_resource_keys={warehouse, "greeting"})
    def counted(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        found: WarehouseResource = getattr(context.resources, warehouse)
        (row,) = found.query("SELECT count(*) AS n FROM silver.account_live").to_pylist()
        return dg.MaterializeResult(metadata=row)

    @dg.asset_check(asset=key)
    def is_ours() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.asset_check(asset=counted)
    def is_theirs() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    return dg.Definitions(
        assets=[counted],
        asset_checks=[is_ours, is_theirs],
        resources={"greeting": dg.ResourceDefinition.hardcoded_resource("hello")},
        executor=dg.multiprocess_executor,
    )


SILVER = dg.AssetKey(["silver", "account"])


def test_a_project_keeps_its_executor_and_its_checks(catalog: Path) -> None:
    ours = build_salesforce_definitions(catalog)
    assert ours.executor is None
    merged = dg.Definitions.merge(downstream(SILVER), ours)
    dg.Definitions.validate_loadable(merged)
    assert merged.executor is dg.multiprocess_executor
    checks = merged.resolve_job_def("daily_checks").asset_layer.asset_graph.asset_check_keys
    names = {key.name for key in checks}
    assert {"ids", "ledger", "reconciled"} <= names
    assert not {"is_ours", "is_theirs"} & names
    for name in ("tick", "fresh", "derived"):
        job = merged.resolve_job_def(f"{name}_objects")
        assert not job.asset_layer.asset_graph.get_all_asset_keys(), name


@pytest.mark.parametrize("asked", [False, True])
def test_nothing_starts_by_itself_unless_asked(catalog: Path, *, asked: bool) -> None:
    found = build_salesforce_definitions(catalog, schedules=asked).get_repository_def()
    statuses = {schedule.default_status.value for schedule in found.schedule_defs}
    statuses |= {sensor.default_status.value for sensor in found.sensor_defs}
    assert len(found.schedule_defs) == 4
    assert len(found.sensor_defs) == 3
    assert statuses == {"RUNNING" if asked else "STOPPED"}


def test_runs_take_everything_from_resources(catalog: Path, own_workspace: Workspace) -> None:
    @dg.asset
    def asked(salesforce: SalesforceResource) -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"org": salesforce.client.org_id})

    ours = build_salesforce_definitions(catalog, **resources_of(own_workspace))
    merged = dg.Definitions.merge(ours, downstream(SILVER), dg.Definitions(assets=[asked]))
    with dg.DagsterInstance.ephemeral() as instance:
        result = merged.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[
                dg.AssetKey(["raw", "account"]),
                SILVER,
                dg.AssetKey("counted"),
                asked.key,
            ],
            partition_key="2026-11-01",
        )
    assert result.success
    (event,) = result.asset_materializations_for_node("asked")
    assert own_workspace.rows("SELECT org_id FROM ops.orgs") == [(event.metadata["org"].value,)]
    (counted,) = result.asset_materializations_for_node("counted")
    n = counted.metadata["n"].value
    assert own_workspace.rows("SELECT count(*) FROM silver.account_live") == [(n,)]
    assert (own_workspace.folder / "raw").is_dir()


def test_an_eager_asset_downstream_follows_silver_though_partitions_are_missing(
    catalog: Path, own_workspace: Workspace
) -> None:
    followed = dg.AutomationCondition.eager().without(~dg.AutomationCondition.any_deps_missing())

    @dg.asset(deps=[SILVER], automation_condition=followed)
    def customers() -> None: ...

    ours = build_salesforce_definitions(catalog, **resources_of(own_workspace))
    merged = dg.Definitions.merge(dg.Definitions(assets=[customers]), ours)
    with dg.DagsterInstance.ephemeral() as instance:
        first = dg.evaluate_automation_conditions(merged, instance)
        merged.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["raw", "account"]), SILVER, customers.key],
            partition_key="2026-11-02",
        )
        second = dg.evaluate_automation_conditions(merged, instance, cursor=first.cursor)
        assert second.get_num_requested(customers.key) == 0, "it was built in the same run"
        merged.resolve_job_def("tick_objects").execute_in_process(instance=instance)
        third = dg.evaluate_automation_conditions(merged, instance, cursor=second.cursor)
        assert third.get_num_requested(customers.key) == 1


def test_schedules_and_sensors_take_everything_from_resources(
    catalog: Path, own_workspace: Workspace
) -> None:
    found = build_salesforce_definitions(catalog, **resources_of(own_workspace))
    repository = found.get_repository_def()
    given = repository.get_top_level_resources()
    with (
        dg.DagsterInstance.local_temp() as instance,
        dg.build_schedule_context(
            instance=instance, repository_def=repository, resources=given
        ) as context,
    ):
        schedule = repository.get_schedule_def("every_5_minutes_objects")
        (_,) = schedule.evaluate_tick(context).run_requests or ()
        tick = found.resolve_job_def(schedule.job_name)
        result = tick.execute_in_process(instance=instance)
    told = {event.asset_key for event in result.get_asset_materialization_events()}
    assert told == {dg.AssetKey(["raw", "account"]), SILVER}
    with (
        dg.DagsterInstance.local_temp() as instance,
        dg.build_sensor_context(
            instance=instance, repository_def=repository, resources=given
        ) as looked,
    ):
        seen = repository.get_sensor_def("schema_of_raw").evaluate_tick(looked)
    assert len(seen.run_requests or ()) == 1, "the tick has described Account"


def test_all_that_runs_by_itself_says_what_it_does_and_every_object_by_what_it_is_read(
    catalog: Path,
) -> None:
    defs = build_salesforce_definitions(catalog, prefix="crm")
    repository = defs.get_repository_def()
    assert [found.name for found in repository.schedule_defs if not found.description] == []
    assert [found.name for found in repository.sensor_defs if not found.description] == []
    for layer in ("raw", "silver"):
        spec = defs.resolve_asset_graph().get(dg.AssetKey(["crm", layer, "account"]))
        assert "`every_5_minutes_crm_objects`" in (spec.description or "")
    assert "every_5_minutes_crm_objects" in {one.name for one in repository.schedule_defs}


def test_all_that_a_resource_says_of_reading_is_gone_by(catalog: Path) -> None:
    said: dict[str, Any] = {
        name: number for number, name in enumerate(ReadingSettings.model_fields, start=1)
    }
    resources = SimpleNamespace(
        salesforce=SalesforceResource(**said),
        storage=StorageResource(url="file:///x"),
        warehouse=WarehouseResource(url="duckdb:////x"),
    )
    assert Integration(load_catalog(catalog)).org(resources, ONLY).settings.model_dump() == said


def test_what_a_resource_does_not_say_of_reading_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = SalesforceResource(lag_seconds=0)
    monkeypatch.setenv("SF_ASSETS_LAG_SECONDS", "7")
    monkeypatch.setenv("SF_ASSETS_OVERLAP_SECONDS", "8")
    assert mine.reading.model_dump() == {
        "lag_seconds": 0, "overlap_seconds": 8, "api_reserve_percent": 20,
    }  # fmt: skip


def test_variables_are_read_where_a_run_is(
    catalog: Path, own_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = own_workspace.env | {"SALESFORCE_CLIENT_ID": "not-yet", "SF_ASSETS_LAG_SECONDS": "300"}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found = build_salesforce_definitions(catalog)
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    job = found.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(
        asset_selection=[dg.AssetKey(["raw", "account"])], partition_key="2026-11-01"
    ).success
    shown = str(found.get_repository_def().get_top_level_resources()["salesforce"].config_schema)
    assert own_workspace.env["SALESFORCE_CLIENT_SECRET"] not in shown


def test_each_org_has_variables_of_its_own(
    own_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_workspace.catalogue({"Account": None}, start="2026-11-01", orgs=["uk", "us"])
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name.replace("SALESFORCE_", "SALESFORCE_UK_"), value)
    found = build_salesforce_definitions(own_workspace.folder / "catalog.yaml")
    with dg.DagsterInstance.ephemeral() as instance:
        runs = {
            org: found.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey([f"raw_{org}", "account"])],
                partition_key="2026-11-01",
                raise_on_error=False,
            )
            for org in ("uk", "us")
        }
    assert (runs["uk"].success, runs["us"].success) == (True, False)


class Renamed(SalesforceTranslator):
    """Keys of one part, as a project that was there first may have them."""

    def get_asset_spec(self, asset: SalesforceAsset) -> dg.AssetSpec:
        key = dg.AssetKey(f"crm_{asset.layer}_{asset.name}")
        return asset.spec.replace_attributes(key=key, group_name="crm")


def test_a_translator_names_assets_and_dependencies_follow(
    catalog: Path, own_workspace: Workspace
) -> None:
    found = build_salesforce_definitions(
        catalog, translator=Renamed(), **resources_of(own_workspace)
    )
    graph = found.resolve_asset_graph()
    assert {node.group_name for node in graph.asset_nodes} == {"crm"}
    raw, silver, gold = (
        dg.AssetKey(name) for name in ("crm_raw_account", "crm_silver_account", "crm_gold_accounts")
    )
    assert graph.get(silver).parent_keys == {raw}
    assert graph.get(gold).parent_keys == {silver}
    with dg.DagsterInstance.ephemeral() as instance:
        job = found.resolve_implicit_global_asset_job_def()
        run = job.execute_in_process(
            instance=instance, asset_selection=[raw, silver], partition_key="2026-11-01"
        )
        assert run.success
        assert {"crm_silver_account"} <= {
            each.asset_key.to_user_string() for each in run.get_asset_check_evaluations()
        }
        (event,) = run.asset_materializations_for_node("objects_daily")[1:]
        assert event.metadata["dagster/table_name"].value == "silver.account"
        repository = found.get_repository_def()
        with dg.build_sensor_context(
            instance=instance,
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        ) as context:
            due = repository.get_sensor_def("rebuild_gold").evaluate_tick(context)
        (request,) = due.run_requests or ()
        assert request.asset_selection == [gold]
        assert job.execute_in_process(instance=instance, asset_selection=[gold]).success


def test_two_are_beside_each_other(catalog: Path, own_workspace: Workspace) -> None:
    one = build_salesforce_definitions(catalog, **resources_of(own_workspace, "one"))
    two = build_salesforce_definitions(catalog, prefix="uk", **resources_of(own_workspace, "two"))
    silver = dg.AssetKey(["uk", "silver", "account"])
    both = dg.Definitions.merge(one, two, downstream(silver, "uk_warehouse"))
    dg.Definitions.validate_loadable(both)
    graph = both.resolve_asset_graph()
    assert {SILVER, silver} <= graph.get_all_asset_keys()
    assert graph.get(silver).group_name == "uk_silver"
    with dg.DagsterInstance.ephemeral() as instance:
        result = both.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["uk", "raw", "account"]), silver, dg.AssetKey("counted")],
            partition_key="2026-11-01",
        )
    assert result.success
    assert {path.name for path in own_workspace.folder.iterdir() if path.is_dir()} == {
        "gold",
        "two",
    }
    checks = both.resolve_job_def("daily_checks").asset_layer.asset_graph.asset_check_keys
    assert {key.asset_key.path[0] for key in checks} == {"raw", "silver"}


def test_assets_alone_are_those_of_one_org(own_workspace: Workspace) -> None:
    own_workspace.catalogue({"Account": None}, start="2026-11-01", orgs=["uk", "us"])
    path = own_workspace.folder / "catalog.yaml"
    assets = build_salesforce_assets(path, org="uk")
    keys = {key for each in assets for key in each.keys}
    assert dg.AssetKey(["silver_uk", "account"]) in keys
    assert {key.path[0] for key in keys} == {"raw_uk", "silver_uk", "ops_uk"}
    assert assets[0].required_resource_keys >= {"salesforce_uk", "storage", "warehouse"}
    with pytest.raises(ConfigError, match="has no org fr; it has uk, us"):
        build_salesforce_assets(path, org="fr")


def test_each_org_has_a_resource(own_workspace: Workspace) -> None:
    own_workspace.catalogue({"Account": None}, start="2026-11-01", orgs=["uk", "us"])
    path = own_workspace.folder / "catalog.yaml"
    given = resources_of(own_workspace)
    salesforce = given.pop("salesforce")
    found = build_salesforce_definitions(
        path, salesforce={"uk": salesforce, "us": salesforce}, **given
    )
    assert (found.resources or {}).keys() == {
        "salesforce_uk", "salesforce_us", "storage", "warehouse"
    }  # fmt: skip
    with pytest.raises(ConfigError, match="resources of uk; the catalogue's orgs are uk, us"):
        build_salesforce_definitions(path, salesforce=salesforce, **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"salesforce": StorageResource(url="file:///x")}, "salesforce has to be a SalesforceRes"),
        (
            {"salesforce": {"login_url": "https://x.my.salesforce.com"}},
            r"salesforce\['login_url'\] has to be a SalesforceResource, and is str",
        ),
        ({"storage": {"url": "file:///x"}}, "storage has to be a StorageResource, and is dict"),
        ({"warehouse": "duckdb:////x"}, "warehouse has to be a WarehouseResource, and is str"),
        ({"translator": Renamed}, "translator has to be a .*, and is the class Renamed"),
    ],
)
def test_what_is_given_is_of_its_class(catalog: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_salesforce_definitions(catalog, **given)


def test_a_number_that_cannot_be_is_told_by_the_name_it_has_in_the_resource() -> None:
    with pytest.raises(ConfigError, match="lag_seconds of the resource is not valid"):
        _ = SalesforceResource(lag_seconds=-5).reading


class Odd(SalesforceTranslator):
    """Gives of silver what it was made for."""

    def __init__(self, **changed: Any) -> None:
        self._changed = changed

    def get_asset_spec(self, asset: SalesforceAsset) -> Any:
        if asset.layer != "silver":
            return asset.spec
        return self._changed and asset.spec.replace_attributes(**self._changed)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"translator": Odd(partitions_def=dg.WeeklyPartitionsDefinition("2026-11-01"))},
            "what the translator gives for silver/account has other partitions",
        ),
        ({"translator": Odd(partitions_def=None)}, "silver/account has other partitions"),
        ({"translator": Odd()}, "gives for silver/account has to be a AssetSpec, and is dict"),
        ({"prefix": "my-crm"}, "prefix has letters, .* and is 'my-crm'"),
        ({"prefix": "1x"}, "prefix has letters, .* and is '1x'"),
        ({"catalog": {"objects": {}}}, "catalog, .*, has to be a Catalog, and is dict"),
    ],
)
def test_what_would_break_is_refused_by_name(
    catalog: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        build_salesforce_assets(**{"catalog": catalog, **given})


def test_a_resource_of_another_class_is_named(catalog: Path, own_workspace: Workspace) -> None:
    (objects, *_) = build_salesforce_assets(catalog)
    resources = resources_of(own_workspace) | {"salesforce": StorageResource(url="file:///x")}
    with pytest.raises(ConfigError, match="the resource salesforce has to be a SalesforceResource"):
        dg.materialize([objects], resources=resources, partition_key="2026-11-27")


def test_a_translator_that_gives_two_assets_one_key_is_told_which(own_workspace: Workspace) -> None:
    own_workspace.catalogue({"Account": None}, start="2026-11-01", orgs=["uk", "us"])
    with pytest.raises(
        ConfigError,
        match=r"gives raw_uk/account and raw_us/account one key, crm_raw_account; have `asset.org`",
    ):
        build_salesforce_definitions(own_workspace.folder / "catalog.yaml", translator=Renamed())


def test_a_resource_of_the_project_is_shared_as_one_object(
    catalog: Path, own_workspace: Workspace
) -> None:
    resources = resources_of(own_workspace)
    own = dg.Definitions(resources={"warehouse": resources["warehouse"]})
    found = build_salesforce_definitions(catalog, **resources)
    both = dg.Definitions.merge(own, found)
    assert (both.resources or {})["warehouse"] is resources["warehouse"]


@pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated")  # of Dagster's sandbox
def test_a_component_takes_the_path_of_a_catalogue_and_templates(
    catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_WAREHOUSE", "duckdb:////srv/crm.duckdb")
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.scaffold_component(
            component_cls=SalesforceComponent,
            defs_yaml_contents={
                "type": "sf_assets.SalesforceComponent",
                "attributes": {
                    "catalog": "crm.yaml",
                    "prefix": "crm",
                    "warehouse_url": "{{ env.CRM_WAREHOUSE }}",
                },
            },
        )
        text = catalog.read_text(encoding="utf-8").replace(
            "gold: gold", f"gold: {catalog.parent}/gold"
        )
        (folder / "crm.yaml").write_text(text, encoding="utf-8")
        with sandbox.load_component_and_build_defs(defs_path=folder) as (_, found):
            keys = found.resolve_asset_graph().get_all_asset_keys()
            resources = found.resources or {}
    assert dg.AssetKey(["crm", "gold", "accounts"]) in keys
    assert resources.keys() == {"crm_salesforce", "crm_storage", "crm_warehouse"}
    assert resources["crm_warehouse"].url == "duckdb:////srv/crm.duckdb"


class Grouped(SalesforceComponent):
    """A component of a project's own."""

    def get_asset_spec(self, asset: SalesforceAsset) -> dg.AssetSpec:
        return asset.spec.replace_attributes(group_name=f"crm_{asset.layer.value}")


def test_a_component_of_a_project_says_how_assets_appear(catalog: Path) -> None:
    component = Grouped(catalog=load_catalog(catalog), schedules=True)
    found = component_defs(component=component)
    groups = {node.group_name for node in found.resolve_asset_graph().asset_nodes}
    assert groups == {"crm_raw", "crm_silver", "crm_gold", "crm_ops"}
    schedule = found.resolve_schedule_def("daily_checks")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_the_public_names_are_there_and_no_other_is() -> None:
    assert all(getattr(sf_assets, name) for name in sf_assets.__all__)
    assert set(sf_assets.__all__) <= set(dir(sf_assets))
    for name in ("Catalog", "dagster"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
            getattr(sf_assets, name)
