"""Objects whose rows are computed: as real to a client as any other, whatever their number."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.ids import id_at
from sf_assets.emulator.server import Emulator
from sf_assets.emulator.settings import Settings
from sf_assets_tests.emulator.conftest import Api

NOW = datetime(2026, 1, 31, 10, tzinfo=UTC)
ROWS = 200_000


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """A small org with one object that would be large."""
    settings = Settings(job_seconds=0.02)
    clock = Clock(NOW, frozen=True)
    with Emulator(scale=0.01, virtual={"Huge__c": ROWS}, clock=clock, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def api(emulator: Emulator) -> Iterator[Api]:
    client = Api(emulator)
    yield client
    client.http.close()


def count(api: Api, where: str = "", resource: str = "queryAll") -> int:
    soql = f"SELECT COUNT() FROM Huge__c {where}"
    return int(api("GET", f"/{resource}", params={"q": soql}).json()["totalSize"])


def test_it_is_described_and_counted(api: Api) -> None:
    described = api("GET", "/sobjects/Huge__c/describe").json()
    assert (described["queryable"], described["createable"]) == (True, False)
    assert {f["name"] for f in described["fields"]} >= {"Id", "SystemModstamp", "Amount__c"}
    assert count(api) == ROWS
    assert count(api, resource="query") == ROWS - ROWS // 1000
    refused = api("POST", "/sobjects/Huge__c", json={"Name": "x"})
    assert refused.json()[0]["errorCode"] == "INVALID_TYPE_FOR_OPERATION"


def test_windows_of_the_cursor_add_up(api: Api) -> None:
    (found,) = api.query(
        "SELECT MIN(SystemModstamp) a, MAX(SystemModstamp) z, COUNT(Id) n FROM Huge__c", "queryAll"
    )
    assert found["n"] == ROWS
    assert str(found["a"]) < "2021-03"
    assert "2026-01-30" < str(found["z"]) < "2026-01-31T10:00:01"
    years = [f"{year}-01-01T00:00:00Z" for year in range(2021, 2028)]
    spans = pairwise(years)
    parts = [count(api, f"WHERE SystemModstamp >= {a} AND SystemModstamp < {b}") for a, b in spans]
    assert sum(parts) == ROWS
    assert min(parts[:5]) > ROWS // 20
    days = api.query(
        "SELECT DAY_ONLY(SystemModstamp) d, COUNT(Id) n FROM Huge__c WHERE SystemModstamp >= "
        "2026-01-01T00:00:00Z GROUP BY DAY_ONLY(SystemModstamp)",
        "queryAll",
    )
    assert sum(int(str(day["n"])) for day in days) == parts[5]
    assert len(days) == 31


def test_rest_reads_a_window_in_pages(api: Api) -> None:
    where = "WHERE SystemModstamp >= 2026-01-10T00:00:00Z ORDER BY SystemModstamp, Id"
    rows = api.query(f"SELECT Id, SystemModstamp FROM Huge__c {where}", "queryAll")
    assert len(rows) == count(api, where.partition(" ORDER")[0]) > 2000
    keys = [(row["SystemModstamp"], str(row["Id"]).lower()) for row in rows]
    assert [stamp for stamp, _ in keys] == sorted(str(stamp) for stamp, _ in keys)
    first = str(rows[0]["Id"])
    record = api("GET", f"/sobjects/Huge__c/{first}")
    assert record.status_code == 200, record.text
    assert len(api.query("SELECT Id, Notes__c FROM Huge__c LIMIT 10")) == 10


def test_bulk_delivers_every_row_once(api: Api) -> None:
    job = api.job("SELECT Id, Name, Notes__c, SystemModstamp FROM Huge__c", "queryAll")
    seen: Counter[str] = Counter()
    locator: str | None = None
    while locator != "null":
        params = {"locator": locator} if locator else {}
        answer = api("GET", f"/jobs/query/{job}/results", params=params)
        rows = list(csv.reader(io.StringIO(answer.text, newline="")))[1:]
        assert len(rows) == int(answer.headers["Sforce-NumberOfRecords"])
        seen.update(row[0] for row in rows)
        locator = answer.headers["Sforce-Locator"]
    assert set(seen.values()) == {1}
    assert set(seen) == {id_at("aZ0", number) for number in range(ROWS)}


def test_its_rows_can_be_hidden_but_not_given_fields(emulator: Emulator, api: Api) -> None:
    emulator.admin.hide_rows("Huge__c", 0.5)
    assert 0.45 < count(api) / ROWS < 0.55
    assert len(api.query("SELECT Id, Name FROM Huge__c LIMIT 5")) == 5
    emulator.admin.show_rows("Huge__c")
    with pytest.raises(ValueError, match="computed"):
        emulator.admin.add_field("Huge__c", "New__c", {"type": "string"})
    assert emulator.records.empty_recycle_bin(0) >= 0


@pytest.mark.parametrize("virtual", [{"Account": 5}, {"Huge": 5}, {"Huge__c": 10**9}])
def test_names_and_numbers_that_cannot_be(virtual: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"custom object|computed rows"):
        Emulator(virtual=virtual).start()
