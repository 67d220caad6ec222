"""One catalogue's place in a code location: what all that belongs to it is called."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from sf_assets.assets.resources import SalesforceResource, StorageResource, WarehouseResource
from sf_assets.assets.specs import (
    describe_spec,
    gold_spec,
    object_spec,
    quality_spec,
    refused_spec,
)
from sf_assets.assets.translator import SalesforceAsset, SalesforceTranslator
from sf_assets.catalog import Catalog
from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.naming import ONLY, Layer, layer_name, placed
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets.settings import MAIN
from sf_assets.warehouse.gold_sql import GoldTable, is_table_name

if TYPE_CHECKING:
    from sf_assets.pipeline.org import Org

log = logging.getLogger(__name__)

DESCRIBE = "describe"
"""Name of the asset, in raw, of an org's schema."""

QUALITY = "quality"
"""Name of the asset, in ops, of the quality of an org's tables."""


_What = tuple[str, Layer, str, str]
"""What an asset is of: org, layer, name, and place, which is empty for the first warehouse."""

_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_]*)?")
_Resource = TypeVar("_Resource")


def check_class(name: str, given: object, expected: type[_Resource]) -> _Resource:
    """What is given under a name, which has to be of a class.

    Raises:
        ConfigError: It is of another.
    """
    if isinstance(given, expected):
        return given
    kind = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
    raise ConfigError(f"{name} has to be a {expected.__name__}, and is {kind}")


def _spelt(what: _What) -> str:
    org, layer, name, place = what
    return placed(place, f"{layer_name(layer, org)}/{name}")


_Gold = tuple[list[GoldTable], dict[str, SfAssetsError]]
"""Gold tables, and by name why others are none."""


