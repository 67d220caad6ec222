"""The gold tables that the catalogue's folder of `.sql` files declares."""

from sf_assets.catalog import PACKAGED_GOLD, Catalog
from sf_assets.errors import ConfigError
from sf_assets.warehouse.gold_sql import GoldTable, read_gold


def gold_tables(catalog: Catalog) -> list[GoldTable]:
    """The gold tables of the catalogue's folder, each after those that it reads.

    Of the packaged ones only those whose objects the catalogue has.

    Raises:
        ConfigError: A file is no query, or reads what is not there.
    """
    slugs = {spec.slug for spec in catalog.objects.values()}
    tables = read_gold(catalog.gold, slugs)
    names = {table.name for table in tables}
    kept = []
    for table in tables:
        objects = sorted((table.silver | table.raw) - slugs)
        tables_too = sorted(f"gold.{name}" for name in table.gold - names)
        if not objects and not tables_too:
            kept.append(table)
        elif table.path.parent == PACKAGED_GOLD:
            continue
        elif objects:
            raise ConfigError(
                f"{table.path} reads {', '.join(objects)}, which the catalogue {catalog.path} does "
                "not have; add it there, or remove the file"
            )
        else:
            raise ConfigError(
                f"{table.path} reads {', '.join(tables_too)}, of which there is no file in "
                f"{table.path.parent}; write it, or change what reads it"
            )
    return kept


def tables_left_out(catalog: Catalog) -> list[str]:
    """Names of the packaged tables that read objects which the catalogue does not have.

    Raises:
        ConfigError: A file is no query, or reads what is not there.
    """
    slugs = {spec.slug for spec in catalog.objects.values()}
    kept = {table.name for table in gold_tables(catalog)}
    return sorted(table.name for table in read_gold(catalog.gold, slugs) if table.name not in kept)
