"""What commands did, in the Dagster UI: where DAGSTER_HOME says which."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sf_assets.errors import ConfigError
from sf_assets.pipeline.events import Event
from sf_assets.pipeline.org import Org


@contextmanager
def reporting() -> Iterator[Callable[[Org, Event], None]]:
    """Give whoever carries out a command something to tell its events to.

    Where DAGSTER_HOME is not set, Dagster is not even imported.

    Raises:
        ConfigError: DAGSTER_HOME is no folder.
    """
    if not os.environ.get("DAGSTER_HOME"):
        yield lambda *_: None
        return
    import dagster as dg

    from sf_assets.assets.runless import Reporter

    try:
        instance = dg.DagsterInstance.get()
    except dg.DagsterInvariantViolationError as error:
        raise ConfigError(f"{error}; make the folder, or unset it") from None
    with instance:
        yield Reporter(instance).report
