"""The company at work: one realistic change after the other, as its users would make them."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Protocol

from sf_assets.emulator.world import words
from sf_assets.emulator.world.drafts import Drafts, Record

_STAGES = (
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Value Proposition",
    "Id. Decision Makers",
    "Perception Analysis",
    "Proposal/Price Quote",
    "Negotiation/Review",
)
_OPEN_DEAL = "\"StageName\" NOT IN ('Closed Won', 'Closed Lost')"
_OPEN_CASE = "\"Status\" <> 'Closed'"
_OPEN_TASK = "\"Status\" <> 'Completed'"
_OPEN_LEAD = 'NOT "IsConverted" AND "Status" NOT LIKE \'Closed%\''
_NO_CASES = '"Id" NOT IN (SELECT "{0}Id" FROM "Case" WHERE "{0}Id" IS NOT NULL AND NOT "IsDeleted")'
_REMEMBERED = 50
_TRIES = 10


class RecordWriter(Protocol):
    """What the org lets its users do. It checks what it is given, sets stamps and writes history.

    Conditions are SQL over the columns that the org stores.
    """

    def insert(
        self, object_name: str, values: Mapping[str, Any], user_id: str | None = None
    ) -> str:
        """Create a record; its Id."""

    def update(self, object_name: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change a record."""

    def delete(self, object_name: str, record_id: str) -> None:
        """Put a record into the recycle bin."""

    def undelete(self, object_name: str, record_id: str) -> None:
        """Take a record out of the recycle bin."""

    def merge(self, object_name: str, master_id: str, loser_id: str) -> None:
        """Merge a record into another."""

    def sample(self, object_name: str, where_sql: str | None, rng: Random) -> Record | None:
        """A random live record, or None if there is none."""


