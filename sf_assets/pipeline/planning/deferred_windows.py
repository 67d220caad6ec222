"""Windows of a backfill that wait for the budget: asked for, not read, taken up by later ticks.

Coverage cannot tell of them where the backfill was to read anew what raw holds already. A note is
`<org id>/waiting/<id>.json`; it is done with once slices that were read after it cover its windows.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from pydantic import ValidationError

from sf_assets.storage.manifest import CoverageManifest, SliceRef, Windows, new_slice_id
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.windows import Coverage, Window

log = logging.getLogger(__name__)


def note_deferred(
    raw: RawLayer, asked_at: datetime, windows: Mapping[str, Collection[Window]]
) -> None:
    """Write down that windows are still to be read anew.

    Args:
        raw: The raw layer.
        asked_at: The org's present: what is read from now on counts.
        windows: By lower-cased object name.
    """
    if edges := _edges(windows):
        raw.store.put(f"{_folder(raw)}/{new_slice_id(asked_at)}.json", _note(raw, edges))


def still_deferred(
    raw: RawLayer, refs: Mapping[str, Sequence[SliceRef]]
) -> dict[str, list[Window]]:
    """Windows noted and not read since, by object, the newest first; notes done with are removed.

    Args:
        raw: The raw layer.
        refs: Its slices by object.
    """
    found: dict[str, list[Window]] = defaultdict(list)
    done: list[str] = []
    for entry in raw.store.list(_folder(raw)):
        try:
            note = CoverageManifest.model_validate_json(raw.store.get(entry.path))
        except FileNotFoundError:
            continue
        except ValidationError:
            log.warning(
                "%s cannot be read: windows that a backfill left for want of budget are not known; "
                "run that backfill again, and remove the file",
                raw.store.uri(entry.path),
            )
            continue
        asked_at = entry.path.rsplit("/", 1)[-1].partition("-")[0]
        left = {slug: _left(asked_at, w, refs.get(slug, ())) for slug, w in note.windows.items()}
        for slug, windows in left.items():
            found[slug] += windows
        if not any(left.values()):
            done.append(entry.path)
        elif (edges := _edges(left)) != note.windows:  # slices may be compacted any time
            raw.store.put(entry.path, _note(raw, edges))
    raw.store.delete(done)
    return {slug: list(Coverage(some).windows[::-1]) for slug, some in found.items() if some}


def _left(
    asked_at: str, windows: Iterable[tuple[datetime, datetime]], refs: Sequence[SliceRef]
) -> list[Window]:
    since = [ref for ref in refs if ref.id.partition("-")[0] >= asked_at and ref.kind.covers]
    read = Coverage(ref.window for ref in since)
    return [part for edges in windows for part in read.lacks(Window(*edges))]


def _edges(windows: Mapping[str, Collection[Window]]) -> Windows:
    return {slug: tuple((w.start, w.end) for w in some) for slug, some in windows.items() if some}


def _note(raw: RawLayer, edges: Windows) -> bytes:
    return CoverageManifest(org_id=raw.org_id, windows=edges).model_dump_json().encode()


def _folder(raw: RawLayer) -> str:
    return f"{raw.org_id}/waiting"
