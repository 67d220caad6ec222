"""Chance that can be looked up: the same answer for the same seed, object, column and row.

Nothing is drawn in order, so any row's values can be worked out again when another object needs
them, and an object of any size can be made in pieces.
"""

from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

# What arrays hold. Only the names say so: arithmetic loses numpy's own element types.
Ints = npt.NDArray[Any]
Floats = npt.NDArray[Any]
Bools = npt.NDArray[Any]

# Constants of the splitmix64 generator, whose output function this is.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


class Dice:
    """Chance for some rows of one object.

    Args:
        seed: Of the whole org.
        name: The object, or whatever else the row numbers count.
        index: Row numbers.
    """

    def __init__(self, seed: int, name: str, index: npt.NDArray[Any]) -> None:
        self._seed = seed
        self._name = name
        self._rows = index.astype(np.uint64) * _STEP

    def __len__(self) -> int:
        return len(self._rows)

    def bits(self, column: str) -> npt.NDArray[np.uint64]:
        """64 even bits a row."""
        label = f"{self._seed}/{self._name}/{column}".encode()
        key = np.uint64(int.from_bytes(blake2b(label, digest_size=8).digest()))
        x = self._rows + key
        x = (x ^ (x >> np.uint64(30))) * _MIX_1
        x = (x ^ (x >> np.uint64(27))) * _MIX_2
        return x ^ (x >> np.uint64(31))

    def share(self, column: str) -> Floats:
        """A number from 0 up to, not including, 1 for each row."""
        return (self.bits(column) >> np.uint64(11)) * 2.0**-53

    def chance(self, column: str, probability: float | Floats) -> Bools:
        """Whether something of that probability happened to each row."""
        return self.share(column) < probability

    def pick(self, column: str, options: int | Ints, skew: float = 1.0) -> Ints:
        """One of several options for each row.

        Args:
            column: What is picked.
            options: How many options there are, for all rows or for each.
            skew: 1 for even chances; the more, the more the first options are preferred.

        Returns:
            Positions, from 0.
        """
        return (self.share(column) ** skew * options).astype(np.int64)

    def between(self, column: str, low: int, high: int) -> Ints:
        """A whole number from `low` to `high`, both possible."""
        return low + self.pick(column, high - low + 1)

    def normal(self, column: str) -> Floats:
        """A number of the standard normal distribution, by the Box-Muller transform."""
        radius = np.sqrt(-2 * np.log1p(-self.share(column)))
        normal: Floats = radius * np.cos(2 * np.pi * self.share(column + "~"))
        return normal
