"""An org whose answers tell the wrong time: no window may end in what has not happened yet."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sf_assets.emulator.fault import Fault
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets.windows import Coverage
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import differences

DAY = 86_400.0
ABSURD = {"a day ahead": DAY, "in the year 2189": 163 * 365 * DAY}


@pytest.fixture
def org() -> Iterator[Emulator]:
    """An org of ten contacts."""
    with Emulator(
        schema=standard_schema(), settings=Settings(job_seconds=0.0, faults=True)
    ) as running:
        insert(running, 10)
        running.advance(5)
        yield running


@pytest.fixture
def contacts(tmp_path: Path, org: Emulator) -> Workspace:
    """A workspace for its contacts."""
    found = Workspace(tmp_path, org.environment)
    found.catalogue({"Contact": None})
    return found


def faulty(org: Emulator, **how: Any) -> None:
    assert org.faults is not None
    org.faults.add(Fault(path="/services/data", **how))


def insert(org: Emulator, count: int) -> None:
    for number in range(count):
        org.records.insert("Contact", {"LastName": f"new {number}"})


@pytest.mark.parametrize("seconds", ABSURD.values(), ids=ABSURD.keys())
@pytest.mark.parametrize("nth", [1, 3])
def test_one_answer_with_an_absurd_date_hides_no_record(
    org: Emulator, contacts: Workspace, seconds: float, nth: int
) -> None:
    """All ticks were green, and forty of forty new records never read."""
    contacts.tick()
    faulty(org, nth=nth, date_skew=seconds)
    contacts.tick()
    insert(org, 40)
    org.advance(5)
    contacts.tick()
    assert differences(org, contacts, "Contact") == []


@pytest.mark.parametrize("first", [True, False], ids=["first load", "increment"])
def test_coverage_that_lies_in_the_future_is_taken_back(
    org: Emulator, contacts: Workspace, first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A raw layer that was written by a clock that was ahead heals by itself, and says so once."""
    contacts.catalogue({"Contact": None, "Account": None})
    if not first:
        contacts.tick()
        insert(org, 3)
        org.advance(5)
    faulty(org, times=0, date_skew=DAY)
    contacts.tick()  # every answer is a day ahead, so that is what time it seems to be
    assert org.faults is not None
    org.faults.clear()
    assert ends(contacts)["contact"] > org.clock.now() + timedelta(hours=20)
    org.advance(3600)
    insert(org, 40)
    org.advance(5)
    contacts.tick()
    contacts.tick()
    told = [r for r in caplog.records if "a clock was ahead" in r.getMessage()]
    assert len(told) == 1
    assert differences(org, contacts, "Contact") == []
    assert max(ends(contacts).values()) <= org.clock.now()


def ends(workspace: Workspace) -> dict[str, datetime]:
    """Until when raw covers each object."""
    covered: dict[str, Coverage] = workspace.org().raw.coverage()
    return {slug: windows.watermark for slug, windows in covered.items()}
