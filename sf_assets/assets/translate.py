"""Events of a run in Dagster's words: the same for a step of Dagster's and for a command."""

from typing import Any

import dagster as dg

from sf_assets.assets.objects import FAILS, Group
from sf_assets.assets.partitions import keys_touched
from sf_assets.naming import Layer
from sf_assets.pipeline import events
from sf_assets.pipeline.extraction.execute import Extraction
from sf_assets.pipeline.load import Loaded

Observed = events.Deferred | events.Failed


def partitions_read(group: Group, extraction: Extraction) -> list[str]:
    """Keys of the partitions that an extraction's windows touch, oldest first."""
    windows = [piece.window for piece in extraction.slices if piece.kind.covers]
    return keys_touched(group.grain, group.start, windows)


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


def observation(group: Group, event: Observed) -> dg.AssetObservation:
    """What keeps an object waiting, or failing, as a fact of its asset."""
    key = _key(group, event.layer, event.object)
    name = event.because if isinstance(event, events.Deferred) else FAILS
    return dg.AssetObservation(key, metadata={str(name): str(event.error)})


def _key(group: Group, layer: Layer, slug: str) -> dg.AssetKey:
    return group.raw_key(slug) if layer is Layer.RAW else group.silver_key(slug)


def check_evaluation(group: Group, event: events.Checked) -> dg.AssetCheckEvaluation:
    """The answer to a check."""
    found = event.finding
    return dg.AssetCheckEvaluation(
        asset_key=_key(group, event.layer, found.slug),
        check_name=found.name,
        passed=found.passed,
        severity=dg.AssetCheckSeverity.ERROR if found.severe else dg.AssetCheckSeverity.WARN,
        metadata=found.facts,
    )
