"""How the org's objects look, and looked: each one's last describe, and all that was ever new.

<storage>/<org id>/describes/<object>.json       the last describe of an object, and its time
<storage>/<org id>/describes/<when>-<id>.json    what was new then: describes by lower-cased object
<storage>/<org id>/describe.json                 the last of all, as older releases kept them

Types of columns follow from describes, so they must not vanish. What is kept as the last is also
the newest of the history, which is never written over; where the one is lost or damaged the other
takes its place. Two that ask at the same time do not undo each other: the last is written only over
the version that was read.
"""

import contextlib
import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sf_assets.describe import ObjectInfo
from sf_assets.storage.manifest import new_slice_id
from sf_assets.storage.store import Store
from sf_assets.windows import parse_compact

log = logging.getLogger(__name__)

_Done = TypeVar("_Done")

Revise = Callable[[str, ObjectInfo | None], ObjectInfo | None]
"""What is known of an object by its lower-cased name, given what was before; None for nothing."""

_AT_ONCE = 8
_FILE = re.compile(r"[A-Za-z][A-Za-z0-9_]*|\d{8}T\d{6}Z-[0-9a-f]{8}")  # others' files are not ours


@dataclass(frozen=True, slots=True)
class StoredDescribe:
    """A describe as it is kept.

    Attributes:
        asked_at: When the org said so, or said that nothing changed, by its own time.
        info: What it said.
        told_at: When it said so itself; None where an older release kept it.
        tag: Of the version of its file; None where it was found elsewhere.
    """

    asked_at: datetime
    info: ObjectInfo
    told_at: datetime | None = None
    tag: str | None = None


