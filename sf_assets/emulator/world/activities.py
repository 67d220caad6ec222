"""Tasks and events: what people did and mean to do about deals, cases, leads and contacts."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world.accounts import Contacts
from sf_assets.emulator.world.calendar import DAY, WEEK
from sf_assets.emulator.world.cases import Cases
from sf_assets.emulator.world.cohort import NEVER, Cohort
from sf_assets.emulator.world.deals import Opportunities
from sf_assets.emulator.world.leads import Leads
from sf_assets.emulator.world.seeded_random import Bools, Floats, Ints

# What an activity is about, and how often.
_KINDS = ("Opportunity", "Contact", "Lead", "Case", "nothing")
_KIND_UP_TO = (0.45, 0.65, 0.85, 0.95, 1.0)
_YEAR = 365


@dataclass
class Ties:
    """What activities are tied to, by row number; -1 for no tie.

    Attributes:
        contact: WhoId of some.
        lead: WhoId of others.
        account: AccountId of all that have one.
        deal: WhatId of some.
        case: WhatId of others; the account where neither is there.
        limit: When the first of them was deleted.
    """

    contact: Ints
    lead: Ints
    account: Ints
    deal: Ints
    case: Ints
    limit: Floats


class _Activities(Cohort):
    """What tasks and events have in common."""

    @cached_property
    def ties(self) -> Ties:
        """What the activities are tied to. Newer deals and cases have more of them."""
        contact, lead, account, deal, case = (np.full(len(self), -1) for _ in range(5))
        ties = Ties(contact, lead, account, deal, case, np.full(len(self), NEVER))
        kind = np.searchsorted(_KIND_UP_TO, self.dice.share("kind"), side="right")
        for place, name in enumerate(_KINDS[:-1]):
            rows = np.flatnonzero(kind == place)
            there = self.company.existing(name, self.born[rows])
            dice = self.company.dice(self.name, self.index[rows])
            recent = there - 1 - dice.pick("recent", there, 2.5)
            _TIE[name](self, ties, rows, recent)
        return ties

    @cached_property
    def limit(self) -> Floats:
        """Gone with whatever it was tied to."""
        return self.ties.limit

    def tie_deals(self, ties: Ties, rows: Ints, picked: Ints) -> None:
        """Ties some activities to deals and the contacts behind them."""
        deals = Opportunities(self.company, picked)
        contacts = Contacts(self.company, deals.contact)
        ties.deal[rows], ties.contact[rows] = picked, deals.contact
        ties.account[rows] = deals.account
        ties.limit[rows] = np.minimum(deals.deleted_at, contacts.deleted_at)

    def tie_contacts(self, ties: Ties, rows: Ints, picked: Ints) -> None:
        """Ties some activities to contacts and their accounts."""
        contacts = Contacts(self.company, Contacts(self.company, picked).master)
        ties.contact[rows], ties.account[rows] = contacts.index, contacts.account
        ties.limit[rows] = contacts.deleted_at

    def tie_leads(self, ties: Ties, rows: Ints, picked: Ints) -> None:
        """Ties some activities to leads."""
        leads = Leads(self.company, Leads(self.company, picked).master)
        ties.lead[rows], ties.limit[rows] = leads.index, leads.deleted_at

    def tie_cases(self, ties: Ties, rows: Ints, picked: Ints) -> None:
        """Ties some activities to cases and the contacts who opened them."""
        cases = Cases(self.company, picked)
        ties.case[rows], ties.contact[rows] = picked, cases.contact
        ties.account[rows], ties.limit[rows] = cases.account, cases.deleted_at

    def tied(self) -> dict[str, pa.Array]:
        """The references of the activities."""
        ties, ids = self.ties, self.company.ids
        what = col.where(
            ties.deal >= 0, ids("Opportunity", ties.deal), ids("Account", ties.account)
        )
        what = col.where(ties.case >= 0, ids("Case", ties.case), what)
        who = col.where(ties.lead >= 0, ids("Lead", ties.lead), ids("Contact", ties.contact))
        return {"WhoId": who, "WhatId": what, "AccountId": ids("Account", ties.account)}

    @property
    def today(self) -> int:
        """Days since the epoch."""
        return self.company.rhythm.now_seconds // DAY


_TIE = {
    "Opportunity": _Activities.tie_deals,
    "Contact": _Activities.tie_contacts,
    "Lead": _Activities.tie_leads,
    "Case": _Activities.tie_cases,
}


class Tasks(_Activities):
    """Things to do; most that are due are done."""

    name = "Task"

    @cached_property
    def due(self) -> Ints:
        """Due date, in days since the epoch."""
        return self.created_seconds // DAY + self.dice.pick("due", 25)

    @cached_property
    def finished(self) -> Floats:
        """When the task was done; NEVER if it is open."""
        planned = self.created + 3.5 * self.dice.share("finished") ** 2
        done = (planned <= self.end) & ~self.dice.chance("forgotten", 0.1)
        return np.where(done, planned, NEVER)

    @cached_property
    def done(self) -> Bools:
        """Whether the task is done."""
        return self.finished < NEVER

    @cached_property
    def touched(self) -> Floats:
        """Finishing a task is the last thing that happens to it."""
        return np.where(self.done, self.finished, super().touched)

    def columns(self) -> dict[str, pa.Array]:
        """The task's own fields."""
        statuses = self.company.options(self.name, "Status")
        priorities = self.company.options(self.name, "Priority")
        open_status = np.array([0, 0, 1, 3, 4])[self.dice.pick("status", 5)]
        call = self.dice.chance("call", 0.35)
        kinds = pa.array(["Task", "Email", "Call"])
        email = self.dice.chance("email", 0.3).astype(np.int64)
        length = self.dice.between("call length", 0, 3600)
        completed = np.where(self.done, self.finished, self.created)
        return {
            **self.tied(),
            "Subject": self.option("Subject", 0.97),
            "ActivityDate": col.date(self.due, self.some("due", 0.95)),
            "Status": col.text(statuses, np.where(self.done, 2, open_status)),
            "Priority": col.text(priorities, np.array([1, 1, 1, 0, 2])[self.dice.pick("prio", 5)]),
            "Description": self.prose("Description", 0.35),
            "IsArchived": col.flag(self.done & (self.due < self.today - _YEAR)),
            "CallDurationInSeconds": col.whole(length, call & self.done),
            "CallType": self.option("CallType", 0.2),
            "CallDisposition": col.where(
                call & self.done, pa.scalar('left "voice mail", will retry'), None
            ),
            "TaskSubtype": col.text(kinds, np.where(call, 2, email)),
            "CompletedDateTime": col.moment(self.seconds(completed), self.done),
        }


