"""Records that are to be forgotten: out of raw, silver and all that is made of it, and proven so.

Raw comes first: what silver is made of must not bring them back. Whoever is killed in between has
forgotten some of it, and does the rest by the same command: each step asks what is there.
"""

import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl

from sf_assets.catalog import ObjectSpec
from sf_assets.errors import ConfigError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.pipeline.events import Failed
from sf_assets.pipeline.forgotten import SHORT, all_forms, derived_columns, with_checksum
from sf_assets.pipeline.load import load
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.reconciliation.reconcile import cut, turn
from sf_assets.pipeline.refresh import follow
from sf_assets.pipeline.schema.described import Described, describe_objects
from sf_assets.pipeline.schema.stored_describes import StoredDescribes
from sf_assets.pipeline.untraceable import Untraceable, untraceable
from sf_assets.storage.manifest import SliceKind
from sf_assets.storage.parquet_reader import read_part
from sf_assets.storage.raw_layer import RawLayer, digest_of
from sf_assets.storage.rewrite import rewrite

FORGOTTEN = "(forgotten)"
"""What a query in a manifest says in the place of a record's Id."""

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_PATIENCE = 600.0


@dataclass(slots=True)
class Forgotten:
    """What became of records that were to be forgotten.

    Attributes:
        slug: Lower-cased object name.
        records: How many records were named.
        removed: Rows that were removed, or in which what led to them was emptied, by place; None
            for a copy of tables that nobody makes anew, which was removed whole.
        remains: Where a search found them afterwards, in how many rows; None where it cannot tell.
        not_searched: Why a place could not be looked into, though it may have them.
        errors: What could not be done, by place.
    """

    slug: str
    records: int
    removed: dict[str, int | None] = field(default_factory=dict)
    remains: dict[str, int | None] = field(default_factory=dict)
    not_searched: dict[str, str] = field(default_factory=dict)
    errors: dict[str, SfAssetsError] = field(default_factory=dict)


def forget(org: Org, spec: ObjectSpec, ids: Sequence[str]) -> Forgotten:
    """Forget records that the org has no more.

    Args:
        org: The org, which is asked whether it has them.
        spec: Their object.
        ids: Their Ids, of 15 or 18 characters.

    Raises:
        ConfigError: One is no Id of the object, or the org has it still: it would come back.
        SfAssetsError: The org or the storage cannot be reached.
    """
    item = describe_objects(org, [spec])[spec.slug]
    if isinstance(item, SfAssetsError):
        raise item
    found = list(dict.fromkeys(_long_id(item, text) for text in ids))
    _refuse_those_there(org, item, found)
    forms = all_forms(found)
    result = Forgotten(spec.slug, len(found))
    derived = derived_columns(org.raw)
    changed = _forget_in_raw(org, item, found, derived, result)
    for place in org.places if spec.slug not in result.errors else ():
        _forget_in_warehouse(place, spec.slug, forms, derived, changed, result)
    with isolated(Work.FORGET, "storage", result.errors):
        result.remains |= dict(_left_in_storage(org.raw, forms))
        for one in untraceable(org.raw, item.info.name):
            _tell_of_untraceable(org.raw, one, result)
    return result


def _long_id(item: Described, text: str) -> str:
    """An Id with its three letters of checksum.

    Raises:
        ConfigError: It is none, or none of that object, or what it ends with is of another.
    """
    prefix = item.info.key_prefix or ""
    if not _ID.fullmatch(text) or not text.startswith(prefix):
        begins = f", which begin with {prefix}" if prefix else ""
        raise ConfigError(
            f"{text!r} is no Id of {item.info.name}{begins} and have 15 or 18 characters; nothing "
            "was removed"
        )
    whole = with_checksum(text[:SHORT])
    if len(text) > SHORT and text != whole:
        raise ConfigError(
            f"{text!r} is not spelt as Salesforce has it: its last three letters say which of the "
            "others are capitals, and do not fit; nothing was removed. Copy it letter by letter"
        )
    return whole


def _refuse_those_there(org: Org, item: Described, ids: list[str]) -> None:
    """Make sure that the org has none of some records, not even in its recycle bin.

    Raises:
        ConfigError: It has one.
    """
    there: set[str] = set()
    for some in cut(ids):
        listed = ", ".join(f"'{record}'" for record in some)
        soql = f"SELECT Id FROM {item.info.name} WHERE Id IN ({listed})"
        there |= {str(row["Id"])[:SHORT] for row in org.client.rest.records(soql)}
    if still := [record for record in ids if record[:SHORT] in there]:
        raise ConfigError(
            f"org {org.client.org_id} still has {', '.join(still)}, perhaps in its recycle bin, so "
            "what is removed would be read again; nothing was removed. Delete it there for good, "
            "and run this once more"
        )


