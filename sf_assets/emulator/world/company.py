"""The company whose org this is: how many rows of what it has, and when."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sf_assets.emulator.ids import HISTORY_PREFIX
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world.calendar import Rhythm
from sf_assets.emulator.world.seeded_random import Dice, Floats, Ints

if TYPE_CHECKING:
    from sf_assets.emulator.world.cohort import Cohort

ADMIN = 0
INTEGRATION_USER = 1
# Ids of users are needed even where the org shows no users.
_ORGS = 10**9
_PREFIXES = {"User": "005"}


# Makes an object's records from their row numbers.
Kind = Callable[["Company", Ints], "Cohort"]


@dataclass(frozen=True)
class Company:
    """Everything that is decided before the first row.

    Attributes:
        schema: Objects of the org.
        seed: Of all chance.
        rhythm: The company's years.
        rows: Number of rows, by object.
        kinds: What makes an object's records from their row numbers.
        cascades: By object, the references (field and parent) that take a record along when the
            parent is deleted.
    """

    schema: Schema
    seed: int
    rhythm: Rhythm
    rows: Mapping[str, int]
    kinds: Mapping[str, Kind]
    cascades: Mapping[str, list[tuple[str, str]]]

    def dice(self, name: str, index: Ints) -> Dice:
        """Chance for the rows of an object."""
        return Dice(self.seed, name, index)

    def existing(self, name: str, work: Floats) -> Ints:
        """How many of an object's first rows there were at a moment."""
        return self.rhythm.existing(work, self.rows[name])

    def cohort(self, name: str, index: Ints) -> "Cohort":
        """Records of an object."""
        return self.kinds[name](self, index)

    def options(self, name: str, field: str) -> pa.Array:
        """Active values of a picklist."""
        sobject = self.schema.get(name)
        found = sobject.field(field) if sobject else None
        return pa.array(found.picklist if found else (), pa.string())

    def record_types(self, name: str) -> pa.Array:
        """Ids of an object's record types, without the master one."""
        sobject = self.schema.get(name)
        infos = sobject.document["recordTypeInfos"] if sobject else ()
        return pa.array([i["recordTypeId"] for i in infos if not i["master"]], pa.string())

    def ids(self, name: str, index: Ints) -> pa.Array:
        """Ids of an object's rows; a negative row number gives null."""
        sobject = self.schema.get(name)
        prefix = (sobject.key_prefix if sobject else None) or _PREFIXES.get(name, HISTORY_PREFIX)
        # Orgs of different seeds are different orgs, and must not pass for one another.
        first = 1 + abs(self.seed) % _ORGS if name == "Organization" else 1
        return col.reference(prefix, np.where(index < 0, -1, index + first))
