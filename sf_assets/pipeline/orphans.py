"""Tables that nothing makes any more: their gold file, object, history or org was removed."""

from collections.abc import Iterator

from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.naming import ONLY, Layer, gold_name, silver_name
from sf_assets.pipeline.gold.files import gold_tables
from sf_assets.pipeline.org import Org
from sf_assets.warehouse.port import Session


def orphans(org: Org) -> dict[str, str]:
    """What to do about each table of the warehouse that was made of what is there no more.

    They stay as they are: whether somebody reads them, only their owner can say. Tables that were
    never made here are nobody's business.

    Args:
        org: The org; it is not asked anything.

    Returns:
        By the name of the table, or of all tables of an org, in the warehouse.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    if not org.warehouse.exists():
        return {}
    try:
        org_id = org.stored_raw.org_id
    except ConfigError:  # nothing was ever read
        return {}
    with org.reading(org_id) as session:
        return dict(_orphans(org, session))


def _orphans(org: Org, session: Session) -> Iterator[tuple[str, str]]:
    refused: dict[str, SfAssetsError] = {}
    files = {
        table.name for table in gold_tables(org.catalog, refused, org.warehouse.engine)
    } | refused.keys()
    objects = {spec.slug: spec for spec in org.catalog.objects.values()}
    unkept = {slug for slug, spec in objects.items() if not spec.history}
    gold, silver = session.gold.tables() - files, session.silver.tables() - objects.keys()
    for made in sorted(session.gold.newest()):
        layer, _, name = made.partition(".")
        if layer == Layer.GOLD and name in gold:
            yield _of_gold(org, f"{org.gold}.{name}")
        if layer == Layer.SILVER and name in silver:
            yield _of_silver(org, f"{org.schema}.{name}")
        elif layer == Layer.SILVER and name in unkept and f"{name}_versions" in silver:
            yield _of_history(org, f"{org.schema}.{name}")
    for name in session.orgs():
        if name not in (org.catalog.orgs or (ONLY,)):
            yield _of_org(org, name)


def _of_gold(org: Org, table: str) -> tuple[str, str]:
    return table, (
        f"no file in {org.catalog.gold} makes it of what the catalogue has, so it stays as it was "
        f"built last: put the file back, or `DROP TABLE {table}` when nobody reads it any more"
    )


def _of_silver(org: Org, table: str) -> tuple[str, str]:
    return table, (
        f"{org.catalog.path} does not have the object, so nothing is read of it, unless by another "
        f"catalogue: put it back, or `DROP TABLE {table}`, and what is called {table}_… with it, "
        "when nobody reads it any more; raw keeps its slices"
    )


def _of_history(org: Org, table: str) -> tuple[str, str]:
    return f"{table}_history", (
        f"{org.catalog.path} does not have the history kept, so it stays as it was: `DROP VIEW "
        f"IF EXISTS {table}_history; DROP TABLE {table}_versions` when nobody reads it any more, "
        "or write `history: true` again, and it is built anew"
    )


def _of_org(org: Org, name: str) -> tuple[str, str]:
    silver, gold = silver_name(name), gold_name(name)
    known = "an org without a name" if name == ONLY else f"the org {name}"
    return f"{silver}.*", (
        f"{org.catalog.path} does not have {known}, so nothing is read of it, unless by another "
        f"catalogue: put it back, or `DROP SCHEMA {silver} CASCADE`, and {gold} likewise, when "
        "nobody reads them any more; raw keeps its slices"
    )
