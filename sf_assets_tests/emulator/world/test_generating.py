"""How data is made: repeatable, in pieces, in any number."""

import hashlib
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.world import generate
from sf_assets_tests.emulator.world.conftest import NOW, World

ROOT = Path(__file__).parents[3]
SCHEMA = standard_schema(custom_objects=3)


def checksum(**more: Any) -> str:
    """Of everything that is generated."""
    found = hashlib.sha256()
    arguments: dict[str, Any] = {"seed": 7, "scale": 0.2, "now": NOW} | more
    for name, rows in generate(SCHEMA, **arguments):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows)
        found.update(name.encode())
        found.update(sink.getvalue())
    return found.hexdigest()


def test_the_same_arguments_give_the_same_bytes() -> None:
    first = checksum()
    assert checksum() == first
    assert checksum(seed=8) != first
    assert checksum(now=NOW + timedelta(hours=1)) != first
    assert checksum(rows={"Task": 401}) != first


def test_another_process_gives_the_same_bytes() -> None:
    program = (
        "from sf_assets_tests.emulator.world.test_generating import checksum; print(checksum())"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter, this file
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == checksum()


def test_an_object_is_the_same_however_many_others_there_are(world: World) -> None:
    custom = World(SCHEMA)
    assert custom.tables["Account"].equals(world.tables["Account"])


def test_the_scale_multiplies_the_business() -> None:
    small, large = Counter[str](), Counter[str]()
    for counter, scale in ((small, 0.5), (large, 5)):
        for name, rows in generate(SCHEMA, seed=1, scale=scale, now=NOW):
            counter[name] += len(rows)
    for name in ("Account", "Contact", "Lead", "Opportunity", "Case", "Task", "Event"):
        assert large[name] == 10 * small[name]
    for name in ("OpportunityHistory", "OpportunityLineItem", "CaseHistory"):
        assert 8 < large[name] / small[name] < 12
    assert 2 < large["User"] / small["User"] < 4
    assert large["Organization"] == small["Organization"] == 1


def test_rows_of_single_objects_bring_their_parts_along() -> None:
    counts = Counter[str]()
    pieces = []
    rows = {"Opportunity": 90_000, "User": 12}
    for name, table in generate(SCHEMA, seed=1, scale=0.1, now=NOW, rows=rows):
        counts[name] += len(table)
        pieces.append(len(table))
    assert counts["Opportunity"] == 90_000
    assert counts["User"] == 12
    assert counts["Account"] == 40
    assert counts["OpportunityHistory"] > 3 * 90_000
    assert counts["OpportunityLineItem"] > 90_000
    assert max(pieces) <= 250_000


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"Nothing__c": 5}, "no such object: Nothing__c"),
        ({"OpportunityHistory": 5}, "follows from Opportunity"),
        ({"Organization": 2}, "follows from the company"),
        ({"Task": 0}, "Task: 0 rows are too few, 1 is the least"),
        ({"User": 2}, "User: 2 rows are too few, 4 is the least"),
    ],
)
def test_impossible_numbers_of_rows(rows: dict[str, int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        next(generate(SCHEMA, seed=1, scale=1, now=NOW, rows=rows))


def test_the_least_org_there_can_be() -> None:
    least = dict.fromkeys(("Account", "Contact", "Lead", "Opportunity", "Case", "Task", "Event"), 1)
    world = World(standard_schema(), scale=0.001, rows=least)
    assert len(world.tables["Opportunity"]) == 1
    assert world.column("Opportunity", "AccountId") == world.column("Account", "Id")


@pytest.mark.parametrize(
    "now",
    [datetime(2026, 11, 22, 0, 0, 0, tzinfo=UTC), datetime(2019, 2, 28, 23, 59, 59, tzinfo=UTC)],
)
def test_any_present(now: datetime) -> None:
    world = World(standard_schema(), scale=0.2, now=now)
    for name in ("Account", "Opportunity", "Task", "User", "Lead"):
        latest = max(world.column(name, "SystemModstamp"))
        assert latest <= now
        if name in {"Task", "Opportunity"}:
            assert latest > now - timedelta(days=14)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak")
def test_memory_does_not_grow_with_the_rows() -> None:
    program = """
from datetime import UTC, datetime
from pathlib import Path
from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.world import generate
now = datetime(2026, 11, 20, tzinfo=UTC)
for _ in generate(standard_schema(), seed=1, scale=1, now=now, rows={"Opportunity": 400_000}):
    pass
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""
    done = subprocess.run(  # noqa: S603 - this interpreter, the program above
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert int(done.stdout) < 300, "MB, of which the libraries take a third"
