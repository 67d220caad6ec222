"""Raw and silver assets of the catalogue's objects, worked on together, each failing alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import dagster as dg

from sf_assets.assets.integration import Integration
from sf_assets.catalog import ObjectSpec
from sf_assets.checks.builtin import ORG_CHECKS, RAW_CHECKS
from sf_assets.naming import Layer
from sf_assets.windows import Grain

if TYPE_CHECKING:
    from sf_assets.pipeline.org import Org

FAILS = "fails"
"""Name of the fact, in an observation of an asset, that tells why a tick could not read or merge
it, of which a run has been red before."""

Reported = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation
"""What is told of assets of which nothing was planned."""

Events = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult | Reported]


@dataclass(frozen=True)
class Objects:
    """Objects of one org, and what their assets and checks are called.

    Attributes:
        integration: What they belong to.
        org: Name of the org.
        specs: The objects, by lower-cased name.
        place: Name of the warehouse of silver; empty for the first, with which raw is, too.
    """

    integration: Integration
    org: str
    specs: Mapping[str, ObjectSpec]
    place: str = field(default="", kw_only=True)

    def at(self, place: str) -> Self:
        """The same in a warehouse, by its name."""
        return replace(self, place=place)

    @property
    def everywhere(self) -> list[Self]:
        """The same in each warehouse, the first first."""
        return [self.at(place) for place in self.integration.places]

    @property
    def name(self) -> str:
        """What names of its steps, jobs and schedules end with."""
        return self.integration.objects_name(self.org)

    @property
    def resource_keys(self) -> set[str]:
        """What its steps and schedules require."""
        return self.integration.resource_keys(self.org)

    def connected(self, resources: Any) -> "Org":
        """Its org, by `context.resources` of its steps or schedules."""
        return self.integration.org(resources, self.org)

    def spec(self, layer: Layer, slug: str) -> dg.AssetSpec:
        """An object's asset."""
        return self.integration.spec(self.org, layer, slug, self.place)

    def slugs_by_key(self) -> dict[dg.AssetKey, str]:
        """The objects by the keys of the assets of each."""
        return {key: slug for slug in self.specs for key in self.keys([slug])}

    def key(self, layer: Layer, slug: str) -> dg.AssetKey:
        """Key of an object's asset."""
        return self.spec(layer, slug).key

    def keys(self, slugs: Iterable[str]) -> list[dg.AssetKey]:
        """Keys of the assets of objects: raw and silver, or silver alone."""
        return [self.key(layer, slug) for slug in slugs for layer in self._layers]

    @property
    def _layers(self) -> tuple[Layer, ...]:
        return (Layer.SILVER,) if self.place else (Layer.RAW, Layer.SILVER)

    def check_specs(self, slug: str) -> list[dg.AssetCheckSpec]:
        """All checks of an object; the org is asked for those of the first warehouse alone."""
        raw = {} if self.place else {n: c.asks for n, c in RAW_CHECKS.items()}
        org = {} if self.place else {n: c.asks for n, c in ORG_CHECKS.items()}
        silver = {n: c.asks for n, c in self.specs[slug].silver_checks.items()}
        asked = {Layer.RAW: raw, Layer.SILVER: silver | org}
        return [
            dg.AssetCheckSpec(name, asset=self.key(layer, slug), description=asks)
            for layer, some in asked.items()
            for name, asks in some.items()
        ]

    def checks(self, slugs: Iterable[str]) -> list[dg.AssetCheckKey]:
        """All checks of objects."""
        return [check.key for slug in slugs for check in self.check_specs(slug)]


@dataclass(frozen=True)
class Group(Objects):
    """Objects of one grain: what one step works on together.

    Attributes:
        grain: How rows are cut into partitions.
    """

    grain: Grain

    @property
    def name(self) -> str:
        """Name of the step: `objects_daily`, with the org's before it if it has one."""
        return f"{super().name}_{self.grain}"


def org_objects(integration: Integration, org: str) -> Objects:
    """All objects of an org."""
    return Objects(integration, org, {s.slug: s for s in integration.of(org).objects.values()})


def group_objects(integration: Integration, org: str) -> list[Group]:
    """An org's objects by grain."""
    groups: dict[Grain, dict[str, ObjectSpec]] = {}
    for spec in integration.of(org).objects.values():
        groups.setdefault(spec.grain, {})[spec.slug] = spec
    return [Group(integration, org, specs, grain) for grain, specs in groups.items()]


def object_assets(group: Group) -> dg.AssetsDefinition:
    """The assets of a group, with their checks."""
    specs: list[dg.AssetSpec] = []
    checks: list[dg.AssetCheckSpec] = []
    for slug in group.specs:
        raw = group.spec(Layer.RAW, slug)
        specs.append(raw)
        for home in group.everywhere:
            specs.append(home.spec(Layer.SILVER, slug).merge_attributes(deps=[raw.key]))
            checks += home.check_specs(slug)

    @dg.multi_asset(
        name=group.name,
        specs=specs,
        check_specs=checks,
        can_subset=True,
        backfill_policy=None if group.grain is Grain.NONE else dg.BackfillPolicy.single_run(),
        required_resource_keys=group.resource_keys,
    )
    def objects(context: dg.AssetExecutionContext) -> Events:
        from sf_assets.assets.objects_step import work

        yield from work(context, group)

    return objects
