"""Coverage manifests: what was proven to hold nothing new, for many objects in one file."""

import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NamedTuple

from sf_assets.errors import StorageError
from sf_assets.storage.manifest import CoverageManifest, new_slice_id
from sf_assets.storage.store import Store
from sf_assets.windows import Coverage, Window

log = logging.getLogger(__name__)

_MOST_FILES = 32
"""More than so many are made one."""

_READERS = 8

Windows = Mapping[str, Iterable[Window]]
"""Windows by lower-cased object name."""


class Proven(NamedTuple):
    """What coverage manifests say, each by lower-cased object name.

    Attributes:
        windows: Windows of the cursor that hold nothing new.
        deletions: Windows of time without unknown deletions.
        settled: Windows of the cursor that were compared by content when none could change.
    """

    windows: dict[str, Coverage]
    deletions: dict[str, Coverage]
    settled: dict[str, Coverage]


class CoverageLog:
    """The coverage manifests of one org.

    Args:
        store: The storage.
        org_id: The org's Id.
    """

    def __init__(self, store: Store, org_id: str) -> None:
        self._store = store
        self._org_id = org_id
        self._folder = f"{org_id}/coverage"

    def read(self) -> Proven:
        """What is proven."""
        return self._read(self._files())

    def add(
        self,
        windows: Windows,
        deletions: Windows,
        read_at: datetime,
        settled: Windows | None = None,
    ) -> None:
        """Record what was proven at a time of the org; nothing is written where nothing was."""
        if windows or deletions or settled:
            spelt = [
                {slug: _formatted(some) for slug, some in proven.items()}
                for proven in (windows, deletions, settled or {})
            ]
            proof = CoverageManifest(
                org_id=self._org_id, windows=spelt[0], deletions=spelt[1], settled=spelt[2]
            )
            path = f"{self._folder}/{new_slice_id(read_at)}.json"
            self._store.put(path, proof.model_dump_json().encode())

    def tidy(self, read_at: datetime) -> None:
        """Make one of the manifests when there are many. Safe to be interrupted."""
        files = self._files()
        if len(files) > _MOST_FILES:
            self._put(self._read(files), read_at)
            self._store.delete(files)

    def forget_after(self, limit: datetime, read_at: datetime) -> None:
        """Take back what is said of windows that end later than a moment."""
        for path in self._files():
            said = self._read([path])
            if any(told.windows[-1].end > limit for found in said for told in found.values()):
                self._put(Proven(*(_until(limit, found) for found in said)), read_at)
                self._store.delete([path])

    def _put(self, proven: Proven, read_at: datetime) -> None:
        windows, deletions, settled = (
            {slug: covered.windows for slug, covered in found.items()} for found in proven
        )
        self.add(windows, deletions, read_at, settled)

    def _files(self) -> list[str]:
        return [entry.path for entry in self._store.list(self._folder)]

    def _read(self, files: Iterable[str]) -> Proven:
        found: tuple[dict[str, list[Window]], ...] = tuple(defaultdict(list) for _ in range(3))
        with ThreadPoolExecutor(_READERS) as pool:
            for proof in filter(None, pool.map(self._one, files)):
                settled = proof.windows if proof.settled is None else proof.settled
                for known, told in zip(
                    found, (proof.windows, proof.deletions, settled), strict=True
                ):
                    for slug, some in told.items():
                        known[slug] += [Window(*edges) for edges in some]
        return Proven(*map(_merged, found))

    def _one(self, path: str) -> CoverageManifest | None:
        try:
            proof = CoverageManifest.model_validate_json(self._store.get(path))
        except FileNotFoundError:  # made one with others since it was listed
            return None
        except ValueError:
            proof = None
        if proof and proof.org_id == self._org_id:
            return proof
        log.warning(
            "%s cannot be read and is removed: what it proved is found out again",
            self._store.uri(path),
        )
        with contextlib.suppress(StorageError):  # a storage that is only read
            self._store.delete([path])
        return None


def _formatted(windows: Iterable[Window]) -> tuple[tuple[datetime, datetime], ...]:
    return tuple((w.start, w.end) for w in Coverage(windows).windows)


def _merged(found: Mapping[str, Iterable[Window]]) -> dict[str, Coverage]:
    return {slug: Coverage(windows) for slug, windows in found.items()}


def _until(limit: datetime, found: Mapping[str, Coverage]) -> dict[str, Coverage]:
    """Windows but those that end later than a moment."""
    return {
        slug: Coverage(w for w in told.windows if w.end <= limit) for slug, told in found.items()
    }
