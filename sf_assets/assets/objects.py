"""Raw and silver assets of the catalogue's objects, worked on together, each failing alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Any

import dagster as dg

from sf_assets.assets.partitions import partitions_def
from sf_assets.builtin_checks import ORG_CHECKS, RAW_CHECKS, SILVER_CHECKS
from sf_assets.catalog import Catalog, ObjectSpec
from sf_assets.naming import ONLY, raw_name, silver_name
from sf_assets.windows import Grain

FAILS = "fails"
"""Name of the fact, in an observation of an asset, that tells why a tick could not read or merge
it, of which a run has been red before."""

_FRESH_RAW = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=2), fail_window=timedelta(hours=3)
)
_FRESH_SILVER = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=8), fail_window=timedelta(hours=9)
)
"""What is idle is said to be fresh, raw once an hour and silver, whose many checks are shown again
with each event, once in six, for as long as its coverage is up to date; see `fresh`."""

Events = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]


class Mode(Enum):
    """What a run of objects does with the assets that it is for."""

    PARTITIONS = "extract the run's partitions anew, whatever raw holds of them, and load them"
    TICK = "extract what is not covered yet, and load it"
    DRIFTED = "read fields that change without a stamp where a sample shows it, or it is their turn"
    DERIVED = "read fields that change without a stamp of all rows"
    FRESH = "read nothing; say of idle assets that they are up to date"


class ObjectsConfig(dg.Config):
    """Configuration of a run of objects.

    Attributes:
        mode: What it does.
    """

    mode: Mode = Mode.PARTITIONS


@dataclass(frozen=True)
class Group:
    """Objects of one org that share their partitions: what one step works on together.

    Attributes:
        org: Name of the org.
        grain: How rows are cut into partitions.
        start: First partition.
        specs: The objects, by lower-cased name.
    """

    org: str
    grain: Grain
    start: date
    specs: Mapping[str, ObjectSpec]

    @property
    def name(self) -> str:
        """Name of the step: `objects_daily_20250101`, with the org's before it if it has one."""
        prefix = "" if self.org == ONLY else f"{self.org}_"
        start = "" if self.grain is Grain.NONE else f"_{self.start:%Y%m%d}"
        return f"{prefix}objects_{self.grain}{start}"

    def config(self, mode: Mode) -> dg.RunConfig:
        """Configuration of a run of this step."""
        return dg.RunConfig(ops={self.name: ObjectsConfig(mode=mode)})

    def raw_key(self, slug: str) -> dg.AssetKey:
        """Key of an object's raw asset."""
        return dg.AssetKey([raw_name(self.org), slug])

    def silver_key(self, slug: str) -> dg.AssetKey:
        """Key of an object's silver asset."""
        return dg.AssetKey([silver_name(self.org), slug])

    def keys(self, slugs: Iterable[str]) -> list[dg.AssetKey]:
        """Keys of both assets of objects."""
        return [key(slug) for slug in slugs for key in (self.raw_key, self.silver_key)]

    def checks(self, slugs: Iterable[str]) -> list[dg.AssetCheckKey]:
        """Checks that a run answers which loads objects: all but those that ask the org."""
        slugs = list(slugs)
        return self.raw_checks(slugs) + self.silver_checks(slugs)

    def every_check(self, slugs: Iterable[str]) -> list[dg.AssetCheckKey]:
        """All checks of objects."""
        slugs = list(slugs)
        asks = [dg.AssetCheckKey(self.silver_key(s), name) for s in slugs for name in ORG_CHECKS]
        return self.checks(slugs) + asks

    def raw_checks(self, slugs: Iterable[str]) -> list[dg.AssetCheckKey]:
        """Checks of the raw assets of objects."""
        return [dg.AssetCheckKey(self.raw_key(slug), name) for slug in slugs for name in RAW_CHECKS]

    def silver_checks(self, slugs: Iterable[str]) -> list[dg.AssetCheckKey]:
        """Checks of the silver assets of objects, but for those that ask the org."""
        return [
            dg.AssetCheckKey(self.silver_key(slug), name)
            for slug in slugs
            for name in (*SILVER_CHECKS, *(check.name for check in self.specs[slug].expectations))
        ]


def group_objects(catalog: Catalog) -> list[Group]:
    """The catalogue's objects by org and partitions."""
    groups: dict[tuple[str, Grain, date], dict[str, ObjectSpec]] = {}
    for org in catalog.orgs or (ONLY,):
        for spec in catalog.objects.values():
            start = date.min if spec.grain is Grain.NONE else spec.start
            groups.setdefault((org, spec.grain, start), {})[spec.slug] = spec
    return [Group(*key, specs) for key, specs in groups.items()]


def object_assets(group: Group, warehouse_kind: str) -> dg.AssetsDefinition:
    """The assets of a group, with their checks.

    Raw is partitioned by the cursor. Silver is not: a record's row moves on with its cursor, so no
    part of the table belongs to a day.

    Args:
        group: The objects.
        warehouse_kind: What silver lives in, such as `duckdb`, for the icon.
    """
    partitions = partitions_def(group.grain, group.start)
    specs: list[dg.AssetSpec] = []
    checks: list[dg.AssetCheckSpec] = []
    for slug, spec in group.specs.items():
        common: dict[str, Any] = {
            "skippable": True,
            "owners": list(spec.owners),
            "tags": {"salesforce/object": spec.name, **spec.tags},
        }
        raw, silver = group.raw_key(slug), group.silver_key(slug)
        specs += [
            dg.AssetSpec(
                raw,
                description=f"{spec.name} as Salesforce said it: every version read, all text.",
                kinds={"salesforce", "parquet"},
                group_name=raw.path[0],
                partitions_def=partitions,
                freshness_policy=_FRESH_RAW,
                **common,
            ),
            dg.AssetSpec(
                silver,
                deps=[raw],
                description=f"{spec.name}, typed by describe: one row for each record Id.",
                kinds={"silver", warehouse_kind},
                freshness_policy=_FRESH_SILVER,
                group_name=silver.path[0],
                **common,
            ),
        ]
        checks += [dg.AssetCheckSpec(n, asset=raw, description=d) for n, d in RAW_CHECKS.items()]
        checks += [
            dg.AssetCheckSpec(n, asset=silver, description=d)
            for n, d in (SILVER_CHECKS | ORG_CHECKS).items()
        ]
        checks += [
            dg.AssetCheckSpec(c.name, asset=silver, description=c.asks) for c in spec.expectations
        ]

    @dg.multi_asset(
        name=group.name,
        specs=specs,
        check_specs=checks,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
    )
    def objects(context: dg.AssetExecutionContext, config: ObjectsConfig) -> Events:
        from sf_assets.assets.objects_step import work

        yield from work(context, group, config.mode)

    return objects


"""
"""
