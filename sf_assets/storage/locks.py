"""Who is at work on what: a lock in the storage, which the dead do not keep.

A claim is a numbered file that nobody else can create. A claim of a process that has died is passed
over by creating the next number: at once where it died on this host, else when its lease is over.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sf_assets.errors import BusyError, StorageError
from sf_assets.storage.store import Store

LEASE = timedelta(minutes=10)
"""A claim of another host that was not renewed for so long is void."""

_PAUSE = 1.0
_RELEASED = b"{}"


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who holds a lock: a process, told apart from later ones of the same number by its start."""

    host: str
    pid: int
    started: str
    since: str
    renewed: str

    @property
    def alive(self) -> bool:
        if self.host == socket.gethostname():
            return self.started == _start_of(self.pid)
        return datetime.now(UTC) - datetime.fromisoformat(self.renewed) < LEASE


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that somebody holds, or did.

    Attributes:
        store: Where it is.
        path: Our claim.
        what: What it is for.
    """

    store: Store
    path: str
    what: str

    def check(self) -> None:
        """Make sure that it is still ours: a process that slept for long may have been passed over.

        Raises:
            BusyError: Another run holds it, or held it meanwhile.
            StorageError: The storage refuses.
        """
        folder = self.path.rpartition("/")[0]
        newest = max((entry.path for entry in self.store.list(folder)), default=None)
        if newest != self.path:
            raise BusyError(
                f"the lock of {self.what} was lost to another run, which took this one for dead; "
                "nothing more is committed here, run again"
            )


@contextlib.contextmanager
def locked(store: Store, folder: str, what: str, patience: float = 0.0) -> Iterator[Lock]:
    """Hold a lock while the block runs.

    Args:
        store: Where the lock is.
        folder: Its folder.
        what: What it is for, for whoever has to wait.
        patience: Seconds to wait for another holder to end.

    Yields:
        The lock, to make sure before something irrevocable that it is still held.

    Raises:
        BusyError: Somebody else holds it.
        StorageError: The storage refuses.
    """
    path = _acquire(store, folder, what, patience)
    over = threading.Event()
    keeper = threading.Thread(target=_renew, args=(store, path, over), daemon=True)
    keeper.start()
    try:
        yield Lock(store, path, what)
    finally:
        over.set()
        keeper.join()
        store.put(path, _RELEASED)  # kept, so that numbers never begin anew


def _acquire(store: Store, folder: str, what: str, patience: float) -> str:
    deadline = time.monotonic() + patience
    while True:
        claims = sorted(entry.path for entry in store.list(folder))
        holder = _read(store, claims[-1]) if claims else None
        if holder is None or not holder.alive:
            number = int(claims[-1].rpartition("/")[2].partition(".")[0]) + 1 if claims else 0
            path = f"{folder}/{number:06d}.json"
            if store.create(path, _ours()):
                if path == max(entry.path for entry in store.list(folder)):
                    store.delete(claims)
                    return path
                store.delete([path])  # what we looked at is long past
        elif time.monotonic() >= deadline:
            raise BusyError(
                f"{what} is being worked on by process {holder.pid} on {holder.host}, since "
                f"{holder.since}; wait for it to end, or stop it, and run again"
            )
        else:
            time.sleep(_PAUSE)


def _renew(store: Store, path: str, over: threading.Event) -> None:
    while not over.wait(LEASE.total_seconds() / 3):
        with contextlib.suppress(StorageError):  # the lease outlives a passing failure
            store.put(path, _ours(since=_read(store, path)))


def _read(store: Store, path: str) -> _Claim | None:
    """A claim; None for one that is gone, or that nobody can be meant by."""
    try:
        return _Claim(**json.loads(store.get(path)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _ours(since: _Claim | None = None) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    pid = os.getpid()
    began = since.since if since else now
    return json.dumps(
        asdict(_Claim(socket.gethostname(), pid, _start_of(pid) or "", began, now))
    ).encode()


def _start_of(pid: int) -> str | None:
    """When a process of this host began, in whatever unit; None when there is none."""
    try:
        # The command's name, in parentheses, may hold anything; what is behind it has no spaces.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return fields[19] if fields[0] != "Z" else None
    except OSError:
        pass
    try:
        os.kill(pid, 0)  # where there is no /proc
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return "" if not Path("/proc/self").exists() else None
