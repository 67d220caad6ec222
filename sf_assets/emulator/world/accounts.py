"""Accounts and the people who work there."""

from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world import words
from sf_assets.emulator.world.cohort import Cohort
from sf_assets.emulator.world.seeded_random import Bools, Dice, Floats, Ints

# Colleagues at one account come in groups of this size; deals and cases are with one such group.
TEAM = 3
# Above 1: the oldest accounts have most of the people and of the business.
_SKEW = 1.8
# 1 January 1700 in days since the epoch.
_YEAR_1700 = -98_615


class Accounts(Cohort):
    """Accounts. Of each eight rows, the sixth may have been merged into the fifth."""

    name = "Account"

    @cached_property
    def merged(self) -> Bools:
        """Whether the account was merged into the one before it."""
        return self.every(8, 5) & self.dice.chance("merged", 0.03)

    @cached_property
    def own_deletion(self) -> Bools:
        """Deleted by somebody, or as the loser of a merge. Winners stay."""
        deleted = self.dice.chance("deleted", self.deletion_rate)
        return (deleted & ~self.every(8, 4) & (self.index > 0)) | self.merged

    @cached_property
    def master(self) -> Ints:
        """Row number of the account that this one is now: itself, or the winner of the merge."""
        return np.where(self.merged, self.index - 1, self.index)

    @cached_property
    def identity(self) -> Dice:
        """Chance that decides which company it is; a duplicate has its winner's."""
        return self.company.dice(self.name, self.master)

    @cached_property
    def parent(self) -> Ints:
        """Row number of the account above, or -1; deleted ones have left their children."""
        above = (self.dice.share("parent") * self.index).astype(np.int64)
        candidates = Accounts(self.company, above)
        has = self.dice.chance("has parent", 0.15) & ~candidates.deleted & (self.index > 0)
        return np.where(has, candidates.master, -1)

    def names(self) -> pa.Array:
        """Company names."""
        first = self.identity.pick("first word", len(words.COMPANY_FIRST))
        second = self.identity.pick("second word", len(words.COMPANY_SECOND))
        form = self.identity.pick("form", len(words.COMPANY_FORM), 1.5)
        name = col.joined(
            col.text(words.COMPANY_FIRST, first),
            col.text(words.COMPANY_SECOND, second),
            col.text(words.COMPANY_FORM, form),
            separator=" ",
        )
        return self.sprinkled(name, words.AWKWARD_NAMES)

    def columns(self) -> dict[str, pa.Array]:
        """The account's own fields."""
        employees = np.exp(4.5 + 1.8 * self.dice.normal("employees")).astype(np.int64)
        revenue = np.round(employees * 95_000 * np.exp(0.5 * self.dice.normal("revenue")), -3)
        revenue = np.where(self.dice.chance("no revenue", 0.02), 0.0, revenue)
        kinds = self.company.record_types("Account")
        partner = self.dice.chance("partner", 0.1).astype(np.int64)
        website = col.joined("https://www.example", self.host(), ".com/")
        public = self.dice.chance("public", 0.12)
        return {
            **self.address("Billing", 0.9),
            **self.address("Shipping", 0.5),
            "MasterRecordId": self.company.ids(self.name, np.where(self.merged, self.master, -1)),
            "Name": self.names(),
            "Type": self.option("Type", 0.8, 1.5),
            "RecordTypeId": col.text(kinds, partner % max(len(kinds), 1)) if len(kinds) else None,
            "ParentId": self.company.ids(self.name, self.parent),
            "Phone": col.digits(self.dice, "phone", "(4##) 555-####"),
            "Fax": col.digits(self.dice, "fax", "+1 4## 555 ####", self.some("faxes", 0.3)),
            "AccountNumber": col.digits(
                self.dice, "number", "00######", self.dice.chance("numbered", 0.7)
            ),
            "Website": col.where(self.some("website", 0.7), website, None),
            "Sic": col.digits(self.dice, "sic", "####", self.some("has sic", 0.4)),
            "Industry": self.option("Industry", 0.85),
            "AnnualRevenue": col.number(revenue, self.some("revenue known", 0.75)),
            "NumberOfEmployees": col.whole(employees, self.some("size known", 0.8)),
            "Ownership": self.option("Ownership", 0.6),
            "TickerSymbol": col.where(public, self.ticker(), None),
            "Description": self.prose("Description", 0.4),
            "Rating": self.option("Rating", 0.5),
            "Site": col.where(self.some("site", 0.15), pa.scalar("Headquarters, Building 2"), None),
            "CleanStatus": self.option("CleanStatus", 0.9),
            "AccountSource": self.option("AccountSource", 0.6),
            "YearStarted": col.as_words(self.dice.between("founded", 1700, 2020)),
        }

    def host(self) -> pa.Array:
        """A number that makes web addresses differ."""
        return col.as_words(self.master + 1)

    def ticker(self) -> pa.Array:
        """Stock exchange symbols: `TRUE` and `NULL` among them, which are no flags and no gaps."""
        symbols = pa.array(["ACME", "TRUE", "NULL", "NA", "INF", "F", "SF", "X", "NAN", "ZZZ"])
        return col.text(symbols, self.dice.pick("ticker", len(symbols)))


