"""Records of objects that no company stands behind: plausible, and consistent among themselves."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.schema import Field, Schema
from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world.cohort import NEVER, Cohort
from sf_assets.emulator.world.company import Company
from sf_assets.emulator.world.seeded_random import Bools, Floats, Ints
from sf_assets.emulator.world.values import value

_NOT_MADE_UP = {"MasterRecordId", "RecordTypeId", "Id"}
Cascades = Mapping[str, list[tuple[str, str]]]


class Things(Cohort):
    """Records of any object.

    Args:
        company: Whose records they are.
        name: The object.
        index: Row numbers, from 0.
    """

    deletion_rate = 0.02

    def __init__(self, company: Company, name: str, index: Ints) -> None:
        super().__init__(company, index)
        self.name = name

    @cached_property
    def own_deletion(self) -> Bools:
        """Only where the object shows that a record is deleted."""
        deletable = self.sobject.field("IsDeleted") and self.sobject.document["deletable"]
        return super().own_deletion if deletable else np.zeros(len(self), np.bool_)

    @cached_property
    def limit(self) -> Floats:
        """Gone with the first parent whose deletion takes its children along."""
        limit = np.full(len(self), NEVER)
        for field_name, parent in self.company.cascades.get(self.name, ()):
            field = self.sobject.fields[field_name.lower()]
            picked = self.pointed(field).get(parent)
            if picked is None:
                continue
            limit = np.minimum(limit, self.ended(parent, picked))
        return limit

    def pointed(self, field: Field) -> dict[str, Ints]:
        """Where a reference points: row numbers by object, -1 where it points elsewhere."""
        targets = [name for name in field.reference_to if name in self.company.rows]
        kind = self.dice.pick(f"{field.name} kind", max(len(targets), 1))
        has = ~np.asarray(field.document["nillable"]) | self.some(field.name, 0.7)
        pointed = {}
        for place, target in enumerate(targets):
            there = self.company.existing(target, self.born)
            picked = self.dice.pick(field.name, there)
            chosen = has & (kind == place)
            if target == self.name:
                chosen &= picked < self.index
            pointed[target] = np.where(chosen, picked, -1)
        return pointed

    def columns(self) -> dict[str, pa.Array]:
        """Every field of the object that is not set by the platform."""
        columns: dict[str, pa.Array] = {}
        known = self.system()
        for field in self.sobject.fields.values():
            if not field.stored or field.name in known or field.name in _NOT_MADE_UP:
                continue
            if field.type == "reference":
                columns[field.name] = self._references(field)
            else:
                columns[field.name] = value(self, field)
        return columns | self._names(columns)

    def _references(self, field: Field) -> pa.Array:
        """Ids of existing records; of users nobody knows where the org shows no such object."""
        ids = pa.nulls(len(self), pa.string())
        taken_along = self.company.cascades.get(self.name, ())
        for target, picked in self.pointed(field).items():
            rows = picked
            if field.document["nillable"] and (field.name, target) not in taken_along:
                # Deleting a record clears the plain lookups to it.
                rows = np.where(self.ended(target, picked) < NEVER, -1, picked)
            ids = col.where(rows >= 0, self.company.ids(target, rows), ids)
        if ids.null_count and not field.document["nillable"]:
            ids = col.filled(ids, self.company.ids("User", self.someone(field.name)))
        return ids

    def _names(self, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """A person's full name agrees with its parts."""
        if not {"FirstName", "LastName"} <= set(columns):
            return {}
        person = self.person(self.dice)
        name = col.joined(person["FirstName"], person["LastName"], separator=" ")
        return {key: array for key, array in {**person, "Name": name}.items() if key in columns}


def cascades(schema: Schema) -> Cascades:
    """Which references take a record along when their parent is deleted.

    Args:
        schema: Objects whose describes say so in their child relationships.

    Returns:
        By child object: fields and parents. References that would close a circle are left out.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for sobject in schema:
        for child in sobject.document["childRelationships"]:
            name, field = child["childSObject"], child["field"]
            owner = schema.get(name)
            if not child["cascadeDelete"] or owner is None or owner.field(field) is None:
                continue
            if not _reaches(found, sobject.name, name):
                found.setdefault(name, []).append((field, sobject.name))
    return found


def _reaches(edges: Cascades, start: str, goal: str) -> bool:
    """Whether `goal` is `start` or one of its cascading parents."""
    return start == goal or any(_reaches(edges, parent, goal) for _, parent in edges.get(start, ()))
