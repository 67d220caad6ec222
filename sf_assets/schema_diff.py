"""What changed between two states of an org's schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sf_assets.describe import FieldInfo, ObjectInfo
from sf_assets.naming import folded

ADDED, GONE = "added", "gone"

_OF_OBJECTS = ("name", "label", "queryable", "updateable", "replicateable")
_OF_FIELDS = (
    "name", "type", "length", "precision", "scale", "label", "help", "nillable", "calculated",
    "filterable", "restricted", "reference_to", "relationship",
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One thing that changed.

    Attributes:
        object: API name.
        field: API name; empty for the object itself.
        what: `added`, `gone`, or the attribute of describe that says something else now.
        before: What it said; of a picklist, the values that were taken out.
        after: What it says; of a picklist, the values that were put in.
    """

    object: str
    field: str
    what: str
    before: str = ""
    after: str = ""


def diff(before: Mapping[str, ObjectInfo], after: Mapping[str, ObjectInfo]) -> list[Change]:
    """What changed between two states, objects and their fields by lower-cased name.

    An object or a field that is marked as gone is gone, as one that is not there.
    """
    old = {slug: info for slug, info in before.items() if not info.gone}
    new = {slug: info for slug, info in after.items() if not info.gone}
    changes = [Change(old[slug].name, "", GONE) for slug in old.keys() - new.keys()]
    changes += [Change(new[slug].name, "", ADDED) for slug in new.keys() - old.keys()]
    for slug in old.keys() & new.keys():
        changes += _of_object(old[slug], new[slug])
    return sorted(changes)


def _of_object(before: ObjectInfo, after: ObjectInfo) -> Iterator[Change]:
    for what in _OF_OBJECTS:
        if getattr(before, what) != getattr(after, what):
            yield Change(after.name, "", what, *_formatted(before, after, what))
    old, new = _fields(before), _fields(after)
    for slug in old.keys() - new.keys():
        yield Change(after.name, old[slug].name, GONE, before=old[slug].type)
    for slug in new.keys() - old.keys():
        yield Change(after.name, new[slug].name, ADDED, after=new[slug].type)
    for slug in old.keys() & new.keys():
        yield from _of_field(after.name, old[slug], new[slug])


def _of_field(name: str, before: FieldInfo, after: FieldInfo) -> Iterator[Change]:
    for what in _OF_FIELDS:
        if getattr(before, what) != getattr(after, what):
            yield Change(name, after.name, what, *_formatted(before, after, what))
    out = [value for value in before.picklist if value not in after.picklist]
    into = [value for value in after.picklist if value not in before.picklist]
    if out or into:
        yield Change(name, after.name, "picklist", ", ".join(out), ", ".join(into))


def _fields(info: ObjectInfo) -> dict[str, FieldInfo]:
    return {folded(f.name): f for f in info.fields if not f.gone}


def _formatted(before: Any, after: Any, what: str) -> tuple[str, str]:
    values = [getattr(side, what) for side in (before, after)]
    first, second = (", ".join(v) if isinstance(v, tuple) else str(v) for v in values)
    return first, second
