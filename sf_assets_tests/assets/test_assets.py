"""What a user of Dagster sees and starts: assets, checks, ticks, gold that rebuilds itself."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sf_assets.assets.gold import LEFT_OUT
from sf_assets.assets.partitions import keys_touched, window_of
from sf_assets.definitions import defs
from sf_assets.emulator.server import Emulator
from sf_assets.errors import WarehouseLockedError
from sf_assets.windows import BEGIN, Grain, Window, utc_day
from sf_assets_tests.assets.shared import evaluate, look, materialized, run_assets, run_job, tick
from sf_assets_tests.conftest import Workspace

TODAY = f"{datetime.now(UTC):%Y-%m-%d}"


@pytest.fixture
def loaded(own_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose settings are the process's, as a code location's are."""
    own_workspace.catalogue(
        {"Account": None, "Product2": {"grain": "none"}, "Contact": {"grain": "monthly"}},
        start="2026-10-01",
        owners=["team:revops"],
    )
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    return own_workspace


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def kept_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance that is kept in a folder, as a daemon's is."""
    folder = tmp_path_factory.mktemp("dagster")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance


def run(
    instance: dg.DagsterInstance, *keys: str, partition: str | None = None
) -> dg.ExecuteInProcessResult:
    """Materialise assets, named by their paths."""
    return run_assets(instance, {dg.AssetKey(key.split("/")) for key in keys}, partition)


@pytest.mark.usefixtures("loaded")
def test_every_object_has_its_assets_and_checks() -> None:
    graph = defs().resolve_asset_graph()
    raw, silver = dg.AssetKey(["raw", "account"]), dg.AssetKey(["silver", "account"])
    node = graph.get(raw)
    assert node.kinds == {"salesforce", "parquet"}
    assert (node.group_name, node.owners) == ("raw", ["team:revops"])
    assert node.tags["salesforce/object"] == "Account"
    assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition)
    assert graph.get(silver).parent_keys == {raw}
    assert graph.get(silver).partitions_def == node.partitions_def
    monthly = graph.get(dg.AssetKey(["raw", "contact"])).partitions_def
    assert isinstance(monthly, dg.MonthlyPartitionsDefinition)
    assert graph.get(dg.AssetKey(["raw", "product2"])).partitions_def is None
    checks = {
        (k.asset_key.path[0], k.name)
        for k in graph.asset_check_keys
        if k.asset_key.path[1] == "account"
    }
    assert checks == {
        ("raw", "ledger"), ("raw", "coverage"), ("raw", "freshness"), ("silver", "ids"),
        ("silver", "rejects"), ("silver", "references"), ("silver", "picklists"),
        ("silver", "derived"), ("silver", "reconciled"), ("silver", "schema"),
    }  # fmt: skip


def test_one_partition_extracts_its_day_alone(
    loaded: Workspace, instance: dg.DagsterInstance
) -> None:
    result = run(instance, "raw/account", "silver/account", partition="2026-11-03")
    assert result.success
    assert materialized(result) == {"raw/account", "silver/account"}
    days = loaded.rows("SELECT DISTINCT _cursor::DATE::VARCHAR FROM silver.account")
    assert days in ([], [("2026-11-03",)])


def test_the_first_partition_holds_everything_before_it(
    loaded: Workspace, instance: dg.DagsterInstance
) -> None:
    assert run(instance, "raw/account", "silver/account", partition="2026-10-01").success
    newest, count = loaded.rows("SELECT max(_cursor), count(*) FROM silver.account")[0]
    assert count > 0
    assert newest < utc_day(datetime(2026, 10, 2, tzinfo=UTC).date())


def test_silver_alone_is_typed_from_raw(loaded: Workspace, instance: dg.DagsterInstance) -> None:
    assert run(instance, "raw/account", partition="2026-10-01").success
    assert not (loaded.folder / "warehouse.duckdb").exists()
    result = run(instance, "silver/account", partition="2026-10-01")
    assert result.success
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert (
        metadata["dagster/row_count"].value
        == loaded.rows("SELECT count(*) FROM silver.account_live")[0][0]
    )
    columns: Any = metadata["dagster/column_schema"].value
    schema = {c.name: c.type for c in columns.columns}
    assert schema["AnnualRevenue"].startswith("DECIMAL")
    assert schema["SystemModstamp"] == "TIMESTAMP WITH TIME ZONE"


