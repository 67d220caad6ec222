"""What other projects put into their definitions."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from sf_assets.assets.gold import gold_asset, refused_asset
from sf_assets.assets.gold_sensor import rebuild_gold
from sf_assets.assets.integration import Integration, check_class
from sf_assets.assets.objects import group_objects, object_assets, org_objects
from sf_assets.assets.quality import quality_asset, score_when_checked
from sf_assets.assets.resources import SalesforceResource, StorageResource, WarehouseResource
from sf_assets.assets.schedules import daily_checks, derived, fresh, tick
from sf_assets.assets.schema_changes import describe_asset, describe_when_changed
from sf_assets.assets.translator import SalesforceTranslator
from sf_assets.catalog import Catalog
from sf_assets.catalog_file import load_catalog
from sf_assets.errors import ConfigError
from sf_assets.naming import ONLY
from sf_assets.settings import MAIN, is_warehouse_name


def build_salesforce_assets(
    catalog: Catalog | Path | str,
    *,
    org: str = ONLY,
    translator: SalesforceTranslator | None = None,
    prefix: str = "",
    warehouses: Mapping[str, str] | None = None,
) -> list[dg.AssetsDefinition]:
    """Build the assets of one org with their checks, and nothing that starts them.

    They require the resources `salesforce` (`salesforce_<org>` of a named org), `storage` and
    `warehouse` (and `warehouse_<name>` for each other one that `warehouses` names), each after
    `<prefix>_` if there is a prefix.

    Args:
        catalog: The catalogue, or the path of its file.
        org: Name of an org of the catalogue; not needed where it names none.
        translator: How assets appear; None for `raw/<object>`, `silver/<object>` and so on.
        prefix: Begins keys and names, where there are two of these in one code location.
        warehouses: Engines of the warehouses, such as `postgres`, by name, that of the first
            first; None for one that is DuckDB's.

    Raises:
        ConfigError: The catalogue or a gold file is not valid, the catalogue has no such org, or
            the translator gives two assets one key.
    """
    integration = Integration(
        _loaded(catalog),
        _translator(translator),
        prefix,
        warehouses=warehouses or {MAIN: "duckdb"},
    )
    if org not in integration.orgs:
        known = ", ".join(integration.orgs)
        raise ConfigError(f"the catalogue has no org {org}; it has {known}")
    with _documented_as_beta():
        return _assets(integration, org)


def build_salesforce_definitions(
    catalog: Catalog | Path | str,
    *,
    salesforce: SalesforceResource | Mapping[str, SalesforceResource] | None = None,
    storage: StorageResource | None = None,
    warehouse: WarehouseResource | Mapping[str, WarehouseResource] | None = None,
    translator: SalesforceTranslator | None = None,
    prefix: str = "",
    schedules: bool = False,
) -> dg.Definitions:
    """Build assets, checks, jobs, schedules, sensors and resources, to be merged with others.

    There is no executor among them, and each job selects what is built here and nothing else.

    Args:
        catalog: The catalogue, or the path of its file.
        salesforce: The org; by name where the catalogue names several. None for the environment's.
        storage: Where raw is kept; None for the environment's.
        warehouse: Where silver and gold are; by name where there are several, of which the first
            has the keys of an only one. None for the environment's.
        translator: How assets appear; None for `raw/<object>`, `silver/<object>` and so on.
        prefix: Begins the names of assets, groups, steps, jobs, schedules, sensors and resources
            (`<prefix>_salesforce`), where there are two of these in one code location.
        schedules: Whether schedules and sensors run at once; else they wait to be switched on.

    Raises:
        ConfigError: The catalogue or a gold file is not valid, an org has no resource, something
            given is of another class, or the translator gives two assets one key.
    """
    if storage is None:
        storage = StorageResource.from_environment()
    warehouses = _warehouses(warehouse)
    kinds = {name: one.kind for name, one in warehouses.items()}
    integration = Integration(_loaded(catalog), _translator(translator), prefix, schedules, kinds)
    resources = {
        **_orgs(integration, salesforce),
        integration.storage_key: check_class("storage", storage, StorageResource),
        **{integration.warehouse_keys[name]: one for name, one in warehouses.items()},
    }
    with _documented_as_beta():
        return dg.Definitions.merge(*_parts(integration), dg.Definitions(resources=resources))


def _loaded(catalog: Catalog | Path | str) -> Catalog:
    if isinstance(catalog, Path | str):
        return load_catalog(Path(catalog))
    return check_class("catalog, unless it is the path of its file,", catalog, Catalog)


def _translator(given: SalesforceTranslator | None) -> SalesforceTranslator:
    if given is None:
        return SalesforceTranslator()
    return check_class("translator", given, SalesforceTranslator)


def _warehouses(
    given: WarehouseResource | Mapping[str, WarehouseResource] | None,
) -> dict[str, WarehouseResource]:
    """The resource of each warehouse by its name, the first one's first."""
    if given is None:
        return dict(WarehouseResource.all_from_environment())
    if not isinstance(given, Mapping):
        return {MAIN: check_class("warehouse", given, WarehouseResource)}
    for name, resource in given.items():
        check_class(f"warehouse[{name!r}]", resource, WarehouseResource)
        if not is_warehouse_name(name):
            raise ConfigError(f"a warehouse's name has small letters, digits and `_`, not {name!r}")
    if not given:
        raise ConfigError("there is no warehouse; give one, or none at all for the environment's")
    return dict(given)


