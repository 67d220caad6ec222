"""Results of checks that outlive their asset's next event, until they are asked again."""

from collections.abc import Iterable, Iterator

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

ASKED = "asked"
"""Name of the fact that tells when a carried result was found."""

_DONE = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def carried(
    instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey]
) -> Iterator[dg.AssetCheckEvaluation]:
    """What checks found last, to be reported again after their assets were materialized.

    Dagster shows no result that is older than the latest materialization: what was found in the
    morning would be gone with the next tick.

    Args:
        instance: Knows the results.
        checks: Checks that are not answered anew.
    """
    storage = instance.event_log_storage
    for key, record in storage.get_latest_asset_check_execution_by_key(list(checks)).items():
        if record.status not in _DONE:
            # Planned by a run that is at work, or was ended before it came to it.
            earlier = storage.get_asset_check_execution_history(key, limit=1, status=_DONE)
            if not earlier:
                continue
            record = earlier[0]  # noqa: PLW2901
        if found := record.evaluation:
            asked = found.metadata.get(ASKED, dg.MetadataValue.timestamp(record.create_timestamp))
            yield dg.AssetCheckEvaluation(
                asset_key=found.asset_key,
                check_name=found.check_name,
                passed=found.passed,
                severity=found.severity,
                metadata={**found.metadata, ASKED: asked},
                blocking=found.blocking,
            )
