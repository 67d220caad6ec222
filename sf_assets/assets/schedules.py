"""What runs by itself on a schedule: ticks, derived fields and checks once a day."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from sf_assets.assets.dead_runs import end_dead_runs
from sf_assets.assets.integration import Integration
from sf_assets.assets.jobs import fresh_job, reread_config, reread_job, tick_job
from sf_assets.assets.objects import Objects
from sf_assets.catalog import Catalog
from sf_assets.errors import ConfigError, SfAssetsError

if TYPE_CHECKING:
    from sf_assets.pipeline.org import Org

BEGINS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
]
"""Of runs that have not begun."""

ACTIVE = [*BEGINS, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
"""Of runs that are not over."""


def tick(objects: Objects) -> dg.Definitions:
    """Every five minutes: a run that finds out what changed, and reads it.

    The schedule asks only what is known here: whether the last tick is still at work, the API
    budget does not carry one, or it is the time of no object. Whatever the org does, it answers at
    once. That a tick is at work is told by its lock in the storage, which no dead process keeps: a
    run whose machine has died counts as started for as long as Dagster lets it.
    """
    job = tick_job(objects)

    @_asked(objects, job, objects.integration.tick_schedule(objects.org), "*/5 * * * *")
    def every_5_minutes(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        from sf_assets.pipeline.planning.due import nothing_due

        begins = dg.RunsFilter(job_name=job.name, statuses=BEGINS)
        if context.instance.get_runs(begins, limit=1):
            return dg.SkipReason("the last tick has not begun yet")
        try:
            org = objects.connected(context.resources)
            _end_dead_ticks(context.instance, job, org)
            reason = nothing_due(org)
        except SfAssetsError as error:
            context.log.warning(str(error))
            reason = None  # which the run tells, red
        return dg.SkipReason(reason) if reason else dg.RunRequest()

    return dg.Definitions(jobs=[job], schedules=[every_5_minutes])


def _end_dead_ticks(instance: dg.DagsterInstance, job: dg.JobDefinition, org: "Org") -> None:
    """End the runs of ticks whose process has died, which keep no other from its work."""
    begun = dg.RunsFilter(job_name=job.name, statuses=[dg.DagsterRunStatus.STARTED])
    with suppress(ConfigError):  # nothing was ever read
        end_dead_runs(instance, begun, lambda _: org.stored_raw.is_ticking, datetime.now(UTC))


def _asked(
    objects: Objects,
    job: dg.JobDefinition,
    name: str,
    crons: str | Sequence[str],
    zone: str = "UTC",
) -> Callable[[Callable[..., dg.RunRequest | dg.SkipReason]], dg.ScheduleDefinition]:
    """A schedule of a job, which asks the function each time whether there is anything to run."""
    return dg.schedule(
        name=name,
        description=job.description,
        cron_schedule=crons,
        execution_timezone=zone,
        job=job,
        default_status=objects.integration.schedule_status,
        required_resource_keys=objects.resource_keys,
    )


def fresh(objects: Objects) -> dg.Definitions:
    """Once an hour, without a call: what is idle is up to date, or overdue if the org is away."""
    job = fresh_job(objects)

    @_asked(objects, job, f"fresh_every_hour_{objects.name}", "25 * * * *")
    def fresh_every_hour(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        try:
            _ = objects.connected(context.resources).stored_raw
        except ConfigError as error:
            return dg.SkipReason(str(error))
        return dg.RunRequest()

    return dg.Definitions(jobs=[job], schedules=[fresh_every_hour])


def derived(objects: Objects) -> dg.Definitions:
    """Once a day, before the checks: read derived fields again where they have drifted."""
    job = reread_job(objects)
    crons = sorted({spec.derived.cron for spec in objects.specs.values()})

    @_asked(objects, job, job.name, crons, objects.integration.of(objects.org).timezone)
    def derived_again(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        zone = objects.integration.of(objects.org).zone
        now = context.scheduled_execution_time
        due = [
            spec.name
            for spec in objects.specs.values()
            if len(crons) == 1 or spec.derived.at(now, zone)
        ]
        if not due:
            return dg.SkipReason("it is the time of no object")
        return dg.RunRequest(run_config=reread_config(job.name, due))

    return dg.Definitions(jobs=[job], schedules=[derived_again])


def daily_checks(integration: Integration, orgs: Sequence[Objects]) -> list[dg.Definitions]:
    """All checks of all objects, once a day, with nothing extracted.

    Orgs that have a time of their own have a job of their own, `daily_checks_<org>`.
    """
    common = [
        o for o in orgs if _checked_at(integration.of(o.org)) == _checked_at(integration.catalog)
    ]
    alone = [o for o in orgs if o not in common]
    jobs = [("daily_checks", integration.catalog, common)] if common else []
    jobs += [(f"daily_checks_{o.org}", integration.of(o.org), [o]) for o in alone]
    return [_daily_checks(integration, *job) for job in jobs]


def _checked_at(catalog: Catalog) -> tuple[str, str]:
    return catalog.daily_checks.cron, catalog.timezone


def _daily_checks(
    integration: Integration, name: str, catalog: Catalog, orgs: Sequence[Objects]
) -> dg.Definitions:
    checks = [
        key for org in orgs for objects in org.everywhere for key in objects.checks(objects.specs)
    ]
    job = dg.define_asset_job(
        integration.named(name),
        selection=dg.AssetSelection.checks(*checks),
        description="Every check of every object, on what is there.",
    )
    schedule = dg.ScheduleDefinition(
        name=integration.named(name),
        job=job,
        cron_schedule=catalog.daily_checks.cron,
        execution_timezone=catalog.timezone,
        default_status=integration.schedule_status,
        description=job.description,
    )
    return dg.Definitions(jobs=[job], schedules=[schedule])
