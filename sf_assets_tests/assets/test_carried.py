"""What checks found before is shown again, whatever other runs have planned."""

import dagster as dg
import pytest

from sf_assets.assets.carried import carried

KEY = dg.AssetCheckKey(dg.AssetKey(["silver", "lead"]), "reconciled")


@dg.asset(key=KEY.asset_key)
def lead() -> None:
    pass


@dg.asset_check(asset=lead, name="reconciled")
def reconciled() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"of": 7})


def plan(instance: dg.DagsterInstance) -> None:
    """Plan the check in a run that never comes to it."""
    defs = dg.Definitions(assets=[lead], asset_checks=[reconciled])
    instance.create_run_for_job(defs.resolve_implicit_global_asset_job_def())


@pytest.mark.parametrize("answered", [False, True])
def test_a_check_that_is_only_planned_has_its_last_result(answered: bool) -> None:
    with dg.instance_for_test() as instance:
        if answered:
            dg.materialize([lead, reconciled], instance=instance)
        plan(instance)
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY])
        assert latest[KEY].status.value == "PLANNED"

        found = list(carried(instance, [KEY]))

        assert [one.metadata["of"].value for one in found] == [7] * answered
