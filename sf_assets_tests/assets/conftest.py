"""What several tests of assets share: Dagster, and a small shop with gold of its own."""

from collections.abc import Iterator

import dagster as dg
import pytest

from sf_assets.emulator.server import Emulator
from sf_assets_tests.assets.shared import Shop
from sf_assets_tests.conftest import Workspace


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def shop(own_workspace: Workspace, living_org: Emulator, monkeypatch: pytest.MonkeyPatch) -> Shop:
    for name, value in own_workspace.env.items():
        monkeypatch.setenv(name, value)
    return Shop(own_workspace, living_org)
