"""What the catalogue and the org's own classification say is done to fields on their way to silver.

A field is treated alike wherever it is read, as a parent's field of another object, too. How what
is in silver was treated is noted in `ops.tables`; where that is no longer what is to be done, the
table is made anew from raw.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from hmac import digest

import polars as pl

from sf_assets.catalog import ObjectSpec
from sf_assets.columns.column import Column, column_of
from sf_assets.columns.treated import Treated
from sf_assets.describe import FieldInfo
from sf_assets.errors import ConfigError, StorageError
from sf_assets.naming import Names, folded
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.schema.stored_describes import (
    ResolvedPath,
    StoredDescribes,
    columns_of,
    known_to_another,
)
from sf_assets.privacy import Treatment, hash_key, strictest
from sf_assets.salesforce.soql import read_soql
from sf_assets.storage.manifest import Slice, column_name
from sf_assets.storage.parquet_reader import scan
from sf_assets.storage.raw_layer import RawLayer

_NEEDED = frozenset({"id", "isdeleted"})
_KEYS = frozenset({"id", "reference"})


@dataclass(frozen=True, slots=True)
class View:
    """What one table takes of an object's slices.

    Attributes:
        slices: The slices, with those of their fields that it takes.
        columns: Columns of these, as the table has them.
        notes: What is done to each field of the slices, as it is noted.
        reader: Reads some columns of a slice; of None, all that it has.
    """

    slices: list[Slice]
    columns: dict[str, Column]
    notes: Mapping[str, str]
    reader: Callable[[Slice, Sequence[str] | None], Iterator[pl.DataFrame]]

    def read(self, piece: Slice, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Rows of a slice, with some of the columns that it has, or all."""
        return self.reader(piece, columns)


