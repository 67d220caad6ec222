"""Where every object stands: what raw covers, what silver holds, what is left of the budget."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import SfAssetsError
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.pace import present_interval
from sf_assets.pipeline.told import keep_told
from sf_assets.salesforce.budget import Standing
from sf_assets.warehouse.checks import Silver
from sf_assets.warehouse.merge import merged_slices
from sf_assets.windows import BEGIN, Coverage


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """One object.

    Attributes:
        slug: Lower-cased object name.
        watermark: End of the unbroken coverage; None when there is none.
        behind_seconds: Age of the watermark; None likewise.
        slices: Slices in raw.
        unmerged: Those that silver has not taken up.
        rows: Live rows of silver; None when there is no table.
    """

    slug: str
    watermark: datetime | None
    behind_seconds: int | None
    slices: int
    unmerged: int
    rows: int | None


def status(org: Org, specs: Iterable[ObjectSpec]) -> list[ObjectStatus]:
    """Say where objects stand, from raw and the warehouse alone.

    Raises:
        SfAssetsError: The storage or the warehouse cannot be read.
    """
    lake = org.kept_lake
    inventory = lake.inventory()
    refs, covered = inventory.refs, inventory.coverage
    slugs = [spec.slug for spec in specs]
    rows: dict[str, int] = {}
    merged: set[str] = set()
    if org.warehouse.path.exists():
        with org.warehouse.connect(read_only=True) as connection:
            silver = Silver(connection, org.schema)
            rows = {slug: silver.rows(slug) for slug in slugs if slug in silver}
            merged = merged_slices(
                connection, lake.org_id, (ref.id for slug in slugs for ref in refs.get(slug, []))
            )
    found = []
    for slug in slugs:
        watermark = covered.get(slug, Coverage()).watermark
        ids = {ref.id for ref in refs.get(slug, [])}
        known = watermark > BEGIN
        found.append(
            ObjectStatus(
                slug=slug,
                watermark=watermark if known else None,
                behind_seconds=round((datetime.now(UTC) - watermark).total_seconds())
                if known
                else None,
                slices=len(ids),
                unmerged=len(ids - merged),
                rows=rows.get(slug),
            )
        )
    return found


def budget(org: Org) -> dict[str, Standing] | SfAssetsError:
    """How the org's limits that exports use stand, by name; asking is one call."""
    try:
        return org.client.budget.look()
    except SfAssetsError as error:
        return error


def tick_minutes(org: Org) -> int:
    """Minutes between two ticks of the schedule, by what the org last told of its calls."""
    if "client" in org.__dict__:
        keep_told(org.kept_lake, org.client.budget)
    pace = present_interval(org.kept_lake, org.settings, len(org.catalog.objects))
    return pace // timedelta(minutes=1)
