"""The boundary of an object's work: whatever is raised in it is that object's failure alone.

Everything that is done for one object out of many is done in a `with attributed(…)` or a
`with isolated(…)`. So an error that nobody foresaw has a name and a place, and no record's value:
what an engine says of it may quote one, so it is not passed on.
"""

import logging
import os
import traceback
from collections.abc import Callable, MutableMapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from sf_assets.errors import SfAssetsError

log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parent

Failures = MutableMapping[str, SfAssetsError]
"""What could not be done for whom, and why, by lower-cased object name."""


class Work(StrEnum):
    """What is done for one object (or gold table), as a message says it."""

    DESCRIBE = "describing"
    PLAN = "planning"
    PROBE = "judging the probe of"
    COUNT = "counting the rows of"
    ESTIMATE = "estimating the cost of"
    ASK_DELETED = "asking for deletions of"
    EXTRACT = "extracting"
    NOTE_WAITING = "noting what waits of"
    TAKE_BACK = "taking back what is claimed of the future of"
    LOAD = "merging"
    REBUILD = "rebuilding"
    REPORT = "reporting on"
    CHECK_RAW = "checking raw of"
    CHECK_SILVER = "checking silver of"
    CHECK = "answering the"
    KEEP = "keeping what was found of"
    SAMPLE = "sampling the derived fields of"
    RECONCILE = "reconciling"
    STATUS = "telling the status of"
    BUILD = "building gold"
    PUBLISH = "making anew the"
    UNITE = "seeing together in"
    EXAMINE = "examining"
    CLEAN = "cleaning up after"
    EXPIRE = "removing what raw keeps no longer of"
    FORGET = "forgetting records of"
    COMMAND = "carrying out the command for org"


class UnforeseenError(SfAssetsError):
    """Something went wrong that nobody thought of; the message says where, and quotes nothing."""


class attributed:  # noqa: N801  (reads as a statement)
    """Do an object's work: an error that is not of this project becomes an `UnforeseenError`.

    What ends a run (a key pressed, a cancelled run) passes as it is.

    Args:
        work: What is done.
        slug: For whom.
    """

    def __init__(self, work: Work, slug: str) -> None:
        self.work = work
        self.slug = slug

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, SfAssetsError):
            raise unforeseen(self.work, self.slug, error) from None


class isolated:  # noqa: N801
    """Do an object's work: if it fails, that is noted, and the program goes on behind the block.

    Args:
        work: What is done.
        slug: For whom.
        failures: Where its error goes; the first one stays.
        ends_all: Says of an error whether it would meet the other objects as well: that passes.
    """

    def __init__(
        self,
        work: Work,
        slug: str,
        failures: Failures,
        ends_all: Callable[[SfAssetsError], bool] | None = None,
    ) -> None:
        self.work = work
        self.slug = slug
        self._failures = failures
        self._ends_all = ends_all

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        if not isinstance(error, SfAssetsError):
            error = unforeseen(self.work, self.slug, error)
        elif self._ends_all and self._ends_all(error):
            return False
        self._failures.setdefault(self.slug, error)
        return True


def unforeseen(work: Work, slug: str, error: Exception) -> UnforeseenError:
    """The failure of an object that an error of any kind stands for.

    Args:
        work: What was done.
        slug: For whom.
        error: What was raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    log.debug("%s %s: %s at\n%s", work, slug, _kind(error), "".join(traceback.format_list(frames)))
    ours = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents]
    place = "".join(f" in {_module(f)}:{f.name}, line {f.lineno}" for f in ours[-1:])
    return UnforeseenError(f"{work} {slug} failed: {_kind(error)}{place}; {_advice(error)}")


def _kind(error: Exception) -> str:
    """Type of an error; of one of the system also what the system calls its number."""
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    number = error.errno if isinstance(error, OSError) else None
    return f"{name} ({os.strerror(number)})" if number is not None else name


def _module(frame: traceback.FrameSummary) -> str:
    path = Path(frame.filename).relative_to(_PACKAGE).with_suffix("")
    return ".".join(path.parts)


def _advice(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "memory ran out, give it more and run again"
    if isinstance(error, OSError):
        return "check the disk, its space and permissions (TMPDIR, too), and run again"
    return "nobody foresaw that, please report this line; run again with what it needs put right"
