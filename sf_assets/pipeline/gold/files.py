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
        unknown = sorted((table.silver | table.raw) - slugs | table.gold - names)
        if not unknown:
            kept.append(table)
        elif table.path.parent != PACKAGED_GOLD:
            raise ConfigError(
                f"{table.path} reads {', '.join(unknown)}, which the catalogue {catalog.path} does "
                "not have; add it there, or remove the file"
            )
    return kept
