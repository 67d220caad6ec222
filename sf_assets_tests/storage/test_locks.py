"""Locks: one holder at a time, and the dead hold nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sf_assets.errors import BusyError
from sf_assets.storage import locks
from sf_assets.storage.locks import LEASE, locked
from sf_assets.storage.store import Store

FOLDER = "00D1/locks/account"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/raw")


def held(store: Store, patience: float = 0.0) -> Any:
    return locked(store, FOLDER, "Account", patience)


def claim(store: Store, number: int, **fields: Any) -> None:
    now = datetime.now(UTC).isoformat()
    document = {
        "host": "elsewhere", "pid": 1, "started": "1", "since": now, "renewed": now,
    } | fields  # fmt: skip
    store.put(f"{FOLDER}/{number:06d}.json", json.dumps(document).encode())


def test_the_second_leaves_and_is_told_who_is_at_work(store: Store) -> None:
    with (
        held(store),
        pytest.raises(BusyError, match=f"Account.*process {os.getpid()} on .*since"),
        held(store),
    ):
        pass
    with held(store):
        pass


def test_the_second_may_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_PAUSE", 0.01)
    inside, order = threading.Event(), []

    def first() -> None:
        with held(store):
            inside.set()
            time.sleep(0.2)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with held(store, patience=10):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_killed_process_is_taken_over_at_once(store: Store) -> None:
    program = (
        "import sys, time; from sf_assets.storage.locks import locked\n"
        "from sf_assets.storage.store import Store\n"
        f"with locked(Store(sys.argv[1]), {FOLDER!r}, 'Account'):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-c", program, store.url], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError), held(store):
            pass
        holder.send_signal(signal.SIGKILL)
    with held(store):
        pass


def test_another_process_of_the_same_number_is_not_the_holder(store: Store) -> None:
    claim(store, 3, machine=locks._machine(), pid=os.getpid(), started="long ago")  # noqa: SLF001
    with held(store):
        pass


def test_a_foreign_claim_holds_until_its_lease_is_over(store: Store) -> None:
    claim(store, 0)
    with pytest.raises(BusyError, match="elsewhere"), held(store):
        pass
    late = datetime.now(UTC) - LEASE - timedelta(seconds=1)
    claim(store, 0, renewed=late.isoformat())
    with held(store):
        pass


@pytest.mark.parametrize("newest", [999_999, 1_000_009])
def test_numbers_of_any_length_are_in_order(store: Store, newest: int) -> None:
    claim(store, newest)
    with pytest.raises(BusyError, match="elsewhere"), held(store):
        pass
    store.put(f"{FOLDER}/{newest:06d}.json", b"{}")
    for later in (newest + 1, newest + 2):
        with held(store):
            (entry,) = store.list(FOLDER)
            assert entry.path == f"{FOLDER}/{later:06d}.json"
            with pytest.raises(BusyError), held(store):
                pass


def test_two_machines_of_one_name_do_not_take_each_other_for_dead(store: Store) -> None:
    """As two containers of one image: their processes have the same few numbers."""
    claim(store, 0, host=socket.gethostname(), machine="another boot", pid=os.getpid())
    with pytest.raises(BusyError), held(store):
        pass
    claim(store, 0, host=socket.gethostname(), pid=2**22 + 1)  # as an older release wrote it
    with pytest.raises(BusyError), held(store):
        pass


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\x00", b"[" * 9999])
def test_a_damaged_claim_holds_as_long_as_a_lease(
    store: Store, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(f"{FOLDER}/000004.json", data)
    store.put(f"{FOLDER}/notes.txt", b"somebody else's")
    with pytest.raises(BusyError), held(store):
        pass
    monkeypatch.setattr(locks, "LEASE", timedelta(0))
    with held(store):
        pass


def test_a_claim_is_renewed_while_it_is_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LEASE", timedelta(seconds=0.06))

    def stamp() -> dict[str, str]:
        (entry,) = store.list(FOLDER)
        document: dict[str, str] = json.loads(store.get(entry.path))
        return document

    with held(store):
        first = stamp()
        time.sleep(1.2)
        later = stamp()
    assert later["since"] == first["since"]
    assert later["renewed"] > first["renewed"]


def test_what_was_looked_at_long_ago_is_not_taken(store: Store) -> None:
    """A process that slept between looking and claiming must not hold beside another one."""

    class Sleepy(Store):
        slept = False

        def create(self, path: str, data: bytes) -> bool:
            if not self.slept:
                self.slept = True
                for _ in range(2):
                    with held(store):
                        pass
                claimed.__enter__()
            return super().create(path, data)

    claimed = held(store)
    with held(store):
        pass
    with pytest.raises(BusyError), locked(Sleepy(store.url), FOLDER, "Account"):
        pass
    claimed.__exit__(None, None, None)


COUNTING = f"""
import sys, time
from pathlib import Path
from sf_assets.storage import locks
from sf_assets.storage.store import Store

locks._PAUSE = 0.002
store, path = Store(sys.argv[1]), Path(sys.argv[2])
for _ in range(20):
    with locks.locked(store, {FOLDER!r}, "Account", patience=60):
        number = int(path.read_text())
        time.sleep(0.001)
        path.write_text(str(number + 1))
"""


def test_no_two_processes_hold_it_at_the_same_time(store: Store, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0", encoding="utf-8")
    command = [sys.executable, "-c", COUNTING, store.url, str(counter)]
    workers = [subprocess.Popen(command) for _ in range(4)]  # noqa: S603 - this interpreter
    assert [worker.wait(timeout=100) for worker in workers] == [0, 0, 0, 0]
    assert counter.read_text(encoding="utf-8") == "80"
    assert len(list(store.list(FOLDER))) == 1
