"""Many threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.server import Emulator
from sf_assets_tests.emulator.conftest import Api

THREADS = 8
ROUNDS = 8


def test_eight_threads_write_and_read_at_once(emulator: Emulator) -> None:
    start = threading.Barrier(THREADS)

    def work(number: int) -> list[str]:
        api = Api(emulator)
        made = []
        start.wait()
        for turn in range(ROUNDS):
            name = f"Crowd {number}-{turn}"
            key = api.create("Account", Name=name)
            made.append(key)
            changed = api("PATCH", f"/sobjects/Account/{key}", json={"Site": str(turn)})
            assert changed.status_code == 204
            rows = api.query(f"SELECT Name, Site FROM Account WHERE Id = '{key}'")
            assert [(r["Name"], r["Site"]) for r in rows] == [(name, str(turn))]
            if turn % 4 == 0:
                job_id = api.job("SELECT Id FROM Account WHERE Name LIKE 'Crowd%'")
                answer = api("GET", f"/jobs/query/{job_id}/results")
                lines = answer.text.splitlines()
                assert len(lines) - 1 == int(answer.headers["Sforce-NumberOfRecords"])
                assert {f'"{k}"' for k in made} <= set(lines)
        api.http.close()
        return made

    with ThreadPoolExecutor(THREADS) as pool:
        made = [key for keys in pool.map(work, range(THREADS)) for key in keys]
    assert len(set(made)) == len(made) == THREADS * ROUNDS
    api = Api(emulator)
    found = api.query("SELECT Id FROM Account WHERE Name LIKE 'Crowd%'")
    assert {r["Id"] for r in found} == set(made)
    api.http.close()


def test_writers_of_one_record_lose_nothing(emulator: Emulator) -> None:
    records = emulator.org.records
    key = records.insert("Account", {"Name": "Contended", "NumberOfEmployees": 0})
    start = threading.Barrier(THREADS)

    def work(number: int) -> int:
        start.wait()
        refused = 0
        for turn in range(ROUNDS):
            try:
                records.update("Account", key, {"Site": f"{number}-{turn}"})
            except ApiError:
                refused += 1
        return refused

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == 0
    row = next(r for r in emulator.store.table("Account").read_all().to_pylist() if r["Id"] == key)
    assert row["Site"] is not None


def test_the_org_lives_while_it_is_read() -> None:
    with Emulator(scale=0.1, live=50) as emulator:
        api = Api(emulator)
        counted = "SELECT count(*), max(SystemModstamp) FROM (FROM Task SELECT SystemModstamp UNION"
        counted += " ALL FROM Lead SELECT SystemModstamp UNION ALL FROM Opportunity SELECT"
        counted += " SystemModstamp)"
        before = emulator.store.rows(counted)
        for _ in range(30):
            assert api.query("SELECT COUNT(Id) n, MAX(SystemModstamp) m FROM Task")
        assert emulator.store.rows(counted) != before
        api.http.close()
