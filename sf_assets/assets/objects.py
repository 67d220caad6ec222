"""Raw and silver assets of the catalogue's objects, worked on together, each failing alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any

import dagster as dg

from sf_assets.assets.integration import Integration
from sf_assets.builtin_checks import ORG_CHECKS, RAW_CHECKS, SILVER_CHECKS
from sf_assets.catalog import ObjectSpec
from sf_assets.naming import ONLY, Layer
from sf_assets.windows import Grain

if TYPE_CHECKING:
    from sf_assets.pipeline.org import Org

FAILS = "fails"
"""Name of the fact, in an observation of an asset, that tells why a tick could not read or merge
it, of which a run has been red before."""

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
        integration: What they belong to.
        org: Name of the org.
        grain: How rows are cut into partitions.
        start: First partition.
        specs: The objects, by lower-cased name.
    """

    integration: Integration
    org: str
    grain: Grain
    start: date
    specs: Mapping[str, ObjectSpec]

    @property
    def name(self) -> str:
        """Name of the step: `objects_daily_20250101`, with the org's before it if it has one.

        A prefix of the integration comes before both.
        """
        prefix = "" if self.org == ONLY else f"{self.org}_"
        start = "" if self.grain is Grain.NONE else f"_{self.start:%Y%m%d}"
        return self.integration.named(f"{prefix}objects_{self.grain}{start}")

    def config(self, mode: Mode) -> dg.RunConfig:
        """Configuration of a run of this step."""
        return dg.RunConfig(ops={self.name: ObjectsConfig(mode=mode)})

    @property
    def resource_keys(self) -> set[str]:
        """What its step and schedules require."""
        return self.integration.resource_keys(self.org)

    def connected(self, resources: Any) -> "Org":
        """Its org, by `context.resources` of its step or schedules."""
        return self.integration.org(resources, self.org)

    def spec(self, layer: Layer, slug: str) -> dg.AssetSpec:
        """An object's asset."""
        return self.integration.spec(self.org, layer, slug)

    def slugs_by_key(self) -> dict[dg.AssetKey, str]:
        """The objects by the keys of both assets of each."""
        return {key: slug for slug in self.specs for key in self.keys([slug])}

    def raw_key(self, slug: str) -> dg.AssetKey:
        """Key of an object's raw asset."""
        return self.spec(Layer.RAW, slug).key

    def silver_key(self, slug: str) -> dg.AssetKey:
        """Key of an object's silver asset."""
        return self.spec(Layer.SILVER, slug).key

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


def group_objects(integration: Integration) -> list[Group]:
    """The catalogue's objects by org and partitions."""
    groups: dict[tuple[str, Grain, date], dict[str, ObjectSpec]] = {}
    for org in integration.orgs:
        for spec in integration.catalog.objects.values():
            start = date.min if spec.grain is Grain.NONE else spec.start
            groups.setdefault((org, spec.grain, start), {})[spec.slug] = spec
    return [Group(integration, *key, specs) for key, specs in groups.items()]


def object_assets(group: Group) -> dg.AssetsDefinition:
    """The assets of a group, with their checks."""
    specs: list[dg.AssetSpec] = []
    checks: list[dg.AssetCheckSpec] = []
    for slug, spec in group.specs.items():
        raw, silver = (group.spec(layer, slug) for layer in (Layer.RAW, Layer.SILVER))
        specs += [raw, silver.merge_attributes(deps=[raw.key])]
        checks += [
            dg.AssetCheckSpec(n, asset=raw.key, description=d) for n, d in RAW_CHECKS.items()
        ]
        checks += [
            dg.AssetCheckSpec(n, asset=silver.key, description=d)
            for n, d in (SILVER_CHECKS | ORG_CHECKS).items()
        ]
        checks += [
            dg.AssetCheckSpec(c.name, asset=silver.key, description=c.asks)
            for c in spec.expectations
        ]

    @dg.multi_asset(
        name=group.name,
        specs=specs,
        check_specs=checks,
        can_subset=True,
        backfill_policy=None if group.grain is Grain.NONE else dg.BackfillPolicy.single_run(),
        required_resource_keys=group.resource_keys,
    )
    def objects(context: dg.AssetExecutionContext, config: ObjectsConfig) -> Events:
        from sf_assets.assets.objects_step import work

        yield from work(context, group, config.mode)

    return objects
