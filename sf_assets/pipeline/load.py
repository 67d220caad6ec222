"""Raw into silver: the slices of an object that the warehouse has not merged yet."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sf_assets.columns.column import Column
from sf_assets.errors import (
    SfAssetsError,
    StorageError,
    WarehouseDamagedError,
    WarehouseLockedError,
)
from sf_assets.failures import Work, attributed
from sf_assets.naming import Names
from sf_assets.pipeline.forgotten import settle, unsettled
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.privacy import Policies, View
from sf_assets.pipeline.progress import report
from sf_assets.pipeline.schema.stored_describes import StoredDescribes, as_described, newest_columns
from sf_assets.privacy import Treatment
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
        ConfigError: The catalogue has something done to fields that cannot be done.
        WarehouseError: The warehouse is locked or refuses; what was committed before stays.
        StorageError: A slice cannot be read, or raw has lost one whose rows silver has.
    """
    with attributed(Work.LOAD, slug):
        return _each_table(org, raw, slug, _load)


def rebuild(org: Org, raw: RawLayer, slug: str) -> Loaded:
    """Make a silver table anew from raw alone; the old one stays if this fails.

    Raises:
        ConfigError: The catalogue has something done to fields that cannot be done.
        WarehouseError: The warehouse is locked or refuses.
        StorageError: A slice cannot be read, or raw has nothing of what silver holds.
    """
    with attributed(Work.REBUILD, slug):
        return _each_table(org, raw, slug, _rebuild_unless_lost)


@dataclass(frozen=True, slots=True)
class _Target:
    """A table that is made of an object's slices.

    Attributes:
        session: The warehouse, open for writing.
        raw: The raw layer.
        slug: Lower-cased object name.
        table: The table.
        policies: What is done to the object's fields.
        view: What the table takes of slices.
    """

    session: Session
    raw: RawLayer
    slug: str
    table: SilverTable
    policies: Policies
    view: Callable[[str, Iterable[Slice], Mapping[str, Column]], View]

    def described(self, slices: Iterable[Slice]) -> View:
        """What the table takes of slices, by what describes say today."""
        return self.view(self.slug, *as_described(self.raw, self.slug, slices))


def _each_table(org: Org, raw: RawLayer, slug: str, work: Callable[[_Target], Loaded]) -> Loaded:
    """Load the tables of an object: that of its restricted fields, if there are any, and silver's.

    What becomes of silver's is told.
    """
    policies = Policies(org, raw)
    policies.refuse_unknown(slug)
    with org.writing(raw.org_id) as session:
        settle(raw, slug, session)
        restricted = session.restricted(slug)
        if policies.restricts(slug):
            work(_Target(session, raw, slug, restricted, policies, policies.restricted))
        elif restricted.types():
            restricted.drop()
        table = session.table(slug, history=slug in _with_history(org))
        return work(_Target(session, raw, slug, table, policies, policies.silver))


def _load(target: _Target) -> Loaded:
    raw, slug, table, log_of = target.raw, target.slug, target.table, target.session.slices
    refs = raw.refs(slug).get(slug, [])
    slices, taken_over = _pending(raw, table.noted, refs, log_of)
    log_of.note_replacements(table.noted, taken_over)
    _refuse_lost(raw, slug, table.noted, refs, slices, log_of)  # before all is made of raw alone
    if refs and (why := _why_anew(target)):
        log.warning("%s: %s; the table is made anew from raw", slug, why)
        return _rebuild(target)
    _reread(raw, table.noted, refs, log_of)
    view = target.described(slices)
    if table.must_rebuild(view.slices):
        log.info("%s: the history is built from raw", slug)
        return _rebuild(target)
    if back := _read_again(raw, slug, view.slices, table):
        log.info("%s: %s is read again; typed anew from raw", slug, ", ".join(back))
        return _rebuild(target)
    if changed := table.conflicts(view.columns.values()):
        log.warning("%s: %s changed type; typed anew from raw", slug, ", ".join(changed))
        return _rebuild(target)
    expected = sum(piece.counts.written for piece in slices)
    total = Outcome()
    for outcome in table.merge(view.slices, view.columns, view.read, notes=view.notes):
        total += outcome
        report(slug, "merging", total.rows_in, expected)
    read = {piece.id for piece in [*slices, *taken_over]}
    log_of.note_sizes(table.noted, (ref for ref in refs if ref.id in read))
    return _loaded(target, view, total)


def _why_anew(target: _Target) -> str:
    """Why a table has to be made anew, whatever is to be merged; empty where it has not."""
    if changed := target.table.changed():
        return changed
    if not target.table.types():
        return ""
    treated, slug = target.session.treated(), target.slug
    others = treated_otherwise(target.policies, slug, treated.get(target.table.noted))
    if target.table.noted != slug:
        others += newly_restricted(target.policies, slug, target.table.noted, treated)
    return f"{', '.join(others)} to be treated otherwise than so far" if others else ""


def treated_otherwise(policies: Policies, slug: str, noted: Names[str] | None) -> list[str]:
    """Fields that are in a table otherwise than they are to be.

    Args:
        policies: What is to be done to fields.
        slug: Lower-cased object name.
        noted: How they were treated; None where that is not known, as of older releases, which
            treated none.
    """
    if noted is None:
        return ["what was read so far"] if policies.concerns(slug) else []
    return [path for path, how in noted.items() if policies.note(slug, path) != how]


def newly_restricted(
    policies: Policies, slug: str, table: str, treated: Mapping[str, Names[str] | None]
) -> list[str]:
    """Fields that the restricted table lacks, of those that were read: silver's notes name them.

    Args:
        policies: What is to be done to fields.
        slug: Lower-cased object name.
        table: What `ops` calls its restricted table.
        treated: How fields of tables were treated, by what `ops` calls these.
    """
    there = treated.get(table) or Names[str]()
    return [
        path
        for path in treated.get(slug) or ()
        if path not in there and policies.of(slug, path) is Treatment.RESTRICTED
    ]


