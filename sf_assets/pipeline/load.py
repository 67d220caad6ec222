"""Raw into silver: the slices of an object that the warehouse has not merged yet."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sf_assets.columns.column import Column
from sf_assets.errors import (
    SfAssetsError,
    StorageError,
    WarehouseDamagedError,
    WarehouseLockedError,
)
from sf_assets.failures import Work, attributed
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.progress import report
from sf_assets.pipeline.schema.stored_describes import StoredDescribes, as_described, newest_columns
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.warehouse.ledger import Outcome
from sf_assets.warehouse.port import Session, SilverTable, SliceLog
from sf_assets.windows import Window

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A silver table after slices were merged into it.

    Attributes:
        slices: How many were merged.
        outcome: The ledger of the merges, all together.
        rows: Live rows of the table.
        columns: Its columns that the slices had.
        types: SQL types of all of its columns, by name.
        windows: Windows of the cursor that the slices cover.
    """

    slices: int
    outcome: Outcome
    rows: int
    columns: tuple[Column, ...]
    types: Mapping[str, str]
    windows: tuple[Window, ...]


def load(org: Org, raw: RawLayer, slug: str) -> Loaded:
    """Merge what raw has of an object and silver has not.

    Args:
        org: The org; it is not asked anything.
        raw: Its raw layer.
        slug: Lower-cased object name.

    Raises:
        WarehouseError: The warehouse is locked or refuses; what was committed before stays.
        StorageError: A slice cannot be read, or raw has lost one whose rows silver has.
    """
    with attributed(Work.LOAD, slug), org.writing(raw.org_id) as session:
        table = session.table(slug, history=slug in _with_history(org))
        refs = raw.refs(slug).get(slug, [])
        slices, taken_over = _pending(raw, slug, refs, session.slices)
        session.slices.note_replacements(slug, taken_over)
        _refuse_lost(raw, slug, refs, slices, session.slices)  # before all is made of raw alone
        what = table.changed()
        if what and refs:
            log.warning("%s: %s; the table is made anew from raw", slug, what)
            return _rebuild(session, raw, slug, table)
        _reread(raw, slug, refs, session.slices)
        slices, columns = as_described(raw, slug, slices)
        if table.must_rebuild(slices):
            log.info("%s: the history is built from raw", slug)
            return _rebuild(session, raw, slug, table)
        if back := _read_again(raw, slug, slices, table):
            log.info("%s: %s is read again; typed anew from raw", slug, ", ".join(back))
            return _rebuild(session, raw, slug, table)
        if changed := table.conflicts(columns.values()):
            log.warning("%s: %s changed type; typed anew from raw", slug, ", ".join(changed))
            return _rebuild(session, raw, slug, table)
        expected = sum(piece.counts.written for piece in slices)
        total = Outcome()
        for outcome in table.merge(slices, columns, lambda piece: scan(raw.store, piece)):
            total += outcome
            report(slug, "merging", total.rows_in, expected)
        read = {piece.id for piece in [*slices, *taken_over]}
        session.slices.note_sizes(slug, (ref for ref in refs if ref.id in read))
        return _loaded(session, slug, table, slices, columns, total)


def rebuild(org: Org, raw: RawLayer, slug: str) -> Loaded:
    """Make a silver table anew from raw alone; the old one stays if this fails.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
        StorageError: A slice cannot be read, or raw has nothing of what silver holds.
    """
    with attributed(Work.REBUILD, slug), org.writing(raw.org_id) as session:
        table = session.table(slug, history=slug in _with_history(org))
        if table.types() and not table.is_empty() and not raw.refs(slug).get(slug):
            raise StorageError(
                f"{raw.store.uri(raw.manifest_folder(slug))} has no slice of {slug}, and silver "
                "has rows of it: the table stays as it is; restore the folder or set the right "
                "SF_ASSETS_STORAGE_URL, or run `sf-assets refresh`, which reads the object again, "
                "and this once more"
            )
        return _rebuild(session, raw, slug, table)


def _with_history(org: Org) -> set[str]:
    return {spec.slug for spec in org.catalog.objects.values() if spec.history}


