"""A run that is told to stop does so at once, and leaves no job at work in the org."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.pipeline.extraction.execute import execute
from sf_assets.pipeline.planning.plan import plan_backfill
from sf_assets.windows import ALWAYS
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.emulator.conftest import Api


@pytest.fixture
def slow_org() -> Iterator[Emulator]:
    """An org whose Bulk jobs take longer than anybody waits."""
    with Emulator(scale=0.02, seed=11, settings=Settings(job_seconds=300.0)) as org:
        yield org


def test_a_signal_that_another_thread_receives(tmp_path: Path, slow_org: Emulator) -> None:
    workspace = Workspace(tmp_path, slow_org.environment)
    workspace.catalogue({"Account": None, "Contact": None})
    org = workspace.org()
    plan = plan_backfill(org, org.catalog.select([]), ALWAYS)
    for slug, orders in plan.orders.items():  # so few rows would come by REST
        plan.orders[slug] = [replace(order, rows=None) for order in orders]

    def noted() -> list[str]:
        """Jobs in the journal; `rglob` would raise where a folder goes while it looks."""
        folders = os.walk(tmp_path / "raw")
        return [name for folder, _, names in folders if "/journal/" in folder for name in names]

    def interrupt() -> None:
        while len(noted()) < len(plan.orders):
            time.sleep(0.05)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        list(execute(org, plan))
    sender.join()
    assert noted() == []
    assert Api(slow_org)("GET", "/jobs/query").json()["records"] == []
