"""Jobs that find their work themselves: what they do is told as it happens, none of it planned.

A run of assets would plan an event for each of them and each of their checks before the org is
asked for a row, and could only guess which of them have work.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from logging import DEBUG
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData
from pydantic import Field

from sf_assets.assets.objects import Objects, Reported
from sf_assets.errors import SfAssetsError
from sf_assets.naming import placed

if TYPE_CHECKING:
    from sf_assets.pipeline.events import Event

IDLE = "sf_assets/idle"
"""Tag of the run of a tick that found nothing to do, and has told nothing of any asset."""

_FORGOTTEN_AT_ONCE = 20


class RereadConfig(dg.Config):
    """Configuration of a run that reads derived fields again."""

    objects: list[str] = Field(default=[], description="API names; none for all objects.")
    everything: bool = Field(
        default=False,
        description="Whether all rows are read, and not only where a sample has drifted, or it is "
        "their turn.",
    )


def tick_job(objects: Objects) -> dg.JobDefinition:
    """The job that reads, loads and checks what has changed.

    A run that found nothing is forgotten by the next: there would be 288 of them a day. That
    objects were looked at is recorded in raw.
    """
    name = f"tick_{objects.name}"

    def tick(context: dg.OpExecutionContext) -> Iterator[Reported]:
        from sf_assets.assets.unseen import never_seen
        from sf_assets.pipeline import scheduled
        from sf_assets.pipeline.publish import publish_all

        org = objects.connected(context.resources)
        _forget_idle(context.instance, name)
        told = _Reporter(context, objects)
        before = never_seen(context.instance, objects, org)
        yield from told.all(chain(scheduled.tick(org), publish_all(org)), before)
        if not told.anything:
            context.instance.add_run_tags(context.run_id, {IDLE: "true"})
        told.fail()

    return _job(
        objects, name, tick, "Read what is not covered yet, merge it into silver, and check it."
    )


def reread_job(objects: Objects) -> dg.JobDefinition:
    """The job that reads fields again that change without a stamp."""
    name = f"derived_{objects.name}"

    def reread(context: dg.OpExecutionContext, config: RereadConfig) -> Iterator[Reported]:
        from sf_assets.pipeline import scheduled
        from sf_assets.pipeline.publish import publish_all

        org = objects.connected(context.resources)
        told = _Reporter(context, objects)
        events = scheduled.reread(org, config.objects, everything=config.everything)
        yield from told.all(chain(events, publish_all(org)))
        told.fail(also_waiting=True)

    return _job(objects, name, reread, "Read formulas, roll-ups and parents' fields again.")


def fresh_job(objects: Objects) -> dg.JobDefinition:
    """The job that says of idle assets that they are up to date."""
    name = f"fresh_{objects.name}"

    def fresh(context: dg.OpExecutionContext) -> Iterator[Reported]:
        from sf_assets.assets.fresh import still_fresh
        from sf_assets.assets.unseen import unseen
        from sf_assets.pipeline import scheduled
        from sf_assets.pipeline.publish import publish_all

        org = objects.connected(context.resources)
        told = _Reporter(context, objects)
        idle = chain(
            unseen(context.instance, objects, org),
            still_fresh(context.instance, objects, org, told.failures),
        )
        checks = dict.fromkeys(objects.specs, ("coverage", "freshness"))
        yield from told.all(chain(scheduled.answer(org, checks), publish_all(org)), idle)
        told.fail()

    return _job(
        objects, name, fresh, "Say of idle assets that they are up to date; nothing is read."
    )


def reread_config(job: str, names: Sequence[str]) -> dg.RunConfig:
    """Configuration of a run that reads derived fields of some objects again."""
    return dg.RunConfig(ops={f"{job}_step": RereadConfig(objects=list(names))})


def _job(
    objects: Objects, name: str, step: Callable[..., Iterator[Reported]], description: str
) -> dg.JobDefinition:
    """A job of one op."""
    decorate = dg.op(
        name=f"{name}_step", out=dg.Out(dg.Nothing), required_resource_keys=objects.resource_keys
    )
    op = decorate(step)

    @dg.job(name=name, description=description)
    def job() -> None:
        op()

    return job


def _forget_idle(instance: dg.DagsterInstance, job: str) -> None:
    """Delete runs of ticks that found nothing to do, with all that Dagster wrote of them."""
    idle = dg.RunsFilter(job_name=job, tags={IDLE: "true"}, statuses=[dg.DagsterRunStatus.SUCCESS])
    for run in instance.get_runs(idle, limit=_FORGOTTEN_AT_ONCE):
        instance.delete_run(run.run_id)
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        file_of = getattr(instance.event_log_storage, "path_for_shard", None)
        if file_of:  # SQLite has one for each run, and leaves it behind
            Path(file_of(run.run_id)).unlink(missing_ok=True)


class _Reporter:
    """What a run tells of objects, as it happens.

    Attributes:
        anything: Whether it has told anything.
        failures: What failed that no run has told before, by lower-cased object name, before which
            that of its warehouse stands if it is not the first.
        waiting: What was left for later, by the same.
    """

    def __init__(self, context: dg.OpExecutionContext, objects: Objects) -> None:
        self._context = context
        self._objects = objects
        self._shown: set[dg.AssetKey] = set()
        self._answered: set[dg.AssetCheckKey] = set()
        self.anything = False
        self.failures: dict[str, SfAssetsError] = {}
        self.waiting: dict[str, SfAssetsError] = {}

    def all(
        self, happened: "Iterable[Event]", before: Iterable[Reported] = ()
    ) -> Iterator[Reported]:
        """Tell what happens, and again what checks found before that are not asked now.

        Args:
            happened: Events of a run.
            before: What is to be told before them.

        Raises:
            dg.Failure: The org or the storage cannot be reached at all.
        """
        from sf_assets.assets.carried import carried

        for reported in chain(before, self._translated(happened)):
            self.anything = True
            if isinstance(reported, dg.AssetMaterialization):
                self._shown.add(reported.asset_key)
            elif isinstance(reported, dg.AssetCheckEvaluation):
                self._answered.add(reported.asset_check_key)
            yield reported
        checks = [
            check
            for objects in self._objects.everywhere
            for key, slug in objects.slugs_by_key().items()
            if key in self._shown
            for check in objects.checks([slug])
        ]
        left = [c for c in checks if c.asset_key in self._shown and c not in self._answered]
        yield from carried(self._context.instance, left)

    def _translated(self, happened: "Iterable[Event]") -> Iterator[Reported]:
        from sf_assets.assets.translate import translated

        try:
            for event in happened:
                self._note(event)
                yield from translated(self._objects, event)
        except SfAssetsError as error:
            raise dg.Failure(str(error), allow_retries=False) from None

    def fail(self, *, also_waiting: bool = False) -> None:
        """Fail the run if anything failed; all the others are done.

        Args:
            also_waiting: Whether it fails for what was left for later, too: no tick makes it good.

        Raises:
            dg.Failure: Something did.
        """
        failed = self.failures | (self.waiting if also_waiting else {})
        if failed:
            texts = {slug: str(error) for slug, error in failed.items()}
            told = "; ".join(f"{slug}: {text}" for slug, text in texts.items())
            raise dg.Failure(told, metadata=texts, allow_retries=False)

    def _note(self, event: "Event") -> None:
        from sf_assets.pipeline.events import Deferred, Failed

        if isinstance(event, Deferred):
            self.waiting[placed(event.place, event.object)] = event.error
        elif isinstance(event, Failed) and event.news:
            self.failures[placed(event.place, event.object)] = event.error
            if event.object in self._objects.specs:
                self._turn_red(self._objects.at(event.place).key(event.layer, event.object))

    def _turn_red(self, key: dg.AssetKey) -> None:
        """Show an asset as failed: Dagster does so if it was planned in a run that fails."""
        planned = dg.DagsterEvent.build_asset_materialization_planned_event(
            self._context.job_name,
            self._context.op_handle.name,
            AssetMaterializationPlannedData(key),
        )
        self._context.instance.report_dagster_event(planned, self._context.run_id, DEBUG)
