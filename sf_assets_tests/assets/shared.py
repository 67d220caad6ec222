"""How tests of assets run them: as the schedules do, and as the UI does."""

from collections.abc import Collection, Mapping

import dagster as dg

from sf_assets.definitions import defs
from sf_assets.expectations import ORG_CHECKS


def run_assets(
    instance: dg.DagsterInstance,
    keys: Collection[dg.AssetKey],
    partition: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialise assets, with their checks but those that ask the org, as a tick does."""
    job = defs().resolve_implicit_global_asset_job_def()
    checks = {
        key
        for key in defs().resolve_asset_graph().asset_check_keys
        if key.asset_key in keys and key.name not in ORG_CHECKS
    }
    return job.get_subset(
        asset_selection=set(keys), asset_check_selection=checks
    ).execute_in_process(
        instance=instance, partition_key=partition, tags=tags, raise_on_error=False
    )


def run_checks(instance: dg.DagsterInstance, *checks: tuple[str, str]) -> dg.ExecuteInProcessResult:
    """Execute checks alone, each named by its asset and its own name."""
    keys = {dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name) for asset, name in checks}
    job = defs().resolve_implicit_global_asset_job_def()
    return job.get_subset(asset_check_selection=keys).execute_in_process(
        instance=instance, raise_on_error=False
    )
