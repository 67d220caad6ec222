"""What runs by itself on a schedule: ticks, derived fields and checks once a day."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from sf_assets.assets.integration import Integration
from sf_assets.assets.objects import Group, Mode
from sf_assets.assets.partitions import open_key
from sf_assets.errors import ConfigError, LimitExceededError, SfAssetsError, WarehouseError

if TYPE_CHECKING:
    from sf_assets.pipeline.org import Org
    from sf_assets.pipeline.planning.due import Due

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Of runs that are not over."""


def tick(group: Group, assets: dg.AssetsDefinition) -> dg.Definitions:
    """Every five minutes: find out what changed in a group, and run only for that.

    Objects in which nothing changed cost a fifth of an API call and no run; that they were looked
    at is recorded in raw. Objects whose times the catalogue says wait for them. Where the API
    budget does not carry that, ticks are left out.
    """
    job = dg.define_asset_job(
        f"tick_{group.name}",
        selection=dg.AssetSelection.assets(assets).without_checks()
        | dg.AssetSelection.checks(*group.checks(group.specs)),
        config=group.config(Mode.TICK),
        description="Extract what is not covered yet, and merge it into silver.",
    )

    @_asked(group, job, "every_5_minutes", "*/5 * * * *")
    def every_5_minutes(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        running = dg.RunsFilter(job_name=job.name, statuses=ACTIVE)
        if context.instance.get_runs(running, limit=1):
            return dg.SkipReason("the last tick is still at work")
        org = group.connected(context.resources)
        if reason := _not_due(org, group):
            return dg.SkipReason(reason)
        try:
            return _ask(org, group)
        except LimitExceededError as error:
            return dg.SkipReason(f"waits for the budget: {error}")
        except SfAssetsError as error:
            if _told(org):
                return dg.SkipReason(f"was told, and is tried by each tick: {error}")
            return failing_request(group)

    return dg.Definitions(jobs=[job], schedules=[every_5_minutes])


def _asked(
    group: Group,
    job: Any,  # the type that define_asset_job makes is not public
    name: str,
    crons: str | Sequence[str],
    zone: str = "UTC",
) -> Callable[[Callable[..., dg.RunRequest | dg.SkipReason]], dg.ScheduleDefinition]:
    """A schedule of a group's job, which asks the function each time what there is to run."""
    return dg.schedule(
        name=f"{name}_{group.name}",
        cron_schedule=crons,
        execution_timezone=zone,
        job=job,
        default_status=group.integration.schedule_status,
        required_resource_keys=group.resource_keys,
    )


def _not_due(org: "Org", group: Group) -> str | None:
    """Why the budget has this tick wait; it is found out without a call."""
    from datetime import UTC, datetime

    from sf_assets.pipeline.planning.tick_interval import probed, reason_to_wait

    try:
        lake = org.kept_lake
    except ConfigError:  # the first tick of all
        return None
    objects = probed(org.catalog.objects.values())
    return reason_to_wait(lake, org.settings, objects, group.specs.keys(), datetime.now(UTC))


def _resting(org: "Org", group: Group) -> set[str]:
    """Objects that are not to be read before their time; it is found out without a call."""
    from datetime import UTC, datetime

    from sf_assets.pipeline.planning.tick_interval import resting

    try:
        lake = org.kept_lake
    except ConfigError:  # nothing was ever read
        return set()
    now = datetime.now(UTC)
    return resting(lake, org.settings, group.specs.values(), org.catalog.zone, now)


def _lagging(org: "Org", group: Group) -> set[str]:
    """Objects whose silver lags behind raw, as far as that can be looked at now."""
    from sf_assets.pipeline.load import behind

    try:
        return behind(org, org.kept_lake) & group.specs.keys()
    except WarehouseError:
        return set()


def _ask(org: "Org", group: Group) -> dg.RunRequest | dg.SkipReason:
    """What a tick of a group comes to: a run for the objects that have work, if there are any."""
    from sf_assets.pipeline.planning.due import due

    rest = _resting(org, group)
    if rest == group.specs.keys() and not _lagging(org, group):
        return dg.SkipReason("it is the time of no object; each was read when it last was")
    found = due(org, group.specs.values(), rest=rest)
    if request := tick_request(group, found):
        return request
    left = "".join(f"; {slug}: {why}" for slug, why in found.aside.items())
    left += "".join(f"; {slug} is left out: {why}" for slug, why in found.absent.items())
    left += "".join(f"; {slug} waits for its time" for slug in group.specs if slug in rest)
    return dg.SkipReason(
        f"nothing has changed; all other objects are covered{left}"
        if left
        else "nothing has changed; all objects are covered"
    )


def _told(org: "Org") -> bool:
    """Whether a run has told that the org cannot be reached."""
    from sf_assets.pipeline.planning.backoff import ORG, What, kept

    try:
        return ORG in kept(org.kept_lake, What.READING)
    except SfAssetsError:
        return False


def failing_request(group: Group) -> dg.RunRequest:
    """A run that fails, red, because the org cannot be reached; its checks say how old all is."""
    return dg.RunRequest(
        asset_selection=group.keys(group.specs),
        asset_check_keys=group.raw_checks(group.specs),
        partition_key=open_key(group.grain),
        run_config=group.config(Mode.TICK),
    )


def fresh(group: Group, assets: dg.AssetsDefinition) -> dg.Definitions:
    """Once an hour, without a call: what is idle is up to date, or overdue if the org is away."""
    checks = [key for key in group.raw_checks(group.specs) if key.name != "ledger"]
    job = dg.define_asset_job(
        f"fresh_{group.name}",
        selection=dg.AssetSelection.assets(assets).without_checks()
        | dg.AssetSelection.checks(*checks),
        config=group.config(Mode.FRESH),
        description="Say of idle assets that they are up to date; nothing is read.",
    )

    @_asked(group, job, "fresh_every_hour", "25 * * * *")
    def fresh_every_hour(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        try:
            _ = group.connected(context.resources).kept_lake
        except ConfigError as error:
            return dg.SkipReason(str(error))
        return dg.RunRequest(
            partition_key=open_key(group.grain), run_config=group.config(Mode.FRESH)
        )

    return dg.Definitions(jobs=[job], schedules=[fresh_every_hour])


def tick_request(group: Group, found: "Due") -> dg.RunRequest | None:
    """A run for the objects of a group that have work; None if none has.

    It asks for the open partition; its step finds the windows from the coverage, and reports the
    partitions that they touch.
    """
    keys = [group.raw_key(slug) for slug in found.raw]
    keys += [group.silver_key(slug) for slug in found.silver]
    if not keys:
        return None
    return dg.RunRequest(
        asset_selection=keys,
        asset_check_keys=group.raw_checks(found.raw) + group.silver_checks(found.silver),
        partition_key=open_key(group.grain) if found.raw else None,  # silver has none
        run_config=group.config(Mode.TICK),
    )


def derived(group: Group, assets: dg.AssetsDefinition) -> dg.Definitions:
    """Once a day, before the checks: read derived fields again where they have drifted."""
    crons = sorted({spec.derived.cron for spec in group.specs.values()})
    job = dg.define_asset_job(
        f"derived_{group.name}",
        selection=dg.AssetSelection.assets(assets).without_checks(),
        config=group.config(Mode.DRIFTED),
        description="Read formulas, roll-ups and parents' fields again where they have drifted.",
    )

    @_asked(group, job, "derived", crons, group.integration.catalog.timezone)
    def derived_again(
        context: dg.ScheduleEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        from sf_assets.pipeline.planning.due import left_out

        org, now = group.connected(context.resources), context.scheduled_execution_time
        due = dict.fromkeys(
            slug
            for slug, spec in group.specs.items()
            if len(crons) == 1 or spec.derived.at(now, org.catalog.zone)
        )
        slugs = due.keys() - left_out(org, group.specs).keys()
        if not slugs:
            return dg.SkipReason("it is the time of no object")
        return dg.RunRequest(
            asset_selection=group.keys(slug for slug in due if slug in slugs),
            partition_key=open_key(group.grain),
            run_config=group.config(Mode.DRIFTED),
        )

    return dg.Definitions(jobs=[job], schedules=[derived_again])


def daily_checks(integration: Integration, groups: Sequence[Group]) -> dg.Definitions:
    """All checks of all objects, once a day, with nothing extracted."""
    checks = [key for group in groups for key in group.every_check(group.specs)]
    job = dg.define_asset_job(
        integration.named("daily_checks"),
        selection=dg.AssetSelection.checks(*checks),
        description="Every check of every object, on what is there.",
    )
    schedule = dg.ScheduleDefinition(
        name=integration.named("daily_checks"),
        job=job,
        cron_schedule=integration.catalog.daily_checks.cron,
        execution_timezone=integration.catalog.timezone,
        default_status=integration.schedule_status,
    )
    return dg.Definitions(jobs=[job], schedules=[schedule])
