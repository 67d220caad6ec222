"""Some records of one object, with what all objects have in common: a life from birth to end."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sf_assets.emulator.schema import SObject
from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world import words
from sf_assets.emulator.world.calendar import DAY
from sf_assets.emulator.world.company import ADMIN, INTEGRATION_USER, Company
from sf_assets.emulator.world.seeded_random import Bools, Dice, Floats, Ints

NEVER = np.inf
# Deleted records stay in the recycle bin for 15 days, so no deletion that can be seen is older.
_BIN_WEEKS = 2.0
# One record of so many gets a text that breaks exporters: often at first, seldom later; and one of
# so many a text of great length.
_EARLY, _OFTEN, _SELDOM, _LONG_TEXTS = 4000, 17, 997, 9973
_LONG = 32_000
# Users who are no salespeople: the administrator and the integration user.
_STAFF = 2


class Cohort(ABC):
    """Records of one object at given row numbers, worked out by column when asked for.

    All moments are in weeks of work (see `rhythm`), so that what lies between two moments does so
    for every row. A record is created, touched by people, and ends by its own deletion, by that of
    a parent (`limit`), or not at all.

    Args:
        company: Whose records they are.
        index: Row numbers, from 0.

    Attributes:
        name: The object.
        deletion_rate: Share of the rows that somebody deleted.
    """

    name: str
    deletion_rate: ClassVar[float] = 0.012

    def __init__(self, company: Company, index: Ints) -> None:
        self.company = company
        self.index = index

    def __len__(self) -> int:
        return len(self.index)

    @property
    def sobject(self) -> SObject:
        """Describe of the object."""
        found = self.company.schema.get(self.name)
        if found is None:
            raise LookupError(f"the schema has no object {self.name}")
        return found

    @cached_property
    def dice(self) -> Dice:
        """Chance for these rows."""
        return self.company.dice(self.name, self.index)

    @cached_property
    def born(self) -> Floats:
        """When the company's growth made the row; the first row is left over from 2001."""
        share = (self.index + self.dice.share("born")) / self.company.rows[self.name]
        return np.where(self.index == 0, self.company.rhythm.old, self.company.rhythm.grown(share))

    @cached_property
    def limit(self) -> Floats:
        """When a parent took the record with it; NEVER if none did."""
        return np.full(len(self), NEVER)

    @cached_property
    def created(self) -> Floats:
        """When the record was created."""
        return np.minimum(self.born, self.limit)

    @cached_property
    def created_seconds(self) -> Ints:
        """CreatedDate, in seconds since the epoch."""
        return self.seconds(self.created)

    @cached_property
    def own_deletion(self) -> Bools:
        """Whether somebody deleted the record itself."""
        return self.dice.chance("deleted", self.deletion_rate) & (self.index > 0)

    @cached_property
    def deleted_at(self) -> Floats:
        """When the record was deleted, for whatever reason; NEVER if it is alive."""
        horizon = np.minimum(self.limit, self.company.rhythm.now)
        recent = horizon - _BIN_WEEKS * self.dice.share("deleted at")
        return np.where(self.own_deletion, np.maximum(self.created, recent), self.limit)

    @property
    def deleted(self) -> Bools:
        """Whether the record is in the recycle bin."""
        return self.deleted_at < NEVER

    @cached_property
    def end(self) -> Floats:
        """The last moment at which anything could happen to the record."""
        return np.minimum(self.deleted_at, self.company.rhythm.now)

    @cached_property
    def touched(self) -> Floats:
        """When somebody last changed the record, creation included."""
        share = self.dice.share("touched") ** 2
        untouched = self.dice.chance("untouched", 0.3)
        return np.where(untouched, self.created, self.between(self.created, self.end, share))

    @cached_property
    def modified(self) -> Floats:
        """LastModifiedDate: the last change by a person; a deletion is one."""
        return np.where(self.own_deletion, self.deleted_at, self.touched)

    @cached_property
    def stamp(self) -> Ints:
        """SystemModstamp, in seconds: never before LastModifiedDate.

        Later than it where a parent's deletion took the record along, where the platform changed
        something by itself, where the record came back from the recycle bin, and where a nightly
        job of a certain midnight went over it.
        """
        now = self.company.rhythm.now
        by_system = self.between(self.modified, self.end, self.dice.share("system change"))
        restored = np.maximum(self.modified, now - _BIN_WEEKS * self.dice.share("restored at"))
        stamp = np.where(self.dice.chance("changed by system", 0.12), by_system, self.modified)
        stamp = np.where(self.dice.chance("restored", 0.004), restored, stamp)
        stamp = np.where(self.deleted, self.deleted_at, stamp)
        seconds = self.company.rhythm.seconds(stamp)
        midnight = (self.company.rhythm.now_seconds // DAY - 2) * DAY
        nightly = self.dice.chance("nightly", 0.02) & ~self.deleted
        return np.where(nightly & (seconds < midnight), midnight, seconds)

    @cached_property
    def owner(self) -> Ints:
        """Row number of the user who owns the record."""
        return self.someone("owner")

    @cached_property
    def creator(self) -> Ints:
        """Row number of the user who created the record: the owner, unless it changed hands."""
        handed_over = self.dice.chance("handed over", 0.08)
        return np.where(handed_over, self.someone("creator"), self.owner)

    @cached_property
    def modifier(self) -> Ints:
        """Row number of the user who last changed the record."""
        by_machine = self.dice.chance("by machine", 0.15) & (self.touched > self.created)
        return np.where(by_machine, INTEGRATION_USER, self.owner)

    def someone(self, column: str) -> Ints:
        """Row numbers of users who were there when the records were created."""
        there = self.company.existing("User", self.created) - _STAFF
        picked = _STAFF + self.dice.pick(column, np.maximum(there, 1))
        return np.where(there > 0, picked, ADMIN)

    def ended(self, name: str, index: Ints) -> Floats:
        """When records of an object were deleted; NEVER for those alive and for negative rows.

        Users are there even where the org shows no such object; nobody deletes them.
        """
        if name not in self.company.kinds:
            return np.full(len(index), NEVER)
        records = self.company.cohort(name, np.maximum(index, 0))
        return np.where(index < 0, NEVER, records.deleted_at)

    def every(self, period: int, offset: int) -> Bools:
        """Marks one record of so many, by row number."""
        marked: Bools = self.index % period == offset
        return marked

    def some(self, column: str, share: float) -> Bools:
        """Marks about that share of the records."""
        return self.dice.chance(f"{column} filled", share)

    @staticmethod
    def between(start: Floats, end: Floats | float, share: Floats) -> Floats:
        """A moment that share of the way from start to end."""
        moment: Floats = start + np.maximum(end - start, 0.0) * share
        return moment

    def seconds(self, work: Floats) -> Ints:
        """Seconds since the epoch of moments in weeks of work."""
        return self.company.rhythm.seconds(work)

    @abstractmethod
    def columns(self) -> dict[str, pa.Array]:
        """What the object has beyond the system fields."""

    def ids(self) -> pa.Array:
        """The records' Ids."""
        return self.company.ids(self.name, self.index)

    def system(self) -> dict[str, pa.Array]:
        """The fields that the platform sets."""
        viewed = self.dice.chance("viewed", 0.05)
        created, modified = self.created_seconds, self.seconds(self.modified)
        active_day = (created + modified) // 2 // DAY
        return {
            "Id": self.ids(),
            "IsDeleted": col.flag(self.deleted),
            "OwnerId": self.company.ids("User", self.owner),
            "CreatedDate": col.moment(created),
            "CreatedById": self.company.ids("User", self.creator),
            "LastModifiedDate": col.moment(modified),
            "LastModifiedById": self.company.ids("User", self.modifier),
            "SystemModstamp": col.moment(self.stamp),
            "LastViewedDate": col.moment(modified, viewed),
            "LastReferencedDate": col.moment(modified, viewed),
            "LastActivityDate": col.date(active_day, self.dice.chance("active", 0.6)),
        }

    def option(self, field: str, filled: float = 1.0, skew: float = 1.0) -> pa.Array:
        """A picklist field: one of its values, or null.

        Args:
            field: API name.
            filled: Share of the rows that have a value.
            skew: Above 1, the first values are the most frequent.
        """
        options = self.company.options(self.name, field)
        picked = self.dice.pick(field, len(options), skew)
        return col.text(options, picked, self.some(field, filled))

    def prose(self, column: str, filled: float = 0.5) -> pa.Array:
        """A long text: a sentence or two, and a few texts that break exporters.

        Args:
            column: The text area.
            filled: Share of the rows that have a text.
        """
        first = col.text(words.SENTENCES, self.dice.pick(column, len(words.SENTENCES)))
        second = col.text(words.SENTENCES, self.dice.pick(f"{column} 2", len(words.SENTENCES)))
        both = self.dice.chance(f"{column} long", 0.4)
        text = col.where(both, col.joined(first, second, separator=" "), first)
        text = col.where(self.some(column, filled), text, None)
        text = self.sprinkled(text, words.AWKWARD_TEXTS)
        very_long = self.every(_LONG_TEXTS, 7)
        field = self.sobject.field(column)
        length = int(field.document["length"]) if field else _LONG
        return col.replaced(text, very_long, pa.repeat(words.long_text(length), very_long.sum()))

    def sprinkled(self, text: pa.Array, pool: pa.Array) -> pa.Array:
        """Replaces some texts by awkward ones: each of them early on, fewer later."""
        chosen = ((self.index < _EARLY) & self.every(_OFTEN, 5)) | self.every(_SELDOM, 5)
        return col.replaced(text, chosen, col.text(pool, self.index[chosen] // _OFTEN % len(pool)))

    def person(self, rows: Dice) -> dict[str, pa.Array]:
        """A person's name, and the address their mail goes to.

        Args:
            rows: Chance that decides who it is: the same for two records of one person.
        """
        first = rows.pick("first name", len(words.FIRST_NAMES), 1.3)
        last = rows.pick("last name", len(words.LAST_NAMES), 1.3)
        number = col.as_words(rows.between("mailbox", 1, 9999))
        mailbox = col.joined(
            col.text(words.MAILBOX_FIRST, first), col.text(words.MAILBOX_LAST, last), separator="."
        )
        return {
            "FirstName": col.text(words.FIRST_NAMES, first, ~rows.chance("no first name", 0.03)),
            "LastName": self.sprinkled(col.text(words.LAST_NAMES, last), words.AWKWARD_NAMES),
            "Email": col.joined(mailbox, number, "@example.com"),
        }

    def address(self, prefix: str, filled: float = 0.8) -> dict[str, pa.Array]:
        """The parts of an address field, geocoded for half of the rows.

        Args:
            prefix: What the parts' names begin with: `Billing`.
            filled: Share of the rows that have an address.
        """
        city = self.dice.pick(f"{prefix} city", len(words.CITIES), 1.4)
        has = self.some(prefix, filled)
        located = has & self.dice.chance(f"{prefix} located", 0.5)
        jitter = self.dice.share(f"{prefix} jitter") - 0.5
        street = col.joined(
            col.as_words(self.dice.between(f"{prefix} number", 1, 999)),
            col.text(words.STREETS, self.dice.pick(f"{prefix} street", len(words.STREETS))),
            separator=" ",
        )
        extended = col.joined(street, "\r\nSuite 200")
        street = col.where(self.dice.chance(f"{prefix} suite", 0.1), extended, street)
        code = city * words.CODES + self.dice.pick(f"{prefix} code", words.CODES)
        latitude, longitude = words.PLACES[city].T
        return {
            f"{prefix}Street": col.where(has, street, None),
            f"{prefix}City": col.text(words.CITIES, city, has),
            f"{prefix}State": col.text(words.STATES, city, has),
            f"{prefix}PostalCode": col.text(words.POSTAL_CODES, code, has),
            f"{prefix}Country": col.text(words.COUNTRIES, city, has),
            f"{prefix}Latitude": col.number(latitude + jitter / 10, located),
            f"{prefix}Longitude": col.number(longitude + jitter / 7, located),
            f"{prefix}GeocodeAccuracy": col.where(located, pa.scalar("Address"), None),
        }