@dataclass(frozen=True)
class Integration:
    """A catalogue in a code location, beside whatever else is there.

    Attributes:
        catalog: The catalogue.
        translator: How its assets appear.
        prefix: Begins the names of its assets, groups, steps, jobs, schedules, sensors and
            resources, where there are two of these in one code location; empty for none.
        schedules: Whether its schedules and sensors run unless they are switched off.
        warehouses: What silver lives in, such as `duckdb`, by the warehouse's name. Assets of the
            first are called as those of an only one.
    """

    catalog: Catalog
    translator: SalesforceTranslator = field(default_factory=SalesforceTranslator)
    prefix: str = ""
    schedules: bool = False
    warehouses: Mapping[str, str] = field(default_factory=lambda: {MAIN: "duckdb"})
    _specs: dict[_What, dg.AssetSpec] = field(default_factory=dict, init=False)
    _keys: dict[dg.AssetKey, _What] = field(default_factory=dict, init=False)
    _gold_of: dict[tuple[int, str], _Gold] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Refuse a prefix that cannot begin a name of Dagster's."""
        if not isinstance(self.prefix, str) or not _PREFIX.fullmatch(self.prefix):
            raise ConfigError(
                f"prefix has letters, digits and `_`, a letter first, and is {self.prefix!r}"
            )

    @property
    def orgs(self) -> tuple[str, ...]:
        """Names of its orgs."""
        return self.catalog.orgs or (ONLY,)

    @property
    def places(self) -> tuple[str, ...]:
        """Names of its warehouses, that of the first empty."""
        _, *others = self.warehouses
        return "", *others

    def of(self, org: str) -> Catalog:
        """The catalogue as it holds for one of its orgs."""
        return self.catalog.for_org(org)

    def tables(self, org: str, place: str) -> list[GoldTable]:
        """The gold tables of an org in a warehouse, each after those that it reads."""
        return self._gold(org, place)[0]

    def refused(self, org: str, place: str) -> dict[str, SfAssetsError]:
        """Why files that are called like a table of a warehouse are none, by name."""
        tables, refused = self._gold(org, place)
        there = {table.name for table in tables}
        return {n: why for n, why in refused.items() if is_table_name(n) and n not in there}

    def has_gold(self, org: str) -> bool:
        """Whether there is anything to be said of gold: a table, or a file that cannot be one."""
        return any(any(self._gold(org, place)) for place in self.places)

    def _gold(self, org: str, place: str) -> _Gold:
        """The gold tables of an org, and by name why others are none; these are in the log, too.

        The code location has to load all the same: each run loads it anew.
        """
        catalog, engine = self.of(org), self._kind(place)
        what = id(catalog), engine  # most orgs have the same
        if what not in self._gold_of:
            refused: dict[str, SfAssetsError] = {}
            self._gold_of[what] = gold_tables(catalog, refused, engine), refused
            for error in refused.values():
                log.warning("a gold file cannot be used: %s", error)
        return self._gold_of[what]

    def named(self, name: str) -> str:
        """A name that is its own in the code location."""
        return f"{self.prefix}_{name}" if self.prefix else name

    def objects_name(self, org: str) -> str:
        """What names of an org's steps, jobs and schedules end with: `objects`, `<org>_objects`.

        A prefix comes before both.
        """
        return self.named("objects" if org == ONLY else f"{org}_objects")

    def tick_schedule(self, org: str) -> str:
        """Name of the schedule of an org's ticks."""
        return f"every_5_minutes_{self.objects_name(org)}"

    @property
    def schedule_status(self) -> dg.DefaultScheduleStatus:
        """Whether its schedules run by themselves."""
        status = dg.DefaultScheduleStatus
        return status.RUNNING if self.schedules else status.STOPPED

    @property
    def sensor_status(self) -> dg.DefaultSensorStatus:
        """Whether its sensors run by themselves."""
        status = dg.DefaultSensorStatus
        return status.RUNNING if self.schedules else status.STOPPED

    def key(self, org: str, layer: Layer, name: str, place: str = "") -> dg.AssetKey:
        """Key of an asset."""
        return self.spec(org, layer, name, place).key

    def keys(
        self, org: str, layer: Layer, names: Iterable[str], place: str = ""
    ) -> list[dg.AssetKey]:
        """Keys of assets of one layer, by name."""
        return [self.key(org, layer, name, place) for name in sorted(names)]

    def spec(self, org: str, layer: Layer, name: str, place: str = "") -> dg.AssetSpec:
        """An asset, translated; without its dependencies.

        Args:
            org: Name of the org.
            layer: Its layer.
            name: Its name there.
            place: Name of the warehouse, which raw has none; empty for the first.
        """
        what = org, layer, name, "" if layer is Layer.RAW else place
        if what not in self._specs:
            asset = self._untranslated(*what)
            self._specs[what] = self._translated(asset)
        return self._specs[what]

    def _translated(self, asset: SalesforceAsset) -> dg.AssetSpec:
        given = self.translator.get_asset_spec(asset)
        what = asset.org, asset.layer, asset.name, asset.warehouse
        name = f"what the translator gives for {_spelt(what)}"
        spec = check_class(name, given, dg.AssetSpec)
        if spec.partitions_def != asset.spec.partitions_def:
            raise ConfigError(
                f"{name} has other partitions; they are to stay as they are, because rows are kept "
                "by them: change `asset.spec` by `replace_attributes`, or say in the catalogue "
                "how an object is cut (partition, start)"
            )
        if (other := self._keys.setdefault(spec.key, what)) != what:
            parts = zip(("org", "layer", "name", "warehouse"), what, other, strict=True)
            lacking = [f"`asset.{part}`" for part, one, two in parts if one != two]
            raise ConfigError(
                f"the translator gives {_spelt(other)} and {_spelt(what)} one key, "
                f"{spec.key.to_user_string()}; have {' and '.join(lacking)} in the key"
            )
        return spec

    def _untranslated(self, org: str, layer: Layer, name: str, place: str) -> SalesforceAsset:
        home = [part for part in (self.prefix, place, layer_name(layer, org)) if part]
        key, group = dg.AssetKey([*home, name]), "_".join(home)
        found, catalog = None, self.of(org)
        if layer is Layer.OPS:
            spec = quality_spec(key, group, catalog)
        elif layer is Layer.GOLD and (why := self.refused(org, place).get(name)):
            spec = refused_spec(key, group, why, catalog)
        elif layer is Layer.GOLD:
            (table,) = (table for table in self.tables(org, place) if table.name == name)
            spec = gold_spec(key, group, table, catalog)
        elif layer is Layer.RAW and name == DESCRIBE:
            spec = describe_spec(key, group)
        else:
            (found,) = catalog.select([name])
            kind, tick = self._kind(place), self.tick_schedule(org)
            spec = object_spec(key, group, layer, found, warehouse_kind=kind, tick=tick)
        return SalesforceAsset(org, layer, name, spec, found, place)

    def _kind(self, place: str) -> str:
        return self.warehouses[place or next(iter(self.warehouses))]

    def salesforce_key(self, org: str) -> str:
        """Key of the resource of an org: `salesforce`, or `salesforce_<org>`."""
        return self.named("salesforce" if org == ONLY else f"salesforce_{org}")

    @property
    def storage_key(self) -> str:
        """Key of the storage's resource."""
        return self.named("storage")

    @property
    def warehouse_keys(self) -> dict[str, str]:
        """Keys of the warehouses' resources, by name: `warehouse`, and `warehouse_<name>`."""
        keys = (f"warehouse_{place}" if place else "warehouse" for place in self.places)
        return dict(zip(self.warehouses, map(self.named, keys), strict=True))

    def resource_keys(self, org: str) -> set[str]:
        """What a step, schedule or sensor of an org requires."""
        return {self.salesforce_key(org), self.storage_key, *self.warehouse_keys.values()}

    def org(self, resources: Any, name: str, place: str = "") -> "Org":
        """An org, connected by the resources of a step, schedule or sensor.

        Args:
            resources: `context.resources`.
            name: Of the org.
            place: Name of its warehouse; empty for the first.

        Raises:
            ConfigError: A resource is of another class.
        """
        from sf_assets.pipeline.org import Connections, Org

        def own(key: str, kind: type[_Resource]) -> _Resource:
            return check_class(f"the resource {key}", getattr(resources, key), kind)

        salesforce = own(self.salesforce_key(name), SalesforceResource)
        storage = own(self.storage_key, StorageResource)
        warehouses = {n: own(key, WarehouseResource) for n, key in self.warehouse_keys.items()}
        catalog, percent = self.of(name), self.of(name).api_reserve_percent
        if percent is not None:
            salesforce = salesforce.model_copy(update={"api_reserve_percent": percent})
        connections = Connections(
            lambda: salesforce.client,
            lambda: storage.store,
            {name: partial(getattr, one, "warehouse") for name, one in warehouses.items()},
            lambda: next(iter(warehouses.values())).key,
        )
        org = Org(name, catalog, salesforce.reading, connections)
        return next(one for one in org.places if one.place == place)
