"""What dead runs left behind: files of no manifest, slices whose place others have taken."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sf_assets.errors import BusyError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.storage.compaction import remove_replaced
from sf_assets.storage.locks import locked
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.storage.store import Entry

OLD = timedelta(days=1)
"""Younger files are left alone: a run by REST has no note in the journal."""

_PART = re.compile(r"(?P<slice>\d{8}T\d{6}Z-[0-9a-f]{8})-p\d+-c\d+\.parquet")
_STAGED = re.compile(r"#\d+$")


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed of one object.

    Attributes:
        slug: Lower-cased object name.
        files: Files that no manifest names.
        bytes: Their size.
        slices: Slices whose place others had taken.
        error: Why nothing was removed, as when somebody is at work on the object; else None.
    """

    slug: str
    files: int = 0
    bytes: int = 0
    slices: int = 0
    error: SfAssetsError | None = None

    @property
    def waits(self) -> bool:
        """Whether nothing is wrong but that somebody is at work on the object."""
        return isinstance(self.error, BusyError)


def remove_leftovers(raw: RawLayer, now: datetime) -> Iterator[Removed]:
    """Remove what no reader can ever see, object by object.

    Args:
        raw: The raw layer.
        now: The present, by which ages are judged.
    """
    slugs = {e.path.split("/")[2] for e in raw.store.list(f"{raw.org_id}/raw")}
    for slug in sorted(slugs | raw.refs().keys()):
        failed: dict[str, SfAssetsError] = {}
        removed = Removed(slug)
        with isolated(Work.CLEAN, slug, failed), locked(raw.store, raw.lock_folder(slug), slug):
            replaced = remove_replaced(raw, slug, now)
            orphans = list(_orphans(raw, slug, now))
            raw.store.delete([entry.path for entry in orphans])
            size = sum(entry.size for entry in orphans)
            removed = Removed(slug, len(orphans), size, replaced)
        yield replace(removed, error=failed.get(slug))
    _remove_staged(raw, now)


def _orphans(raw: RawLayer, slug: str, now: datetime) -> Iterator[Entry]:
    """Old files that belong to no slice, and to none that is being read."""
    files = [e for e in raw.store.list(raw.raw_folder(slug)) if now - e.modified > OLD]
    named = {p.path for piece in raw.read(raw.refs(slug).get(slug, [])) for p in piece.parts}
    drafts = {draft.id for draft in raw.drafts(slug)}
    for entry in files:
        ours = _PART.fullmatch(entry.path.rpartition("/")[2])
        if ours and entry.path not in named and ours["slice"] not in drafts:
            yield entry


def _remove_staged(raw: RawLayer, now: datetime) -> None:
    """Files that a killed process was writing into a local folder; listings pass them over."""
    if not raw.store.url.startswith("file:"):
        return
    root = Path(unquote(urlsplit(raw.store.url).path)) / raw.org_id
    for path in root.rglob("*#*"):
        if _STAGED.search(path.name):
            age = now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if age > OLD:
                path.unlink(missing_ok=True)
