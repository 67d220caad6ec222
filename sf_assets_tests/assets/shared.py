"""How tests of assets run them: as the schedules do, and as the UI does."""

from collections.abc import Collection
from typing import Any

import dagster as dg

from sf_assets.checks.builtin import ORG_CHECKS
from sf_assets.cli.report import Report, carry_out
from sf_assets.definitions import defs
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline import refresh as commands
from sf_assets.pipeline.org import load_orgs
from sf_assets_tests.conftest import Workspace


def run_assets(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], partition: str | None = None
) -> dg.ExecuteInProcessResult:
    """Materialise assets, with their checks but those that ask the org."""
    job = defs().resolve_implicit_global_asset_job_def()
    checks = {
        key
        for key in defs().resolve_asset_graph().asset_check_keys
        if key.asset_key in keys and key.name not in ORG_CHECKS
    }
    return job.get_subset(
        asset_selection=set(keys), asset_check_selection=checks
    ).execute_in_process(instance=instance, partition_key=partition, raise_on_error=False)


def tick(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """What the schedule runs every five minutes."""
    return run_job(instance, "tick_objects")


def run_job(
    instance: dg.DagsterInstance, name: str, run_config: Any = None
) -> dg.ExecuteInProcessResult:
    """Run a job, as from its page."""
    job = defs().resolve_job_def(name)
    return job.execute_in_process(instance=instance, run_config=run_config, raise_on_error=False)


def materialized(*results: dg.ExecuteInProcessResult) -> set[str]:
    """What runs have materialised."""
    events = [e for result in results for e in result.get_asset_materialization_events()]
    return {e.asset_key.to_user_string() for e in events if e.asset_key}


def refresh(*names: str) -> Report:
    """`sf-assets refresh`, in this process."""
    return carry_out(load_orgs(), lambda org: commands.refresh(org, names))


def run_checks(instance: dg.DagsterInstance, *checks: tuple[str, str]) -> dg.ExecuteInProcessResult:
    """Execute checks alone, each named by its asset and its own name."""
    keys = {dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name) for asset, name in checks}
    job = defs().resolve_implicit_global_asset_job_def()
    return job.get_subset(asset_check_selection=keys).execute_in_process(
        instance=instance, raise_on_error=False
    )


class Shop:
    """A workspace with a gold table of accounts and one of leads, and its org.

    Attributes:
        workspace: The workspace.
        org: The org.
    """

    def __init__(self, workspace: Workspace, org: Emulator) -> None:
        self.workspace = workspace
        self.org = org
        gold = workspace.folder / "gold"
        gold.mkdir()
        for name in ("account", "lead"):
            query = f"SELECT count(*) AS n FROM silver.{name}\n"
            (gold / f"{name}s.sql").write_text(query, encoding="utf-8")

    def declare(self, *checks: dict[str, Any]) -> None:
        """Write the catalogue, with these checks of Account."""
        self.workspace.catalogue(
            {"Account": {"checks": list(checks)}, "Lead": None}, start="2026-10-01", gold="gold"
        )

    def account(self, **values: Any) -> str:
        """A new account."""
        return str(self.org.org.records.insert("Account", values))

    def accounts(self, table: str) -> int:
        (row,) = self.workspace.rows(f"SELECT count(*) FROM {table}")
        return int(row[0])

    def gold(self, table: str) -> int | None:
        """What a gold table counts; None when it is not built."""
        there = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'gold' AND table_name = "
        if self.workspace.rows(f"{there}'{table}'") == [(0,)]:
            return None
        (row,) = self.workspace.rows(f"SELECT n FROM gold.{table}")
        return int(row[0])

    def refresh(self) -> Report:
        """`sf-assets refresh`, in this process; nothing is remembered between two of them."""
        self.org.advance(60)
        return refresh()


def look(instance: dg.DagsterInstance, sensor: str = "rebuild_gold") -> list[Any]:
    """Evaluate the sensor of gold, and carry out what it requests: the results of the runs."""
    repository = defs().get_repository_def()
    asked = evaluate(instance, sensor)
    job = repository.get_job(repository.get_sensor_def(sensor).job_name or "")
    return [
        job.get_subset(
            asset_selection=set(request.asset_selection or ()),
            asset_check_selection=set(request.asset_check_keys or ()),
        ).execute_in_process(instance=instance, tags=request.tags, raise_on_error=False)
        for request in asked.run_requests or ()
    ]


def evaluate(instance: dg.DagsterInstance, sensor: str = "rebuild_gold") -> Any:
    """Evaluate the sensor of gold; nothing is carried out."""
    repository = defs().get_repository_def()
    resources = repository.get_top_level_resources()
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, resources=resources
    ) as context:
        return repository.get_sensor_def(sensor).evaluate_tick(context)