class Events(_Activities):
    """Meetings, past and to come."""

    name = "Event"

    def columns(self) -> dict[str, pa.Array]:
        """The event's own fields."""
        all_day = self.dice.chance("all day", 0.06)
        ahead = (self.dice.share("ahead") ** 2 * 4 * WEEK).astype(np.int64)
        start = (self.created_seconds + ahead) // 1800 * 1800
        start = np.where(all_day, start // DAY * DAY, start)
        minutes = np.where(all_day, 1440, 30 * self.dice.between("length", 1, 6))
        end = start + minutes * 60
        places = pa.array(["Room 1.01", "Customer site", "https://meet.example.com/j/123", "Phone"])
        remind = self.dice.chance("remind", 0.4)
        day = start // DAY
        return {
            **self.tied(),
            "Subject": self.option("Subject", 0.97),
            "Location": col.text(places, self.dice.pick("place", 4), self.some("place", 0.7)),
            "IsAllDayEvent": col.flag(all_day),
            "ActivityDateTime": col.moment(start, ~all_day),
            "ActivityDate": col.date(day),
            "DurationInMinutes": col.whole(minutes),
            "StartDateTime": col.moment(start),
            "EndDateTime": col.moment(end),
            "EndDate": col.date((end - 1) // DAY),
            "Description": self.prose("Description", 0.4),
            "IsPrivate": col.flag(self.dice.chance("private", 0.03)),
            "ShowAs": self.option("ShowAs", skew=3.0),
            "GroupEventType": pa.repeat("0", len(self)),
            "IsArchived": col.flag(day < self.today - _YEAR),
            "ReminderDateTime": col.moment(start - 900, remind),
            "IsReminderSet": col.flag(remind),
            "EventSubtype": pa.repeat("Event", len(self)),
        }
