"""One org's raw layer: which slices exist, what they cover, and how a new one comes into being.

<storage>/org-<name>.json                      whose data this is
<storage>/<org id>/raw/<object>/date=…/*.parquet
<storage>/<org id>/manifests/<object>/*.json   a slice exists once its manifest does
<storage>/<org id>/coverage/*.json             windows proven to hold nothing new, or to be settled
<storage>/<org id>/journal/<object>/*.json     slices that a Bulk job is, or was, at work for
<storage>/<org id>/locks/<object>/*.json       who is at work on an object
<storage>/<org id>/describes/*.json            how objects look, and looked
<storage>/<org id>/forgotten/<object>/*.json   records that were forgotten, by a digest of the Id
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import pydantic

from sf_assets.errors import StorageError, WrongOrgError
from sf_assets.storage.coverage_log import CoverageLog
from sf_assets.storage.locks import Lock, is_held, locked
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef
from sf_assets.storage.schema_cache import Describes
from sf_assets.storage.store import Store
from sf_assets.windows import ALWAYS, Coverage, Window

log = logging.getLogger(__name__)

_ADVICE = (
    "restore it, or remove it and run `sf-assets rebuild` and `sf-assets reconcile --repair` of "
    "the object"
)
_READERS = 8
_ATTEMPTS = 3
_TICK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one look at the raw layer finds.

    Attributes:
        refs: Slices by lower-cased object name, in order of window.
        coverage: Windows of the cursor that are extracted, by object.
        deletions: Windows of time in which all deletions are known, by object.
        settled: Windows of the cursor whose content was compared when it could no longer change.
    """

    refs: dict[str, list[SliceRef]]
    coverage: dict[str, Coverage]
    deletions: dict[str, Coverage]
    settled: dict[str, Coverage]