@pytest.mark.usefixtures("loaded")
def test_a_tick_extracts_what_is_missing_and_reports_the_partitions(
    kept_instance: dg.DagsterInstance,
) -> None:
    assert tick(kept_instance).success
    start = datetime(2026, 10, 1, tzinfo=UTC).date()
    days = set(keys_touched(Grain.DAILY, start, [Window(BEGIN, datetime.now(UTC))]))
    assert partitions(kept_instance) == {"raw": days, "silver": days}


def test_a_partition_of_silver_is_there_once_all_that_raw_holds_of_it_is_merged(
    loaded: Workspace, living_org: Emulator, kept_instance: dg.DagsterInstance
) -> None:
    loaded.catalogue({"Account": None}, start="2026-11-20")
    assert run(kept_instance, "raw/account", partition="2026-11-20").success
    assert run(kept_instance, "raw/account", partition="2026-11-22").success
    assert partitions(kept_instance)["silver"] == set()
    assert run(kept_instance, "silver/account", partition="2026-11-21").success
    found = partitions(kept_instance)
    assert found == {"raw": {"2026-11-20", "2026-11-22"},
                     "silver": {"2026-11-20", "2026-11-21", "2026-11-22"}}  # fmt: skip
    living_org.org.records.insert("Account", {"Name": "new"})
    living_org.advance(60)
    with pytest.MonkeyPatch.context() as held:
        held.setattr("sf_assets.pipeline.run.load", _locked)
        assert tick(kept_instance).success
    locked = partitions(kept_instance)
    assert locked["silver"] == found["silver"]
    assert locked["raw"] > found["raw"]
    assert tick(kept_instance).success
    assert partitions(kept_instance)["silver"] >= locked["raw"]


def _locked(*_: object) -> None:
    raise WarehouseLockedError("held by another program")


def partitions(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    """Partitions of Account that are materialised, by layer."""
    return {
        layer: instance.get_materialized_partitions(dg.AssetKey([layer, "account"]))
        for layer in ("raw", "silver")
    }


def test_a_day_of_gold_is_of_all_days_of_silver(loaded: Workspace) -> None:
    loaded.catalogue(
        {"Opportunity": {"start": "2026-11-01"}, "OpportunityHistory": None, "Account": None},
        start="2026-10-01",
    )
    graph = defs().resolve_asset_graph()
    daily = dg.AssetKey(["gold", "pipeline_daily"])
    assert graph.get(daily).parent_keys
    for parent in graph.get(daily).parent_keys:
        mapping = graph.get_partition_mapping(daily, parent_asset_key=parent)
        assert isinstance(mapping, dg.AllPartitionMapping), parent


def test_one_bad_object_does_not_stop_the_others_and_is_not_green(
    loaded: Workspace, instance: dg.DagsterInstance
) -> None:
    loaded.catalogue({"Account": None, "Nope__c": None, "Lead": None}, start="2026-10-01")
    result = tick(instance)
    assert not result.success
    assert materialized(result) == {"raw/account", "silver/account", "raw/lead", "silver/lead"}
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    reason = failure.step_failure_data.user_failure_data
    assert reason is not None
    assert set(reason.metadata) == {"nope__c"}


def test_objects_of_other_starts_share_a_step_and_a_new_start_breaks_no_history(
    loaded: Workspace, kept_instance: dg.DagsterInstance
) -> None:
    loaded.catalogue({"Account": None, "Lead": {"start": "2026-11-01"}}, start="2026-10-01")
    graph = defs().resolve_asset_graph()
    account, lead = (graph.get(dg.AssetKey(["raw", name])) for name in ("account", "lead"))
    assert account.assets_def.op.name == lead.assets_def.op.name == "objects_daily"
    names = {job.name for job in defs().get_repository_def().get_all_jobs()}
    assert account.partitions_def != lead.partitions_def
    assert run(kept_instance, "raw/lead", "silver/lead", partition="2026-11-01").success
    (oldest,) = loaded.rows("SELECT min(_cursor) FROM silver.lead")[0]
    assert oldest < utc_day(datetime(2026, 11, 1, tzinfo=UTC).date()), "it holds all before it"
    assert tick(kept_instance).success
    done = kept_instance.get_materialized_partitions(lead.key)
    assert "2026-11-01" in done
    loaded.catalogue({"Account": None, "Lead": {"start": "2026-11-10"}}, start="2026-10-15")
    assert {job.name for job in defs().get_repository_def().get_all_jobs()} == names
    assert kept_instance.get_materialized_partitions(lead.key) == done


def test_a_range_of_objects_of_other_starts_is_refused_before_anything_is_read(
    loaded: Workspace, kept_instance: dg.DagsterInstance
) -> None:
    loaded.catalogue({"Account": None, "Lead": {"start": "2026-11-01"}}, start="2026-10-01")
    job = defs().resolve_implicit_global_asset_job_def()
    done = job.get_subset(
        asset_selection={dg.AssetKey(["raw", name]) for name in ("account", "lead")}
    ).execute_in_process(
        instance=kept_instance,
        tags={
            "dagster/asset_partition_range_start": "2026-11-18",
            "dagster/asset_partition_range_end": "2026-11-19",
        },
        raise_on_error=False,
    )
    (failed,) = done.get_step_failure_events()
    told = str(failed.step_failure_data.error)
    assert "account 2026-10-01, lead 2026-11-01. Launch a run for each" in told


@pytest.mark.usefixtures("loaded")
def test_a_tick_tells_only_of_what_changed_and_an_idle_one_is_forgotten(
    living_org: Emulator, kept_instance: dg.DagsterInstance
) -> None:
    repository = defs().get_repository_def()
    schedule = repository.get_schedule_def("every_5_minutes_objects")

    def ask() -> Any:
        with dg.build_schedule_context(
            instance=kept_instance,
            scheduled_execution_time=datetime.now(UTC),
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        ) as context:
            return schedule.evaluate_tick(context)

    assert len(ask().run_requests) == 1
    first = tick(kept_instance)
    assert materialized(first) == {
        f"{layer}/{name}"
        for layer in ("raw", "silver")
        for name in ("account", "contact", "product2")
    }
    living_org.advance(1)
    idle = tick(kept_instance)
    assert idle.success
    shown = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION,
             dg.DagsterEventType.ASSET_CHECK_EVALUATION,
             dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED}  # fmt: skip
    assert not [event for event in idle.all_events if event.event_type in shown]
    assert len(ask().run_requests) == 1
    living_org.org.records.insert("Account", {"Name": "new"})
    living_org.advance(2)
    assert materialized(tick(kept_instance)) == {"raw/account", "silver/account"}
    assert kept_instance.get_run_by_id(first.run_id) is not None
    assert kept_instance.get_run_by_id(idle.run_id) is None
    assert not list(Path(kept_instance.root_directory).rglob(f"*{idle.run_id}*"))


