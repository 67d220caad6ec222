"""The company's own people: users, their roles, profiles, queues, and the organisation itself."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world import words
from sf_assets.emulator.world.cohort import Cohort
from sf_assets.emulator.world.company import ADMIN, INTEGRATION_USER
from sf_assets.emulator.world.seeded_random import Bools, Floats, Ints

# Name and the row above it.
_ROLES = (
    ("CEO", None),
    ("VP Sales", 0),
    ("VP Service", 0),
    ("Sales Manager AMER", 1),
    ("Sales Manager EMEA", 1),
    ("Account Executive AMER", 3),
    ("Account Executive EMEA", 4),
    ("Service Manager", 2),
    ("Support Agent", 7),
)
_PROFILES = ("System Administrator", "API Only Integration", "Sales User", "Service User")
_QUEUES = ("Support Tier 1", "Support Tier 2", "Inbound Leads")
SUPPORT_QUEUES = 2
LEAD_QUEUE = 2
_FIRST_MANAGER = 2
# The first roles are held by one user each; so is the managing one of the others.
_SINGLE_ROLES = 5
_VP_SERVICE, _SERVICE_MANAGER, _SUPPORT_AGENT = 2, 7, 8
_REPORTS = 6


class Users(Cohort):
    """Users: an administrator, an integration user, then the company from its head downwards."""

    name = "User"
    deletion_rate = 0.0

    @cached_property
    def born(self) -> Floats:
        """The two technical users have been there from the start."""
        share = (self.index + self.dice.share("born")) / self.company.rows[self.name]
        technical = self.index <= INTEGRATION_USER
        return np.where(technical, self.company.rhythm.old, self.company.rhythm.grown(share))

    @cached_property
    def owner(self) -> Ints:
        """Users belong to the administrator, who creates and changes them."""
        return np.full(len(self), ADMIN)

    @cached_property
    def active(self) -> Bools:
        """Whether the user may log in."""
        return (self.index <= _FIRST_MANAGER) | ~self.dice.chance("left", 0.12)

    @cached_property
    def role(self) -> Ints:
        """Row number of the role: one each for the bosses, the rest below them."""
        place = np.maximum(self.index - _FIRST_MANAGER, 0)
        worker = _SINGLE_ROLES + self.dice.pick("role", len(_ROLES) - _SINGLE_ROLES)
        worker = np.where(worker == _SERVICE_MANAGER, _SUPPORT_AGENT, worker)
        worker = np.where(place == _SINGLE_ROLES, _SERVICE_MANAGER, worker)
        return np.where(place < _SINGLE_ROLES, place, worker)

    def full_names(self) -> pa.Array:
        """Names as people read them."""
        names = self.names()
        return col.joined(names["FirstName"], names["LastName"], separator=" ")

    def names(self) -> dict[str, pa.Array]:
        """First name, last name, e-mail."""
        names = self.person(self.dice)
        technical = self.index <= INTEGRATION_USER
        admin = self.index == ADMIN
        last = np.where(admin, "Administrator", "Integration")[technical]
        names["LastName"] = col.replaced(names["LastName"], technical, pa.array(last, pa.string()))
        first = np.where(admin, "System", "Data")[technical]
        first_names = pa.array(first, pa.string())
        names["FirstName"] = col.replaced(names["FirstName"], technical, first_names)
        return names

    def columns(self) -> dict[str, pa.Array]:
        """The user's own fields."""
        names = self.names()
        nick = col.joined("user", col.as_words(self.index + 1))
        service = (self.role == _VP_SERVICE) | (self.role >= _SERVICE_MANAGER)
        profile = np.where(self.index <= INTEGRATION_USER, self.index, np.where(service, 3, 2))
        boss = _FIRST_MANAGER + (self.index - _FIRST_MANAGER - 1) // _REPORTS
        zones = pa.array(["America/New_York", "America/Los_Angeles", "Europe/Berlin"])
        login = self.seconds(self.between(self.created, self.end, self.dice.share("login") ** 0.1))
        return {
            **names,
            **self.address("", 0.6),
            "Username": col.joined(nick, "@northwind.example.com"),
            "CompanyName": pa.repeat("Northwind Components", len(self)),
            "Department": col.text(words.DEPARTMENTS, np.where(service, 2, 5)),
            "Title": col.text(words.TITLES, self.dice.pick("title", len(words.TITLES))),
            "Phone": col.digits(self.dice, "phone", "(4##) 555-####", self.some("phone", 0.8)),
            "MobilePhone": col.digits(self.dice, "cell", "+1-###-555-####", self.some("cell", 0.5)),
            "Alias": nick,
            "CommunityNickname": nick,
            "IsActive": col.flag(self.active),
            "TimeZoneSidKey": col.text(zones, self.dice.pick("zone", len(zones))),
            "LocaleSidKey": pa.repeat("en_US", len(self)),
            "LanguageLocaleKey": pa.repeat("en_US", len(self)),
            "EmailEncodingKey": pa.repeat("UTF-8", len(self)),
            "ReceivesInfoEmails": col.flag(self.dice.chance("info", 0.5)),
            "ReceivesAdminInfoEmails": col.flag(self.index == ADMIN),
            "UserRoleId": self.company.ids(
                "UserRole", np.where(self.index < _FIRST_MANAGER, -1, self.role)
            ),
            "ProfileId": self.company.ids("Profile", profile),
            "UserType": pa.repeat("Standard", len(self)),
            "EmployeeNumber": col.numbered("E{}", self.index + 1, 7),
            "ManagerId": self.company.ids(
                self.name, np.where(self.index > _FIRST_MANAGER, boss, -1)
            ),
            "LastLoginDate": col.moment(login, self.active),
            "ForecastEnabled": col.flag(~service & (self.index > INTEGRATION_USER)),
            "DigestFrequency": pa.repeat("D", len(self)),
            "DefaultGroupNotificationFrequency": pa.repeat("N", len(self)),
        }


