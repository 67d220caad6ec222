"""One org's raw layer: which slices exist, what they cover, and how a new one comes into being.

<storage>/org-<name>.json                      whose data this is
<storage>/<org id>/raw/<object>/date=…/*.parquet
<storage>/<org id>/manifests/<object>/*.json   a slice exists once its manifest does
<storage>/<org id>/coverage/*.json             windows proven to hold nothing new
<storage>/<org id>/journal/<object>/*.json     slices that a Bulk job is, or was, at work for
<storage>/<org id>/describe.json               the last describes seen
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pydantic

from sf_assets.errors import StorageError, WrongOrgError
from sf_assets.storage.slices import CoverageManifest, Slice, SliceRef, new_slice_id
from sf_assets.storage.store import Store
from sf_assets.windows import Coverage, Window

_COVERAGE_FILES = 32
"""More than so many coverage manifests are made one."""

_READERS = 8


class Lake:
    """The raw layer of one org.

    Args:
        store: The storage.
        org_id: The org's Id; all paths begin with it.
    """

    def __init__(self, store: Store, org_id: str) -> None:
        self.store = store
        self.org_id = org_id

    def raw_folder(self, slug: str) -> str:
        """Folder of an object's Parquet files."""
        return f"{self.org_id}/raw/{slug}"

    def note(self, draft: Slice) -> None:
        """Write into the journal that a Bulk job is at work for a slice."""
        self.store.put(self._journal(draft.ref), _dump(draft))

    def drafts(self, slug: str) -> list[Slice]:
        """What the journal says is, or was, at work for an object.

        Raises:
            StorageError: A note is not readable, or of a newer format.
        """
        found = []
        for entry in self.store.list(f"{self.org_id}/journal/{slug}"):
            try:
                found.append(Slice.model_validate_json(self.store.get(entry.path)))
            except FileNotFoundError:
                continue
            except pydantic.ValidationError as error:
                raise self._unreadable(entry.path, "remove it", error) from None
        return found

    def forget(self, draft: Slice) -> None:
        """Remove a slice from the journal."""
        self.store.delete([self._journal(draft.ref)])

    def commit(self, piece: Slice) -> None:
        """Make a slice exist: its parts are written, now its manifest is, in one atomic put."""
        self.store.put(self._manifest(piece.ref), _dump(piece))

    def refs(self, only: str = "") -> dict[str, list[SliceRef]]:
        """Slices by object, in order of window, from one listing.

        Args:
            only: Lower-cased name of the one object to list.
        """
        found: dict[str, list[SliceRef]] = defaultdict(list)
        for entry in self.store.list(f"{self.org_id}/manifests/{only}"):
            slug, file = entry.path.split("/")[-2:]
            try:
                found[slug].append(SliceRef.parse(slug, file))
            except ValueError:  # somebody else's file is not our slice
                continue
        return {slug: sorted(refs) for slug, refs in found.items()}

    def read(self, refs: Iterable[SliceRef]) -> Iterator[Slice]:
        """Read manifests, in the order of the references.

        Raises:
            StorageError: One is not readable, or of a newer format.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            yield from pool.map(self._read, refs)

    def _read(self, ref: SliceRef) -> Slice:
        path = self._manifest(ref)
        try:
            return Slice.model_validate_json(self.store.get(path))
        except (pydantic.ValidationError, FileNotFoundError) as error:
            advice = "restore it, or remove it and backfill its window"
            raise self._unreadable(path, advice, error) from None

    def _unreadable(self, path: str, advice: str, error: Exception) -> StorageError:
        name = type(error).__name__
        return StorageError(
            f"the manifest {self.store.uri(path)} cannot be read ({name}); {advice}"
        )

    def cover(self, windows: Mapping[str, Iterable[Window]], read_at: datetime) -> None:
        """Record that windows of many objects hold nothing that is not in raw, in one manifest.

        Args:
            windows: By object.
            read_at: The org's time when that was found out.
        """
        if windows:
            self._put_coverage({slug: Coverage(some) for slug, some in windows.items()}, read_at)

    def coverage(self) -> dict[str, Coverage]:
        """What is covered, by object, from slices and coverage manifests."""
        covered: dict[str, Coverage] = defaultdict(Coverage)
        for slug, refs in self.refs().items():
            covered[slug] = Coverage(ref.window for ref in refs)
        for slug, coverage in self._read_coverage(self._coverage_files()).items():
            covered[slug] |= coverage
        return covered

    def tidy_coverage(self, read_at: datetime) -> None:
        """Make one of the coverage manifests when there are many. Safe to be interrupted."""
        files = self._coverage_files()
        if len(files) > _COVERAGE_FILES:
            self._put_coverage(self._read_coverage(files), read_at)
            self.store.delete(files)

    def _coverage_files(self) -> list[str]:
        return [entry.path for entry in self.store.list(f"{self.org_id}/coverage")]

    def _read_coverage(self, files: Iterable[str]) -> dict[str, Coverage]:
        windows: dict[str, list[Window]] = defaultdict(list)
        with ThreadPoolExecutor(_READERS) as pool:
            for covered in pool.map(self._read_covered, files):
                for slug, some in covered.items():
                    windows[slug] += some
        return {slug: Coverage(found) for slug, found in windows.items()}

    def _read_covered(self, path: str) -> dict[str, list[Window]]:
        try:
            proof = CoverageManifest.model_validate_json(self.store.get(path))
            return {slug: [Window(*w) for w in windows] for slug, windows in proof.windows.items()}
        except FileNotFoundError:  # made one with others since it was listed
            return {}
        except ValueError as error:
            advice = "remove it: what it proved is found out again"
            raise self._unreadable(path, advice, error) from None

    def _put_coverage(self, covered: Mapping[str, Coverage], read_at: datetime) -> None:
        windows = {
            slug: tuple((w.start, w.end) for w in coverage.windows)
            for slug, coverage in covered.items()
        }
        proof = CoverageManifest(org_id=self.org_id, windows=windows)
        path = f"{self.org_id}/coverage/{new_slice_id(read_at)}.json"
        self.store.put(path, proof.model_dump_json().encode())

    def describes(self) -> dict[str, Any]:
        """The describes kept, as JSON documents by lower-cased object name."""
        try:
            return dict(json.loads(self.store.get(self._describes)))
        except FileNotFoundError:
            return {}

    def keep_describes(self, documents: Mapping[str, Any]) -> None:
        """Keep these describes beside the others, so that raw can be typed without the org."""
        merged = self.describes() | dict(documents)
        self.store.put(self._describes, json.dumps(merged).encode())

    @property
    def _describes(self) -> str:
        return f"{self.org_id}/describe.json"

    def _manifest(self, ref: SliceRef) -> str:
        return f"{self.org_id}/manifests/{ref.object}/{ref.file}"

    def _journal(self, ref: SliceRef) -> str:
        return f"{self.org_id}/journal/{ref.object}/{ref.file}"


def _dump(piece: Slice) -> bytes:
    return piece.model_dump_json(exclude_none=True, indent=1).encode()


def open_lake(url: str, org_id: str, name: str) -> Lake:
    """Open an org's raw layer, and claim the storage for it if nobody has.

    Args:
        url: Of the storage.
        org_id: Id of the org that we are connected to.
        name: What the catalogue calls the org.

    Raises:
        WrongOrgError: Under that name the storage holds another org's data.
    """
    store = Store(url)
    path = f"org-{name}.json"
    if not store.create(path, json.dumps({"org_id": org_id}).encode()):
        owner = owner_of(store, name)
        if owner != org_id:
            raise WrongOrgError(
                f"the storage {url} holds the data of org {owner}, and the credentials lead to "
                f"org {org_id}; set another SF_ASSETS_STORAGE_URL or the other org's credentials"
            )
    return Lake(store, org_id)


def owner_of(store: Store, name: str) -> str | None:
    """Id of the org whose data the storage holds under a name; None for an unclaimed storage."""
    try:
        return str(json.loads(store.get(f"org-{name}.json"))["org_id"])
    except FileNotFoundError:
        return None
