"""Events of a run in Dagster's words: the same for runs of Dagster's and for commands."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from sf_assets.assets.objects import FAILS, Objects, Reported
from sf_assets.assets.partitions import keys_touched, open_key
from sf_assets.catalog import ObjectSpec
from sf_assets.naming import Layer, silver_name
from sf_assets.pipeline import events
from sf_assets.pipeline.extraction.execute import Extraction
from sf_assets.pipeline.load import Loaded
from sf_assets.windows import Window

Observed = events.Deferred | events.Failed


def translated(objects: Objects, event: events.Event) -> Iterator[Reported]:
    """What there is to show of an event of objects, where nothing was planned."""
    objects = objects.at(event.place)
    match event:
        case events.ObjectExtracted(_, extraction, facts):
            spec = objects.specs[extraction.slug]
            key = objects.key(Layer.RAW, spec.slug)
            yield from _materializations(key, spec, windows_read(extraction), facts)
        case events.ObjectLoaded(_, slug, loaded, told):
            if told:
                facts = silver_metadata(f"{silver_name(objects.org)}.{slug}", loaded)
                key = objects.key(Layer.SILVER, slug)
                yield from _materializations(key, objects.specs[slug], loaded.windows, facts)
        case events.Checked():
            yield check_evaluation(objects, event)
        case events.Deferred(_, layer, slug) | events.Failed(_, layer, slug):
            if layer is not Layer.GOLD and slug in objects.specs:
                yield observation(objects, event)
        case _:
            pass


def _materializations(
    key: dg.AssetKey, spec: ObjectSpec, windows: Iterable[Window], facts: Mapping[str, Any]
) -> Iterator[dg.AssetMaterialization]:
    """One event for each partition that windows touch, the facts on the newest.

    What touches none, such as a list of deletions, is told of the partition that is open.
    """
    touched = keys_touched(spec.grain, spec.start, windows)
    for partition in touched[:-1]:
        yield dg.AssetMaterialization(key, partition=partition)
    newest = touched[-1] if touched else open_key(spec.grain)
    yield dg.AssetMaterialization(key, metadata=facts, partition=newest)


def windows_read(extraction: Extraction) -> list[Window]:
    """Windows of the cursor that an extraction covers."""
    return [piece.window for piece in extraction.slices if piece.kind.covers]


def silver_metadata(table: str, loaded: Loaded) -> dict[str, Any]:
    """The ledger of merges, and the columns of the table, which is named with its schema."""
    facts = events.loading_facts(loaded, table)
    if loaded.columns:
        facts["dagster/column_schema"] = dg.TableSchema(
            [
                dg.TableColumn(column.name, loaded.types[column.name], column.comment or None)
                for column in loaded.columns
                if column.name in loaded.types
            ]
        )
    references = {c.name: ", ".join(c.references) for c in loaded.columns if c.references}
    return facts | {f"references/{name}": targets for name, targets in references.items()}


def observation(objects: Objects, event: Observed) -> dg.AssetObservation:
    """What keeps an object waiting, or failing, as a fact of its asset."""
    key = objects.key(event.layer, event.object)
    name = event.because if isinstance(event, events.Deferred) else FAILS
    return dg.AssetObservation(key, metadata={str(name): str(event.error)})


def check_evaluation(objects: Objects, event: events.Checked) -> dg.AssetCheckEvaluation:
    """The answer to a check."""
    found = event.finding
    return dg.AssetCheckEvaluation(
        asset_key=objects.key(event.layer, found.slug),
        check_name=found.name,
        passed=found.passed,
        severity=dg.AssetCheckSeverity.ERROR if found.severe else dg.AssetCheckSeverity.WARN,
        metadata=found.facts,
    )
