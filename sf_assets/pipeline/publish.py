"""What was committed is shown to those who read beside the pipeline."""

from collections.abc import Iterator
from contextlib import suppress

from sf_assets.errors import SfAssetsError, WarehouseUnreachableError
from sf_assets.failures import Work, isolated
from sf_assets.naming import Layer
from sf_assets.pipeline.events import Failed
from sf_assets.pipeline.org import Org

COPY = "published copy"
"""In the place of an object's name."""


def publish(org: Org) -> Iterator[Failed]:
    """Show readers the warehouse as it is, whoever changed it; tells only what failed."""
    failed: dict[str, SfAssetsError] = {}
    # Of one that cannot be opened it has been said, if there was anything to show.
    with isolated(Work.PUBLISH, COPY, failed), suppress(WarehouseUnreachableError):
        org.warehouse.publish()
    for error in failed.values():
        yield Failed(org.name, Layer.OPS, COPY, error, place=org.place)


def publish_all(org: Org) -> Iterator[Failed]:
    """Show readers each of an org's warehouses as it is; each fails alone."""
    for place in org.places:
        yield from publish(place)
