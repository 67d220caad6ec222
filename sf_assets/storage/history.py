"""How the org's objects looked over time: the describes that differ from those kept before.

<storage>/<org id>/describes/<when>-<id>.json     describes by lower-cased object name
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sf_assets.storage.lake import Lake
from sf_assets.storage.slices import new_slice_id
from sf_assets.windows import parse_compact

Documents = Mapping[str, Mapping[str, Any]]
"""By lower-cased object name, a describe and when it was asked for."""


def keep_changed(lake: Lake, asked_at: datetime, before: Documents, after: Documents) -> None:
    """Keep for good those of some describes that say something new; usually none.

    Args:
        lake: The raw layer.
        asked_at: When the org said so, by its own time.
        before: What is kept as the last that the org said.
        after: What it says now.
    """
    changed = {
        slug: document["describe"]
        for slug, document in after.items()
        if slug not in before or before[slug]["describe"] != document["describe"]
    }
    if changed:
        path = f"{_folder(lake)}/{new_slice_id(asked_at)}.json"
        lake.store.put(path, json.dumps(changed).encode())


def newest_change(lake: Lake) -> str | None:
    """Name of the newest of them; None when there is none."""
    return max((entry.path for entry in lake.store.list(_folder(lake))), default=None)


def changed_describes(lake: Lake) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """All describes ever kept, oldest first: when they were asked for, and what was new then."""
    for path in sorted(entry.path for entry in lake.store.list(_folder(lake))):
        asked_at = path.rsplit("/", 1)[-1].partition("-")[0]
        yield parse_compact(asked_at), json.loads(lake.store.get(path))


def _folder(lake: Lake) -> str:
    return f"{lake.org_id}/describes"
