"""What a declared check is asked of, and what it found."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sf_assets.describe import ObjectInfo


@dataclass(frozen=True, slots=True)
class Subject:
    """An object whose checks are asked.

    Attributes:
        slug: Lower-cased name.
        info: Its describe, if there is one.
        prefixes: How Ids of the objects that have a describe begin, by lower-cased name.
        readings: Its live rows at earlier runs of checks, latest first.
        read: Lower-cased names of the objects that are read: tables of others stand still. None
            for all that have a table.
    """

    slug: str
    info: ObjectInfo | None = None
    prefixes: Mapping[str, str] = field(default_factory=dict)
    readings: Sequence[int] = ()
    read: Collection[str] | None = None

    def reads(self, name: str) -> bool:
        """Whether an object of that name is read."""
        return self.read is None or name.lower() in self.read


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check found.

    Attributes:
        passed: Whether all is well.
        offenders: Rows that offend; None when it is asked of the table, or could not be asked.
        ids: Some of theirs.
        facts: What else there is to say.
        reason: Why it could not be asked; empty when it could.
        sql: The query, for whoever wants to see all of the offenders.
    """

    passed: bool
    offenders: int | None = None
    ids: tuple[str, ...] = ()
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    reason: str = ""
    sql: str = ""
