"""The describes kept in raw: where a path of fields leads, and which columns fields make."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sf_assets.columns.column import NUMBERS, Column, column_of
from sf_assets.describe import FieldInfo, ObjectInfo
from sf_assets.errors import StorageError
from sf_assets.naming import Names, folded, same_name
from sf_assets.pipeline.org import Org
from sf_assets.storage.manifest import Slice, SliceKind, SliceRef, column_name
from sf_assets.storage.raw_layer import RawLayer, owner_of
from sf_assets.storage.schema_cache import Describes

_NAME = ObjectInfo(
    name="Name",
    fields=tuple(
        FieldInfo(name=name, type="boolean" if name == "IsActive" else "string", relationship=to)
        for name, to in (
            ("Alias", None), ("Email", None), ("FirstName", None), ("Id", None),
            ("IsActive", None), ("LastName", None), ("MiddleName", None), ("Name", None),
            ("NameOrAlias", None), ("Phone", None), ("Suffix", None), ("Title", None),
            ("Type", None), ("Username", None),
        )
    ),
)  # fmt: skip
"""What SOQL sees of a parent that may be of several objects, beside what these have in common."""

_OF_NO_ORG = {folded(_NAME.name): _NAME}


@dataclass(frozen=True, slots=True)
class ResolvedPath:
    """Where a path such as `Account.Owner.Name` leads.

    Attributes:
        path: The path as describes spell it.
        over: The objects that it leads over; several for each step that may lead to several.
        field: Its field: as it is, else as it was last. None when no describe ever knew it.
        of: The objects whose field it may be.
    """

    path: str
    over: tuple[str, ...]
    field: FieldInfo | None
    of: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """Name of its column."""
        return column_name(self.path)


class StoredDescribes:
    """The describes kept in raw, read as they are needed."""

    def __init__(self, raw: RawLayer) -> None:
        self._describes = raw.describes
        self._read: dict[str, ObjectInfo | None] = {}
        self._earlier: dict[str, list[ObjectInfo]] = {}

    @property
    def names(self) -> Collection[str]:
        """Lower-cased names of the objects that have one."""
        return self._describes.names()

    def info(self, name: str) -> ObjectInfo | None:
        """The describe of an object, or None."""
        slug = name.lower()
        if slug not in self._read:
            kept = self._describes.last([slug]).get(slug)
            self._read[slug] = kept.info if kept else _OF_NO_ORG.get(slug)
        return self._read[slug]

    def walk(self, slug: str, path: str) -> ResolvedPath:
        """Follow a path from an object, in any case."""
        *parents, last = path.split(".")
        here, over, spelt = [slug], list[str](), list[str]()
        for parent in parents:
            links = list(self._fields(here, partial(_leads, to=parent)))
            targets = [target for link in links for target in link.reference_to]
            spelt.append(links[0].relationship or parent if links else parent)
            over += targets
            here = [*targets, *([_NAME.name] if len(targets) > 1 else [])]
        field = next(self._fields(here, partial(_is_called, name=last)), None)
        spelt.append(field.name if field else last)
        return ResolvedPath(".".join(spelt), tuple(over), field, tuple(here))

    def links(self, slug: str, path: str) -> Iterator[tuple[str, frozenset[str]]]:
        """The references that a path goes over, as paths, and of which objects they may be.

        Of `Contact.Account.Name` these are `ContactId` and `Contact.AccountId`.
        """
        here, before = [slug], ""
        for parent in path.split(".")[:-1]:
            found = list(self._fields(here, partial(_leads, to=parent)))
            here = [target for link in found for target in link.reference_to]
            if found:
                yield f"{before}{found[0].name}", frozenset(here)
            before += f"{parent}."

    def _fields(
        self, names: Iterable[str], fits: Callable[[FieldInfo], bool]
    ) -> Iterator[FieldInfo]:
        """Fields of these objects that fit; of an object that has none now, those of earlier."""
        for name in names:
            info = self.info(name)
            found = [field for field in info.fields if fits(field)] if info else []
            yield from found or self._once(name, fits)

    def _once(self, name: str, fits: Callable[[FieldInfo], bool]) -> list[FieldInfo]:
        slug = name.lower()
        if slug not in self._earlier:
            history = [infos[slug] for _, infos in self._describes.history({slug}) if infos]
            self._earlier[slug] = history[::-1]
        found = ([f for f in info.fields if fits(f)] for info in self._earlier[slug])
        return next(filter(None, found), [])


def _leads(field: FieldInfo, to: str) -> bool:
    return field.leads_to(to)


def _is_called(field: FieldInfo, name: str) -> bool:
    return same_name(field.name, name)


def known_to_another(org: Org, slug: str, name: str) -> bool:
    """Whether another org of the catalogue has a field that this one has not, as far as is kept."""
    for other in org.catalog.orgs:
        org_id = owner_of(org.storage, other)
        if org_id and other != org.name:
            kept = Describes(org.storage, org_id).last([slug])
            if slug in kept and kept[slug].info.field(name):
                return True
    return False


def columns_of(raw: RawLayer, slug: str, fields: Iterable[str]) -> dict[str, Column]:
    """Columns of fields and parent fields of an object, from the describes kept in raw.

    Raises:
        StorageError: No describe, kept now or ever, knows one of them.
    """
    return _columns(_steps(raw, slug, fields).values())


def number_room(raw: RawLayer, slug: str, fields: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Digits before and after the point that describe gives the number columns among fields."""
    kept = StoredDescribes(raw)
    described = ((column_name(path), kept.walk(slug, path).field) for path in fields)
    columns = (column_of(field, name) for name, field in described if field)
    return {c.name: (c.integers, c.scale) for c in columns if c.kind in NUMBERS}


