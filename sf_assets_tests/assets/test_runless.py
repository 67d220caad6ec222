"""What the command line did is seen in the Dagster UI, though Dagster ran nothing."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from sf_assets.assets.runless import Reporter
from sf_assets.checks.builtin import RAW_CHECKS, SILVER_CHECKS
from sf_assets.cli.dagster_ui import reporting
from sf_assets.cli.report import Report, carry_out
from sf_assets.errors import ConfigError
from sf_assets.pipeline.org import load_orgs
from sf_assets.pipeline.refresh import refresh
from sf_assets_tests.assets.shared import Shop, evaluate, run_checks, run_job, tick


def refreshed(shop: Shop, instance: dg.DagsterInstance) -> Report:
    shop.org.advance(60)
    return carry_out(load_orgs(), refresh, Reporter(instance).report)


def newest(instance: dg.DagsterInstance, name: str) -> dg.AssetMaterialization:
    event = instance.get_latest_materialization_event(dg.AssetKey(name.split("/")))
    assert event
    assert event.asset_materialization
    return event.asset_materialization


@pytest.mark.slow
def test_what_was_made_before_dagster_looked_is_told_once(shop: Shop, tmp_path: Path) -> None:
    shop.declare()
    shop.refresh()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert tick(instance).success
        for layer in ("raw", "silver"):
            event = newest(instance, f"{layer}/account")
            told = instance.get_materialized_partitions(event.asset_key)
            assert {"2026-10-01", f"{datetime.now(UTC):%Y-%m-%d}"} <= told
        assert newest(instance, "silver/account").metadata["dagster/table_name"].value
        found = evaluate(instance)
        assert {event.asset_key.to_user_string() for event in found.asset_events} == {
            "gold/accounts",
            "gold/leads",
        }
        for event in found.asset_events:
            instance.report_runless_asset_event(event)
        assert evaluate(instance).asset_events == []
        before = instance.get_latest_materialization_event(dg.AssetKey(["raw", "account"]))
        tick(instance)
        assert before == instance.get_latest_materialization_event(dg.AssetKey(["raw", "account"]))


def test_partitions_that_a_command_made_unseen_are_told_by_the_hour(
    shop: Shop, tmp_path: Path
) -> None:
    shop.declare()
    shop.refresh()
    key, today = dg.AssetKey(["silver", "account"]), f"{datetime.now(UTC):%Y-%m-%d}"
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=today))
        tick(instance)
        assert run_job(instance, "fresh_objects").success
        assert {"2026-10-01", today} <= instance.get_materialized_partitions(key)


def test_a_refresh_is_seen_on_its_assets_without_a_run(shop: Shop, tmp_path: Path) -> None:
    shop.declare({"unique": "Name"})
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        report = refreshed(shop, instance)
        raw = newest(instance, "raw/account")
        assert raw.metadata["ledger/parsed"].value == shop.accounts("silver.account")
        assert raw.metadata["dagster/row_count"].value == raw.metadata["ledger/written"].value
        assert raw.metadata["ledger/deduplicated"].value == 0
        assert raw.metadata["api/calls"].value
        uri = str(raw.metadata["dagster/uri"].value)
        assert list(Path(uri.removeprefix("file://")).rglob("*.parquet")), (
            "it is where the rows are"
        )
        first = instance.get_materialized_partitions(raw.asset_key)
        assert {"2026-10-01", raw.partition} <= first
        silver = newest(instance, "silver/account")
        assert silver.metadata["dagster/row_count"].value == shop.gold("accounts")
        assert "dagster/column_schema" in silver.metadata
        assert newest(instance, "gold/accounts").metadata["dagster/row_count"].value == 1
        assert newest(instance, "ops/quality").metadata["score"].value == 100.0
        keys = [
            dg.AssetCheckKey(dg.AssetKey([layer, "account"]), name)
            for layer, names in (("raw", RAW_CHECKS), ("silver", {*SILVER_CHECKS, "unique_Name"}))
            for name in names
        ]
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        assert found.keys() == set(keys)
        assert len(report.checks) == 2 * len(RAW_CHECKS | SILVER_CHECKS) + 1
        assert instance.get_runs() == []


def test_what_was_asked_before_is_shown_again_when_a_command_loads(
    shop: Shop, tmp_path: Path
) -> None:
    shop.declare()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        refreshed(shop, instance)
        run_checks(instance, ("silver/account", "reconciled"))
        key = dg.AssetCheckKey(dg.AssetKey(["silver", "account"]), "reconciled")
        storage = instance.event_log_storage
        (before,) = storage.get_latest_asset_check_execution_by_key([key]).values()
        shop.account(Name="new")
        refreshed(shop, instance)
        (after,) = storage.get_latest_asset_check_execution_by_key([key]).values()
    assert after.id > before.id
    assert after.evaluation
    assert "asked" in after.evaluation.metadata


def test_what_fails_is_an_observation_of_its_asset(shop: Shop, tmp_path: Path) -> None:
    shop.declare()
    shop.org.admin.hide_object("Lead")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        report = refreshed(shop, instance)
        records = instance.fetch_observations(dg.AssetKey(["raw", "lead"]), limit=1).records
    (record,) = records
    assert record.asset_observation
    assert str(record.asset_observation.metadata["fails"].value) == report.errors["lead"]


def test_what_dagster_cannot_show_does_not_end_the_work(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shop.declare()
    shop.org.advance(60)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with reporting() as tell_dagster, monkeypatch.context() as broken:
        broken.setattr(Reporter, "_translated", _fail)
        report = carry_out(load_orgs(), refresh, tell_dagster)
    assert report.errors == {}
    assert shop.gold("accounts")
    assert caplog.text.count("the Dagster UI shows nothing of this") == 1


def _fail(*_: object) -> None:
    raise OSError("database is locked")


@pytest.mark.parametrize("settings", ["nonsense: {", "nonsense: true\n"])
def test_an_instance_that_cannot_be_used_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    (tmp_path / "dagster.yaml").write_text(settings, encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"DAGSTER_HOME=.* unset it"), reporting():
        pass