class RawLayer:
    """The raw layer of one org.

    Args:
        store: The storage.
        org_id: The org's Id; all paths begin with it.

    Attributes:
        coverage_log: What was proven to hold nothing new.
        late: How long after its stamp a version may become visible.
        describes: How the org's objects look.
    """

    def __init__(self, store: Store, org_id: str) -> None:
        self.store = store
        self.org_id = org_id
        self.coverage_log = CoverageLog(store, org_id)
        self.late = timedelta(minutes=15)
        self.describes = Describes(store, org_id)
        self._locks: dict[str, Lock] = {}

    def raw_folder(self, slug: str) -> str:
        """Folder of an object's Parquet files."""
        return f"{self.org_id}/raw/{slug}"

    def manifest_folder(self, slug: str) -> str:
        """Folder of an object's manifests."""
        return f"{self.org_id}/manifests/{slug}"

    def lock_folder(self, slug: str) -> str:
        """Folder of the lock that whoever writes an object's slices holds."""
        return f"{self.org_id}/locks/{slug}"

    @property
    def _tick_folder(self) -> str:
        return self.lock_folder("_tick")  # no name of Salesforce's begins so

    def ticking(self) -> AbstractContextManager[Lock]:
        """Hold the lock of the tick while the block runs.

        Raises:
            BusyError: Another tick is at work.
            StorageError: The storage refuses.
        """
        return locked(self.store, self._tick_folder, "the tick")

    @property
    def is_ticking(self) -> bool:
        """Whether a tick is at work whose process is alive.

        Raises:
            StorageError: The storage refuses.
        """
        return is_held(self.store, self._tick_folder)

    def building(self, gold: str, patience: float = 0.0) -> AbstractContextManager[Lock]:
        """Hold the lock of a gold table while the block runs, to show that it is being built.

        Args:
            gold: The table.
            patience: Seconds to wait for another holder to end.

        Raises:
            BusyError: Somebody else is building it.
            StorageError: The storage refuses.
        """
        return locked(self.store, self._gold_folder(gold), f"gold.{gold}", patience)

    def is_building(self, gold: str) -> bool:
        """Whether a process that is alive shows that it builds a gold table.

        Raises:
            StorageError: The storage refuses.
        """
        return is_held(self.store, self._gold_folder(gold))

    def _gold_folder(self, gold: str) -> str:
        return self.lock_folder(f"_gold_{gold}")

    @contextmanager
    def working(self, slug: str, what: str, patience: float = 0.0) -> Iterator[None]:
        """Hold an object's lock while the block runs; what is committed makes sure of it.

        Args:
            slug: Lower-cased object name.
            what: What it is for, for whoever has to wait.
            patience: Seconds to wait for another holder to end.

        Raises:
            BusyError: Somebody else holds it.
            StorageError: The storage refuses.
        """
        with locked(self.store, self.lock_folder(slug), what, patience) as lock:
            self._locks[slug] = lock
            try:
                yield
            finally:
                del self._locks[slug]

    def reading(self, slug: str, now: datetime) -> datetime:
        """The time that a reading which begins now is given: later than that of any before it.

        So the order in which an object was read is that of these times, whatever clocks say. To be
        called with the object's lock held.

        Args:
            slug: Lower-cased object name.
            now: The org's present, cut to the second.
        """
        done = [ref.made_at for ref in self.refs(slug).get(slug, ())]
        begun = [ref.made_at for ref in self._refs(f"journal/{slug}").get(slug, ())]
        return max([now, *(made_at + _TICK for made_at in done + begun)])

    def note(self, draft: Slice) -> None:
        """Write into the journal that a Bulk job is at work for a slice."""
        self.store.put(self._journal(draft.ref), _dump(draft))

    def drafts(self, slug: str) -> list[Slice]:
        """What the journal says is, or was, at work for an object.

        A damaged note is removed: what was being read is not covered, so it is read again.
        """
        found = []
        for entry in self.store.list(f"{self.org_id}/journal/{slug}"):
            try:
                found.append(self._parsed(entry.path, slug))
            except FileNotFoundError:
                continue
            except StorageError as error:
                log.warning("%s; it is removed, a Bulk job may be left in the org", error)
                self.store.delete([entry.path])
        return found

    def forget(self, draft: Slice) -> None:
        """Remove a slice from the journal."""
        self.store.delete([self._journal(draft.ref)])

    def commit(self, piece: Slice) -> None:
        """Make a slice exist: its parts are written, now its manifest is, in one atomic put.

        Raises:
            BusyError: The object's lock was lost to another run.
            StorageError: The storage refuses.
        """
        if lock := self._locks.get(piece.object.lower()):
            lock.check()
        self.store.put(self._manifest(piece.ref), _dump(piece))

    def amend(self, piece: Slice, window: Window) -> None:
        """Have a slice cover another window than it says. To be called with the object's lock held.

        Interrupted, it covers both until that is done again.
        """
        if piece.window != window:
            self.commit(piece.model_copy(update={"start": window.start, "end": window.end}))
            self.store.delete([self._manifest(piece.ref)])

    def refs(self, only: str = "") -> dict[str, list[SliceRef]]:
        """Slices by object, in order of window, from one listing.

        Args:
            only: Lower-cased name of the one object to list.
        """
        return self._refs(f"manifests/{only}")

    def _refs(self, folder: str) -> dict[str, list[SliceRef]]:
        found: dict[str, list[SliceRef]] = defaultdict(list)
        for entry in self.store.list(f"{self.org_id}/{folder}"):
            slug, file = entry.path.split("/")[-2:]
            try:
                found[slug].append(SliceRef.parse(slug, file, entry.size))
            except ValueError:  # somebody else's file is not our slice
                continue
        return {slug: sorted(refs) for slug, refs in found.items()}

    def part_bytes(self) -> dict[str, dict[str, int]]:
        """How large the files are that lie there, by object and slice Id, from one listing."""
        found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for entry in self.store.list(f"{self.org_id}/raw"):
            _, _, slug, *_, file = entry.path.split("/")
            found[slug][file.rsplit("-", 2)[0]] += entry.size
        return found

    def slices(self, slug: str) -> list[Slice]:
        """All slices of an object but those whose place another one has taken.

        Raises:
            StorageError: A manifest is not readable, or of a newer format.
        """
        for attempt in range(_ATTEMPTS):
            try:
                found = list(self.read(self.refs(slug).get(slug, [])))
                break
            except StorageError:  # one may have been replaced since it was listed
                if attempt == _ATTEMPTS - 1:
                    raise
        replaced = {slice_id for piece in found for slice_id in piece.replaces}
        return [piece for piece in found if piece.id not in replaced]

    def remove(self, pieces: Iterable[Slice]) -> None:
        """Make slices that others replace not exist any more: manifests first, then files."""
        pieces = list(pieces)
        self.store.delete([self._manifest(piece.ref) for piece in pieces])
        self.store.delete([part.path for piece in pieces for part in piece.parts])

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
            return self._parsed(path, ref.object)
        except FileNotFoundError:
            raise StorageError(f"the manifest {self.store.uri(path)} is gone; {_ADVICE}") from None
        except StorageError as error:
            raise StorageError(f"{error}; {_ADVICE}") from None

    def _parsed(self, path: str, slug: str) -> Slice:
        """A manifest, or a draft of one, held against where it lies.

        A copy in another object's folder, or under another name, would put rows into a table that
        they are not of, or cover what nobody has read.

        Raises:
            FileNotFoundError: There is none.
            StorageError: It is damaged, of a newer format, or another one's.
        """
        what = f"the manifest {self.store.uri(path)}"
        try:
            piece = Slice.model_validate_json(self.store.get(path))
        except pydantic.ValidationError as error:
            raise StorageError(f"{what} cannot be read ({error.error_count()} faults)") from None
        if piece.org_id != self.org_id:
            raise StorageError(f"{what} is of org {piece.org_id}, not of this one")
        if piece.object.lower() != slug:
            raise StorageError(f"{what} is one of {piece.object}, so it is a copy")
        if piece.ref.file != path.rpartition("/")[2]:
            raise StorageError(f"{what} says that it is {piece.ref.file}, so it is a copy")
        folder = self.raw_folder(slug)
        if strange := [p.path for p in piece.parts if not _is_of(p.path, folder, piece.id)]:
            raise StorageError(f"{what} names {strange[0]}, which is not a file of it")
        return piece

    def inventory(self, now: datetime = ALWAYS.end) -> Inventory:
        """Slices, coverage and known deletions, from one listing and the few proofs.

        Args:
            now: The org's present, for whoever asks what is settled.
        """
        refs = self.refs()
        windows, deletions, proven = self.coverage_log.read()
        coverage: dict[str, Coverage] = defaultdict(Coverage, windows)
        known: dict[str, Coverage] = defaultdict(Coverage, deletions)
        settled: dict[str, Coverage] = defaultdict(Coverage, proven)
        for slug, mine in refs.items():
            if covering := [ref.window for ref in mine if ref.kind.covers]:
                coverage[slug] |= Coverage(covering)
            if told := [ref.window for ref in mine if ref.kind is SliceKind.DELETIONS]:
                known[slug] |= Coverage(told)
            if compared := list(filter(None, (ref.settled(self.late, now) for ref in mine))):
                settled[slug] |= Coverage(compared)
        return Inventory(refs, dict(coverage), dict(known), dict(settled))

    def note_forgotten(self, slug: str, ids: Iterable[str], now: datetime) -> None:
        """Note that records were forgotten: what is told of their deletion is not written again."""
        for record in ids:
            path = f"{self._forgotten(slug)}/{digest_of(record)}.json"
            self.store.put(path, json.dumps({"at": now.isoformat(timespec="seconds")}).encode())

    def forgotten(self, slug: str) -> set[str]:
        """Digests of the Ids of records that were forgotten."""
        entries = self.store.list(self._forgotten(slug))
        return {entry.path.rpartition("/")[2].removesuffix(".json") for entry in entries}

    def all_forgotten(self) -> dict[str, set[str]]:
        """Digests of the Ids of records that were forgotten, by lower-cased object name."""
        found: dict[str, set[str]] = defaultdict(set)
        for entry in self.store.list(f"{self.org_id}/forgotten"):
            *_, slug, file = entry.path.split("/")
            found[slug].add(file.removesuffix(".json"))
        return dict(found)

    def without_forgotten(self, slug: str, ids: Iterable[str]) -> list[str]:
        """Those of some Ids that are of records which were not forgotten."""
        known = self.forgotten(slug)
        return [record for record in ids if not known or digest_of(record) not in known]

    def _forgotten(self, slug: str) -> str:
        return f"{self.org_id}/forgotten/{slug}"

    def coverage(self) -> dict[str, Coverage]:
        """What is covered, by object, from slices and coverage manifests."""
        return self.inventory().coverage

    def _manifest(self, ref: SliceRef) -> str:
        return f"{self.manifest_folder(ref.object)}/{ref.file}"

    def _journal(self, ref: SliceRef) -> str:
        return f"{self.org_id}/journal/{ref.object}/{ref.file}"