def _documented_as_beta() -> warnings.catch_warnings:
    """Backfill policies work, and are documented."""
    return warnings.catch_warnings(action="ignore", category=dg.BetaWarning)


def _orgs(
    integration: Integration, given: SalesforceResource | Mapping[str, SalesforceResource] | None
) -> dict[str, SalesforceResource]:
    """The resource of each org, by its key."""
    if given is None:
        given = {org: SalesforceResource.from_environment(org) for org in integration.orgs}
    elif not isinstance(given, Mapping):
        given = {integration.orgs[0]: check_class("salesforce", given, SalesforceResource)}
    for org, resource in given.items():
        check_class(f"salesforce[{org!r}]", resource, SalesforceResource)
    if given.keys() != set(integration.orgs):
        raise ConfigError(
            f"there are resources of {', '.join(sorted(given))}; the catalogue's orgs are "
            f"{', '.join(integration.orgs)}"
        )
    return {integration.salesforce_key(org): resource for org, resource in given.items()}


def _assets(integration: Integration, org: str) -> list[dg.AssetsDefinition]:
    return [
        *(object_assets(group) for group in group_objects(integration, org)),
        describe_asset(integration, org),
        *(asset for place in integration.places for asset in _assets_at(integration, org, place)),
    ]


def _assets_at(integration: Integration, org: str, place: str) -> list[dg.AssetsDefinition]:
    """What is made of silver in a warehouse."""
    return [
        *(gold_asset(integration, table, org, place) for table in integration.tables(org, place)),
        *(refused_asset(integration, name, org, place) for name in integration.refused(org, place)),
        quality_asset(integration, org, place),
    ]


def _parts(integration: Integration) -> Sequence[dg.Definitions]:
    orgs = [org_objects(integration, org) for org in integration.orgs]
    parts = daily_checks(integration, orgs)
    for objects in orgs:
        org = objects.org
        parts += [tick(objects), fresh(objects), derived(objects)]
        sensors: list[dg.SensorDefinition] = [describe_when_changed(integration, org)]
        for place in integration.places:
            sensors.append(score_when_checked(integration, org, place))
            if integration.has_gold(org):
                sensors.append(rebuild_gold(integration, org, place))
        parts.append(dg.Definitions(assets=_assets(integration, org), sensors=sensors))
    return parts