class _Settings(Cohort):
    """Rows that an administrator has set up; nobody deletes them."""

    deletion_rate = 0.0

    @cached_property
    def born(self) -> Floats:
        """From the start."""
        return np.full(len(self), self.company.rhythm.old)

    @cached_property
    def owner(self) -> Ints:
        """The administrator's."""
        return np.full(len(self), ADMIN)


class UserRoles(_Settings):
    """The tree of roles."""

    name = "UserRole"

    def columns(self) -> dict[str, pa.Array]:
        """The role's own fields."""
        names = [_ROLES[row][0] for row in self.index]
        above = np.array([-1 if _ROLES[row][1] is None else _ROLES[row][1] for row in self.index])
        edit = pa.repeat("Edit", len(self))
        return {
            "Name": pa.array(names),
            "DeveloperName": pa.array([name.replace(" ", "_") for name in names]),
            "RollupDescription": pa.array(names),
            "ParentRoleId": self.company.ids(self.name, above),
            "OpportunityAccessForAccountOwner": edit,
            "CaseAccessForAccountOwner": edit,
            "ContactAccessForAccountOwner": edit,
        }


class Profiles(_Settings):
    """What users may do."""

    name = "Profile"

    def columns(self) -> dict[str, pa.Array]:
        """The profile's own fields."""
        admin = self.index == 0
        technical = self.index <= 1
        rights = {
            "ApiEnabled": np.ones(len(self), np.bool_),
            "AuthorApex": admin,
            "BulkApiHardDelete": technical,
            "ConvertLeads": ~(self.index == 1),
            "CustomizeApplication": admin,
            "ExportReport": ~technical,
            "ManageUsers": admin,
            "ModifyAllData": technical,
            "PasswordNeverExpires": technical,
            "ViewAllData": technical,
            "ViewSetup": admin,
        }
        return {
            "Name": pa.array([_PROFILES[row] for row in self.index]),
            **{f"Permissions{name}": col.flag(values) for name, values in rights.items()},
            # The licences themselves are not part of the org.
            "UserLicenseId": col.reference("100", np.ones(len(self), np.int64)),
            "UserType": pa.repeat("Standard", len(self)),
        }


class Groups(_Settings):
    """Queues that own what nobody has taken yet."""

    name = "Group"

    def columns(self) -> dict[str, pa.Array]:
        """The queue's own fields."""
        return {
            "Name": self.queue_names(),
            "DeveloperName": pa.array([_QUEUES[row].replace(" ", "_") for row in self.index]),
            "Type": pa.repeat("Queue", len(self)),
            "OwnerId": self.company.ids("Organization", np.zeros(len(self), np.int64)),
            "DoesSendEmailToMembers": col.flag(self.index == LEAD_QUEUE),
        }

    def queue_names(self) -> pa.Array:
        """Names of the queues."""
        return pa.array([_QUEUES[row] for row in self.index], pa.string())


class Organizations(_Settings):
    """The org: one row."""

    name = "Organization"

    def columns(self) -> dict[str, pa.Array]:
        """The organisation's own fields."""
        values = {
            "Name": "Northwind Components",
            "City": "San Francisco",
            "Country": "US",
            "PrimaryContact": "System Administrator",
            "DefaultLocaleSidKey": "en_US",
            "TimeZoneSidKey": "America/Los_Angeles",
            "LanguageLocaleKey": "en_US",
            "DefaultAccountAccess": "Edit",
            "DefaultContactAccess": "ControlledByParent",
            "DefaultOpportunityAccess": "Edit",
            "DefaultLeadAccess": "ReadEditTransfer",
            "DefaultCaseAccess": "ReadEditTransfer",
            "DefaultCalendarAccess": "HideDetailsInsert",
            "DefaultPricebookAccess": "ReadSelect",
            "DefaultCampaignAccess": "All",
            "UiSkin": "Theme3",
            "SignupCountryIsoCode": "US",
            "OrganizationType": "Developer Edition",
            "InstanceName": "EMU1",
            "WebToCaseDefaultOrigin": "Web",
        }
        numbers = {"FiscalYearStartMonth": 1, "MonthlyPageViewsUsed": 0, "NumKnowledgeService": 2}
        flags = dict.fromkeys(
            ("PreferencesLightningLoginEnabled", "PreferencesConsentManagementEnabled"), True
        )
        return {
            name: pa.repeat(value, len(self)) for name, value in (values | numbers | flags).items()
        }


class RecordTypes(_Settings):
    """The record types that the objects' describes name."""

    name = "RecordType"

    def columns(self) -> dict[str, pa.Array]:
        """The record type's own fields."""
        kinds = list(self._declared())
        names = [name for _, name, _ in kinds]
        return {
            "Id": pa.array([record_type_id for _, _, record_type_id in kinds], pa.string()),
            "Name": pa.array(names, pa.string()),
            "DeveloperName": pa.array(names, pa.string()),
            "SobjectType": pa.array([sobject for sobject, _, _ in kinds], pa.string()),
            "IsActive": pa.repeat(pa.scalar(value=True), len(self)),
        }

    def _declared(self) -> Iterator[tuple[str, str, str]]:
        """Object, name and Id of these rows' record types."""
        every = [
            (sobject.name, info["developerName"], info["recordTypeId"])
            for sobject in self.company.schema
            for info in sobject.document["recordTypeInfos"]
            if not info["master"]
        ]
        return (every[row] for row in self.index)
