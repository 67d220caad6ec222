"""The ledger of a merge: what became of each row of the slices."""

from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """The ledger of a merge: rows of the slices, and what became of them.

    Attributes:
        rows_in: Rows in the slices.
        inserted: Records that silver had not.
        updated: Records that changed.
        unchanged: Versions that say what silver says.
        stale: Versions older than what silver has, or than another one in the same merge.
        rejected: Values that could not be typed.
    """

    rows_in: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    rejected: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.rows_in} rows in: {self.inserted} inserted, {self.updated} updated, "
            f"{self.unchanged} unchanged, {self.stale} stale; {self.rejected} values rejected"
        )

    @property
    def agrees(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows_in == self.inserted + self.updated + self.unchanged + self.stale