def _forget_in_raw(
    org: Org,
    item: Described,
    ids: Collection[str],
    derived: Mapping[str, frozenset[str]],
    result: Forgotten,
) -> list[str]:
    """Remove records from raw; of which objects slices were written anew."""
    raw, own, forms = org.raw, item.spec.slug, all_forms(ids)
    changed = []
    for slug in sorted(raw.refs().keys() | {own}, key=lambda slug: (slug != own, slug)):
        failed: dict[str, SfAssetsError] = {}
        mine = slug == own
        with (
            isolated(Work.FORGET, slug, failed),
            turn(org, item) if mine else raw.working(slug, slug, _PATIENCE),
        ):
            if mine:
                raw.note_forgotten(slug, ids, org.client.now())
            rows = sum(_clean_slices(raw, slug, forms, derived.get(slug, frozenset()), own=mine))
            rows += _remove_files_of_none(raw, slug, forms)
            if rows:
                result.removed[raw.raw_folder(slug)] = rows
                changed.append(slug)
        result.errors |= failed
    return changed


@dataclass(frozen=True, slots=True)
class _Rows:
    """What of an object's rows has to do with records.

    Attributes:
        forms: Ids of the records, long and short.
        own: Whether the records are of this object.
        derived: Columns that the org works out, perhaps from the record that a row leads to.
        led: Ids of rows of which a version led to one of the records.
    """

    forms: list[str]
    own: bool
    derived: frozenset[str]
    led: frozenset[str] = frozenset()

    def cleaned(self, hits: list[int], frame: pl.DataFrame) -> pl.DataFrame:
        """Rows without those of records, and others without what leads to them or follows."""
        texts = [name for name, kind in frame.schema.items() if kind == pl.String]
        keys = [name for name in texts if name.lower() == "id"]
        others = [name for name in texts if name not in keys]
        gone = _any_of(keys, self.forms) if self.own else pl.lit(value=False)
        left = frame.filter(~(gone | _any_of(keys, self.led)))
        leads = left.select(_any_of(others, self.forms).alias("leads"))["leads"]
        hits.append(len(frame) - len(left) + int(leads.sum()))
        if not hits[-1]:
            return frame
        emptied = [name for name in others if name.lower() in self.derived]
        return left.with_columns(
            *(
                pl.when(pl.col(name).is_in(self.forms))
                .then(None)
                .otherwise(pl.col(name))
                .alias(name)
                for name in others
            )
        ).with_columns(
            pl.when(leads).then(None).otherwise(pl.col(name)).alias(name) for name in emptied
        )

    def leading(self, frame: pl.DataFrame) -> list[str]:
        """Ids of rows that lead to one of the records."""
        texts = [name for name, kind in frame.schema.items() if kind == pl.String]
        keys = [name for name in texts if name.lower() == "id"]
        leads = frame.filter(_any_of([name for name in texts if name not in keys], self.forms))
        return [i for i in leads[keys[0]] if i] if keys else []


def _clean_slices(
    raw: RawLayer, slug: str, forms: list[str], derived: frozenset[str], *, own: bool
) -> Iterator[int]:
    """Write slices anew that hold records or what leads to them; in how many rows each did.

    Fields that were read again, of rows that led there, are removed: they are of the rows' derived
    fields, and do not say where the rows led.
    """
    rows = _Rows(forms, own, derived)
    pieces = list(raw.read(raw.refs(slug).get(slug, [])))
    leading = {
        record
        for piece in pieces
        if not piece.kind.patches
        for part in piece.parts
        for record in rows.leading(pl.DataFrame(read_part(raw.store, part)))
    }

    def told(soql: str) -> str:
        for form in forms:  # the long ones come before what they begin with
            soql = soql.replace(form, FORGOTTEN)
        return soql

    for piece in pieces:
        hits: list[int] = []
        again = piece.kind is SliceKind.FIELDS
        mine = replace(rows, led=frozenset(leading)) if again else rows
        if rewrite(raw, piece, partial(mine.cleaned, hits), told):
            yield sum(hits)


def _any_of(names: Sequence[str], values: Collection[str]) -> pl.Expr:
    """The condition that one of some columns has one of some values."""
    if not names or not values:
        return pl.lit(value=False)
    return pl.any_horizontal(pl.col(names).is_in(list(values)).fill_null(value=False))


