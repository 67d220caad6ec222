"""The org's users at work: changes that happen while somebody reads."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.org import Org

_log = logging.getLogger(__name__)
# A transaction that is to be committed late should not be later than it was meant to be.
_NAP = 0.2


@contextmanager
def living(org: Org, seed: int, rate: float) -> Iterator[None]:
    """Let changes happen while the block runs.

    Args:
        org: Where.
        seed: Chooses what happens.
        rate: Changes a second.
    """
    from sf_assets.emulator.world.life import Life

    life = Life(org.records, seed, rate)
    stopped = threading.Event()

    def work() -> None:
        due = time.monotonic()
        while not stopped.wait(min(_NAP, max(0.0, due - time.monotonic()))):
            org.records.commit_due()
            if time.monotonic() < due:
                continue
            due += 1 / rate
            try:
                life.step()
            except ApiError as error:
                # Somebody else was faster, or had reasons: users live with that too.
                _log.info("refused: %s", error)

    thread = threading.Thread(target=work, name="life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
