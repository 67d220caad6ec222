"""The org against silver, day by day of the present cursor, at one horizon."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.pipeline.describes import Described, describe_objects
from sf_assets.pipeline.org import Org
from sf_assets.warehouse.checks import Silver
from sf_assets.windows import ALWAYS, BEGIN, Window

_MOST_GROUPS = timedelta(days=1900)
"""An aggregate query answers with at most 2,000 groups."""

_PAUSES = (0.0, 2.0, 5.0)
"""Seconds before each asking; the last answer counts."""

_OLDEST = datetime(1999, 1, 1, tzinfo=UTC)
"""Salesforce was founded in 1999: one group holds everything before."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A day on which the org and silver do not agree.

    Attributes:
        day: UTC day of the cursor; None for an object without one.
        org: Records of the org.
        silver: Records of silver.
    """

    day: date | None
    org: int
    silver: int


@dataclass(slots=True)
class Reconciled:
    """The comparison of one object.

    Attributes:
        slug: Lower-cased object name.
        horizon: Only records whose present cursor lies before it were compared.
        org: Records of the org.
        silver: Records of silver.
        differences: Days that differ, also after asking again.
        error: Why it could not be compared.
    """

    slug: str
    horizon: datetime | None = None
    org: int = 0
    silver: int = 0
    differences: list[Difference] = field(default_factory=list)
    error: SfAssetsError | None = None


def reconcile(org: Org, specs: Iterable[ObjectSpec]) -> list[Reconciled]:
    """Compare the org with silver, object by object.

    Both are counted by day of the present cursor, up to the watermark. Records that changed after
    it are left out on both sides: of those, silver has the version before. What differs is asked
    again, because a live org moves between two questions.

    Raises:
        SfAssetsError: The org, the storage or the warehouse cannot be reached at all.
    """
    specs = list(specs)
    found = describe_objects(org, specs)
    results = []
    for spec in specs:
        item = found[spec.slug]
        result = Reconciled(spec.slug)
        try:
            if isinstance(item, SfAssetsError):
                raise item
            _compare_patiently(org, item, result)
        except SfAssetsError as error:
            result.error = error
        results.append(result)
    return results


def _compare_patiently(org: Org, item: Described, result: Reconciled) -> None:
    for pause in _PAUSES:
        time.sleep(pause)
        _compare(org, item, result)
        if not result.differences:
            return


def _compare(org: Org, item: Described, result: Reconciled) -> None:
    theirs: dict[date | None, int] = {}
    moved: list[str] = []
    if item.cursor is None:
        ((_, answer),) = org.client.rest.query_each({"all": item.query.count(None, None)})
        if answer.error:
            raise answer.error
        theirs[None] = int(answer.body["totalSize"])
    else:
        result.horizon = org.lake.coverage()[item.spec.slug].watermark
        if result.horizon == BEGIN:
            raise ConfigError(f"{item.info.name} is not extracted to the end; run a refresh first")
        theirs = _org_by_day(org, item, item.cursor, result.horizon)
        moved = _moved(org, item, item.cursor, result.horizon)
    with org.warehouse.connect(read_only=True) as connection:
        silver = Silver(connection, org.schema)
        if item.spec.slug not in silver:
            raise ConfigError(f"{org.schema} has no {item.spec.slug}; run a refresh first")
        ours = silver.by_day(item.spec.slug, result.horizon, moved)
    result.org, result.silver = sum(theirs.values()), sum(ours.values())
    result.differences = [
        Difference(day, theirs.get(day, 0), ours.get(day, 0))
        for day in sorted(theirs.keys() | ours.keys(), key=lambda day: day or date.min)
        if theirs.get(day, 0) != ours.get(day, 0)
    ]


def _org_by_day(
    org: Org, item: Described, cursor: str, horizon: datetime
) -> dict[date | None, int]:
    """Records of the org by UTC day of their cursor."""
    windows = []
    end = horizon
    while end > _OLDEST:
        start = max(end - _MOST_GROUPS, _OLDEST)
        windows.append(Window(start if start > _OLDEST else BEGIN, end))
        end = start
    queries = {str(n): item.query.per_day(cursor, w) for n, w in enumerate(windows)}
    counts: dict[date | None, int] = {}
    for _, answer in org.client.rest.query_each(queries):
        if answer.error:
            raise answer.error
        for row in answer.body["records"]:
            day = date.fromisoformat(row["d"])
            counts[day] = counts.get(day, 0) + int(row["n"])
    return counts


def _moved(org: Org, item: Described, cursor: str, horizon: datetime) -> list[str]:
    """Ids of the records that changed after the horizon."""
    soql = replace(item.query, fields=("Id",)).over(cursor, Window(horizon, ALWAYS.end))
    return [row["Id"] for page in org.client.rest.pages(soql) for row in page["records"]]
