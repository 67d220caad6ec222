"""What was committed is shown to those who read beside the pipeline."""

from collections.abc import Iterator

from sf_assets.errors import SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.naming import Layer
from sf_assets.pipeline.events import Failed
from sf_assets.pipeline.org import Org

COPY = "published copy"
"""In the place of an object's name."""


def publish(org: Org) -> Iterator[Failed]:
    """Show readers the warehouse as it is, whoever changed it; tells only what failed."""
    failed: dict[str, SfAssetsError] = {}
    with isolated(Work.PUBLISH, COPY, failed):
        org.warehouse.publish()
    for error in failed.values():
        yield Failed(org.name, Layer.OPS, COPY, error)
