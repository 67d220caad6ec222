"""Who is at work on what: a lock in the storage, which the dead do not keep.

A claim is a numbered file that nobody else can create. A claim of a process that has died is passed
over by creating the next number: at once where it can be seen that it died, which is on this
machine, else when its lease is over. Names of machines say nothing: two may have the same.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from sf_assets.errors import BusyError, StorageError
from sf_assets.storage.store import Entry, Store

LEASE = timedelta(minutes=10)
"""A claim of another host that was not renewed for so long is void."""

_PAUSE = 1.0
_held: set[str] = set()
"""Claims of this process. Another one of it could not be released: the storage was away."""

_RELEASED = b"{}"


class _Claim(BaseModel):
    """Who holds a lock: a process, told apart from later ones of the same number by its start.

    Attributes:
        host: What its machine is called, for people.
        machine: Where its number means what it means here; empty where an older release wrote it.
        pid: Its number.
        started: When it began, in whatever unit.
        since: When it took the lock.
        renewed: When it last said so.
        id: Of this claim alone; empty where an older release wrote it.
    """

    model_config = ConfigDict(frozen=True)

    host: str
    machine: str = ""
    pid: int
    started: str
    since: str
    renewed: AwareDatetime
    id: str = ""

    @property
    def alive(self) -> bool:
        if self.machine == _machine():
            ours = self.pid == os.getpid()
            return self.started == _start_of(self.pid) and (not ours or self.id in _held)
        return datetime.now(UTC) - self.renewed < LEASE


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
        claims = _claims(self.store, self.path.rpartition("/")[0])
        if not claims or claims[max(claims)].path != self.path:
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
    path, claim = _acquire(store, folder, what, patience)
    over = threading.Event()
    keeper = threading.Thread(target=_renew, args=(store, path, claim, over), daemon=True)
    keeper.start()
    try:
        yield Lock(store, path, what)
    finally:
        over.set()
        keeper.join()
        _held.discard(claim.id)
        store.put(path, _RELEASED)  # kept, so that numbers never begin anew


def is_held(store: Store, folder: str) -> bool:
    """Whether somebody who is alive holds a lock, or is taken to be until its lease is over.

    Raises:
        StorageError: The storage refuses.
    """
    claims = _claims(store, folder)
    holder = _read(store, claims[max(claims)]) if claims else None
    return holder is not None and holder.alive


def _acquire(store: Store, folder: str, what: str, patience: float) -> tuple[str, _Claim]:
    deadline = time.monotonic() + patience
    while True:
        claims = _claims(store, folder)
        holder = _read(store, claims[max(claims)]) if claims else None
        if holder is None or not holder.alive:
            ours = _ours()
            if path := _took(store, folder, claims, ours):
                return path, ours
        elif time.monotonic() >= deadline:
            raise BusyError(
                f"{what} is being worked on by process {holder.pid} on {holder.host}, since "
                f"{holder.since}; wait for it to end, or stop it, and run again"
            )
        else:
            time.sleep(_PAUSE)


def _took(store: Store, folder: str, claims: dict[int, Entry], ours: _Claim) -> str | None:
    """Claim a lock that nobody holds; the path of the claim, None if somebody else was first."""
    number = max(claims, default=-1) + 1
    path, data, taken = f"{folder}/{number:06d}.json", ours.model_dump_json().encode(), False
    _held.add(ours.id)
    try:
        # An answer may be lost: what a bucket is asked again for is there by then.
        if not store.create(path, data) and not _is_there(store, path, data):
            return None
        if max(_claims(store, folder), default=-1) != number:
            store.delete([path])  # what we looked at is long past
            return None
        store.delete(entry.path for entry in claims.values())
        taken = True
    finally:
        if not taken:
            _held.discard(ours.id)
    return path


def _is_there(store: Store, path: str, data: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return store.get(path) == data
    return False


def _claims(store: Store, folder: str) -> dict[int, Entry]:
    """Claims by number; a name that is no number is none of ours."""
    found = {}
    for entry in store.list(folder):
        stem = entry.path.rpartition("/")[2].removesuffix(".json")
        if stem.isascii() and stem.isdecimal():
            found[int(stem)] = entry
    return found


def _renew(store: Store, path: str, claim: _Claim, over: threading.Event) -> None:
    while not over.wait(LEASE.total_seconds() / 3):
        with contextlib.suppress(StorageError):  # the lease outlives a passing failure
            renewed = claim.model_copy(update={"renewed": datetime.now(UTC)})
            store.put(path, renewed.model_dump_json().encode())


def _read(store: Store, entry: Entry) -> _Claim | None:
    """A claim; None for one that is gone or released. A damaged one holds as long as a lease."""
    try:
        data = store.get(entry.path)
        return None if data == _RELEASED else _Claim.model_validate_json(data)
    except FileNotFoundError:
        return None
    except ValidationError:
        since = f"{entry.modified:%Y-%m-%d %H:%M:%S} UTC"
        return _Claim(host="?", pid=0, started="?", since=since, renewed=entry.modified)


def _ours() -> _Claim:
    now = datetime.now(UTC)
    pid = os.getpid()
    return _Claim(
        host=socket.gethostname(),
        machine=_machine(),
        pid=pid,
        started=_start_of(pid) or "",
        since=f"{now:%Y-%m-%d %H:%M:%S} UTC",
        renewed=now,
        id=uuid.uuid4().hex,
    )


@cache
def _machine() -> str:
    """What no other machine has since it was started, nor a container with processes of its own.

    Where the system does not tell, the address of a network card, or a number at random.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{uuid.getnode():x}"


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