class Describes:
    """The describes of one org.

    Args:
        store: The storage.
        org_id: The org's Id.
    """

    def __init__(self, store: Store, org_id: str) -> None:
        self._store = store
        self._folder = f"{org_id}/describes"
        self._old = f"{org_id}/describe.json"

    @property
    def uri(self) -> str:
        """Where they are, for people."""
        return self._store.uri(self._folder)

    def names(self) -> set[str]:
        """Lower-cased names of the objects that were ever described."""
        files = self._files()
        named = {name for path in files if not _is_history(name := _name(path))}
        once = {slug for path in files if _is_history(_name(path)) for slug in self._load(path)}
        return named | once | {slug for slug, _ in self._of_older_releases()}

    def last(self, slugs: Iterable[str]) -> dict[str, StoredDescribe]:
        """The last describe of each object, as far as there is one."""
        slugs = list(slugs)
        found = dict(zip(slugs, _side_by_side(self._read, slugs), strict=True))
        there = {slug: kept for slug, kept in found.items() if kept}
        lost = found.keys() - there.keys()
        return there | (self._elsewhere(lost) if lost else {})

    def keep(
        self,
        asked_at: datetime,
        before: Mapping[str, StoredDescribe],
        slugs: Iterable[str],
        revise: Revise,
    ) -> dict[str, ObjectInfo]:
        """Keep what the org said of objects; what is new in it is kept for good.

        Args:
            asked_at: When the org said so, by its own time.
            before: What is kept of them now.
            slugs: Lower-cased names of the objects.
            revise: What is known of one now, given what was; called again where another run was
                faster.

        Returns:
            What is kept of them now.
        """
        revised = {slug: revise(slug, _info(before.get(slug))) for slug in slugs}
        known = {slug: info for slug, info in revised.items() if info}
        self._remember(asked_at, before, known)

        def write(slug: str) -> ObjectInfo:
            ours, tag = known[slug], _tag(before.get(slug))
            while not self._put(slug, StoredDescribe(asked_at, ours, asked_at, tag)):
                theirs = self.last([slug])
                if slug in theirs and theirs[slug].asked_at >= asked_at:
                    return theirs[slug].info
                ours = revise(slug, _info(theirs.get(slug))) or ours
                tag = _tag(theirs.get(slug))
                self._remember(asked_at, theirs, {slug: ours})
            return ours

        return dict(zip(known, _side_by_side(write, list(known)), strict=True))

    def renew(
        self, asked_at: datetime, before: Mapping[str, StoredDescribe], slugs: Iterable[str]
    ) -> dict[str, ObjectInfo]:
        """Keep that objects are as they are kept; when that was told stays.

        One that another run has told anew meanwhile is left to it.
        """
        slugs = list(slugs)
        _side_by_side(lambda slug: self._put(slug, replace(before[slug], asked_at=asked_at)), slugs)
        return {slug: before[slug].info for slug in slugs}

    def history(
        self, only: Collection[str] | None = None
    ) -> Iterator[tuple[datetime, dict[str, ObjectInfo]]]:
        """All that ever was new, oldest first: when it was asked for, and what was said then.

        Args:
            only: Lower-cased names of the objects that matter; None for all.
        """
        for path in sorted(path for path in self._files() if _is_history(_name(path))):
            if document := self._load(path):
                wanted = document.keys() if only is None else document.keys() & only
                found = {slug: _parsed(slug, document[slug]) for slug in wanted}
                asked_at = parse_compact(_name(path).partition("-")[0])
                yield asked_at, {slug: info for slug, info in found.items() if info}

    def newest_change(self) -> str | None:
        """Path of the newest of the history; None when there is none."""
        return max((path for path in self._files() if _is_history(_name(path))), default=None)

    def _files(self) -> list[str]:
        paths = [entry.path for entry in self._store.list(self._folder)]
        return [path for path in paths if _FILE.fullmatch(_name(path)) and path.endswith(".json")]

    def _load(self, path: str) -> dict[str, Any]:
        """The describes of a file by object; none where it is lost or damaged, which is said."""
        try:
            return dict(json.loads(self._store.get(path)))
        except (FileNotFoundError, ValueError, TypeError):
            log.warning("%s is damaged, and passed over", self._store.uri(path))
            return {}

    def _path(self, slug: str) -> str:
        return f"{self._folder}/{slug}.json"

    def _read(self, slug: str) -> StoredDescribe | None:
        """The last describe by its own file; None where that is lost or damaged."""
        path = self._path(slug)
        try:
            data, tag = self._store.get_tagged(path)
        except FileNotFoundError:
            return None
        try:
            return _kept(slug, json.loads(data), tag)
        except ValueError:
            log.warning("%s is damaged, and passed over", self._store.uri(path))
            return None

    def _elsewhere(self, wanted: Collection[str] | None) -> dict[str, StoredDescribe]:
        """What is known without the objects' own files: by history, and by older releases."""
        found: dict[str, StoredDescribe] = {}
        for asked_at, infos in self.history(wanted):
            found |= {slug: StoredDescribe(asked_at, info) for slug, info in infos.items()}
        for slug, kept in self._of_older_releases():
            newer = slug not in found or found[slug].asked_at < kept.asked_at
            if newer and (wanted is None or slug in wanted):
                found[slug] = kept
        return found

    def _of_older_releases(self) -> Iterator[tuple[str, StoredDescribe]]:
        try:
            documents = dict(json.loads(self._store.get(self._old)))
        except (FileNotFoundError, ValueError, TypeError):
            return
        for slug, document in documents.items():
            with contextlib.suppress(ValueError):
                yield slug, _kept(slug, document, None)

    def _remember(
        self,
        asked_at: datetime,
        before: Mapping[str, StoredDescribe],
        known: Mapping[str, ObjectInfo],
    ) -> None:
        """Add to the history what is new; usually nothing."""
        changed = {
            slug: _document(info) for slug, info in known.items() if _info(before.get(slug)) != info
        }
        if changed:
            path = f"{self._folder}/{new_slice_id(asked_at)}.json"
            self._store.put(path, json.dumps(changed).encode())

    def _put(self, slug: str, kept: StoredDescribe) -> bool:
        document = {
            "asked_at": kept.asked_at.isoformat(timespec="seconds"),
            "told_at": kept.told_at and kept.told_at.isoformat(timespec="seconds"),
            "describe": _document(kept.info),
        }
        path, data = self._path(slug), json.dumps(document).encode()
        if self._store.replace(path, data, kept.tag):
            return True
        there = self._read(slug)
        if there and there.tag:
            return False
        self._store.put(path, data)  # over what is damaged, or where the storage tags nothing
        return True


def _side_by_side(work: Callable[[str], _Done], slugs: Sequence[str]) -> list[_Done]:
    """Do what waits for the storage for several objects at once."""
    if len(slugs) < 2:  # noqa: PLR2004
        return [work(slug) for slug in slugs]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(work, slugs))


def _name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")


def _is_history(name: str) -> bool:
    return name[:1].isdigit()  # objects' names begin with a letter


def _info(kept: StoredDescribe | None) -> ObjectInfo | None:
    return kept.info if kept else None


def _tag(kept: StoredDescribe | None) -> str | None:
    return kept.tag if kept else None


def _document(info: ObjectInfo) -> dict[str, Any]:
    return info.model_dump(mode="json", exclude_defaults=True)


def _kept(slug: str, document: Any, tag: str | None) -> StoredDescribe:
    """A describe from its file.

    Raises:
        ValueError: It is none.
    """
    try:
        asked_at = datetime.fromisoformat(document["asked_at"])
        told = document.get("told_at")
        told_at = datetime.fromisoformat(told) if told else None
        info = _parsed(slug, document["describe"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None
    if info is None or any(at and at.tzinfo is None for at in (asked_at, told_at)):
        raise ValueError(slug)
    return StoredDescribe(asked_at, info, told_at, tag)


def _parsed(slug: str, document: Any) -> ObjectInfo | None:
    """A describe; None where it is not whole, or another object's."""
    try:
        info = ObjectInfo.model_validate(document)
    except ValueError:
        return None
    return info if info.name.lower() == slug and info.fields else None