class Policies:
    """What is done to the fields of an org's objects.

    Args:
        org: The org; it is not asked anything.
        raw: Its raw layer, which has the describes.
    """

    def __init__(self, org: Org, raw: RawLayer) -> None:
        self._org = org
        self._specs = {spec.slug: spec for spec in org.catalog.objects.values()}
        self._defaults = {folded(k): t for k, t in org.catalog.privacy_defaults.items()}
        self._raw = raw
        self._kept = StoredDescribes(raw)
        tags = [tag for spec in self._specs.values() for tag in spec.privacy.values()]
        self._used = {*tags, *self._defaults.values()} - {Treatment.KEEP}

    @cached_property
    def key(self) -> bytes:
        """The key of hashes.

        Raises:
            ConfigError: There is none.
        """
        return hash_key(self._org.hash_key)

    def of(self, slug: str, path: str) -> Treatment:
        """What is done to a field, or a parent's field, of an object.

        Raises:
            ConfigError: That cannot be done to it.
            StorageError: How it is classified was never asked.
        """
        return self._of(slug, path)[0] if self._used else Treatment.KEEP

    def note(self, slug: str, path: str) -> str:
        """What is done to a field, with all that the outcome depends on."""
        if not self._used:
            return Treatment.KEEP
        treatment, field = self._of(slug, path)
        if treatment is not Treatment.HASH:
            return treatment
        kind = column_of(field).kind if field else ""
        return f"{treatment} {digest(self.key, b'sf_assets', 'sha256').hex()[:8]} {kind}"

    def concerns(self, slug: str) -> bool:
        """Whether anything is done to the fields of an object."""
        return bool(self._used) and any(
            self.of(slug, path) is not Treatment.KEEP for path in self._paths(slug)
        )

    def restricts(self, slug: str) -> bool:
        """Whether fields of an object are in a schema of their own."""
        return Treatment.RESTRICTED in self._used and any(
            self.of(slug, path) is Treatment.RESTRICTED for path in self._paths(slug)
        )

    def refuse_unknown(self, slug: str) -> None:
        """Make sure that what the catalogue names are fields.

        Raises:
            ConfigError: One is none: then what was meant would be seen.
        """
        spec = self._specs.get(slug)
        if spec and self._kept.info(slug):
            for path in spec.privacy:
                field = self._kept.walk(slug, path).field
                if field or not known_to_another(self._org, slug, path):
                    refuse_unless_field(spec, path, field)

    def treated(self, slug: str, fields: Iterable[str], columns: Mapping[str, Column]) -> Treated:
        """How columns are treated on their way to the silver table.

        Args:
            slug: Lower-cased object name.
            fields: The fields, as describes spell them.
            columns: Their columns, as described.
        """
        done = ((column_name(path), self.of(slug, path)) for path in fields)
        found: Names[Treatment] = Names((n, how) for n, how in done if how != Treatment.KEEP)
        return Treated(found, columns, self.key if Treatment.HASH in found.values() else b"")

    def silver(self, slug: str, slices: Iterable[Slice], columns: Mapping[str, Column]) -> View:
        """What the silver table takes of slices, whose fields are spelt as in describes."""
        slices = list(slices)
        fields = {path for piece in slices for path in piece.fields}
        treated = self.treated(slug, fields, columns)
        notes = {path: self.note(slug, path) for path in sorted(fields)}
        taken = _only(slices, lambda _, path: treated.of(column_name(path)).leaves_column)

        def read(piece: Slice, names: Sequence[str] | None) -> Iterator[pl.DataFrame]:
            return map(treated.rows, scan(self._raw.store, piece, names))

        return View(taken, treated.stored(), notes, read)

    def restricted(self, slug: str, slices: Iterable[Slice], columns: Mapping[str, Column]) -> View:
        """What the restricted table takes of slices: keys, and restricted fields as they are."""

        def takes(piece: Slice, path: str) -> bool:
            return (
                folded(path) in _NEEDED | {folded(piece.cursor or "")}
                or self.of(slug, path) is Treatment.RESTRICTED
            )

        taken = _only(slices, takes)
        fields = {path for piece in taken for path in piece.fields}
        names = set(map(column_name, fields))
        notes = {path: self.note(slug, path) for path in sorted(fields)}
        own = {name: column for name, column in columns.items() if name in names}
        return View(taken, own, notes, partial(scan, self._raw.store))

    def _paths(self, slug: str) -> list[str]:
        """The fields of an object, and parents' fields that its query names."""
        info, spec = self._kept.info(slug), self._specs.get(slug)
        own = [field.name for field in info.fields] if info else []
        if info and spec and spec.soql:
            own += [path for path in read_soql(spec.soql, info).fields if "." in path]
        return own

    def _of(self, slug: str, path: str) -> tuple[Treatment, FieldInfo | None]:
        step, name = self._kept.walk(slug, path), path.rpartition(".")[2]
        treatment = self._tagged(slug, path)
        if treatment is None:
            homes = step.of if "." in path else (slug,)
            treatment = strictest([self._of_object(home, name) for home in homes])
        self._refuse_needed(slug, step, treatment)
        return treatment, step.field

    def _of_object(self, name: str, field: str) -> Treatment:
        """What is done to an object's own field; to a person's name what is done to its parts."""
        tag = self._tagged(name, field)
        if tag is not None:
            return tag
        info = self._kept.info(name)
        parts = info.parts_of_name(field) if info else ()
        done = [self._of_object(name, part) for part in parts]
        return strictest([self._default(name, field), *done])

    def _tagged(self, name: str, path: str) -> Treatment | None:
        """What the catalogue says of a field of an object; None where it says nothing."""
        spec = self._specs.get(folded(name))
        tags = Names(spec.privacy.items()) if spec else Names[Treatment]()
        return tags.get(path)

    def _default(self, name: str, field: str) -> Treatment:
        """What is done to a field by how the org classifies it."""
        if not self._defaults:
            return Treatment.KEEP
        info = self._kept.info(name)
        if info is None or not info.field(field):
            return Treatment.KEEP
        if not info.classified and not info.gone and info.name != "Name":
            raise StorageError(
                f"how the fields of {info.name} are classified was not asked of the org since the "
                "catalogue has privacy_defaults, so nothing of it is merged; run `sf-assets "
                "refresh`"
            )
        return strictest(
            [self._defaults.get(folded(c), Treatment.KEEP) for c in info.categories_of(field)]
        )

    def _refuse_needed(self, slug: str, step: ResolvedPath, treatment: Treatment) -> None:
        if treatment is Treatment.KEEP:
            return
        info, field = self._kept.info(slug), step.field
        needed = _NEEDED | {folded(info.cursor or "")} if info else _NEEDED
        if folded(step.path) in needed:
            raise ConfigError(
                f"{_object(self._specs, slug)}: {step.path} cannot be treated ({treatment}): "
                "records are told apart by it; take it out of `privacy`, or write "
                f"`{step.path}: keep`"
            )
        if field and field.type in _KEYS and treatment.leaves_column:
            raise ConfigError(
                f"{_object(self._specs, slug)}: {step.path} leads to a record, and would lead "
                f"nowhere ({treatment}); write `{step.path}: drop`, `restricted` or `keep` into "
                "its `privacy`"
            )


def refuse_unless_field(spec: ObjectSpec, path: str, field: FieldInfo | None) -> None:
    """Make sure that what a catalogue says something is done to is a field with a column.

    Raises:
        ConfigError: It is none.
    """
    if field is not None and field.of_rows:
        return
    place = spec.place("privacy", [*spec.privacy].index(path))
    if field is None:
        raise ConfigError(
            f"{place}: {spec.name} has no field {path}, so what is meant would be seen; correct it"
        )
    raise ConfigError(f"{place}: {path} has no column of its own; name the fields it is made of")


def treated_columns(
    org: Org, raw: RawLayer, slug: str, fields: Iterable[str]
) -> tuple[dict[str, Column], Treated]:
    """Columns that silver has of fields, and how the org's rows become like silver's.

    Raises:
        ConfigError: There is no key for hashes.
        StorageError: No describe knows one of the fields.
    """
    fields = list(fields)
    treated = Policies(org, raw).treated(slug, fields, columns_of(raw, slug, fields))
    return treated.stored(), treated


def _only(slices: Iterable[Slice], takes: Callable[[Slice, str], bool]) -> list[Slice]:
    """Slices with some of their fields."""
    return [
        piece.model_copy(update={"fields": tuple(p for p in piece.fields if takes(piece, p))})
        for piece in slices
    ]


def _object(specs: Mapping[str, ObjectSpec], slug: str) -> str:
    spec = specs.get(slug)
    return f"{spec.file}: objects.{spec.name}" if spec else slug
