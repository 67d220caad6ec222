"""Gold is due by what is committed, whoever looks: the command line, or Dagster's sensor."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from sf_assets.assets import gold_sensor
from sf_assets.assets.build import build_salesforce_definitions
from sf_assets.assets.dead_runs import BELIEVED
from sf_assets.definitions import defs
from sf_assets.errors import WarehouseError
from sf_assets.pipeline.gold.due import GoldState, gold_due
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets.pipeline.org import Org
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.warehouse.builds import Attempt
from sf_assets.warehouse.gold_sql import GoldTable
from sf_assets.warehouse.port import Built
from sf_assets_tests.assets.shared import Shop, evaluate, look

Look = Callable[[], set[str]]


@pytest.fixture(params=["refresh", "sensor"])
def once(request: pytest.FixtureRequest, shop: Shop, instance: dg.DagsterInstance) -> Look:
    """Looks once, by either face; what gold was built."""

    def by_refresh() -> set[str]:
        return {name for layer, name in shop.refresh().materialized if layer == "gold"}

    def by_sensor() -> set[str]:
        events = [e for run in look(instance) for e in run.get_asset_materialization_events()]
        return {e.asset_key.path[-1] for e in events if e.asset_key}

    return by_refresh if request.param == "refresh" else by_sensor


@pytest.fixture
def loaded(shop: Shop) -> Shop:
    """Silver is loaded and no gold built: whoever did that was killed, or is no Dagster's."""
    shop.declare()
    shop.org.advance(60)
    shop.workspace.tick()
    return shop


def write(shop: Shop, name: str, sql: str) -> None:
    (shop.workspace.folder / "gold" / f"{name}.sql").write_text(sql, encoding="utf-8")


def test_silver_that_nobody_built_on_is_built_on_once(loaded: Shop, once: Look) -> None:
    assert once() == {"accounts", "leads"}
    assert once() == set()
    before = loaded.gold("accounts")
    loaded.account(Name="new")
    loaded.org.advance(60)
    loaded.workspace.tick()
    assert once() == {"accounts"}
    assert loaded.gold("accounts") == (before or 0) + 1
    assert once() == set()


def test_an_edited_file_is_built_though_nothing_was_read(loaded: Shop, once: Look) -> None:
    once()
    write(loaded, "accounts", "SELECT -count(*) AS n FROM silver.account")
    assert once() == {"accounts"}
    assert (loaded.gold("accounts") or 0) < 0
    assert once() == set()


def test_a_wrong_file_harms_no_other_and_is_built_when_it_is_corrected(
    loaded: Shop, once: Look
) -> None:
    write(loaded, "accounts", "SELECT Nope AS n FROM silver.account")
    assert once() == {"leads"}
    write(loaded, "accounts", "SELECT count(*) AS n FROM silver.account")
    assert once() == {"accounts"}


def test_a_new_file_beside_loaded_silver_is_built(loaded: Shop, once: Look) -> None:
    once()
    write(loaded, "both", "SELECT count(*) AS n FROM silver.account, silver.lead")
    assert once() == {"both"}


def test_gold_of_gold_follows_what_it_reads(loaded: Shop, once: Look) -> None:
    write(loaded, "twice", "SELECT 2 * n AS n FROM gold.accounts")
    once()
    once()
    assert loaded.gold("twice") == 2 * (loaded.gold("accounts") or 0)
    write(loaded, "accounts", "SELECT 7 AS n FROM silver.account LIMIT 1")
    once()
    once()
    assert loaded.gold("twice") == 14
    assert once() == set()


def test_what_somebody_dropped_is_built_again(loaded: Shop, once: Look) -> None:
    once()
    with duckdb.connect(str(loaded.workspace.folder / "warehouse.duckdb")) as connection:
        connection.execute("DROP TABLE gold.leads")
    assert once() == {"leads"}


def test_all_versions_of_raw_are_read_again_when_there_are_more(loaded: Shop, once: Look) -> None:
    write(loaded, "versions", "SELECT count(*) AS n FROM raw.account")
    once()
    before = loaded.gold("versions")
    account = loaded.account(Name="new")
    for name in ("newer", "newest"):
        loaded.org.org.records.update("Account", account, {"Name": name})
        loaded.org.advance(1200)
        loaded.workspace.tick()
    assert "versions" in once()
    assert loaded.gold("versions") == (before or 0) + 2


DAILY = "SELECT $day::DATE AS day, count(*) AS n FROM silver.account WHERE CreatedDate < $day"


def test_days_are_built_once_and_again_when_the_file_asks_for_others(
    loaded: Shop, once: Look
) -> None:
    write(loaded, "daily", DAILY)
    once()
    today = datetime.now(UTC).date()
    days = (today - date(2026, 10, 1)).days + 1
    assert loaded.accounts("gold.daily") == days
    assert once() == set(), "a day without rows would be no reason, either"
    write(loaded, "daily", f"{DAILY} HAVING count(*) > 1000000")
    assert once() == {"daily"}
    assert loaded.accounts("gold.daily") == 0
    assert once() == set()
    org = loaded.workspace.org()
    tables = [t for t in gold_tables(org.catalog) if t.name == "daily"]
    (tomorrow,) = gold_due(org, tables, datetime.now(UTC) + timedelta(days=1))
    assert tomorrow.state is GoldState.DUE
    assert tomorrow.days == (today, today + timedelta(days=1))


