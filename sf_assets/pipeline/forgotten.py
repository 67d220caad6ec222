"""Records that were forgotten while a warehouse was away: found in its tables, and removed there.

What raw keeps of them is a digest of each Id, so whose rows they are is seen by the digests of the
Ids that the tables have. That is done once with each warehouse, which notes what it has no more.
"""

import logging
from collections.abc import Collection

from sf_assets.naming import folded
from sf_assets.pipeline.schema.stored_describes import StoredDescribes
from sf_assets.storage.manifest import column_name
from sf_assets.storage.raw_layer import RawLayer, digest_of
from sf_assets.warehouse.port import Session

log = logging.getLogger(__name__)

SHORT = 15
"""How long an Id is without its checksum."""

_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def with_checksum(short: str) -> str:
    """An Id of 15 characters with the three letters that say which of them are capitals."""
    groups = [short[start : start + 5] for start in (0, 5, 10)]
    bits = (sum(c.isupper() << place for place, c in enumerate(group)) for group in groups)
    return short + "".join(_CHECKSUM[b] for b in bits)


def all_forms(ids: Collection[str]) -> list[str]:
    """Ids as long and as short ones."""
    return [form for record in ids for form in (record, record[:SHORT])]


def derived_columns(raw: RawLayer) -> dict[str, frozenset[str]]:
    """Columns, lower-cased, that are worked out from other records, by object."""
    kept, found = StoredDescribes(raw), {}
    for slug, refs in raw.refs().items():
        info = kept.info(slug)
        parents = {p for piece in raw.read(refs) for p in piece.fields if "." in p}
        paths = {*parents, *(info.derived if info else ())}
        found[slug] = frozenset(folded(column_name(path)) for path in paths)
    return found


def unsettled(raw: RawLayer, session: Session) -> set[str]:
    """Objects of which records were forgotten that a warehouse may have."""
    return {slug for slug, some in raw.all_forgotten().items() if some - session.forgotten(slug)}


def settle(raw: RawLayer, slug: str, session: Session) -> None:
    """Remove from a warehouse what was forgotten of an object while it was not there.

    Args:
        raw: The raw layer, which has it no more.
        slug: Lower-cased object name.
        session: The warehouse, open for writing.
    """
    lacking = raw.forgotten(slug) - session.forgotten(slug)
    if not lacking:
        return
    info = StoredDescribes(raw).info(slug)
    prefix = (info.key_prefix if info else None) or ""
    found = {i for i in session.ids_beginning(prefix) if digest_of(i) in lacking}
    if found:
        forms = all_forms([with_checksum(short) for short in found])
        removed = session.forget(slug, forms, derived_columns(raw))
        log.warning(
            "%s: records that were forgotten while this warehouse was away (%d) are removed from "
            "it, with what led to them: %s", slug, len(found), removed,
        )  # fmt: skip
    session.note_forgotten(slug, lacking)