def _rebuild_unless_lost(target: _Target) -> Loaded:
    raw, slug, table = target.raw, target.slug, target.table
    if table.types() and not table.is_empty() and not raw.refs(slug).get(slug):
        raise StorageError(
            f"{raw.store.uri(raw.manifest_folder(slug))} has no slice of {slug}, and silver "
            "has rows of it: the table stays as it is; restore the folder or set the right "
            "SF_ASSETS_STORAGE_URL, or run `sf-assets refresh`, which reads the object again, "
            "and this once more"
        )
    return _rebuild(target)


def _with_history(org: Org) -> set[str]:
    return {spec.slug for spec in org.catalog.objects.values() if spec.history}


def _pending(
    raw: RawLayer, table: str, refs: Sequence[SliceRef], noted: SliceLog
) -> tuple[list[Slice], list[Slice]]:
    """Slices to merge into a table, and those whose rows are all merged under the names of others.

    Patches that were merged before are among the first where older rows come after them.
    """
    merged = noted.merged(table, (ref.id for ref in refs))
    if all(ref.id in merged for ref in refs):
        return [], []
    fresh = list(raw.read(ref for ref in refs if ref.id not in merged))
    replaced = [slice_id for piece in fresh for slice_id in piece.replaces]
    merged_before = noted.merged(table, replaced)
    taken_over = [p for p in fresh if p.replaces and merged_before.issuperset(p.replaces)]
    fresh = [piece for piece in fresh if piece not in taken_over]
    oldest = min((piece.read_at for piece in fresh if not piece.kind.patches), default=None)
    if oldest is None:
        return fresh, taken_over
    patches = (ref for ref in refs if ref.kind.patches and ref.id in merged)
    return fresh + list(raw.read(ref for ref in patches if ref.made_at >= oldest)), taken_over


def _refuse_lost(  # noqa: PLR0917 (all of it is compared)
    raw: RawLayer,
    slug: str,
    table: str,
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
    found = noted.missing({table: refs}).get(table, [])
    found = [piece for piece in found if piece.id not in replaced]
    if not found:
        return
    held = noted.held(table, found, _origins(raw, refs))
    gone = [piece for piece in found if piece.id not in held]
    if told := [piece.id for piece in gone if piece.kind is SliceKind.DELETIONS]:
        log.warning("%s: lists of deletions are gone from raw (%d): asked again", slug, len(told))
        noted.waive(table, told)
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


def _reread(raw: RawLayer, table: str, refs: Sequence[SliceRef], noted: SliceLog) -> None:
    """Read manifests whose size has changed: rows were removed from slices, or they are damaged.

    Raises:
        StorageError: One cannot be read.
    """
    changed = noted.resized({table: refs}).get(table, set())
    suspects = [ref for ref in refs if ref.id in changed]
    if suspects:
        noted.note_rewritten(table, raw.read(suspects))
        noted.note_sizes(table, suspects)


def _rebuild(target: _Target) -> Loaded:
    raw, slug, table = target.raw, target.slug, target.table
    refs = raw.refs(slug).get(slug, [])
    view = target.described(raw.slices(slug))
    columns = _still_read(raw, slug, view.slices, view.columns)
    report(slug, "merging", 0, sum(piece.counts.written for piece in view.slices))
    outcome = table.rebuild(view.slices, columns, view.read, notes=view.notes)
    target.session.slices.note_sizes(table.noted, refs)
    return _loaded(target, replace(view, columns=columns), outcome)


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


def _loaded(target: _Target, view: View, outcome: Outcome) -> Loaded:
    types, slices = target.table.types(), view.slices
    of_silver = target.table.noted == target.slug
    rows = target.session.silver.rows(target.slug) if types and of_silver else 0
    if slices:
        log.info("%s: merged, slices: %d, %s", target.table.noted, len(slices), outcome)
    report(target.slug, "done")
    windows = tuple(piece.window for piece in slices if piece.kind.covers)
    return Loaded(len(slices), outcome, rows, tuple(view.columns.values()), types, windows)


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
    policies = Policies(org, raw)
    with org.reading(raw.org_id) as session:
        lacking, treated = set(), session.treated()
        for slug, mine in refs.items():
            ids = {ref.id for ref in mine}
            if ids - session.slices.merged(slug, ids) or _is_stale(
                policies, session, slug, ids, treated
            ):
                lacking.add(slug)
        unkept = _with_history(org) - session.histories()
        changed = session.changed().keys()
        lost = session.slices.missing(refs).keys()
        resized = session.slices.resized(refs).keys()
        forgotten = unsettled(raw, session)
    return lacking | (unkept | changed | lost | resized | forgotten) & refs.keys()


def _is_stale(
    policies: Policies,
    session: Session,
    slug: str,
    ids: Collection[str],
    treated: Mapping[str, Names[str] | None],
) -> bool:
    """Whether fields of an object are not where, or not as, the catalogue has them.

    What the catalogue says that cannot be done is told by whoever merges.
    """
    restricted = session.restricted(slug).noted
    try:
        if policies.restricts(slug) != (restricted in treated):
            return True
        if restricted in treated and set(ids) - session.slices.merged(restricted, ids):
            return True
        if restricted in treated and newly_restricted(policies, slug, restricted, treated):
            return True
        return any(
            treated_otherwise(policies, slug, treated[name])
            for name in (slug, restricted)
            if name in treated
        )
    except SfAssetsError:
        return True


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