class Contacts(Cohort):
    """People. Three rows in a row are a team at one account; the third may be the first again."""

    name = "Contact"

    @cached_property
    def team(self) -> Dice:
        """Chance that is the same for the whole team."""
        return self.company.dice("Contact team", self.index // TEAM)

    @cached_property
    def first(self) -> Ints:
        """Row number of the team's first member."""
        return self.index // TEAM * TEAM

    @cached_property
    def account(self) -> Ints:
        """Row number of the account they work at; -1 for the few who have none."""
        founded = Contacts(self.company, self.first).born
        there = self.company.existing("Account", founded)
        master = Accounts(self.company, self.team.pick("account", there, _SKEW)).master
        return np.where(self.team.chance("no account", 0.015), -1, master)

    @cached_property
    def limit(self) -> Floats:
        """A deleted account takes its people along."""
        return self.ended("Account", self.account)

    @cached_property
    def merged(self) -> Bools:
        """Whether the row is the team's first member, entered twice and merged."""
        return self.every(TEAM, TEAM - 1) & self.dice.chance("merged", 0.012)

    @cached_property
    def own_deletion(self) -> Bools:
        """Deleted by somebody, or as the loser of a merge. A team's first member stays."""
        deleted = self.dice.chance("deleted", self.deletion_rate)
        return (deleted & ~self.every(TEAM, 0)) | self.merged

    @cached_property
    def master(self) -> Ints:
        """Row number of the contact that this one is now."""
        return np.where(self.merged, self.first, self.index)

    @cached_property
    def identity(self) -> Dice:
        """Chance that decides which person it is."""
        return self.company.dice(self.name, self.master)

    @cached_property
    def owner(self) -> Ints:
        """Mostly whoever owns the account."""
        own = self.someone("owner")
        has_account = (self.account >= 0) & self.dice.chance("owner of the account", 0.85)
        return np.where(has_account, Accounts(self.company, np.maximum(self.account, 0)).owner, own)

    def columns(self) -> dict[str, pa.Array]:
        """The contact's own fields."""
        reports = ~self.every(TEAM, 0) & ~self.merged & self.dice.chance("reports", 0.6)
        born = self.dice.between("birthday", -12_000, 13_000)
        # A typing error, and the oldest date that Salesforce takes.
        born = np.where(self.every(100_003, 11), _YEAR_1700, born)
        bounced = self.dice.chance("bounced", 0.03)
        bounced_at = self.between(self.created, self.touched, self.dice.share("bounced at"))
        return {
            **self.person(self.identity),
            **self.address("Mailing", 0.75),
            **self.address("Other", 0.1),
            "MasterRecordId": self.company.ids(self.name, np.where(self.merged, self.master, -1)),
            "AccountId": self.company.ids("Account", self.account),
            "Salutation": self.option("Salutation", 0.6),
            "Phone": col.digits(self.dice, "phone", "(4##) 555-####", self.some("phone", 0.85)),
            "Fax": col.digits(self.dice, "fax", "(4##) 555-####", self.some("fax", 0.2)),
            "MobilePhone": col.digits(
                self.dice, "mobile", "+1-###-555-####", self.some("cell", 0.6)
            ),
            "HomePhone": col.digits(self.dice, "home", "+49 30 #######", self.some("home", 0.1)),
            "ReportsToId": self.company.ids(self.name, np.where(reports, self.first, -1)),
            "Title": col.text(words.TITLES, self.dice.pick("title", len(words.TITLES))),
            "Department": col.text(
                words.DEPARTMENTS,
                self.dice.pick("department", len(words.DEPARTMENTS)),
                self.some("department", 0.7),
            ),
            "LeadSource": self.option("LeadSource", 0.7),
            "Birthdate": col.date(born, self.some("birthday", 0.3) | (born == _YEAR_1700)),
            "Description": self.prose("Description", 0.4),
            "EmailBouncedReason": col.where(bounced, pa.scalar("550 5.1.1 user unknown"), None),
            "EmailBouncedDate": col.moment(self.seconds(bounced_at), bounced),
            "IsEmailBounced": col.flag(bounced),
            "CleanStatus": self.option("CleanStatus", 0.9),
        }
