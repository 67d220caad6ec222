"""How far the work is, told through `logging`: the terminal makes bars of it."""

import logging
from dataclasses import dataclass

log = logging.getLogger("sf_assets")

ENDS = frozenset({"done", "failed"})
"""Stages after which nothing more comes of an object."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward.

    Attributes:
        object: Lower-cased object name.
        stage: What is going on: `waiting`, `reading`, `merging`, `done` or `failed`.
        rows: Rows so far.
        total: Rows expected, or None when that is not known.
    """

    object: str
    stage: str
    rows: int = 0
    total: int | None = None


def report(slug: str, stage: str, rows: int = 0, total: int | None = None) -> None:
    """Tell of a step forward, to whoever listens for records with `progress`."""
    log.debug("%s: %s", slug, stage, extra={"progress": Progress(slug, stage, rows, total)})