def digest_of(record: str) -> str:
    """What stands for an Id: it names nobody to whoever does not have the Id."""
    return sha256(record[:15].encode()).hexdigest()


def _is_of(path: str, folder: str, slice_id: str) -> bool:
    return path.startswith(f"{folder}/") and path.rpartition("/")[2].startswith(f"{slice_id}-")


def _dump(piece: Slice) -> bytes:
    return piece.model_dump_json(exclude_none=True, indent=1).encode()


class _Owner(pydantic.BaseModel):
    """Whose data a storage holds under a name."""

    org_id: str = pydantic.Field(min_length=1)


def open_raw(store: Store, org_id: str, name: str) -> RawLayer:
    """Open an org's raw layer, and claim the storage for it if nobody has.

    Args:
        store: The storage.
        org_id: Id of the org that we are connected to.
        name: What the catalogue calls the org.

    Raises:
        WrongOrgError: Under that name the storage holds another org's data.
    """
    path = f"org-{name}.json"
    if not store.create(path, json.dumps({"org_id": org_id}).encode()):
        owner = owner_of(store, name)
        if owner != org_id:
            raise WrongOrgError(
                f"the storage {store.url} holds the data of org {owner}, and the credentials lead "
                f"to org {org_id}; set another SF_ASSETS_STORAGE_URL or the other org's credentials"
            )
    return RawLayer(store, org_id)


def owner_of(store: Store, name: str) -> str | None:
    """Id of the org whose data the storage holds under a name; None for an unclaimed storage.

    Raises:
        StorageError: What says so is damaged. That is not guessed: data of two orgs is never mixed.
    """
    path = f"org-{name}.json"
    try:
        return _Owner.model_validate_json(store.get(path)).org_id
    except FileNotFoundError:
        return None
    except pydantic.ValidationError:
        raise StorageError(
            f"{store.uri(path)} says whose data the storage holds, and cannot be read; restore it, "
            'or write {"org_id": "…"} into it, with the Id that the folder of the org has for name'
        ) from None