class Clock:
    """The sensor's clock, held still: by the time of the next try of what failed."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shop = shop
        self._monkeypatch = monkeypatch

    def pause(self) -> timedelta:
        """How long what failed is left alone."""
        return self._attempt().next_try - self._attempt().tried_at

    def set(self, *, seconds: int) -> None:
        """Some seconds from the next try."""
        self.show(self._attempt().next_try + timedelta(seconds=seconds))

    def show(self, moment: datetime) -> None:
        """Any time."""

        class Still(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                assert tz is UTC
                return moment

        self._monkeypatch.setattr(gold_sensor, "datetime", Still)

    def _attempt(self) -> Attempt:
        org = self._shop.workspace.org()
        with org.reading(org.stored_raw.org_id) as session:
            (attempt, *_) = session.gold.attempts().values()
        return attempt


@pytest.fixture
def clock(loaded: Shop, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(loaded, monkeypatch)


def test_a_failed_build_is_tried_again_by_itself_after_pauses_that_grow(
    loaded: Shop, instance: dg.DagsterInstance, clock: Clock
) -> None:
    wanted = loaded.workspace.folder / "rates.csv"
    write(loaded, "rates", f"SELECT count(*) AS n FROM read_csv('{wanted}'), silver.lead")
    (run,) = look(instance)
    assert not run.success
    assert loaded.gold("leads") is not None
    clock.set(seconds=-1)
    assert look(instance) == [], "not at once"
    assert "tried once" in evaluate(instance).skip_message
    first = clock.pause()
    clock.set(seconds=1)
    assert [run.success for run in look(instance)] == [False]
    assert clock.pause() == 2 * first
    clock.set(seconds=-1)
    assert look(instance) == []
    assert "tried 2 times" in evaluate(instance).skip_message
    wanted.write_text("rate\n1\n")
    clock.set(seconds=1)
    assert [run.success for run in look(instance)] == [True]
    assert loaded.gold("rates") is not None
    assert loaded.workspace.rows("SELECT * FROM ops.gold_attempts") == []


def test_a_run_that_ends_without_a_word_is_tried_again_after_a_pause(
    loaded: Shop, instance: dg.DagsterInstance, clock: Clock
) -> None:
    assert evaluate(instance).run_requests
    clock.set(seconds=-1)
    assert not evaluate(instance).run_requests
    assert "has not ended, or broke off" in evaluate(instance).skip_message
    clock.set(seconds=1)
    assert {run.success for run in look(instance)} == {True}
    assert loaded.gold("accounts") is not None


@pytest.mark.usefixtures("loaded")
def test_what_is_at_work_is_not_launched_again(instance: dg.DagsterInstance) -> None:
    instance.create_run_for_job(
        job_def=defs().resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset({dg.AssetKey(["gold", "accounts"])}),
        status=dg.DagsterRunStatus.STARTED,
    )
    (request,) = evaluate(instance).run_requests
    assert request.asset_selection == [dg.AssetKey(["gold", "leads"])]


def test_a_run_whose_process_died_is_ended_and_its_tables_are_built(
    loaded: Shop, instance: dg.DagsterInstance, clock: Clock
) -> None:
    assert evaluate(instance).run_requests
    run = instance.create_run_for_job(
        job_def=defs().resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset({dg.AssetKey(["gold", n]) for n in ("accounts", "leads")}),
        status=dg.DagsterRunStatus.STARTED,
    )

    def status() -> dg.DagsterRunStatus:
        found = instance.get_run_by_id(run.run_id)
        assert found
        return found.status

    clock.set(seconds=1)
    assert look(instance) == [], "it may only have begun"
    clock.show(datetime.now(UTC) + BELIEVED + timedelta(seconds=1))
    with loaded.workspace.org().stored_raw.building("leads"):
        assert look(instance) == []
        assert status() is dg.DagsterRunStatus.STARTED, "it is at work on one of its tables"
    look(instance)
    assert status() is dg.DagsterRunStatus.FAILURE
    assert [run.success for run in look(instance)] == [True]
    assert loaded.gold("accounts") is not None


def test_whoever_materializes_gold_shows_that_it_is_at_work(
    loaded: Shop, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def build(_: Org, raw: RawLayer, table: GoldTable, __: Any) -> Built:
        seen.append(raw.is_building(table.name))
        raise WarehouseError("told")

    monkeypatch.setattr("sf_assets.pipeline.gold.build.build_gold", build)
    look(instance)
    assert seen == [True, True]
    raw = loaded.workspace.org().stored_raw
    assert not raw.is_building("accounts")


def test_a_file_that_cannot_be_used_keeps_the_code_location_and_the_other_tables(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gold = tmp_path / "gold"
    gold.mkdir()
    (gold / "good.sql").write_text("SELECT Id FROM silver.account")
    (gold / "broken.sql").write_text("SELEC nonsense")
    (gold / "no table.sql").write_text("SELECT 1")
    (tmp_path / "catalog.yaml").write_text("gold: gold\nobjects: {Account: {}}\n")

    defs = build_salesforce_definitions(tmp_path / "catalog.yaml")

    dg.Definitions.validate_loadable(defs)
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert "gold/good" in keys
    assert "broken.sql" in caplog.text
    assert "gold/no table" not in keys
    broken = dg.AssetKey(["gold", "broken"])
    why = "broken.sql: a gold file holds one SELECT"
    assert why in str(defs.resolve_asset_graph().get(broken).metadata["refused"])
    run = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[broken], raise_on_error=False
    )
    (failed,) = run.get_step_failure_events()
    assert why in str(failed.step_failure_data.error)