def _pending(
    raw: RawLayer, slug: str, refs: Sequence[SliceRef], noted: SliceLog
) -> tuple[list[Slice], list[Slice]]:
    """Slices to merge, and those whose rows are all merged under the names of others.

    Patches that were merged before are among the first where older rows come after them.
    """
    merged = noted.merged(slug, (ref.id for ref in refs))
    if all(ref.id in merged for ref in refs):
        return [], []
    fresh = list(raw.read(ref for ref in refs if ref.id not in merged))
    replaced = [slice_id for piece in fresh for slice_id in piece.replaces]
    merged_before = noted.merged(slug, replaced)
    taken_over = [p for p in fresh if p.replaces and merged_before.issuperset(p.replaces)]
    fresh = [piece for piece in fresh if piece not in taken_over]
    oldest = min((piece.read_at for piece in fresh if not piece.kind.patches), default=None)
    if oldest is None:
        return fresh, taken_over
    patches = (ref for ref in refs if ref.kind.patches and ref.id in merged)
    return fresh + list(raw.read(ref for ref in patches if ref.made_at >= oldest)), taken_over


def _refuse_lost(
    raw: RawLayer,
    slug: str,
    refs: Sequence[SliceRef],
    fresh: Iterable[Slice],
    noted: SliceLog,
) -> None:
    """Refuse to go on where raw neither lists a slice that silver has, nor holds its rows.

    Nobody would read all of it again: what is covered, by neighbours or by what was proven
    unchanged since, is not looked at any more. Whether the org still has it, only it can say. Lists
    of deletions are asked for again, and silver keeps what they said.

    Raises:
        StorageError: There is such a slice.
    """
    replaced = {slice_id for piece in fresh for slice_id in piece.replaces}
    found = noted.missing({slug: refs}).get(slug, [])
    found = [piece for piece in found if piece.id not in replaced]
    if not found:
        return
    held = noted.held(slug, found, _origins(raw, refs))
    gone = [piece for piece in found if piece.id not in held]
    if told := [piece.id for piece in gone if piece.kind is SliceKind.DELETIONS]:
        log.warning("%s: lists of deletions are gone from raw (%d): asked again", slug, len(told))
        noted.waive(slug, told)
    if gone := [piece for piece in gone if piece.kind is not SliceKind.DELETIONS]:
        steps = ["rebuild", "refresh --derived", "reconcile --repair"]
        if not any(piece.kind is SliceKind.FIELDS for piece in gone):
            steps.remove("refresh --derived")
        advice = ", ".join(f"`sf-assets {step} --object {slug}`" for step in steps)
        raise StorageError(
            f"manifests of slices are gone from {raw.store.uri(raw.manifest_folder(slug))}, and "
            f"silver has their rows ({len(gone)}, the newest {max(piece.id for piece in gone)}), "
            "as after the storage was restored from an older copy: the table stays as it is; "
            f"restore them, or run {advice}, which read what the org still has of it"
        )


def _origins(raw: RawLayer, refs: Iterable[SliceRef]) -> dict[str, tuple[str, int]]:
    """Whose rows the compacted slices hold, and how many."""
    found: dict[str, tuple[str, int]] = {}
    for piece in raw.read(ref for ref in refs if ref.kind is SliceKind.COMPACTED):
        counts = Counter[str]()
        for frame in scan(raw.store, piece, ()):
            counts.update(dict(frame["_slice"].value_counts().iter_rows()))
        found |= {slice_id: (piece.id, rows) for slice_id, rows in counts.items()}
    return found


def _reread(raw: RawLayer, slug: str, refs: Sequence[SliceRef], noted: SliceLog) -> None:
    """Read manifests whose size has changed: it says where to look, not that they are damaged.

    Raises:
        StorageError: One cannot be read.
    """
    changed = noted.resized({slug: refs}).get(slug, set())
    suspects = [ref for ref in refs if ref.id in changed]
    if suspects:
        list(raw.read(suspects))
        noted.note_sizes(slug, suspects)


