"""The objects' step: what Dagster asks for becomes a request, and the run's events become its."""

from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dagster as dg

from sf_assets.assets.carried import carried
from sf_assets.assets.fresh import still_fresh
from sf_assets.assets.objects import Events, Group, Mode
from sf_assets.assets.partitions import window_of
from sf_assets.assets.translate import (
    check_evaluation,
    observation,
    partitions_read,
    silver_metadata,
)
from sf_assets.errors import SfAssetsError
from sf_assets.pipeline import events
from sf_assets.pipeline.extraction.formula_drift import plan_derived
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.plan import Plan, plan_backfill, plan_tick
from sf_assets.pipeline.run import Reading, Request, run
from sf_assets.windows import ALWAYS

_READINGS = {Mode.TICK: Reading.TICK, Mode.FRESH: Reading.TICK, Mode.PARTITIONS: Reading.BACKFILL}


def work(context: dg.AssetExecutionContext, group: Group, mode: Mode) -> Events:
    """Extract the selected raw assets, load the selected silver assets, run the selected checks.

    Raises:
        dg.Failure: At the end, when any object failed; the others are done by then. A backfill
            fails for what it did not read, too; a tick goes on by itself, and has told before of
            what keeps failing.
    """
    step = _Step(context, group, group.connected(context.resources), mode)
    shown = set()
    for event in step.carry_out():
        yield event
        if isinstance(event, dg.MaterializeResult):
            shown.add(event.asset_key)
    others = set(group.every_check(group.specs)) - context.selected_asset_check_keys
    if not context.instance.is_ephemeral:
        for found in carried(context.instance, [k for k in others if k.asset_key in shown]):
            context.log_event(found)
    if step.failures:
        raise dg.Failure(
            "; ".join(f"{slug}: {error}" for slug, error in step.failures.items()),
            metadata={slug: str(error) for slug, error in step.failures.items()},
            allow_retries=False,
        )


class _Step:
    """One execution of the step."""

    def __init__(
        self, context: dg.AssetExecutionContext, group: Group, org: Org, mode: Mode
    ) -> None:
        self._context = context
        self._group = group
        self._org = org
        self._mode = mode
        partitioned = context.has_partition_key or context.has_partition_key_range
        self._asked_keys = list(context.partition_keys) if partitioned else []
        self.failures: dict[str, SfAssetsError] = {}

    def carry_out(self) -> Events:
        """All that the run is for."""
        if self._mode is Mode.FRESH:
            yield from still_fresh(self._context, self._group, self._org, self.failures)
        for event in run(self._org, self._request()):
            yield from self._translated(event)

    def _request(self) -> Request:
        keys = self._context.selected_asset_keys
        reads = {} if self._mode is Mode.FRESH else self._group.specs
        slugs = self._group.slugs_by_key()
        checks: dict[str, set[str]] = defaultdict(set)
        for key in self._context.selected_asset_check_keys:
            checks[slugs[key.asset_key]].add(key.name)
        return Request(
            _READINGS.get(self._mode, Reading.DERIVED),
            self._plan,
            self._group.specs,
            [slug for slug in reads if self._group.raw_key(slug) in keys],
            [slug for slug in reads if self._group.silver_key(slug) in keys],
            checks,
        )

    def _plan(self) -> AbstractContextManager[Plan]:
        keys = self._context.selected_asset_keys
        specs = [s for slug, s in self._group.specs.items() if self._group.raw_key(slug) in keys]
        if self._mode is Mode.TICK:
            return nullcontext(plan_tick(self._org, specs))
        if self._mode in {Mode.DRIFTED, Mode.DERIVED}:
            return plan_derived(self._org, specs, everything=self._mode is Mode.DERIVED)
        window = ALWAYS
        if self._asked_keys:
            first, last = self._asked_keys[0], self._asked_keys[-1]
            window = window_of(self._group.grain, self._group.start, first, last)
        return nullcontext(plan_backfill(self._org, specs, window))

    def _translated(self, event: events.Event) -> Events:
        match event:
            case events.ObjectExtracted():
                yield self._extracted(event)
            case events.ObjectLoaded(_, slug, loaded, told):
                if told:
                    key = self._group.silver_key(slug)
                    metadata = silver_metadata(f"{self._org.schema}.{slug}", loaded)
                    yield dg.MaterializeResult(asset_key=key, metadata=metadata)
            case events.Checked():
                found = check_evaluation(self._group, event)
                yield dg.AssetCheckResult(
                    asset_key=found.asset_key,
                    check_name=found.check_name,
                    passed=found.passed,
                    severity=found.severity,
                    metadata=found.metadata,
                )
            case events.Deferred(_, _, slug, _, error):
                self._context.log_event(observation(self._group, event))
                if self._mode is not Mode.TICK:
                    self.failures[slug] = error
            case events.Failed(_, _, slug, error, news):
                if news:
                    self.failures[slug] = error
                elif slug in self._group.specs:
                    self._context.log_event(observation(self._group, event))
            case _:
                pass

    def _extracted(self, event: events.ObjectExtracted) -> dg.MaterializeResult[Any]:
        """The result of a raw asset, its facts on the newest partition.

        Plain metadata would be copied to each partition of a range, which would be untrue and, for
        years of days, large. Partitions that the windows touch and the run did not ask for are
        reported beside.
        """
        key = self._group.raw_key(event.extraction.slug)
        if not self._context.instance.is_ephemeral:
            for touched in partitions_read(self._group, event.extraction):
                if touched not in self._asked_keys:
                    self._context.log_event(dg.AssetMaterialization(key, partition=touched))
        if len(self._asked_keys) <= 1:
            return dg.MaterializeResult(asset_key=key, metadata=event.facts)
        newest = self._asked_keys[-1]
        self._context.add_asset_metadata(dict(event.facts), asset_key=key, partition_key=newest)
        return dg.MaterializeResult(asset_key=key)
