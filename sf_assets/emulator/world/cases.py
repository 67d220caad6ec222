"""Cases that are opened, taken, sometimes escalated, and closed; and the history of that."""

from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world import words
from sf_assets.emulator.world.accounts import Contacts
from sf_assets.emulator.world.cohort import NEVER, Cohort
from sf_assets.emulator.world.seeded_random import Bools, Floats, Ints
from sf_assets.emulator.world.staff import SUPPORT_QUEUES, Groups, Users

# What can happen to a case. A change of owner leaves two rows of history: one with the names, one
# with the Ids.
_OPENED, _TAKEN_NAME, _TAKEN_ID, _STARTED, _PRIORITY, _ESCALATED, _CLOSED = range(7)
_CHANGES = 7
_FIELDS = pa.array(["created", "Owner", "Owner", "Status", "Priority", "Status", "Status"])
_TYPES = pa.array(["Text", "Text", "EntityId", *["DynamicEnum"] * 4])
_NEW, _WORKING, _IS_ESCALATED, _IS_CLOSED = range(4)
_FIRST_NUMBER = 1000


class Cases(Cohort):
    """Requests of contacts."""

    name = "Case"

    @cached_property
    def contact(self) -> Ints:
        """Row number of the contact; merged ones stand for their winner."""
        there = self.company.existing("Contact", self.born)
        return Contacts(self.company, self.dice.pick("contact", there, 1.3)).master

    @cached_property
    def account(self) -> Ints:
        """Row number of the contact's account, or -1."""
        return Contacts(self.company, self.contact).account

    @cached_property
    def limit(self) -> Floats:
        """No account or contact that has cases can be deleted: the cases went first."""
        return np.minimum(self.ended("Contact", self.contact), self.ended("Account", self.account))

    @cached_property
    def queued(self) -> Bools:
        """Whether the case began in a queue, not with the one who wrote it down."""
        return self.dice.chance("queued", 0.7)

    @cached_property
    def changes(self) -> Floats:
        """When each change happened: rows by _CHANGES; NEVER for what did not."""
        taken = self.created + 0.01 + 0.3 * self.dice.share("taken") ** 2
        length = 0.02 + 5 * self.dice.share("length") ** 3
        planned = np.full((len(self), _CHANGES), NEVER)
        planned[:, _OPENED] = self.created
        planned[:, _TAKEN_NAME] = planned[:, _TAKEN_ID] = np.where(self.queued, taken, NEVER)
        planned[:, _STARTED] = taken
        for change, share, column in (
            (_PRIORITY, 0.3, "priority changed"),
            (_ESCALATED, 0.6, "escalated"),
        ):
            happens = self.dice.chance(column, 0.13)
            planned[:, change] = np.where(happens, taken + length * share, NEVER)
        closes = ~self.dice.chance("never closed", 0.04)
        planned[:, _CLOSED] = np.where(closes, taken + length, NEVER)
        return np.where(planned <= self.end[:, None], planned, NEVER)

    @cached_property
    def happened(self) -> Bools:
        """Which changes have happened: rows by _CHANGES."""
        return self.changes < NEVER

    @cached_property
    def status(self) -> Ints:
        """Position of the present status in its picklist."""
        done = self.happened
        status = np.where(done[:, _STARTED], _WORKING, _NEW)
        status = np.where(done[:, _ESCALATED], _IS_ESCALATED, status)
        return np.where(done[:, _CLOSED], _IS_CLOSED, status)

    @cached_property
    def touched(self) -> Floats:
        """The last change that the history knows."""
        last: Floats = np.max(self.changes, axis=1, where=self.happened, initial=-NEVER)
        return last

    @cached_property
    def queue(self) -> Ints:
        """Row number of the queue that the case began in."""
        return self.dice.pick("queue", SUPPORT_QUEUES, 2.0)

    @cached_property
    def priority(self) -> Ints:
        """Position of the first priority in its picklist."""
        return np.array([1, 1, 1, 2, 2, 0])[self.dice.pick("priority", 6)]

    @cached_property
    def present_priority(self) -> Ints:
        """A change of priority makes it the highest, or, if it was, the lowest."""
        return np.where(self.happened[:, _PRIORITY], self.raised, self.priority)

    @cached_property
    def raised(self) -> Ints:
        """The priority after a change."""
        return np.where(self.priority == 0, 2, 0)

    def system(self) -> dict[str, pa.Array]:
        """Until somebody takes it, a case belongs to its queue."""
        waiting = self.queued & ~self.happened[:, _TAKEN_ID]
        fields = super().system()
        return fields | {
            "OwnerId": col.where(waiting, self.company.ids("Group", self.queue), fields["OwnerId"])
        }

    def columns(self) -> dict[str, pa.Array]:
        """The case's own fields."""
        done = self.happened
        closed_at = np.where(done[:, _CLOSED], self.changes[:, _CLOSED], self.created)
        above = (self.dice.share("parent") * self.index).astype(np.int64)
        has_parent = self.some("parent", 0.04) & ~Cases(self.company, above).deleted
        origins = self.company.options(self.name, "Origin")
        origin = self.dice.pick("origin", len(origins))
        from_web = origin == len(origins) - 1
        supplied = self.person(self.dice)
        name = col.joined(supplied["FirstName"], supplied["LastName"], separator=" ")
        subject = col.text(words.SUBJECTS, self.dice.pick("subject", len(words.SUBJECTS)))
        return {
            "CaseNumber": col.numbered("{}", self.index + _FIRST_NUMBER, 8),
            "ContactId": self.company.ids("Contact", self.contact),
            "AccountId": self.company.ids("Account", self.account),
            "ParentId": self.company.ids(self.name, np.where(has_parent, above, -1)),
            "SuppliedName": col.where(from_web, name, None),
            "SuppliedEmail": col.where(from_web, supplied["Email"], None),
            "SuppliedCompany": col.where(from_web, pa.scalar("n/a"), None),
            "Type": self.option("Type", 0.7),
            "Status": col.text(self.company.options(self.name, "Status"), self.status),
            "Reason": self.option("Reason", 0.6),
            "Origin": col.text(origins, origin),
            "Subject": self.sprinkled(subject, words.AWKWARD_NAMES),
            "Priority": col.text(
                self.company.options(self.name, "Priority"), self.present_priority
            ),
            "Description": self.prose("Description", 0.7),
            "ClosedDate": col.moment(self.seconds(closed_at), done[:, _CLOSED]),
            "IsEscalated": col.flag(done[:, _ESCALATED]),
            "Comments": col.where(self.some("comment", 0.1), pa.scalar("see phone notes"), None),
        }


