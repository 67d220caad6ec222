"""The gold tables that the catalogue's folder of `.sql` files declares."""

from collections.abc import Container, MutableMapping

from sf_assets.catalog import PACKAGED_GOLD, Catalog
from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.warehouse.gold_sql import GoldTable, read_gold


def gold_tables(
    catalog: Catalog,
    refused: MutableMapping[str, SfAssetsError] | None = None,
    engine: str = "duckdb",
) -> list[GoldTable]:
    """The gold tables of the catalogue's folder, each after those that it reads.

    Of the packaged ones only those whose objects the catalogue has; where orgs have objects of
    their own, not those that only another org can have.

    Args:
        catalog: The catalogue.
        refused: Gets, by the name of its table, why a file cannot be used: it keeps no other, and
            no object. None to raise that.
        engine: That of the warehouse, whose variants are taken.

    Raises:
        ConfigError: A file is no query, or reads what is not there.
    """
    slugs = {spec.slug for spec in catalog.objects.values()}
    kept: dict[str, GoldTable] = {}
    left_out: set[str] = set()
    for table in read_gold(catalog.gold, slugs, refused, engine):
        if why := _lacking(table, catalog, kept):
            if table.path.parent == PACKAGED_GOLD or _is_of_others(table, catalog, left_out):
                left_out.add(table.name)
                continue
            if refused is None:
                raise ConfigError(why)
            refused.setdefault(table.name, ConfigError(why))
        else:
            kept[table.name] = table
    return list(kept.values())


def _is_of_others(table: GoldTable, catalog: Catalog, left_out: Container[str]) -> bool:
    """Whether a table reads what only other orgs of the catalogue have."""
    objects = (table.silver | table.raw) - {spec.slug for spec in catalog.objects.values()}
    if objects:
        return objects <= catalog.known
    return bool(catalog.known) and any(name in left_out for name in table.gold)


def _lacking(table: GoldTable, catalog: Catalog, there: Container[str]) -> str | None:
    """What a table reads that is not there, and what to do about it."""
    specs = {spec.slug: spec for spec in catalog.objects.values()}
    if objects := sorted((table.silver | table.raw) - specs.keys()):
        return (
            f"{table.path} reads {', '.join(objects)}, which the catalogue {catalog.path} does "
            "not have; add it there, or remove the file"
        )
    if kept_no_more := sorted(slug for slug in table.histories if not specs[slug].history):
        views = ", ".join(f"silver.{slug}_history" for slug in kept_no_more)
        return (
            f"{table.path} reads {views}, and the catalogue {catalog.path} does not have it kept: "
            f"write `history: true` at {', '.join(kept_no_more)}, or remove the file"
        )
    if tables := sorted(f"gold.{name}" for name in table.gold if name not in there):
        return (
            f"{table.path} reads {', '.join(tables)}, of which there is no file in "
            f"{table.path.parent} that can be used; write it, or change what reads it"
        )
    return None


def tables_left_out(catalog: Catalog) -> list[str]:
    """Names of the packaged tables that read objects which the catalogue does not have."""
    slugs, refused = {spec.slug for spec in catalog.objects.values()}, dict[str, SfAssetsError]()
    there = {table.name for table in gold_tables(catalog, refused)} | refused.keys()
    tables = read_gold(catalog.gold, slugs, refused)
    return sorted(table.name for table in tables if table.name not in there)