@pytest.mark.usefixtures("loaded")
def test_a_schedule_answers_at_once_whatever_the_org_does(
    kept_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the org was asked")

    tick(kept_instance)
    repository = defs().get_repository_def()
    monkeypatch.setattr("sf_assets.salesforce.session.OrgSession.send", never)
    monkeypatch.setattr("sf_assets.salesforce.client.connect", never)
    for schedule in repository.schedule_defs:
        with dg.build_schedule_context(
            instance=kept_instance,
            scheduled_execution_time=datetime.now(UTC),
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        ) as context:
            assert len(schedule.evaluate_tick(context).run_requests or ()) == 1, schedule.name


@pytest.mark.usefixtures("loaded")
def test_checks_can_be_run_alone(instance: dg.DagsterInstance) -> None:
    tick(instance)
    result = run_job(instance, "daily_checks")
    found = {
        (e.asset_key.to_user_string(), e.check_name): e.passed
        for e in result.get_asset_check_evaluations()
    }
    assert found["silver/account", "ids"]
    assert found["silver/account", "derived"]
    assert found["raw/account", "ledger"]
    assert materialized(result) == set()


def test_derived_fields_are_read_again_and_tell_nothing_where_nothing_drifted(
    loaded: Workspace, living_org: Emulator, instance: dg.DagsterInstance
) -> None:
    loaded.catalogue(dict.fromkeys(["Account", "Showcase__c"]), start="2026-10-01")
    checks = {e.check_name for e in tick(instance).get_asset_check_evaluations()}
    assert "ids" in checks
    assert "derived" not in checks, "it costs calls, and a tick must not"
    ((parent,),) = loaded.rows("SELECT max(Account__c) FROM silver.showcase__c_live")
    living_org.org.records.update("Account", parent, {"Name": "renamed"})
    everything = {"ops": {"derived_objects_step": {"config": {"everything": True}}}}
    reread = run_job(instance, "derived_objects", everything)
    assert reread.success
    assert materialized(reread) == {"raw/showcase__c", "silver/showcase__c"}
    again = run_job(instance, "derived_objects", everything)
    assert again.success
    assert materialized(again) == set()


@pytest.mark.usefixtures("loaded")
def test_derived_fields_are_read_again_every_day() -> None:
    repository = defs().get_repository_def()
    schedule = repository.get_schedule_def("derived_objects")
    with dg.build_schedule_context(
        scheduled_execution_time=datetime.now(UTC),
        repository_def=repository,
        resources=repository.get_top_level_resources(),
    ) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    config = request.run_config["ops"]["derived_objects_step"]["config"]
    assert config == {"objects": ["Account", "Product2", "Contact"], "everything": False}


def test_gold_is_rebuilt_when_what_it_reads_changed_also_when_another_object_failed(
    loaded: Workspace, living_org: Emulator, instance: dg.DagsterInstance
) -> None:
    gold = loaded.folder / "gold"
    gold.mkdir()
    living_org.admin.hide_object("Lead")
    (gold / "accounts.sql").write_text("-- How many.\nSELECT count(*) AS n FROM silver.account\n")
    (gold / "leads.sql").write_text("SELECT count(*) AS n FROM silver.lead\n")
    loaded.catalogue({"Account": None, "Lead": None}, start="2026-10-01", gold="gold")
    assert not tick(instance).success
    (build,) = look(instance)
    assert materialized(build) == {"gold/accounts"}
    assert loaded.rows("SELECT n > 0 FROM gold.accounts") == [(True,)]
    assert loaded.rows(
        "SELECT n = (SELECT count(*) FROM silver.account_live) FROM gold.accounts"
    ) == [(True,)]
    assert "there is no silver.lead" in evaluate(instance).skip_message


def test_the_packaged_gold_reads_live_rows_only(
    loaded: Workspace, instance: dg.DagsterInstance
) -> None:
    loaded.catalogue(
        dict.fromkeys(["Opportunity", "OpportunityHistory", "Account"]), start="2026-10-01"
    )
    assert tick(instance).success
    assert run(instance, "gold/pipeline_by_account").success
    wanted = loaded.rows(
        "SELECT count(*), sum(Amount) FROM silver.opportunity_live WHERE NOT IsClosed"
    )
    assert (
        loaded.rows("SELECT sum(opportunities)::BIGINT, sum(amount) FROM gold.pipeline_by_account")
        == wanted
    )
    assert run(instance, "gold/pipeline_daily", partition="2026-10-20").success
    assert run(instance, "gold/pipeline_daily", partition=TODAY).success
    basis = dict(loaded.rows("SELECT DISTINCT day::VARCHAR, basis FROM gold.pipeline_daily"))
    assert basis == {"2026-10-20": "opportunity_history", TODAY: "raw"}
    today = loaded.rows(
        "SELECT sum(opportunities)::BIGINT, sum(amount) FROM gold.pipeline_daily "
        "WHERE basis = 'raw'"
    )
    assert today == wanted
    for name in ("pipeline_by_account", "pipeline_daily"):
        kinds = loaded.rows(f"SELECT DISTINCT typeof(weighted_amount) FROM gold.{name}")
        assert kinds == [("DECIMAL(38,2)",)], "not floating point"


def test_a_packaged_table_that_reads_what_is_not_there_is_left_out(
    loaded: Workspace, instance: dg.DagsterInstance
) -> None:
    objects = {"Opportunity": {"exclude": ["Probability"]}, "Account": None, "User": None}
    loaded.catalogue(objects, start="2026-10-01")
    assert tick(instance).success

    result = run(instance, "gold/pipeline_by_account")

    assert result.success
    assert materialized(result) == set()
    (told,) = (event.asset_observation_data.asset_observation for event in result.all_events
               if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION)  # fmt: skip
    assert "Probability" in str(told.metadata[LEFT_OUT].value)
    assert materialized(run(instance, "gold/win_rate_by_owner")) == {"gold/win_rate_by_owner"}


@pytest.mark.parametrize(
    ("grain", "first", "last", "window"),
    [
        (Grain.DAILY, "2026-10-02", "2026-10-03", ("2026-10-02", "2026-10-04")),
        (Grain.DAILY, "2026-10-01", "2026-10-01", (None, "2026-10-02")),
        (Grain.MONTHLY, "2026-11-01", "2026-12-01", ("2026-11-01", "2027-01-01")),
        (Grain.MONTHLY, "2026-10-01", "2026-10-01", (None, "2026-11-01")),
    ],
)
def test_windows_of_partitions(
    grain: Grain, first: str, last: str, window: tuple[str | None, str]
) -> None:
    start, end = window
    expected = Window(
        datetime.fromisoformat(start).replace(tzinfo=UTC) if start else BEGIN,
        datetime.fromisoformat(end).replace(tzinfo=UTC),
    )
    assert window_of(grain, datetime(2026, 10, 1, tzinfo=UTC).date(), first, last) == expected