class CaseHistories(Cohort):
    """One row for each change of a case, read off the case's changes."""

    name = "CaseHistory"
    deletion_rate = 0.0

    def __init__(self, cases: Cases) -> None:
        self.row, self.change = np.nonzero(cases.happened)
        super().__init__(cases.company, cases.index[self.row] * _CHANGES + self.change)
        self.cases = cases

    @cached_property
    def born(self) -> Floats:
        """When the change happened."""
        return self.cases.changes[self.row, self.change]

    @cached_property
    def limit(self) -> Floats:
        """A deleted case takes its history along."""
        return self.cases.deleted_at[self.row]

    @cached_property
    def owner(self) -> Ints:
        """The case's."""
        return self.cases.owner[self.row]

    @cached_property
    def creator(self) -> Ints:
        """Whoever created the case, then its owner."""
        return np.where(self.change == _OPENED, self.cases.creator[self.row], self.owner)

    def columns(self) -> dict[str, pa.Array]:
        """What changed from what to what."""
        old = pa.nulls(len(self), pa.string())
        new = old
        for change, before, after in self._values():
            chosen = self.change == change
            old, new = col.where(chosen, before, old), col.where(chosen, after, new)
        return {
            "CaseId": self.company.ids("Case", self.cases.index[self.row]),
            "Field": col.text(_FIELDS, self.change),
            "DataType": col.text(_TYPES, self.change),
            "OldValue": old,
            "NewValue": new,
        }

    def _values(self) -> list[tuple[int, pa.Array, pa.Array]]:
        """Old and new value of each kind of change, for every row."""
        statuses = self.company.options("Case", "Status")
        priorities = self.company.options("Case", "Priority")
        escalated = self.cases.happened[self.row, _ESCALATED]
        before_closing = np.where(escalated, _IS_ESCALATED, _WORKING)
        queue, cases = self.cases.queue[self.row], self.cases
        queues = Groups(self.company, np.arange(SUPPORT_QUEUES)).queue_names()
        return [
            (
                _TAKEN_NAME,
                col.text(queues, queue),
                Users(self.company, self.owner).full_names(),
            ),
            (
                _TAKEN_ID,
                self.company.ids("Group", queue),
                self.company.ids("User", self.owner),
            ),
            (_STARTED, pa.scalar(statuses[_NEW].as_py()), pa.scalar(statuses[_WORKING].as_py())),
            (
                _PRIORITY,
                col.text(priorities, cases.priority[self.row]),
                col.text(priorities, cases.raised[self.row]),
            ),
            (_ESCALATED, statuses[_WORKING], statuses[_IS_ESCALATED]),
            (_CLOSED, col.text(statuses, before_closing), statuses[_IS_CLOSED]),
        ]
