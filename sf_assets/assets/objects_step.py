"""The objects' step: partitions that Dagster asks for are extracted anew, loaded and checked."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

import dagster as dg

from sf_assets.assets.carried import carried
from sf_assets.assets.objects import Events, Group
from sf_assets.assets.partitions import keys_touched, partitions_def, window_of
from sf_assets.assets.translate import (
    check_evaluation,
    observation,
    silver_metadata,
    windows_read,
)
from sf_assets.errors import SfAssetsError
from sf_assets.naming import Layer, placed
from sf_assets.pipeline import events
from sf_assets.pipeline.fan_out import told
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.planning.plan import Plan, plan_backfill
from sf_assets.pipeline.publish import publish
from sf_assets.pipeline.run import Reading, Request, run
from sf_assets.windows import ALWAYS, Window


def work(context: dg.AssetExecutionContext, group: Group) -> Events:
    """Extract the selected raw assets, load the selected silver assets, run the selected checks.

    Raises:
        dg.Failure: At the end, when any object failed, or was not read; the others are done by
            then.
    """
    step = _Step(context, group, group.connected(context.resources))
    shown = set()
    for event in step.carry_out():
        yield event
        if isinstance(event, dg.MaterializeResult):
            shown.add(event.asset_key)
    checks = {key for home in group.everywhere for key in home.checks(group.specs)}
    others = checks - context.selected_asset_check_keys
    if not context.instance.is_ephemeral:
        yield from carried(context.instance, [k for k in others if k.asset_key in shown])
    if step.failures:
        raise dg.Failure(
            "; ".join(f"{slug}: {error}" for slug, error in step.failures.items()),
            metadata={slug: str(error) for slug, error in step.failures.items()},
            allow_retries=False,
        )


class _Step:
    """One execution of the step."""

    def __init__(self, context: dg.AssetExecutionContext, group: Group, org: Org) -> None:
        self._context = context
        self._group = group
        self._org = org
        self.failures: dict[str, SfAssetsError] = {}
        self._asked_keys = self._partition_keys()

    def _partition_keys(self) -> list[str]:
        """Partitions that the run asks for.

        Raises:
            dg.Failure: A range, of objects whose partitions are not the same.
        """
        context, group = self._context, self._group
        if context.has_partition_key_range:
            keys = context.selected_asset_keys
            homes = [home.slugs_by_key() for home in group.everywhere]
            slugs = sorted({home[key] for home in homes for key in home.keys() & keys})
            starts = {slug: partitions_def(group.grain, group.specs[slug].start) for slug in slugs}
            if any(starts[slug] != starts[slugs[0]] for slug in slugs):
                told = ", ".join(f"{slug} {group.specs[slug].start}" for slug in slugs)
                raise dg.Failure(
                    f"Dagster carries out a range for assets of the same partitions, and those of "
                    f"these objects begin on different days: {told}. Launch a run for each of "
                    "these; nothing was read by this one",
                    allow_retries=False,
                )
        partitioned = context.has_partition_key or context.has_partition_key_range
        return list(context.partition_keys) if partitioned else []

    def carry_out(self) -> Events:
        """All that the run is for."""
        for org, group in zip(self._org.places, self._group.everywhere, strict=True):
            for event in told(org, chain(run(org, self._request(group)), publish(org))):
                yield from self._translated(event)

    def _request(self, group: Group) -> Request:
        """What is to be done in a warehouse: all of raw goes with the first."""
        slugs = group.slugs_by_key()
        checks: dict[str, set[str]] = defaultdict(set)
        for key in self._context.selected_asset_check_keys:
            if key.asset_key in slugs:
                checks[slugs[key.asset_key]].add(key.name)
        raw = () if group.place else self._selected(group, Layer.RAW)
        silver = self._selected(group, Layer.SILVER)
        return Request(Reading.BACKFILL, self._plan, group.specs, raw, silver, checks)

    def _selected(self, group: Group, layer: Layer) -> list[str]:
        keys = self._context.selected_asset_keys
        return [slug for slug in group.specs if group.key(layer, slug) in keys]

    def _plan(self) -> AbstractContextManager[Plan]:
        """The window of the run's partitions, which are those of all its objects."""
        specs = [self._group.specs[slug] for slug in self._selected(self._group, Layer.RAW)]
        window = ALWAYS
        if self._asked_keys:
            first, last = self._asked_keys[0], self._asked_keys[-1]
            window = window_of(self._group.grain, specs[0].start, first, last)
        return nullcontext(plan_backfill(self._org, specs, window))

    def _translated(self, event: events.Event) -> Events:
        group = self._group.at(event.place)
        match event:
            case events.ObjectExtracted(_, extraction, facts):
                key = group.key(Layer.RAW, extraction.slug)
                yield from self._result(key, extraction.slug, windows_read(extraction), facts)
            case events.ObjectLoaded(_, slug, loaded, told):
                if told:
                    key = group.key(Layer.SILVER, slug)
                    metadata = silver_metadata(f"{self._org.schema}.{slug}", loaded)
                    yield from self._result(key, slug, loaded.windows, metadata)
            case events.Checked():
                found = check_evaluation(group, event)
                yield dg.AssetCheckResult(
                    asset_key=found.asset_key,
                    check_name=found.check_name,
                    passed=found.passed,
                    severity=found.severity,
                    metadata=found.metadata,
                )
            case events.Deferred(_, _, slug, _, error):
                yield observation(group, event)
                self.failures[placed(event.place, slug)] = error
            case events.Failed(_, _, slug, error):
                self.failures[placed(event.place, slug)] = error
            case _:
                pass

    def _result(
        self, key: dg.AssetKey, slug: str, windows: Iterable[Window], facts: Mapping[str, Any]
    ) -> Events:
        """The result of an asset, its facts on the newest partition.

        Plain metadata would be copied to each partition of a range, which would be untrue and, for
        years of days, large. Partitions that the windows touch and the run did not ask for are
        reported beside.
        """
        if not self._context.instance.is_ephemeral:
            spec = self._group.specs[slug]
            asked = set(self._asked_keys)
            for touched in keys_touched(spec.grain, spec.start, windows):
                if touched not in asked:
                    yield dg.AssetMaterialization(key, partition=touched)
        if len(self._asked_keys) <= 1:
            yield dg.MaterializeResult(asset_key=key, metadata=facts)
            return
        newest = self._asked_keys[-1]
        self._context.add_asset_metadata(dict(facts), asset_key=key, partition_key=newest)
        yield dg.MaterializeResult(asset_key=key)