def _remove_files_of_none(raw: RawLayer, slug: str, forms: list[str]) -> int:
    """Remove files of dead runs that hold the records; in how many rows.

    To be called with the object's lock held, so that nobody is writing them.
    """
    named = {part.path for p in raw.read(raw.refs(slug).get(slug, [])) for part in p.parts}
    drafts = tuple(draft.id for draft in raw.drafts(slug))
    rows = 0
    for entry in list(raw.store.list(raw.raw_folder(slug))):
        file = entry.path.rpartition("/")[2]
        if entry.path in named or (drafts and file.startswith(drafts)):
            continue
        if hits := _rows_with(raw.store.get(entry.path), forms):
            raw.store.delete([entry.path])
            rows += hits
    return rows


def _forget_in_warehouse(  # noqa: PLR0917 (all of it is about the same records)
    org: Org,
    slug: str,
    forms: list[str],
    derived: Mapping[str, frozenset[str]],
    changed: Collection[str],
    result: Forgotten,
) -> None:
    """Remove records from the tables, build gold anew, and look for them everywhere."""
    raw, failed = org.raw, dict[str, SfAssetsError]()
    home = f"{org.warehouse_name}: " if org.places[1:] or org.place else ""
    with isolated(Work.FORGET, f"{home}{org.schema}", failed):
        if not org.warehouse.exists():
            result.not_searched[f"{home}{org.warehouse}"] = (
                "nothing is there; if it was moved away or is not mounted, bring it back, and run "
                "this once more"
            )
            result.remains |= dict.fromkeys(map(str, org.warehouse.stale_copies()))
            return
        with org.writing(raw.org_id) as session:
            removed = session.forget(slug, forms, derived)
            result.removed |= {home + table: rows for table, rows in removed.items()}
            session.note_forgotten(slug, raw.forgotten(slug) & {digest_of(i) for i in forms})
        for other in changed:
            load(org, raw, other)
        for event in follow(org):
            if isinstance(event, Failed):
                failed[f"{home}{event.layer}.{event.object}"] = event.error
        org.warehouse.publish()
        result.removed |= dict.fromkeys(map(str, org.warehouse.remove_stale_copies()))
        with org.reading(raw.org_id) as session:
            found = session.search(forms)
            result.remains |= {home + table: rows for table, rows in found.items()}
            if session.has_leftovers():
                failed[str(org.warehouse)] = ConfigError(
                    "it could not be written anew without the bytes of what was removed, because "
                    "another program holds it; close it there, and run this once more"
                )
        result.remains |= dict.fromkeys(map(str, org.warehouse.quarantined()))
    result.errors |= failed


def _tell_of_untraceable(raw: RawLayer, one: Untraceable, result: Forgotten) -> None:
    result.remains[f"{raw.raw_folder(one.slug)}: {one.path}"] = one.rows
    info = StoredDescribes(raw).info(one.slug)
    name = info.name if info else one.slug
    result.errors[f"{name}.{one.path}"] = ConfigError(
        f"raw has {one.path} of {name} without {one.reference}, so nobody can tell which rows have "
        f"it of a record that is forgotten; they stay as they are. Select {one.reference}, too, "
        f"run `sf-assets backfill --object {name}`, have `retention_days` remove what was read "
        f"before, run `sf-assets rebuild --object {name}`, and then this once more"
    )


def _left_in_storage(raw: RawLayer, forms: list[str]) -> Iterator[tuple[str, int | None]]:
    """Where the storage has records still, and in how many rows."""
    for entry in raw.store.list(raw.org_id):
        try:
            data = raw.store.get(entry.path)
        except FileNotFoundError:  # locks and the like come and go
            continue
        if rows := _rows_with(data, forms, parquet=entry.path.endswith(".parquet")):
            yield entry.path, rows


def _rows_with(data: bytes, forms: list[str], *, parquet: bool = True) -> int:
    """In how many rows of a file, or how often in one that is none of rows, some texts are."""
    short = [form for form in forms if len(form) == SHORT]
    if not parquet:
        return sum(data.count(form.encode()) for form in short)
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError:  # cut, as of a run that died
        return sum(data.count(form.encode()) for form in short)
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    if not texts:
        return 0
    said = [pl.col(name).str.contains_any(short).fill_null(value=False) for name in texts]
    return int(frame.select(pl.any_horizontal(said).sum()).item())
