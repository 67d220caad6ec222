"""What hangs on an opportunity: its history, its line items, the contacts involved."""

from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world.accounts import TEAM, Contacts
from sf_assets.emulator.world.cohort import Cohort
from sf_assets.emulator.world.deals import FORECAST, PROBABILITY, Opportunities
from sf_assets.emulator.world.products import PriceBookEntries
from sf_assets.emulator.world.seeded_random import Bools, Floats, Ints

# Forecast categories as the history spells them.
_FORECAST_CODES = pa.array(["Omitted", "Pipeline", "BestCase", "Forecast", "Closed"])
# How likely each member of the team is to take part in a deal.
_TAKES_PART = (0.8, 0.35, 0.2)


class _Parts(Cohort):
    """Records that live and die with a deal.

    Args:
        deals: The opportunities.
        there: Which slots of them are taken: rows by slots. Record Ids count the slots.
    """

    deletion_rate = 0.0

    def __init__(self, deals: Opportunities, there: Bools) -> None:
        self.row, self.slot = np.nonzero(there)
        super().__init__(deals.company, deals.index[self.row] * there.shape[1] + self.slot)
        self.deals = deals

    @cached_property
    def born(self) -> Floats:
        """With the deal."""
        return self.deals.created[self.row]

    @cached_property
    def limit(self) -> Floats:
        """A deleted deal takes its parts along."""
        return self.deals.deleted_at[self.row]

    @cached_property
    def owner(self) -> Ints:
        """The deal's."""
        return self.deals.owner[self.row]

    def deal_ids(self) -> pa.Array:
        """The OpportunityId of each part."""
        return self.company.ids("Opportunity", self.deals.index[self.row])


class OpportunityHistories(_Parts):
    """One row for each step of a deal."""

    name = "OpportunityHistory"

    def __init__(self, deals: Opportunities) -> None:
        super().__init__(deals, deals.visible)

    @cached_property
    def born(self) -> Floats:
        """When the step was taken."""
        taken = self.deals.step_times[self.row, self.slot]
        return np.minimum(taken, self.deals.end[self.row])

    @cached_property
    def creator(self) -> Ints:
        """Whoever created the deal, then its owner."""
        return np.where(self.slot == 0, self.deals.creator[self.row], self.owner)

    @cached_property
    def stamp(self) -> Ints:
        """History is never changed."""
        return self.seconds(self.created)

    def columns(self) -> dict[str, pa.Array]:
        """The deal as it was after the step."""
        at = (self.row, self.slot)
        amount, stage = self.deals.amounts[at], self.deals.stages[at]
        probability, known = PROBABILITY[stage], ~np.isnan(amount)
        return {
            "OpportunityId": self.deal_ids(),
            "StageName": col.text(self.company.options("Opportunity", "StageName"), stage),
            "Amount": col.number(amount, known),
            "ExpectedRevenue": col.number(np.round(amount * probability / 100, 2), known),
            "CloseDate": col.date(self.deals.close_days[at]),
            "Probability": col.number(probability),
            "ForecastCategory": col.text(_FORECAST_CODES, FORECAST[stage]),
        }


class LineItems(_Parts):
    """What the deal is about."""

    name = "OpportunityLineItem"

    def __init__(self, deals: Opportunities) -> None:
        super().__init__(deals, deals.lines.there)

    def columns(self) -> dict[str, pa.Array]:
        """The line item's own fields."""
        at, lines = (self.row, self.slot), self.deals.lines
        entry = PriceBookEntries.row(lines.product[at], self.deals.book[self.row])
        return {
            "OpportunityId": self.deal_ids(),
            "SortOrder": col.whole(self.slot + 1),
            "PricebookEntryId": self.company.ids("PricebookEntry", entry),
            "Product2Id": self.company.ids("Product2", lines.product[at]),
            "Quantity": col.number(lines.quantity[at]),
            "TotalPrice": col.number(lines.total[at]),
            "UnitPrice": col.number(lines.price[at]),
            "ListPrice": col.number(lines.listed[at]),
            "ServiceDate": col.date(self.deals.close_day[self.row] + 14, self.some("date", 0.4)),
            "Description": col.where(self.some("note", 0.1), pa.scalar("as agreed, 50/50"), None),
        }


class ContactRoles(_Parts):
    """Members of the account's team, and what they have to say."""

    name = "OpportunityContactRole"

    def __init__(self, deals: Opportunities) -> None:
        members = deals.contact[:, None] + np.arange(TEAM)
        chances = [deals.dice.chance(f"member {k}", p) for k, p in enumerate(_TAKES_PART)]
        there = np.stack(chances, axis=1) & _could_take_part(deals, members)
        super().__init__(deals, there)
        self.first = np.argmax(there, axis=1)
        self.contact = members[self.row, self.slot]

    @cached_property
    def limit(self) -> Floats:
        """The deal or the contact, whichever is deleted first."""
        return np.minimum(
            self.deals.deleted_at[self.row], Contacts(self.company, self.contact).deleted_at
        )

    def columns(self) -> dict[str, pa.Array]:
        """The role's own fields."""
        return {
            "OpportunityId": self.deal_ids(),
            "ContactId": self.company.ids("Contact", self.contact),
            "Role": self.option("Role", 0.9),
            "IsPrimary": col.flag(self.slot == self.first[self.row]),
        }


def _could_take_part(deals: Opportunities, members: Ints) -> Bools:
    """Whether the contacts exist, were there when the deal began, and are nobody's duplicates."""
    flat = np.minimum(members.ravel(), deals.company.rows["Contact"] - 1)
    contacts = Contacts(deals.company, flat)
    began = np.repeat(deals.created, TEAM)
    fit = (contacts.created <= began) & (contacts.deleted_at >= began) & ~contacts.merged
    return np.reshape(fit & (members.ravel() == flat), members.shape)
