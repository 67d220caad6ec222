"""Coverage manifests: what was proven to hold nothing new, for many objects in one file."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sf_assets.errors import StorageError
from sf_assets.storage.slices import CoverageManifest, new_slice_id
from sf_assets.storage.store import Store
from sf_assets.windows import Coverage, Window

_MOST_FILES = 32
"""More than so many are made one."""

_READERS = 8

Windows = Mapping[str, Iterable[Window]]
"""Windows by lower-cased object name."""


class Proofs:
    """The coverage manifests of one org.

    Args:
        store: The storage.
        org_id: The org's Id.
    """

    def __init__(self, store: Store, org_id: str) -> None:
        self._store = store
        self._org_id = org_id
        self._folder = f"{org_id}/coverage"

    def read(self) -> tuple[dict[str, Coverage], dict[str, Coverage]]:
        """What is proven: windows of the cursor without news, windows without unknown deletions.

        Raises:
            StorageError: A manifest is not readable, or of a newer format.
        """
        return self._read(self._files())

    def add(self, windows: Windows, deletions: Windows, read_at: datetime) -> None:
        """Record what was proven at a time of the org; nothing is written where nothing was."""
        if windows or deletions:
            spelt = [{slug: _spelt(some) for slug, some in w.items()} for w in (windows, deletions)]
            proof = CoverageManifest(org_id=self._org_id, windows=spelt[0], deletions=spelt[1])
            path = f"{self._folder}/{new_slice_id(read_at)}.json"
            self._store.put(path, proof.model_dump_json().encode())

    def tidy(self, read_at: datetime) -> None:
        """Make one of the manifests when there are many. Safe to be interrupted."""
        files = self._files()
        if len(files) > _MOST_FILES:
            windows, deletions = self._read(files)
            self.add(
                {slug: covered.windows for slug, covered in windows.items()},
                {slug: covered.windows for slug, covered in deletions.items()},
                read_at,
            )
            self._store.delete(files)

    def forget_after(self, limit: datetime, read_at: datetime) -> None:
        """Take back what is said of windows that end later than a moment."""
        for path in self._files():
            said = self._read([path])
            kept = [
                {slug: [w for w in told.windows if w.end <= limit] for slug, told in found.items()}
                for found in said
            ]
            if any(told.windows[-1].end > limit for found in said for told in found.values()):
                self.add(kept[0], kept[1], read_at)
                self._store.delete([path])

    def _files(self) -> list[str]:
        return [entry.path for entry in self._store.list(self._folder)]

    def _read(self, files: Iterable[str]) -> tuple[dict[str, Coverage], dict[str, Coverage]]:
        windows: dict[str, list[Window]] = defaultdict(list)
        deletions: dict[str, list[Window]] = defaultdict(list)
        with ThreadPoolExecutor(_READERS) as pool:
            for proof in filter(None, pool.map(self._one, files)):
                for found, told in ((windows, proof.windows), (deletions, proof.deletions)):
                    for slug, some in told.items():
                        found[slug] += [Window(*edges) for edges in some]
        return _merged(windows), _merged(deletions)

    def _one(self, path: str) -> CoverageManifest | None:
        try:
            return CoverageManifest.model_validate_json(self._store.get(path))
        except FileNotFoundError:  # made one with others since it was listed
            return None
        except ValueError as error:
            raise StorageError(
                f"the manifest {self._store.uri(path)} cannot be read ({type(error).__name__}); "
                "remove it: what it proved is found out again"
            ) from None


def _spelt(windows: Iterable[Window]) -> tuple[tuple[datetime, datetime], ...]:
    return tuple((w.start, w.end) for w in Coverage(windows).windows)


def _merged(found: Mapping[str, Iterable[Window]]) -> dict[str, Coverage]:
    return {slug: Coverage(windows) for slug, windows in found.items()}
