"""What several tests of the pipeline share."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.server import Emulator
from sf_assets_tests.conftest import FAST


@pytest.fixture
def org() -> Iterator[Emulator]:
    """An org of one's own, whose clock stands still until it is moved."""
    clock = Clock(datetime(2026, 11, 20, 15, 30, tzinfo=UTC), frozen=True)
    with Emulator(
        scale=0.02, seed=11, settings=replace(FAST, faults=True), clock=clock
    ) as emulator:
        emulator.advance(600)
        yield emulator
