"""Runs whose process has died, and with it whoever would have told Dagster so.

Dagster takes them for running until `max_runtime_seconds`: what they were to do would wait for them
all that time, and each would keep a place in the queue.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import dagster as dg

BELIEVED = timedelta(minutes=10)
"""How long a run that has begun is taken to be alive without a lock that its process holds."""

_TOLD = "The process of this run has died: it holds no lock of what it was to work on."


def end_dead_runs(
    instance: dg.DagsterInstance,
    begun: dg.RunsFilter,
    is_alive: Callable[[dg.DagsterRun], bool],
    now: datetime,
) -> None:
    """Report runs as failed whose process has died; Dagster may start them again.

    Args:
        instance: Knows the runs.
        begun: Which runs, of those that have begun.
        is_alive: Whether the process of one is known to live, or nothing can be said of it.
        now: Our present.
    """
    for record in instance.get_run_records(begun):
        run = record.dagster_run
        if now - record.update_timestamp > BELIEVED and not is_alive(run):
            instance.report_run_failed(run, _TOLD)
