"""Leads, some of which became opportunities; and who was in which campaign."""

from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world import words
from sf_assets.emulator.world.accounts import Accounts, Contacts
from sf_assets.emulator.world.calendar import DAY
from sf_assets.emulator.world.campaigns import Campaigns
from sf_assets.emulator.world.cohort import Cohort
from sf_assets.emulator.world.company import INTEGRATION_USER
from sf_assets.emulator.world.deals import Opportunities
from sf_assets.emulator.world.seeded_random import Bools, Floats, Ints
from sf_assets.emulator.world.staff import LEAD_QUEUE

# One lead in so many became an opportunity.
_CONVERTED = 5
_OPEN, _CLOSED_CONVERTED, _CLOSED = 0, 2, 3


def loaded_leads(rows: int) -> tuple[int, int]:
    """Which leads came in one bulk load of a purchased list.

    Args:
        rows: Number of leads.

    Returns:
        First row, and number of rows: 6 % of all, a thousand at least if there are two thousand.
    """
    length = max(rows * 6 // 100, min(1000, rows // 2))
    return rows * 19 // 20 - length, length


class Leads(Cohort):
    """Leads. Of each eight rows, the eighth may have been merged into the seventh."""

    name = "Lead"

    @cached_property
    def loaded(self) -> Bools:
        """Whether the lead came with the purchased list and has lain untouched ever since."""
        first, length = loaded_leads(self.company.rows[self.name])
        return (self.index >= first) & (self.index < first + length)

    @cached_property
    def born(self) -> Floats:
        """All at once for the rows of the bulk load."""
        rows = self.company.rows[self.name]
        at = self.company.rhythm.grown(np.full(len(self), loaded_leads(rows)[0] / rows))
        return np.where(self.loaded, at, super().born)

    @cached_property
    def converted(self) -> Bools:
        """Whether the lead became an account, a contact and an opportunity."""
        return self.every(_CONVERTED, 0) & ~self.loaded

    @cached_property
    def deals(self) -> Opportunities:
        """The opportunities that the converted ones of the leads became."""
        rows, index = self.company.rows, self.index[self.converted]
        return Opportunities(self.company, index * rows["Opportunity"] // rows[self.name])

    @cached_property
    def contacts(self) -> Contacts:
        """The contacts that the converted ones of the leads became."""
        return Contacts(self.company, self.deals.contact)

    @cached_property
    def created(self) -> Floats:
        """Some weeks before its opportunity, if it became one."""
        created = self.born.copy()
        ripened = self.deals.created - 5 * self.dice.share("ripened")[self.converted]
        created[self.converted] = np.minimum(created[self.converted], ripened)
        return np.maximum(created, self.company.rhythm.old)

    @cached_property
    def merged(self) -> Bools:
        """Whether the lead was merged into the one before it."""
        free = ~self.converted & ~self.loaded
        return self.every(8, 7) & free & self.dice.chance("merged", 0.05)

    @cached_property
    def master(self) -> Ints:
        """Row number of the lead that this one is now."""
        return np.where(self.merged, self.index - 1, self.index)

    @cached_property
    def own_deletion(self) -> Bools:
        """Deleted by somebody, or as the loser of a merge. Winners and converted ones stay."""
        deleted = self.dice.chance("deleted", self.deletion_rate) & ~self.every(8, 6)
        return (deleted & ~self.converted & ~self.loaded) | self.merged

    @cached_property
    def deleted_at(self) -> Floats:
        """For the loser of a merge, not before the winner was there."""
        winners = Leads(self.company, self.master).born
        return np.where(self.merged, np.maximum(super().deleted_at, winners), super().deleted_at)

    @cached_property
    def touched(self) -> Floats:
        """For a converted lead the conversion, after which nobody can change it."""
        touched = np.where(self.loaded, self.created, super().touched)
        touched[self.converted] = self.deals.created
        return touched

    @cached_property
    def stamp(self) -> Ints:
        """One and the same for all rows of the bulk load."""
        return np.where(self.loaded, self.seconds(self.created), super().stamp)

    @cached_property
    def creator(self) -> Ints:
        """The integration user for the bulk load."""
        return np.where(self.loaded, INTEGRATION_USER, super().creator)

    @cached_property
    def modifier(self) -> Ints:
        """Likewise."""
        return np.where(self.loaded, INTEGRATION_USER, super().modifier)

    @cached_property
    def status(self) -> Ints:
        """Position of the status in its picklist."""
        # Everything but "converted", which only a conversion sets.
        worked = np.array([0, 0, 0, 1, 1, _CLOSED])[self.dice.pick("status", 6)]
        status = np.where(self.converted, _CLOSED_CONVERTED, worked)
        return np.where(self.loaded, _OPEN, status)

    def system(self) -> dict[str, pa.Array]:
        """Open leads may belong to a queue."""
        queued = (self.status == _OPEN) & self.dice.chance("queued", 0.3)
        queue = self.company.ids("Group", np.full(len(self), LEAD_QUEUE))
        fields = super().system()
        return fields | {"OwnerId": col.where(queued, queue, fields["OwnerId"])}

    def person_and_company(self) -> dict[str, pa.Array]:
        """Who it is: for a converted lead, the contact and the account that it became."""
        own = self.person(self.company.dice(self.name, self.master))
        first = col.text(words.COMPANY_FIRST, self.dice.pick("first", len(words.COMPANY_FIRST)))
        second = col.text(words.COMPANY_SECOND, self.dice.pick("second", len(words.COMPANY_SECOND)))
        company = col.joined(first, second, separator=" ")
        own["Company"] = self.sprinkled(company, words.AWKWARD_NAMES)
        theirs = self.contacts.person(self.contacts.identity)
        theirs["Company"] = Accounts(self.company, np.maximum(self.contacts.account, 0)).names()
        return {name: col.replaced(own[name], self.converted, theirs[name]) for name in own}

    def became(self, rows: Ints) -> Ints:
        """Row numbers of what the converted leads became, in the place of each; else -1."""
        became = np.full(len(self), -1)
        became[self.converted] = rows
        return became

    def columns(self) -> dict[str, pa.Array]:
        """The lead's own fields."""
        ids, statuses = self.company.ids, self.company.options(self.name, "Status")
        sources = self.option("LeadSource", 0.9)
        converted_day = self.seconds(self.touched) // DAY
        employees = np.exp(4 + 1.8 * self.dice.normal("employees")).astype(np.int64)
        revenue = np.round(employees * 80_000 * self.dice.share("revenue"), -3)
        return {
            **self.person_and_company(),
            **self.address("", 0.7),
            "MasterRecordId": self.company.ids(self.name, np.where(self.merged, self.master, -1)),
            "Salutation": self.option("Salutation", 0.5),
            "Title": col.text(words.TITLES, self.dice.pick("title", len(words.TITLES))),
            "Phone": col.digits(self.dice, "phone", "(4##) 555-####", self.some("phone", 0.8)),
            "MobilePhone": col.digits(self.dice, "cell", "+44 7### ######", self.some("cell", 0.4)),
            "Website": col.where(
                self.some("website", 0.3), pa.scalar("https://www.example.org/?a=1&b=%20"), None
            ),
            "Description": self.prose("Description", 0.4),
            "LeadSource": col.where(self.loaded, pa.scalar("Purchased List"), sources),
            "Status": col.text(statuses, self.status),
            "Industry": self.option("Industry", 0.7),
            "Rating": self.option("Rating", 0.5),
            "AnnualRevenue": col.number(revenue, self.some("revenue", 0.5)),
            "NumberOfEmployees": col.whole(employees, self.some("employees", 0.6)),
            "IsConverted": col.flag(self.converted),
            "ConvertedDate": col.date(converted_day, self.converted),
            "ConvertedAccountId": ids("Account", self.became(self.contacts.account)),
            "ConvertedContactId": ids("Contact", self.became(self.contacts.index)),
            "ConvertedOpportunityId": ids("Opportunity", self.became(self.deals.index)),
            "IsUnreadByOwner": col.flag((self.status == _OPEN) & self.dice.chance("unread", 0.6)),
            "CleanStatus": self.option("CleanStatus", 0.8),
        }


class CampaignMembers(Cohort):
    """Leads and contacts in campaigns: each campaign has a run of neighbouring people."""

    name = "CampaignMember"

    @cached_property
    def size(self) -> int:
        """Members of one campaign."""
        rows = self.company.rows
        return -(-rows[self.name] // rows["Campaign"])

    @cached_property
    def campaigns(self) -> Campaigns:
        """The campaigns."""
        return Campaigns(self.company, self.index // self.size)

    @cached_property
    def member(self) -> Ints:
        """Position among all leads, followed by all contacts."""
        people = self.company.rows["Lead"] + self.company.rows["Contact"]
        first = self.campaigns.dice.pick("first member", people)
        position: Ints = (first + self.index % self.size) % people
        return position

    @cached_property
    def lead(self) -> Ints:
        """Row number of the lead, or -1."""
        return np.where(self.member < self.company.rows["Lead"], self.member, -1)

    @cached_property
    def contact(self) -> Ints:
        """Row number of the contact, or -1."""
        return np.where(self.lead < 0, self.member - self.company.rows["Lead"], -1)

    @cached_property
    def limit(self) -> Floats:
        """Gone with the person."""
        return np.minimum(self.ended("Lead", self.lead), self.ended("Contact", self.contact))

    @cached_property
    def born(self) -> Floats:
        """After the campaign and the person, mostly soon."""
        leads = Leads(self.company, np.maximum(self.lead, 0)).created
        contacts = Contacts(self.company, np.maximum(self.contact, 0)).created
        person = np.where(self.lead < 0, contacts, leads)
        since = np.maximum(self.campaigns.created, person)
        return self.between(since, self.company.rhythm.now, self.dice.share("born") ** 4)

    def columns(self) -> dict[str, pa.Array]:
        """The member's own fields."""
        responded = self.dice.chance("responded", 0.35) & (self.touched > self.created)
        statuses = self.company.options(self.name, "Status")
        return {
            "CampaignId": self.company.ids("Campaign", self.campaigns.index),
            "LeadId": self.company.ids("Lead", self.lead),
            "ContactId": self.company.ids("Contact", self.contact),
            "Status": col.text(statuses, responded.astype(np.int64)),
            "FirstRespondedDate": col.date(self.seconds(self.touched) // DAY, responded),
        }
