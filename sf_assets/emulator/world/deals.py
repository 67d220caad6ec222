"""Opportunities on their way through the stages.

What an opportunity is now and what its history says are both read off the same steps.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world import words
from sf_assets.emulator.world.accounts import TEAM, Accounts, Contacts
from sf_assets.emulator.world.calendar import DAY, WEEK
from sf_assets.emulator.world.cohort import NEVER, Cohort
from sf_assets.emulator.world.products import PARTNER_BOOK, STANDARD_BOOK, PriceBookEntries
from sf_assets.emulator.world.seeded_random import Bools, Floats, Ints

# Steps of a deal, and rows of history kept free for each in the count of Ids.
STEPS = 8
LINES = 4
# One amount of so many is an odd one.
_ODD = 97
# Above 1: the oldest customers have most of the deals.
_SKEW = 1.3
_OPEN_STAGES = 8
_WON, _LOST = 8, 9
# By stage: the chance to win, and the position of the forecast category.
PROBABILITY = np.array([10, 10, 20, 50, 60, 70, 75, 90, 100, 0], dtype=np.float64)
FORECAST = np.array([1, 1, 1, 1, 1, 1, 2, 3, 4, 0])
_FORECAST_NAMES = pa.array(["Omitted", "Pipeline", "Best Case", "Commit", "Closed"])
# Days since the epoch of 31 December 4000, the last date that Salesforce takes.
_LAST_DAY = 741_807


@dataclass(frozen=True)
class Lines:
    """Line items by opportunity and place: matrices of LINES columns.

    Attributes:
        there: Which of the places hold a line item.
        product: Row number of the product.
        quantity: Pieces.
        listed: List price of one.
        price: Price of one.
        total: Price of all, to the cent.
    """

    there: Bools
    product: Ints
    quantity: Floats
    listed: Floats
    price: Floats
    total: Floats


class Opportunities(Cohort):
    """Deals with an account's team."""

    name = "Opportunity"

    @cached_property
    def contact(self) -> Ints:
        """Row number of the contact the deal is with, the first of a team."""
        there = self.company.existing("Contact", self.born)
        return self.dice.pick("team", there, _SKEW) // TEAM * TEAM

    @cached_property
    def account(self) -> Ints:
        """Row number of the account, or -1."""
        return Contacts(self.company, self.contact).account

    @cached_property
    def limit(self) -> Floats:
        """A deleted account takes its deals along."""
        return self.ended("Account", self.account)

    @cached_property
    def owner(self) -> Ints:
        """Mostly whoever owns the account."""
        accounts = Accounts(self.company, np.maximum(self.account, 0))
        own = self.dice.chance("owner of the account", 0.7) & (self.account >= 0)
        return np.where(own, accounts.owner, self.someone("owner"))

    @cached_property
    def length(self) -> Floats:
        """Weeks from the first step to the close, as planned by fate."""
        return 1 + 45 * self.dice.share("length") ** 1.5

    @cached_property
    def planned(self) -> Ints:
        """Number of steps from creation to close, both included."""
        return self.dice.between("steps", 2, STEPS)

    @cached_property
    def step_times(self) -> Floats:
        """When each step is due: rows by STEPS; NEVER beyond the last."""
        place = np.arange(STEPS)
        last = (self.planned - 1)[:, None]
        jitter = np.stack([self.dice.share(f"step {k}") for k in place], axis=1)
        inner = (place > 0) & (place < last)
        share = (place + np.where(inner, 0.8 * (jitter - 0.5), 0.0)) / last
        return np.where(place <= last, self.created[:, None] + self.length[:, None] * share, NEVER)

    @cached_property
    def visible(self) -> Bools:
        """Which steps have happened: rows by STEPS."""
        happened = self.step_times <= self.end[:, None]
        happened[:, 0] = True
        return happened

    @cached_property
    def present(self) -> Ints:
        """Number of the last step that has happened."""
        steps: Ints = self.visible.sum(axis=1)
        return steps - 1

    @cached_property
    def stages(self) -> Ints:
        """Stage at each step, as a position in the picklist: rows by STEPS."""
        place = np.arange(STEPS)
        last = (self.planned - 1)[:, None]
        won = self.dice.chance("won", 0.42)[:, None]
        return np.where(
            place == last, np.where(won, _WON, _LOST), place * (_OPEN_STAGES - 1) // last
        )

    def at_present(self, matrix: Ints | Floats) -> Ints | Floats:
        """A matrix's values at the present step."""
        return np.take_along_axis(matrix, self.present[:, None], axis=1)[:, 0]

    @cached_property
    def stage(self) -> Ints:
        """The present stage."""
        return self.at_present(self.stages).astype(np.int64)

    @cached_property
    def last_step(self) -> Floats:
        """When the present step happened."""
        return np.minimum(self.at_present(self.step_times), self.end)

    @cached_property
    def last_step_seconds(self) -> Ints:
        """The same in seconds since the epoch."""
        return self.seconds(self.last_step)

    @cached_property
    def touched(self) -> Floats:
        """The last step, or a later change of something else."""
        later = self.dice.chance("touched later", 0.3)
        share = self.dice.share("touched") ** 2
        return np.where(later, self.between(self.last_step, self.end, share), self.last_step)

    @cached_property
    def odd(self) -> Bools:
        """Whether the amount is one of the odd ones."""
        return self.every(_ODD, 17)

    @cached_property
    def has_lines(self) -> Bools:
        """Whether the deal has line items; without, somebody typed in the amount."""
        return self.dice.chance("lines", 0.6) & ~self.odd

    @cached_property
    def book(self) -> Ints:
        """Row number of the price book that the line items are from."""
        return np.where(self.dice.chance("partner", 0.1), PARTNER_BOOK, STANDARD_BOOK)

    @cached_property
    def lines(self) -> Lines:
        """The deal's line items."""
        count = np.where(self.has_lines, 1 + self.dice.pick("line count", LINES, 2.0), 0)
        dice = [
            self.company.dice("OpportunityLineItem", self.index * LINES + k) for k in range(LINES)
        ]
        there = self.company.existing("Product2", self.born)
        product = np.stack([d.pick("product", there, 1.5) for d in dice], axis=1)
        quantity = np.stack([d.between("quantity", 1, 20) for d in dice], axis=1).astype(np.float64)
        entries = np.arange(self.company.rows["PricebookEntry"])
        prices = PriceBookEntries(self.company, entries).price
        listed = prices[PriceBookEntries.row(product, self.book[:, None])]
        discount = np.stack([d.pick("discount", 4, 2.0) * 0.05 for d in dice], axis=1)
        price = np.round(listed * (1 - discount), 2)
        exists = np.arange(LINES) < count[:, None]
        return Lines(exists, product, quantity, listed, price, np.round(quantity * price, 2))

    @cached_property
    def amount(self) -> Floats:
        """The present amount: the sum of the line items where there are any. NaN where unknown."""
        typed = np.round(np.exp(9.5 + 1.6 * self.dice.normal("amount")), 2)
        typed = np.where(self.dice.chance("round", 0.6), np.round(typed, -2), typed)
        typed = np.where(self.dice.chance("no amount", 0.04), np.nan, typed)
        typed = np.where(self.odd, self._odd_amounts(), typed)
        total = np.round((self.lines.total * self.lines.there).sum(axis=1), 2)
        return np.where(self.has_lines, total, typed)

    def _odd_amounts(self) -> Floats:
        """Amounts at the edges: none, a credit, and as many digits as a double holds."""
        odd = np.array([0.0, -1500.25, 12_345_678.9, 1e7, 99_999_999_999.99, 1_234_567_890_123.45])
        return odd.take(self.index // _ODD, mode="wrap")

    def changed_at(self, what: str) -> Ints:
        """Step at which an amount or a date last changed: 0 if it never did."""
        changed = self.dice.chance(f"{what} changed", 0.5) & (self.present > 0)
        changed &= ~np.isnan(self.amount)
        return np.where(
            changed, 1 + self.dice.pick(f"{what} change", np.maximum(self.present, 1)), 0
        )

    @cached_property
    def amounts(self) -> Floats:
        """The amount at each step: rows by STEPS."""
        before = np.round(self.amount * (0.6 + 0.8 * self.dice.share("first amount")), 2)
        changed = np.arange(STEPS) < self.changed_at("amount")[:, None]
        return np.where(changed, before[:, None], self.amount[:, None])

    @cached_property
    def close_day(self) -> Ints:
        """The present close date, in days since the epoch: past for closed deals."""
        closed = self.last_step_seconds // DAY
        planned = (self.created_seconds + (self.length * WEEK).astype(np.int64)) // DAY
        slipped = planned + self.dice.pick("slip", 45, 2.0)
        day = np.where(self.stage >= _WON, closed, slipped)
        # Somebody means never.
        return np.where(self.index == self.company.rows[self.name] - 2, _LAST_DAY, day)

    @cached_property
    def close_days(self) -> Ints:
        """The close date at each step: rows by STEPS."""
        before = self.close_day - 7 * self.dice.between("first date", 1, 8)
        changed = np.arange(STEPS) < self.changed_at("date")[:, None]
        return np.where(changed, before[:, None], self.close_day[:, None])

    def names(self) -> pa.Array:
        """Names of deals, beginning with the account's."""
        named = Accounts(self.company, np.maximum(self.account, 0)).names()
        what = col.text(words.PRODUCTS, self.dice.pick("what", len(words.PRODUCTS)))
        number = col.as_words(self.dice.between("number", 1, 400))
        name = col.joined(named, "-", what, number, separator=" ")
        return self.sprinkled(name, words.AWKWARD_NAMES)

    def columns(self) -> dict[str, pa.Array]:
        """The opportunity's own fields."""
        stages = self.company.options(self.name, "StageName")
        history = self.index * STEPS
        amount_step, date_step = self.changed_at("amount"), self.changed_at("date")
        lines = self.lines
        quantity = (lines.quantity * lines.there).sum(axis=1)
        return {
            "AccountId": self.company.ids("Account", self.account),
            "IsPrivate": col.flag(self.dice.chance("private", 0.01)),
            "Name": self.names(),
            "Description": self.prose("Description", 0.3),
            "StageName": col.text(stages, self.stage),
            "Amount": col.number(self.amount, ~np.isnan(self.amount)),
            "Probability": col.number(PROBABILITY[self.stage]),
            "TotalOpportunityQuantity": col.number(quantity, self.has_lines),
            "CloseDate": col.date(self.close_day),
            "Type": self.option("Type", 0.8),
            "NextStep": col.text(
                words.NEXT_STEPS,
                self.dice.pick("next", len(words.NEXT_STEPS)),
                self.some("next", 0.5) & (self.stage < _WON),
            ),
            "LeadSource": self.option("LeadSource", 0.7),
            "ForecastCategoryName": col.text(_FORECAST_NAMES, FORECAST[self.stage]),
            "CampaignId": self.company.ids("Campaign", self.campaign),
            "HasOpportunityLineItem": col.flag(self.has_lines),
            "Pricebook2Id": self.company.ids("Pricebook2", np.where(self.has_lines, self.book, -1)),
            "LastStageChangeDate": col.moment(self.last_step_seconds, self.present > 0),
            "LastAmountChangedHistoryId": self.company.ids(
                "OpportunityHistory", np.where(amount_step > 0, history + amount_step, -1)
            ),
            "LastCloseDateChangedHistoryId": self.company.ids(
                "OpportunityHistory", np.where(date_step > 0, history + date_step, -1)
            ),
        }

    @cached_property
    def campaign(self) -> Ints:
        """Row number of the campaign that brought the deal, or -1."""
        there = self.company.existing("Campaign", self.born)
        return np.where(self.some("campaign", 0.3), self.dice.pick("campaign", there), -1)
