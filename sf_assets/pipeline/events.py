"""What a run tells of its work, event by event: both faces, Dagster and terminal, translate them.

The names of facts are those that Dagster knows, so that both tell the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sf_assets.checks.builtin import RAW_CHECKS
from sf_assets.checks.check import Facts, Finding, Latest
from sf_assets.errors import SfAssetsError
from sf_assets.naming import Layer
from sf_assets.pipeline.extraction.execute import Extraction
from sf_assets.pipeline.load import Loaded
from sf_assets.pipeline.planning.estimate import Estimate
from sf_assets.salesforce.budget import Budget
from sf_assets.storage.manifest import Counts
from sf_assets.warehouse.port import Built

_LEDGER = {n: "deduplicated" if n == "known" else n for n in Counts.model_fields}
"""What the counts of a slice are called for people."""


class Reason(StrEnum):
    """What keeps something waiting, which is no fault of its own."""

    BUDGET = "waits for the budget"
    BUSY = "left to another run"
    LOCKED = "waits for the warehouse"


@dataclass(frozen=True, slots=True)
class ObjectExtracted:
    """Slices of an object were committed to raw.

    Attributes:
        org: Name of the org.
        extraction: What was read.
        facts: What to show of it: its ledger and what it cost.
        place: Empty, as raw is in no warehouse.
    """

    org: str
    extraction: Extraction
    facts: Mapping[str, Any]
    place: str = ""


@dataclass(frozen=True, slots=True)
class ObjectLoaded:
    """An object's slices were merged into silver.

    Attributes:
        org: Name of the org.
        object: Lower-cased object name.
        loaded: The table, and the ledger of the merges.
        told: Whether there is anything to tell: a tick that finds nothing to merge says nothing.
        place: Name of the warehouse; empty for the first.
    """

    org: str
    object: str
    loaded: Loaded
    told: bool
    place: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A check was answered, and what it found is kept; in the warehouse of a name, if any."""

    org: str
    finding: Finding
    place: str = ""

    @property
    def layer(self) -> Layer:
        """The layer that was checked."""
        return Layer.RAW if self.finding.name in RAW_CHECKS else Layer.SILVER


@dataclass(frozen=True, slots=True)
class Standing:
    """A check that is an error has not passed since an earlier run asked it.

    Attributes:
        org: Name of the org.
        object: Lower-cased object name.
        check: Name of the check.
        answer: What it found then.
        place: Name of the warehouse; empty for the first.
    """

    org: str
    object: str
    check: str
    answer: Latest
    place: str = ""


@dataclass(frozen=True, slots=True)
class TableBuilt:
    """A gold table was built; in the warehouse of a name, if any."""

    org: str
    name: str
    built: Built
    place: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """The org's tables were scored.

    Attributes:
        org: Name of the org.
        facts: What to show: the score, of the whole and of each object.
        place: Name of the warehouse; empty for the first.
    """

    org: str
    facts: Facts
    place: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Work that waits, for a reason that lies elsewhere.

    Attributes:
        org: Name of the org.
        layer: Where.
        object: Lower-cased object name, or name of the gold table.
        because: What it waits for.
        error: The same for whoever reads it.
        place: Name of the warehouse; empty for the first, and for raw.
    """

    org: str
    layer: Layer
    object: str
    because: Reason
    error: SfAssetsError
    place: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that cannot be, though nothing is wrong: the org does not have what it needs."""

    org: str
    layer: Layer
    object: str
    why: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Orphaned:
    """Tables that nothing makes any more, by name, with what to do; there are some."""

    org: str
    tables: Mapping[str, str]
    place: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Work that failed, alone.

    Attributes:
        org: Name of the org.
        layer: Where.
        object: Lower-cased object name, or name of the gold table.
        error: Why.
        news: Whether it had not failed so before; a tick tells of what keeps failing once.
        place: Name of the warehouse; empty for the first, and for raw.
    """

    org: str
    layer: Layer
    object: str
    error: SfAssetsError
    news: bool = True
    place: str = ""


Event = (
    ObjectExtracted
    | ObjectLoaded
    | Checked
    | Standing
    | TableBuilt
    | Scored
    | Deferred
    | LeftOut
    | Orphaned
    | Failed
)


def extraction_facts(
    extraction: Extraction, budget: Budget, cost: Estimate | None, folder: str
) -> dict[str, Any]:
    """The ledger of an extraction, what this run and the org have used, and what was expected.

    Args:
        extraction: What was read.
        budget: The org's, after it.
        cost: What was expected.
        folder: Address of the folder that the object's files are in.
    """
    slices = extraction.slices
    facts: dict[str, Any] = {
        "dagster/row_count": sum(piece.counts.written for piece in slices),
        "dagster/uri": folder,
    } | {
        f"ledger/{name}": sum(getattr(piece.counts, count) for piece in slices)
        for count, name in _LEDGER.items()
    }
    facts |= {
        "windows": "; ".join(str(piece.window) for piece in slices),
        "sources": ", ".join(piece.job_id or piece.source for piece in slices),
        "files": sum(len(piece.parts) for piece in slices),
        "bytes": sum(part.bytes for piece in slices for part in piece.parts),
        "seconds": round(extraction.seconds, 2),
        "api/calls": budget.made,
    }
    if calls := budget.calls:
        facts |= {"api/used": calls.used, "api/allowed": calls.allowed, "api/left": calls.left}
    expected = asdict(cost) if cost else {}
    return facts | {f"estimate/{n}": v for n, v in expected.items() if v is not None}


def loading_facts(loaded: Loaded, table: str) -> dict[str, Any]:
    """The ledger of merges into a table, by its name in the warehouse."""
    outcome = loaded.outcome
    return {
        "dagster/row_count": loaded.rows,
        "dagster/table_name": table,
        "slices": loaded.slices,
        "ledger/rows in": outcome.rows_in,
        "ledger/inserted": outcome.inserted,
        "ledger/updated": outcome.updated,
        "ledger/unchanged": outcome.unchanged,
        "ledger/stale": outcome.stale,
        "ledger/rejected values": outcome.rejected,
    }


def building_facts(built: Built, table: str) -> dict[str, Any]:
    """What to show of a gold table, by its name in the warehouse."""
    return {"dagster/row_count": built.rows, "dagster/table_name": table}


def day_facts(built: Built) -> dict[date, dict[str, int]]:
    """What to show of each day built of a daily table."""
    return {day: {"dagster/partition_row_count": rows} for day, rows in built.rows_by_day.items()}
