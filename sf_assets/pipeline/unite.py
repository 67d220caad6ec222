"""The tables of all orgs, seen together: views that follow from the tables, whoever made these."""

from collections.abc import Iterator

from sf_assets.errors import SfAssetsError, WarehouseLockedError, WarehouseUnreachableError
from sf_assets.failures import Work, isolated
from sf_assets.naming import UNITED, Layer
from sf_assets.pipeline.events import Failed
from sf_assets.pipeline.org import Org


def unite(org: Org) -> Iterator[Failed]:
    """Have the views of all orgs together be as the tables are; tells only what failed.

    Where the warehouse is held, or away, the next look makes it good.
    """
    failed: dict[str, SfAssetsError] = {}
    with isolated(Work.UNITE, UNITED, failed):
        _unite(org)
    for error in failed.values():
        if not isinstance(error, WarehouseLockedError | WarehouseUnreachableError):
            yield Failed(org.name, Layer.SILVER, UNITED, error, place=org.place)


def _unite(org: Org) -> None:
    if not org.catalog.orgs or not org.warehouse.exists():
        return
    org_id = org.stored_raw.org_id
    with org.reading(org_id) as session:
        if session.is_united(org.catalog.orgs):
            return
    with org.writing(org_id) as session:
        session.unite(org.catalog.orgs)
