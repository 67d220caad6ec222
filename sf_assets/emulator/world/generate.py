"""The org's data: rows of every object, in pieces of bounded size, the same for the same seed."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa

from sf_assets.emulator.schema import Schema
from sf_assets.emulator.world.accounts import Accounts, Contacts
from sf_assets.emulator.world.activities import Events, Tasks
from sf_assets.emulator.world.calendar import Rhythm
from sf_assets.emulator.world.campaigns import Campaigns
from sf_assets.emulator.world.cases import CaseHistories, Cases
from sf_assets.emulator.world.cohort import Cohort
from sf_assets.emulator.world.company import Company, Kind
from sf_assets.emulator.world.deal_parts import ContactRoles, LineItems, OpportunityHistories
from sf_assets.emulator.world.deals import Opportunities
from sf_assets.emulator.world.generic import Things, cascades
from sf_assets.emulator.world.leads import CampaignMembers, Leads
from sf_assets.emulator.world.products import PriceBookEntries, PriceBooks, Products
from sf_assets.emulator.world.seeded_random import Ints
from sf_assets.emulator.world.staff import (
    Groups,
    Organizations,
    Profiles,
    RecordTypes,
    UserRoles,
    Users,
)
from sf_assets.emulator.world.values import table

# Rows at scale 1.
_ROWS = {
    "Account": 400,
    "Contact": 1200,
    "Lead": 2000,
    "CampaignMember": 900,
    "Opportunity": 1000,
    "Case": 700,
    "Task": 2000,
    "Event": 500,
    "Showcase__c": 200,
    "Showcase_Item__c": 500,
}
_OTHER_ROWS = 60
# These grow with the square root of the scale: more business needs not as many more products.
_SLOW_ROWS = {"User": 40, "Product2": 36, "Campaign": 18}
_FIXED_ROWS = {"Organization": 1, "UserRole": 9, "Profile": 4, "Group": 3, "Pricebook2": 2}
_LEAST_ROWS = 4

_COMPANY: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        *(Organizations, Users, UserRoles, Profiles, Groups, RecordTypes),
        *(Accounts, Contacts, Leads, Campaigns, CampaignMembers),
        *(Products, PriceBooks, PriceBookEntries, Opportunities, Cases, Tasks, Events),
    )
}
# Rows that follow from another object's rows, and come along with them.
_PARTS: Mapping[str, tuple[Callable[..., Cohort], ...]] = {
    "Opportunity": (OpportunityHistories, LineItems, ContactRoles),
    "Case": (CaseHistories,),
}
_FOLLOWS = {
    "OpportunityHistory": "Opportunity",
    "OpportunityLineItem": "Opportunity",
    "OpportunityContactRole": "Opportunity",
    "CaseHistory": "Case",
    "PricebookEntry": "Product2",
    "RecordType": "the describes",
    **dict.fromkeys(_FIXED_ROWS, "the company"),
}
# Rows worked out at once. A piece of opportunities comes with five times as many rows of history.
_PIECE = 32_768


def generate(
    schema: Schema,
    *,
    seed: int,
    scale: float,
    now: datetime,
    rows: Mapping[str, int] | None = None,
) -> Iterator[tuple[str, pa.Table]]:
    """Makes the data of an org.

    The objects of our own standard schema hold the years of one company, whose numbers agree across
    objects. Other objects, and those of a recorded org, get plausible values.

    Args:
        schema: The org's objects.
        seed: The same seed (with the same other arguments) gives the same bytes.
        scale: 1 for some 20,000 rows; about that many times more.
        now: The org's present, with a time zone; no stamp is later.
        rows: Rows of single objects, whatever the scale; what belongs to them grows along.

    Yields:
        Object name and some of its rows, with a column for each stored field in describe's order.
        An object of many rows comes in several tables, with other objects' rows in between.

    Raises:
        ValueError: A number of rows for an object that is unknown or that follows from another one,
            or a number below 1 (4 for users).
    """
    company = _company(schema, seed, Rhythm(now), scale, rows or {})
    with_parts = company.kinds.get("Opportunity") is Opportunities
    for name in (sobject.name for sobject in schema):
        length = company.rows.get(name, 0)
        for start in range(0, length, _PIECE):
            cohort = company.cohort(name, np.arange(start, min(start + _PIECE, length)))
            yield name, table(cohort)
            for part in _PARTS.get(name, ()) if with_parts else ():
                parts = part(cohort)
                yield parts.name, table(parts)


def _company(
    schema: Schema, seed: int, rhythm: Rhythm, scale: float, overrides: Mapping[str, int]
) -> Company:
    names = [sobject.name for sobject in schema]
    # What the company leaves to formulas, a recorded org keeps in columns.
    deals = schema.get("Opportunity")
    is_company = {*_COMPANY, *_FOLLOWS} <= set(names) and bool(deals and deals.formulas)
    kinds: dict[str, Kind] = {name: partial(_thing, name) for name in names}
    rows = _counts(names, scale, overrides)
    if is_company:
        kinds |= _COMPANY
        _check(overrides)
        rows = {name: rows[name] for name in rows if name not in _FOLLOWS}
        types = sum(not i["master"] for o in schema for i in o.document["recordTypeInfos"])
        rows |= {"PricebookEntry": 2 * rows["Product2"], "RecordType": types} | _FIXED_ROWS
    return Company(schema, seed, rhythm, rows, kinds, cascades(schema))


def _thing(name: str, company: Company, index: Ints) -> Cohort:
    return Things(company, name, index)


def _counts(names: list[str], scale: float, overrides: Mapping[str, int]) -> dict[str, int]:
    """Rows of each object, and of users, to whom records belong even where the org shows none."""
    unknown = set(overrides) - set(names)
    if unknown:
        raise ValueError(f"no such object: {', '.join(sorted(unknown))}")
    rows = {name: max(1, round(_ROWS.get(name, _OTHER_ROWS) * scale)) for name in names}
    rows |= {name: number for name, number in _FIXED_ROWS.items() if name in rows}
    rows |= {
        name: max(_LEAST_ROWS, round(base * scale**0.5))
        for name, base in _SLOW_ROWS.items()
        if name in rows or name == "User"
    }
    for name, number in overrides.items():
        least = _LEAST_ROWS if name == "User" else 1
        if number < least:
            raise ValueError(f"{name}: {number} rows are too few, {least} is the least")
    return rows | dict(overrides)


def _check(overrides: Mapping[str, int]) -> None:
    for name in overrides:
        if name in _FOLLOWS:
            raise ValueError(f"{name}: the number of its rows follows from {_FOLLOWS[name]}")
