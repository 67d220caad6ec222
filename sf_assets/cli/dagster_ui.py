"""What commands did, in the Dagster UI: where DAGSTER_HOME says which."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sf_assets.errors import ConfigError
from sf_assets.pipeline.events import Event
from sf_assets.pipeline.org import Org

log = logging.getLogger(__name__)


@contextmanager
def reporting() -> Iterator[Callable[[Org, Event], None]]:
    """Give whoever carries out a command something to tell its events to.

    Where DAGSTER_HOME is not set, Dagster is not even imported.

    Raises:
        ConfigError: DAGSTER_HOME is not the home of an instance that can be used.
    """
    if not os.environ.get("DAGSTER_HOME"):
        yield lambda *_: None
        return
    import dagster as dg

    from sf_assets.assets.runless import Reporter

    try:
        instance = dg.DagsterInstance.get()
    except Exception as error:  # noqa: BLE001 (of its settings, its database, its folder)
        raise ConfigError(
            f"Dagster's instance in DAGSTER_HOME={os.environ['DAGSTER_HOME']} cannot be used "
            f"({_first_line(error)}); make the folder, correct its dagster.yaml, or unset it"
        ) from None
    with instance:
        yield _Reporter(Reporter(instance).report)


class _Reporter:
    """Tells events for as long as that works: what is shown of the work does not end it."""

    def __init__(self, report: Callable[[Org, Event], None]) -> None:
        self._report: Callable[[Org, Event], None] | None = report

    def __call__(self, org: Org, event: Event) -> None:
        if self._report is None:
            return
        try:
            self._report(org, event)
        except Exception as error:  # noqa: BLE001 (whatever Dagster's database raises)
            log.warning(
                "the Dagster UI shows nothing of this from here on: its database failed (%s)",
                _first_line(error),
            )
            self._report = None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
