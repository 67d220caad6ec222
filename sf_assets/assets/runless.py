"""Events of commands in the Dagster UI: reported to its instance, without a run of its own."""

from collections.abc import Iterator

import dagster as dg

from sf_assets.assets.carried import carried
from sf_assets.assets.gold import LEFT_OUT, gold_metadata
from sf_assets.assets.integration import QUALITY, Integration
from sf_assets.assets.objects import Group, group_objects
from sf_assets.assets.partitions import open_key
from sf_assets.assets.translate import (
    check_evaluation,
    observation,
    partitions_read,
    silver_metadata,
)
from sf_assets.builtin_checks import ORG_CHECKS
from sf_assets.naming import Layer
from sf_assets.pipeline import events
from sf_assets.pipeline.org import Org

Reported = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


class Reporter:
    """Reports events of commands.

    Args:
        instance: Whose UI shows them.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._integrations: dict[str, Integration] = {}
        self._groups: dict[str, dict[str, Group]] = {}

    def report(self, org: Org, event: events.Event) -> None:
        """Report what Dagster has a word for."""
        if org.name not in self._groups:
            integration = self._integrations[org.name] = Integration(org.catalog)
            groups = [group for group in group_objects(integration) if group.org == org.name]
            self._groups[org.name] = {slug: group for group in groups for slug in group.specs}
        for reported in self._translated(self._groups[org.name], org, event):
            self._instance.report_runless_asset_event(reported)

    def _translated(
        self, groups: dict[str, Group], org: Org, event: events.Event
    ) -> Iterator[Reported]:
        match event:
            case events.ObjectExtracted(_, extraction, _):
                yield from _extracted(groups[extraction.slug], event)
            case events.ObjectLoaded(_, slug, loaded, told):
                if told:
                    key = groups[slug].silver_key(slug)
                    yield dg.AssetMaterialization(
                        key, metadata=silver_metadata(f"{org.schema}.{slug}", loaded)
                    )
                    asks = [dg.AssetCheckKey(key, name) for name in ORG_CHECKS]
                    yield from carried(self._instance, asks)
            case events.Checked(_, finding):
                yield check_evaluation(groups[finding.slug], event)
            case events.Deferred(_, layer, slug) | events.Failed(_, layer, slug):
                if layer is not Layer.GOLD and slug in groups:
                    yield observation(groups[slug], event)
            case _:
                yield from _of_gold(self._integrations[org.name], org, event)


def _extracted(group: Group, event: events.ObjectExtracted) -> Iterator[Reported]:
    """One event for each partition that was touched, the facts on the newest."""
    key = group.raw_key(event.extraction.slug)
    touched = partitions_read(group, event.extraction)
    for partition in touched[:-1]:
        yield dg.AssetMaterialization(key, partition=partition)
    newest = touched[-1] if touched else open_key(group.grain)
    yield dg.AssetMaterialization(key, metadata=event.facts, partition=newest)


def _of_gold(integration: Integration, org: Org, event: events.Event) -> Iterator[Reported]:
    match event:
        case events.TableBuilt(_, name, built):
            key = integration.key(org.name, Layer.GOLD, name)
            metadata = gold_metadata(integration, org, name, built)
            days = list(built.rows_by_day)
            for day, facts in events.day_facts(built).items():
                some = metadata | facts if day == days[-1] else facts
                yield dg.AssetMaterialization(key, metadata=some, partition=f"{day:%Y-%m-%d}")
            if not days:
                yield dg.AssetMaterialization(key, metadata=metadata)
        case events.LeftOut(_, Layer.GOLD, name, why):
            key = integration.key(org.name, Layer.GOLD, name)
            yield dg.AssetObservation(key, metadata={LEFT_OUT: why})
        case events.Scored(_, facts):
            key = integration.key(org.name, Layer.OPS, QUALITY)
            yield dg.AssetMaterialization(key, metadata=facts)
