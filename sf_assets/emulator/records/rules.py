"""What standard objects do of themselves when they change: stages, histories, totals, links."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from sf_assets.emulator.records.tables import Row

# By stage: the chance to win and the forecast category.
_STAGES: Mapping[str, tuple[float, str]] = {
    "Prospecting": (10.0, "Pipeline"),
    "Qualification": (10.0, "Pipeline"),
    "Needs Analysis": (20.0, "Pipeline"),
    "Value Proposition": (50.0, "Pipeline"),
    "Id. Decision Makers": (60.0, "Pipeline"),
    "Perception Analysis": (70.0, "Pipeline"),
    "Proposal/Price Quote": (75.0, "Best Case"),
    "Negotiation/Review": (90.0, "Commit"),
    "Closed Won": (100.0, "Closed"),
    "Closed Lost": (0.0, "Omitted"),
}
_FORECAST_CODES = {"Best Case": "BestCase", "Commit": "Forecast", "Most Likely": "MostLikely"}
# Case fields whose changes are kept, with the name and the kind under which the history has them.
_TRACKED = {
    "Status": ("Status", "DynamicEnum"),
    "Priority": ("Priority", "DynamicEnum"),
    "Type": ("Type", "DynamicEnum"),
    "OwnerId": ("Owner", "EntityId"),
    "AccountId": ("Account", "EntityId"),
    "ContactId": ("Contact", "EntityId"),
}
_ACCOUNT_PREFIX = "001"

Extra = tuple[str, Row]


class Context(Protocol):
    """What a rule may ask of the transaction that it runs in."""

    @property
    def now(self) -> datetime:
        """The stamp of the statement."""

    def has(self, object_name: str) -> bool:
        """Whether the org has the object."""

    def next_id(self, object_name: str) -> str:
        """A new record Id."""

    def read(self, object_name: str, column: str, keys: Iterable[str]) -> list[Row]:
        """Whole rows whose column has one of the values."""

    def write(self, object_name: str, rows: list[Row]) -> None:
        """Change records in the name of the org; rows have their Id and what changes."""


def before(context: Context, object_name: str, old: Row | None, row: Row) -> list[Extra]:
    """Complete a record that is about to be written.

    Args:
        context: The transaction.
        object_name: Its object.
        old: As it was; None when it is created.
        row: As it will be, to be completed in place.

    Returns:
        Records to create along with it.
    """
    rule = _BEFORE.get(object_name)
    return rule(context, old, row) if rule else []


def after(context: Context, object_name: str, rows: list[Row]) -> None:
    """Carry the change of records over to others.

    Args:
        context: The transaction.
        object_name: Object of the records.
        rows: The records as they are now.
    """
    if object_name == "OpportunityLineItem":
        _total(context, {row["OpportunityId"] for row in rows})


def _opportunity(context: Context, old: Row | None, row: Row) -> list[Extra]:
    stage_changed = old is None or old.get("StageName") != row.get("StageName")
    if stage_changed and (default := _STAGES.get(row.get("StageName") or "")):
        for name, value in zip(("Probability", "ForecastCategoryName"), default, strict=True):
            if row.get(name) is None or (old is not None and old.get(name) == row[name]):
                row[name] = value
        if old is not None:
            row["LastStageChangeDate"] = context.now
    watched = ("StageName", "Amount", "CloseDate", "Probability", "ForecastCategoryName")
    if old is not None and all(old.get(n) == row.get(n) for n in watched):
        return []
    if not context.has("OpportunityHistory"):
        return []
    history = _opportunity_history(context, row)
    if old is not None and old.get("Amount") != row.get("Amount"):
        row["LastAmountChangedHistoryId"] = history["Id"]
    if old is not None and old.get("CloseDate") != row.get("CloseDate"):
        row["LastCloseDateChangedHistoryId"] = history["Id"]
    return [("OpportunityHistory", history)]


def _opportunity_history(context: Context, row: Row) -> Row:
    amount, probability = row.get("Amount"), row.get("Probability")
    expected = None
    if amount is not None and probability is not None:
        expected = round(amount * probability / 100, 2)
    category = row.get("ForecastCategoryName")
    return {
        "Id": context.next_id("OpportunityHistory"),
        "OpportunityId": row["Id"],
        "StageName": row.get("StageName"),
        "Amount": amount,
        "ExpectedRevenue": expected,
        "CloseDate": row.get("CloseDate"),
        "Probability": probability,
        "ForecastCategory": _FORECAST_CODES.get(category or "", category),
    }


def _case(context: Context, old: Row | None, row: Row) -> list[Extra]:
    is_closed = row.get("Status") == "Closed"
    if old is None or (old.get("Status") == "Closed") != is_closed:
        row["ClosedDate"] = context.now if is_closed else None
    if not context.has("CaseHistory"):
        return []
    if old is None:
        return [_case_history(context, row, "created", "Text", None, None)]
    return [
        _case_history(context, row, *named, old.get(field), row.get(field))
        for field, named in _TRACKED.items()
        if old.get(field) != row.get(field)
    ]


def _case_history(context: Context, row: Row, field: str, kind: str, *values: Any) -> Extra:
    before_value, after_value = values
    history = {
        "Id": context.next_id("CaseHistory"),
        "CaseId": row["Id"],
        "Field": field,
        "DataType": kind,
        "OldValue": before_value,
        "NewValue": after_value,
    }
    return ("CaseHistory", history)


def _line_item(context: Context, old: Row | None, row: Row) -> list[Extra]:
    if old is None and row.get("PricebookEntryId"):
        for entry in context.read("PricebookEntry", "Id", [row["PricebookEntryId"]]):
            row["Product2Id"] = row.get("Product2Id") or entry["Product2Id"]
            row["ListPrice"] = entry["UnitPrice"]
            if row.get("UnitPrice") is None and row.get("TotalPrice") is None:
                row["UnitPrice"] = entry["UnitPrice"]
    quantity, price, total = row.get("Quantity"), row.get("UnitPrice"), row.get("TotalPrice")
    total_given = total is not None and (old is None or old.get("TotalPrice") != total)
    if total_given and price is None and quantity:
        row["UnitPrice"] = round(total / quantity, 2)
    elif price is not None and quantity is not None and not total_given:
        row["TotalPrice"] = round(price * quantity, 2)
    return []


def _total(context: Context, opportunity_ids: set[str]) -> None:
    """An opportunity with line items has their sum as its amount."""
    totals: dict[str, float] = {}
    for item in context.read("OpportunityLineItem", "OpportunityId", opportunity_ids):
        if not item["IsDeleted"]:
            key = item["OpportunityId"]
            totals[key] = totals.get(key, 0.0) + (item["TotalPrice"] or 0.0)
    changes = []
    for opportunity in context.read("Opportunity", "Id", opportunity_ids):
        key = opportunity["Id"]
        change: Row = {"Id": key, "HasOpportunityLineItem": key in totals}
        if key in totals:
            change["Amount"] = round(totals[key], 2)
        if not opportunity["IsDeleted"] and any(opportunity[n] != v for n, v in change.items()):
            changes.append(change)
    if changes:
        context.write("Opportunity", changes)


def _task(context: Context, old: Row | None, row: Row) -> list[Extra]:
    _link_account(context, old, row)
    is_done = row.get("Status") == "Completed"
    if old is None or (old.get("Status") == "Completed") != is_done:
        row["CompletedDateTime"] = context.now if is_done else None
    return []


def _event(context: Context, old: Row | None, row: Row) -> list[Extra]:
    _link_account(context, old, row)
    start = row.get("ActivityDateTime") or row.get("StartDateTime")
    minutes, end = row.get("DurationInMinutes"), row.get("EndDateTime")
    if start is None or row.get("IsAllDayEvent"):
        return []
    row["StartDateTime"] = row["ActivityDateTime"] = start
    row["ActivityDate"] = start.date()
    if end is not None and (old is None or old.get("EndDateTime") != end):
        row["DurationInMinutes"] = int((end - start).total_seconds() // 60)
    elif minutes is not None:
        row["EndDateTime"] = start + timedelta(minutes=minutes)
    return []


def _link_account(context: Context, old: Row | None, row: Row) -> None:
    """An activity belongs to the account of what or whom it is about."""
    what, who = row.get("WhatId"), row.get("WhoId")
    if old is not None and (old.get("WhatId"), old.get("WhoId")) == (what, who):
        return
    account = what if what and what.startswith(_ACCOUNT_PREFIX) else None
    for name, key in (("Opportunity", what), ("Case", what), ("Contact", who)):
        if account is None and key and context.has(name):
            found = context.read(name, "Id", [key])
            account = found[0].get("AccountId") if found else None
    row["AccountId"] = account


_BEFORE: dict[str, Callable[[Context, Row | None, Row], list[Extra]]] = {
    "Opportunity": _opportunity,
    "OpportunityLineItem": _line_item,
    "Case": _case,
    "Task": _task,
    "Event": _event,
}
