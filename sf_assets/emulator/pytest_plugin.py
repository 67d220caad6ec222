"""The pytest fixture `salesforce_org`, which every project has that has sf-assets installed.

What an org needs is imported when a test asks for one: other test runs are no slower for it.
"""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sf_assets.emulator.server import Emulator

_SCALE = 0.02


@pytest.fixture
def salesforce_org_config() -> Mapping[str, Any]:
    """Arguments of `Emulator` for `salesforce_org`; override it in a `conftest.py`."""
    return {}


@pytest.fixture
def salesforce_org(
    salesforce_org_config: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator["Emulator"]:
    """A Salesforce org on loopback, a new one for each test.

    While the test runs, the variables `SALESFORCE_*` name this org and no other, whatever the
    environment and `.env` of the current folder say: no test reaches a real org by mistake.
    """
    from dotenv import dotenv_values

    from sf_assets.emulator.server import Emulator
    from sf_assets.emulator.settings import Settings

    defaults = {"scale": _SCALE, "settings": Settings(job_seconds=0.0, faults=True)}
    with Emulator(**{**defaults, **salesforce_org_config}) as org:
        for name in {*os.environ, *dotenv_values(".env")}:
            if name.startswith("SALESFORCE_"):
                monkeypatch.setenv(name, "")
        for name, value in org.environment.items():
            monkeypatch.setenv(name, value)
        yield org