def _rebuild(session: Session, raw: RawLayer, slug: str, table: SilverTable) -> Loaded:
    refs = raw.refs(slug).get(slug, [])
    slices, columns = as_described(raw, slug, raw.slices(slug))
    columns = _still_read(raw, slug, slices, columns)
    report(slug, "merging", 0, sum(piece.counts.written for piece in slices))
    outcome = table.rebuild(slices, columns, lambda piece: scan(raw.store, piece))
    session.slices.note_sizes(slug, refs)
    return _loaded(session, slug, table, slices, columns, outcome)


def _still_read(
    raw: RawLayer, slug: str, slices: Sequence[Slice], columns: Mapping[str, Column]
) -> dict[str, Column]:
    """The columns without those that the catalogue leaves out by now, though they could be read.

    Their values would be of the last reading that had them. Of fields that are gone, that is the
    best there is.
    """
    newest = newest_columns(raw, [piece.ref for piece in slices])
    if newest is None:
        return dict(columns)
    info = StoredDescribes(raw).info(slug)
    there = {f.name.lower() for f in info.fields if not f.gone} if info else set()
    return {n: c for n, c in columns.items() if n.lower() in newest or n.lower() not in there}


def _read_again(raw: RawLayer, slug: str, fresh: Sequence[Slice], table: SilverTable) -> list[str]:
    """Columns that are new to the table, and of which slices merged before have values."""
    types = table.types()
    new = {name for piece in fresh for name in piece.columns if name not in types}
    if not new or not types:
        return []
    ids = {piece.id for piece in fresh}
    before = (piece for piece in raw.slices(slug) if piece.id not in ids)
    return sorted(new & {name for piece in before for name in piece.columns})


def _loaded(  # noqa: PLR0917 (all of it is what is told)
    session: Session,
    slug: str,
    table: SilverTable,
    slices: Sequence[Slice],
    columns: Mapping[str, Column],
    outcome: Outcome,
) -> Loaded:
    types = table.types()
    rows = session.silver.rows(slug) if types else 0
    if slices:
        log.info("%s: merged into silver, slices: %d, %s", slug, len(slices), outcome)
    report(slug, "done")
    windows = tuple(piece.window for piece in slices if piece.kind.covers)
    return Loaded(len(slices), outcome, rows, tuple(columns.values()), types, windows)


def record_failures(org: Org, org_id: str, errors: Mapping[str, SfAssetsError]) -> None:
    """Note in `ops.sync_log` what failed, as far as there is a warehouse that can be written."""
    if not errors or not org.warehouse.exists():
        return
    try:
        with org.writing(org_id) as session:
            session.note_failures({slug: str(error) for slug, error in errors.items()})
    except (WarehouseLockedError, WarehouseDamagedError) as error:  # which has been said
        log.debug("the failures are not in ops.sync_log: %s", error)
    except SfAssetsError as error:
        log.warning("the failures are not in ops.sync_log: %s", error)


def behind(org: Org, raw: RawLayer) -> set[str]:
    """Objects of which silver lacks slices, as when the warehouse was locked, or what merges made.

    And those whose raw is not what silver was made of: slices are lost, or manifests changed.

    Raises:
        WarehouseError: The warehouse is locked or refuses.
    """
    refs = raw.refs()
    if not org.warehouse.exists():
        return set(refs)
    with org.reading(raw.org_id) as session:
        lacking = set()
        for slug, mine in refs.items():
            ids = {ref.id for ref in mine}
            if ids - session.slices.merged(slug, ids):
                lacking.add(slug)
        unkept = _with_history(org) - session.histories()
        changed = session.changed().keys()
        lost = session.slices.missing(refs).keys()
        resized = session.slices.resized(refs).keys()
    return lacking | (unkept | changed | lost | resized) & refs.keys()


def quarantine_if_damaged(org: Org) -> Path | None:
    """Make room for a new warehouse, where the old one cannot be read.

    Returns:
        What the old file is called now; None when it can be read, or is not there.

    Raises:
        WarehouseError: It is locked, or cannot be renamed.
    """
    if not org.warehouse.exists():
        return None
    try:
        org.warehouse.check()
    except WarehouseDamagedError:
        return org.warehouse.quarantine()
    return None