def as_described(
    raw: RawLayer, slug: str, slices: Iterable[Slice]
) -> tuple[list[Slice], dict[str, Column]]:
    """Slices with their fields as describes spell them today, and the columns of those fields.

    Where a field and a parent's field make one column, as `Account_Region__c` and
    `Account.Region__c` do, it is of the one that was read last, and the other has none.

    Raises:
        StorageError: No describe, kept now or ever, knows one of the fields.
    """
    slices = list(slices)
    in_time = sorted(slices, key=lambda piece: (piece.read_at, piece.id))
    fields = Names((name, name) for piece in in_time for name in piece.fields)
    steps = _steps(raw, slug, fields)
    newest = Names((steps[name].column, name) for piece in in_time for name in piece.fields)
    spelling = Names((name, steps[name].path) for name in newest.values())
    columns = _columns(steps[name] for name in spelling)
    return [piece.respelt(spelling) for piece in slices], columns


def newest_columns(raw: RawLayer, refs: Sequence[SliceRef]) -> set[str] | None:
    """Columns, lower-cased, that are read now: of the newest whole slice, and of patches after it.

    Args:
        raw: The raw layer.
        refs: Slices of one object.

    Returns:
        The columns; None where nothing was ever read whole.
    """
    # A compacted slice is younger than what it holds.
    refs = [ref for ref in refs if ref.kind is not SliceKind.COMPACTED] or refs
    since = max((ref.made_at for ref in refs if not ref.kind.patches), default=None)
    if since is None:
        return None
    latest = raw.read(ref for ref in refs if ref.made_at >= since)
    return {name.lower() for piece in latest for name in piece.columns}


def _columns(steps: Iterable[ResolvedPath]) -> dict[str, Column]:
    return {step.column: column_of(step.field, step.column) for step in steps if step.field}


def _steps(raw: RawLayer, slug: str, fields: Iterable[str]) -> Names[ResolvedPath]:
    kept = StoredDescribes(raw)
    found = Names((path, kept.walk(slug, path)) for path in fields)
    if unknown := [path for path, step in found.items() if step.field is None]:
        raise StorageError(
            f"{slug}: no describe tells the type of {', '.join(unknown)}, and raw has values of "
            f"it; silver stays as it is. Restore {raw.describes.uri} from a backup, or let this "
            "user see the field again, and run `sf-assets refresh`"
        )
    return found