class Life:
    """Makes changes to an org.

    Args:
        org: Where.
        seed: The same seed and the same org give the same changes.
        rate: Changes a second that whoever calls `step` means to make.

    Attributes:
        rate: As given.
    """

    def __init__(self, org: RecordWriter, seed: int, rate: float) -> None:
        self.rate = rate
        self._org = org
        self._rng = Random(seed)  # noqa: S311 - makes up data, guards nothing
        self._draft = Drafts(self._rng)
        self._deleted: list[tuple[str, str]] = []
        self._changes: Mapping[Callable[[], bool], int] = {
            self._task_created: 16,
            self._stage_moved: 14,
            self._lead_created: 12,
            self._task_completed: 12,
            self._case_moved: 12,
            self._case_created: 8,
            self._opportunity_created: 7,
            self._contact_changed: 6,
            self._contact_created: 5,
            self._lead_worked: 5,
            self._account_changed: 4,
            self._deal_changed: 4,
            self._event_created: 4,
            self._account_created: 3,
            self._lead_converted: 3,
            self._owner_changed: 3,
            self._record_deleted: 2,
            self._record_undeleted: 1,
            self._contacts_merged: 1,
        }

    def step(self) -> str | None:
        """Makes one change; a change that finds no record to start from gives way to another.

        Returns:
            What happened, such as `stage moved`; None if nothing can happen in this org.
        """
        for _ in range(_TRIES):
            choices, weights = list(self._changes), list(self._changes.values())
            change = self._rng.choices(choices, weights)[0]
            if change():
                return change.__name__.strip("_").replace("_", " ")
        return None

    def _account_created(self) -> bool:
        if self._some("Account") is None:
            return False
        self._org.insert("Account", self._draft.company() | {"OwnerId": self._user()})
        return True

    def _contact_created(self) -> bool:
        account = self._some("Account")
        if account is None:
            return False
        self._org.insert("Contact", self._draft.person() | {"AccountId": account["Id"]})
        return True

    def _opportunity_created(self) -> bool:
        account = self._some("Account")
        if account is None:
            return False
        self._org.insert("Opportunity", self._draft.deal(account, self._today()))
        return True

    def _lead_created(self) -> bool:
        if self._some("Lead") is None:
            return False
        company = {"Company": self._draft.company()["Name"]}
        source = self._rng.choice(("Web", "Phone Inquiry", "Partner Referral"))
        self._org.insert("Lead", {**self._draft.person(), **company, "LeadSource": source})
        return True

    def _case_created(self) -> bool:
        contact = self._some("Contact")
        if contact is None:
            return False
        values = {
            "ContactId": contact["Id"],
            "AccountId": contact["AccountId"],
            "Subject": self._draft.word(words.SUBJECTS),
            "Description": self._draft.text(),
            "Origin": self._rng.choice(("Phone", "Email", "Web")),
        }
        self._org.insert("Case", values)
        return True

    def _task_created(self) -> bool:
        deal = self._some("Opportunity", _OPEN_DEAL)
        lead = self._some("Lead", _OPEN_LEAD)
        about: Record | None = None
        if deal and (not lead or self._chance(0.7)):
            about = {"WhatId": deal["Id"]}
        elif lead:
            about = {"WhoId": lead["Id"]}
        if about is None or self._some("Task") is None:
            return False
        values = {
            "Subject": self._rng.choice(("Call", "Email", "Send Quote")),
            "ActivityDate": self._today() + timedelta(days=self._rng.randrange(21)),
            "Description": self._draft.text(),
        }
        self._org.insert("Task", {**about, **values})
        return True

    def _event_created(self) -> bool:
        contact = self._some("Contact")
        if contact is None or self._some("Event") is None:
            return False
        day = self._today() + timedelta(days=self._rng.randrange(1, 21))
        start = datetime(day.year, day.month, day.day, self._rng.randrange(8, 17), tzinfo=UTC)
        values = {
            "WhoId": contact["Id"],
            "Subject": "Meeting",
            "ActivityDateTime": start,
            "DurationInMinutes": self._rng.choice((30, 60, 90)),
        }
        self._org.insert("Event", values)
        return True

    def _stage_moved(self) -> bool:
        deal = self._some("Opportunity", _OPEN_DEAL)
        if deal is None:
            return False
        place = _STAGES.index(deal["StageName"]) if deal["StageName"] in _STAGES else 0
        lost = self._chance(0.12)
        if place == len(_STAGES) - 1 or lost:
            stage = "Closed Lost" if lost or self._chance(0.4) else "Closed Won"
            change = {"StageName": stage, "CloseDate": self._today()}
        else:
            further = self._rng.choice((1, 1, 2))
            change = {"StageName": _STAGES[min(place + further, len(_STAGES) - 1)]}
        self._org.update("Opportunity", deal["Id"], change)
        return True

    def _deal_changed(self) -> bool:
        deal = self._some("Opportunity", f'{_OPEN_DEAL} AND NOT "HasOpportunityLineItem"')
        if deal is None:
            return False
        if self._chance(0.5):
            amount = round((deal["Amount"] or 10_000.0) * self._rng.uniform(0.7, 1.4), 2)
            change: Record = {"Amount": amount}
        else:
            slip = timedelta(days=self._rng.randrange(7, 60))
            change = {
                "CloseDate": self._today() + slip,
                "NextStep": self._draft.word(words.NEXT_STEPS),
            }
        self._org.update("Opportunity", deal["Id"], change)
        return True

    def _task_completed(self) -> bool:
        return self._update("Task", _OPEN_TASK, {"Status": "Completed"})

    def _case_moved(self) -> bool:
        case = self._some("Case", _OPEN_CASE)
        if case is None:
            return False
        change: Record = {"Status": "Working"}
        if case["Status"] == "Working" and self._chance(0.15):
            change = {"Status": "Escalated", "IsEscalated": True, "Priority": "High"}
        elif case["Status"] != "New":
            change = {"Status": "Closed"}
        self._org.update("Case", case["Id"], change)
        return True

    def _lead_worked(self) -> bool:
        status = self._rng.choice(("Working - Contacted", "Closed - Not Converted"))
        return self._update(
            "Lead", _OPEN_LEAD, {"Status": status, "Description": self._draft.text()}
        )

    def _lead_converted(self) -> bool:
        lead = self._some("Lead", _OPEN_LEAD)
        if lead is None or self._some("Opportunity") is None:
            return False
        owner = {"OwnerId": self._user()}
        account = self._org.insert("Account", {"Name": lead["Company"], **owner})
        person = {name: lead[name] for name in ("FirstName", "LastName", "Email", "Phone")}
        contact = self._org.insert("Contact", {**person, "AccountId": account, **owner})
        deal = self._draft.deal({"Id": account, "Name": lead["Company"]}, self._today())
        became = {
            "IsConverted": True,
            "Status": "Closed - Converted",
            "ConvertedDate": self._today(),
            "ConvertedAccountId": account,
            "ConvertedContactId": contact,
            "ConvertedOpportunityId": self._org.insert("Opportunity", {**deal, **owner}),
        }
        self._org.update("Lead", lead["Id"], became)
        return True

    def _contact_changed(self) -> bool:
        title = self._draft.word(words.TITLES)
        return self._update("Contact", None, {"Title": title, "Phone": self._draft.phone()})

    def _account_changed(self) -> bool:
        rating = self._rng.choice(("Hot", "Warm", "Cold", None))
        return self._update("Account", None, {"Rating": rating, "Description": self._draft.text()})

    def _owner_changed(self) -> bool:
        name = self._rng.choice(("Account", "Contact", "Opportunity", "Lead", "Case"))
        owner = self._user()
        return owner is not None and self._update(name, None, {"OwnerId": owner})

    def _record_deleted(self) -> bool:
        name = self._rng.choice(("Lead", "Task", "Opportunity", "Contact", "Account"))
        condition = 'NOT "IsConverted"' if name == "Lead" else None
        if name in {"Contact", "Account"} and self._some("Case"):
            condition = _NO_CASES.format(name)
        record = self._some(name, condition)
        if record is None:
            return False
        self._org.delete(name, record["Id"])
        self._deleted = [*self._deleted, (name, record["Id"])][-_REMEMBERED:]
        return True

    def _record_undeleted(self) -> bool:
        if not self._deleted:
            return False
        place = self._rng.randrange(len(self._deleted))
        self._org.undelete(*self._deleted.pop(place))
        return True

    def _contacts_merged(self) -> bool:
        master = self._some("Contact", '"AccountId" IS NOT NULL')
        if master is None:
            return False
        colleague = f"\"AccountId\" = '{master['AccountId']}' AND \"Id\" <> '{master['Id']}'"
        loser = self._some("Contact", colleague)
        if loser is None:
            return False
        self._org.merge("Contact", master["Id"], loser["Id"])
        return True

    def _update(self, name: str, condition: str | None, change: Record) -> bool:
        """Changes a random record, if there is one."""
        record = self._some(name, condition)
        if record is not None:
            self._org.update(name, record["Id"], change)
        return record is not None

    def _some(self, name: str, condition: str | None = None) -> Record | None:
        return self._org.sample(name, condition, self._rng)

    def _today(self) -> date:
        """The org's day: that of its latest change, for its clock may not be this machine's."""
        latest = '"SystemModstamp" = (SELECT max("SystemModstamp") FROM "Opportunity")'
        record = self._some("Opportunity", latest)
        stamp: datetime = record["SystemModstamp"] if record else datetime.now(UTC)
        return stamp.date()

    def _user(self) -> str | None:
        user = self._some("User", '"IsActive"')
        return user["Id"] if user else None

    def _chance(self, probability: float) -> bool:
        return self._rng.random() < probability
