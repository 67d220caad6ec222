"""The company at work: one realistic change after the other, as its users would make them."""

from datetime import UTC, datetime, timedelta

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.world import words
from sf_assets.emulator.world.actor import Actor
from sf_assets.emulator.world.drafts import Record

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
NO_CASES = '"Id" NOT IN (SELECT "{0}Id" FROM "Case" WHERE "{0}Id" IS NOT NULL AND NOT "IsDeleted")'
# How often each change happens, by name.
OFFICE = {
    "task created": 16,
    "stage moved": 14,
    "lead created": 12,
    "task completed": 12,
    "case moved": 12,
    "case created": 8,
    "opportunity created": 7,
    "contact changed": 6,
    "contact created": 5,
    "lead worked": 5,
    "account changed": 4,
    "deal changed": 4,
    "event created": 4,
    "account created": 3,
    "lead converted": 3,
    "owner changed": 3,
    "record deleted": 2,
    "record undeleted": 1,
    "contacts merged": 1,
}


class Office(Actor):
    """What the users do all day; each method makes one change if it finds records for it."""

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
            condition = NO_CASES.format(name)
        return self._delete(name, self._some(name, condition))

    def _record_undeleted(self) -> bool:
        found = self._take_deleted()
        if found is None:
            return False
        try:
            self._org.undelete(*found)
        except ApiError as error:
            # It went for good with its parent, or its deletion is not committed yet.
            if error.code != "UNDELETE_FAILED":
                raise
            return False
        return True

    def _contacts_merged(self) -> bool:
        master = self._some("Contact", '"AccountId" IS NOT NULL')
        if master is None:
            return False
        colleague = f"\"AccountId\" = '{master['AccountId']}' AND \"Id\" <> '{master['Id']}'"
        return self._merge("Contact", master, self._some("Contact", colleague))
