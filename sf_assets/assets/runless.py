"""Events of commands in the Dagster UI: reported to its instance, without a run of its own."""

from collections.abc import Iterator

import dagster as dg

from sf_assets.assets.carried import carried
from sf_assets.assets.gold import LEFT_OUT, gold_metadata
from sf_assets.assets.integration import QUALITY, Integration
from sf_assets.assets.objects import Objects, Reported, org_objects
from sf_assets.assets.translate import translated
from sf_assets.checks.builtin import ORG_CHECKS
from sf_assets.naming import Layer
from sf_assets.pipeline import events
from sf_assets.pipeline.org import Org


class Reporter:
    """Reports events of commands.

    Args:
        instance: Whose UI shows them.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._objects: dict[str, Objects] = {}

    def report(self, org: Org, event: events.Event) -> None:
        """Report what Dagster has a word for."""
        if org.name not in self._objects:
            warehouses = dict.fromkeys((place.warehouse_name for place in org.places), "")
            integration = Integration(org.catalog, warehouses=warehouses)
            self._objects[org.name] = org_objects(integration, org.name)
        for reported in self._translated(self._objects[org.name], org, event):
            self._instance.report_runless_asset_event(reported)

    def _translated(self, objects: Objects, org: Org, event: events.Event) -> Iterator[Reported]:
        yield from translated(objects, event)
        if isinstance(event, events.ObjectLoaded) and event.told and not event.place:
            key = objects.key(Layer.SILVER, event.object)
            yield from carried(self._instance, [dg.AssetCheckKey(key, n) for n in ORG_CHECKS])
        home = next(place for place in org.places if place.place == event.place)
        yield from _of_gold(objects.integration, home, event)


def _of_gold(integration: Integration, org: Org, event: events.Event) -> Iterator[Reported]:
    match event:
        case events.TableBuilt(_, name, built):
            key = integration.key(org.name, Layer.GOLD, name, org.place)
            metadata = gold_metadata(integration, org, name, built)
            days = list(built.rows_by_day)
            for day, facts in events.day_facts(built).items():
                some = metadata | facts if day == days[-1] else facts
                yield dg.AssetMaterialization(key, metadata=some, partition=f"{day:%Y-%m-%d}")
            if not days:
                yield dg.AssetMaterialization(key, metadata=metadata)
        case events.LeftOut(_, Layer.GOLD, name, why):
            key = integration.key(org.name, Layer.GOLD, name, org.place)
            yield dg.AssetObservation(key, metadata={LEFT_OUT: why})
        case events.Scored(_, facts):
            key = integration.key(org.name, Layer.OPS, QUALITY, org.place)
            yield dg.AssetMaterialization(key, metadata=facts)
