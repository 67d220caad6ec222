"""How a command ends that is told to: at once, whoever catches the signal, and wherever it hangs.

Dagster puts handlers of its own in place of ours while a run is at work, and an engine may sit in a
long query: so the signals are watched by a thread, beside whatever handles them.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

CODE = 130
"""Exit code of a command that was told to stop, by Ctrl-C or by SIGTERM."""

STOPPED = "stopped; what is committed stays, and the next run goes on from there"
"""What is said then."""

GRACE = 5.0
"""Seconds in which jobs are aborted; those that are not are in the journal."""

_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
_told = threading.Event()


class Stopped(BaseException):
    """The command was told to stop. No exception of the work: nothing that goes on catches it."""


def check() -> None:
    """End here, if the command was told to stop while something else caught the signal.

    Raises:
        Stopped: It was.
    """
    if _told.is_set():
        raise Stopped


def end_at_once(*, as_json: bool) -> None:
    """From now on, and until `watch`, both signals end the process: it has not begun anything.

    Args:
        as_json: Whether it says so as a document.
    """
    where = sys.stdout if as_json else sys.stderr
    text = f'{{\n  "ok": false,\n  "error": "{STOPPED}"\n}}' if as_json else f"error: {STOPPED}"

    def end(*_: Any) -> NoReturn:
        try:
            os.write(where.fileno(), f"{text}\n".encode())
        finally:
            os._exit(CODE)

    for number in _SIGNALS:
        signal.signal(number, end)


def watch(leave: Callable[[], object], grace: float = GRACE) -> None:
    """From now on, both signals raise `Stopped` in the main thread.

    Args:
        leave: Says that the command has ended, where it does not end by itself in time.
        grace: Seconds that it has; it is not waited for when it is told again.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_wait, args=(reader, leave, grace), daemon=True).start()
    for number in _SIGNALS:
        signal.signal(number, _stop)


def _stop(*_: Any) -> NoReturn:
    raise Stopped


def _wait(reader: int, leave: Callable[[], object], grace: float) -> None:
    while not _told.is_set():
        if not _SIGNALS.isdisjoint(os.read(reader, 64)):
            _told.set()
    late = threading.Timer(grace, _end, (leave,))
    late.daemon = True
    late.start()
    while _SIGNALS.isdisjoint(os.read(reader, 64)):
        continue
    _end(leave)


def _end(leave: Callable[[], object]) -> NoReturn:
    try:
        leave()
    finally:
        os._exit(CODE)
