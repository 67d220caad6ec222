"""What queries mean: filters, parents, children, aggregates, refusals."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.server import Emulator
from sf_assets_tests.emulator.conftest import Api

Ids = dict[str, str]


@pytest.fixture(scope="module")
def org(schema: Schema) -> Iterator[Emulator]:
    """An org on Saturday, 31 January 2026, with a handful of records."""
    clock = Clock(datetime(2026, 1, 31, 10, tzinfo=UTC), frozen=True)
    with Emulator(schema=schema, clock=clock) as running:
        yield running


@pytest.fixture(scope="module")
def client(org: Emulator) -> Iterator[Api]:
    made = Api(org)
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def ids(org: Emulator) -> Ids:
    insert = org.org.records.insert
    made: Ids = {}
    made["user"] = insert(
        "User",
        {
            "LastName": "Boss", "FirstName": "Ann", "Username": "boss@example.com", "Alias": "ann",
            "Email": "boss@example.com", "CommunityNickname": "ann", "TimeZoneSidKey": "GMT",
            "LocaleSidKey": "en_US", "EmailEncodingKey": "UTF-8", "LanguageLocaleKey": "en_US",
            "IsActive": True, "ProfileId": insert("Profile", {"Name": "P", "UserType": "Standard"}),
        },
    )  # fmt: skip
    owner = {"OwnerId": made["user"]}
    made["acme"] = insert("Account", {"Name": "Acme", "AnnualRevenue": 5e6, **owner})
    made["beta"] = insert(
        "Account", {"Name": "beta 100%", "ParentId": made["acme"], "Industry": "Banking", **owner}
    )
    made["gone"] = insert("Account", {"Name": "Gone", **owner})
    for name, account in (("Zoe", "acme"), ("amy", "acme"), ("Bob", "beta")):
        made[name] = insert("Contact", {"LastName": name, "AccountId": made[account], **owner})
    made["lead"] = insert("Lead", {"LastName": "Lee", "Company": "L", **owner})
    made["task1"] = insert("Task", {"Subject": "a", "WhoId": made["Zoe"], "WhatId": made["acme"]})
    made["task2"] = insert("Task", {"Subject": "b", "WhoId": made["lead"]})
    made["task3"] = insert("Task", {"Subject": "c"})
    for stage, amount, close in (
        ("Prospecting", 10.5, "2026-01-31"),
        ("Prospecting", None, "2026-02-28"),
        ("Closed Won", 1e7, "2025-12-31"),
    ):
        insert(
            "Opportunity",
            {
                "Name": stage, "StageName": stage, "Amount": amount, "CloseDate": close,
                "AccountId": made["acme"], **owner,
            },
        )  # fmt: skip
    for key, choices in (("k1", "Red;Green"), ("k2", "Green"), ("K3", None)):
        insert("Showcase__c", {"Required_Text__c": key, "Multi_Picklist__c": choices, **owner})
    org.org.records.delete("Account", made["gone"])
    return made


@pytest.fixture(scope="module")
def names(client: Api, ids: Ids) -> Callable[..., list[Any]]:
    """Runs a query and gives the first selected value of each record."""
    assert ids

    def run(soql: str, resource: str = "query") -> list[Any]:
        return [list(record.values())[1] for record in client.query(soql, resource)]

    return run


@pytest.fixture(scope="module")
def refusal(client: Api, ids: Ids) -> Callable[[str], tuple[str, str]]:
    """Runs a query that must be refused; gives code and last line of the message."""
    assert ids

    def run(soql: str) -> tuple[str, str]:
        answer = client("GET", "/query", params={"q": soql})
        assert answer.status_code == 400, answer.text
        error = answer.json()[0]
        return error["errorCode"], error["message"].rsplit("\n", 1)[-1]

    return run


Names = Callable[..., list[Any]]
Refusal = Callable[[str], tuple[str, str]]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("Name = 'ACME'", ["Acme"]),
        ("Name != 'acme'", ["beta 100%"]),
        ("NOT Name = 'acme'", ["beta 100%"]),
        ("Name LIKE 'A%e'", ["Acme"]),
        ("Name LIKE '%\\%'", ["beta 100%"]),
        ("Name LIKE '_cme'", ["Acme"]),
        ("NOT (Name LIKE 'a%')", ["beta 100%"]),
        ("Name IN ('acme', 'Gone')", ["Acme"]),
        ("Name NOT IN ('acme')", ["beta 100%"]),
        ("Industry = null", ["Acme"]),
        ("Industry = ''", ["Acme"]),
        ("Industry != null", ["beta 100%"]),
        ("Industry != 'Banking'", ["Acme"]),
        ("Industry NOT IN ('Banking')", ["Acme"]),
        ("NOT Industry IN ('Banking')", ["Acme"]),
        ("Industry IN (null, 'x')", ["Acme"]),
        ("AnnualRevenue > 4999999.5", ["Acme"]),
        ("AnnualRevenue < 1", []),
        ("AnnualRevenue != 1", ["Acme", "beta 100%"]),
        ("NOT AnnualRevenue < 1", ["Acme", "beta 100%"]),
        ("Name > 'Acmf'", ["beta 100%"]),
        ("(Name = 'x' OR Name = 'Acme') AND Industry = null", ["Acme"]),
        ("Parent.Name = 'acme'", ["beta 100%"]),
        ("Parent.Owner.Email = 'BOSS@example.com'", ["beta 100%"]),
        ("Id IN (SELECT AccountId FROM Contact WHERE LastName = 'bob')", ["beta 100%"]),
        ("Id NOT IN (SELECT AccountId FROM Opportunity)", ["beta 100%"]),
        ("ParentId NOT IN (SELECT Id FROM Account)", ["Acme"]),
        ("IsDeleted = false", ["Acme", "beta 100%"]),
        ("Account.Name = 'Acme'", ["Acme"]),
    ],
)
def test_filters(names: Names, condition: str, found: list[str]) -> None:
    assert names(f"SELECT Name FROM Account WHERE {condition} ORDER BY Name") == found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("CloseDate = 2026-01-31", ["2026-01-31"]),
        ("CloseDate > 2026-01-31", ["2026-02-28"]),
        ("CloseDate = TODAY", ["2026-01-31"]),
        ("CloseDate = THIS_MONTH", ["2026-01-31"]),
        ("CloseDate = LAST_MONTH", ["2025-12-31"]),
        ("CloseDate = NEXT_N_MONTHS:1", ["2026-02-28"]),
        ("CloseDate < THIS_YEAR", ["2025-12-31"]),
        ("CloseDate <= THIS_FISCAL_QUARTER", ["2025-12-31", "2026-01-31", "2026-02-28"]),
        ("CloseDate > TODAY", ["2026-02-28"]),
        ("CloseDate != TODAY", ["2025-12-31", "2026-02-28"]),
        ("CloseDate = LAST_N_DAYS:31", ["2025-12-31", "2026-01-31"]),
        ("CloseDate = N_DAYS_AGO:31", ["2025-12-31"]),
        ("CloseDate IN (TODAY, 2025-12-31)", ["2025-12-31", "2026-01-31"]),
        ("CALENDAR_YEAR(CloseDate) = 2025", ["2025-12-31"]),
        ("DAY_IN_WEEK(CloseDate) = 7 AND DAY_IN_MONTH(CloseDate) = 31", ["2026-01-31"]),
        ("FISCAL_QUARTER(CloseDate) = 4", ["2025-12-31"]),
        ("CreatedDate = 2026-01-31T10:00:00Z AND Amount = null", ["2026-02-28"]),
        ("CreatedDate >= 2026-01-31T10:00:00.999Z AND Amount = null", ["2026-02-28"]),
        ("CreatedDate > 2026-01-31T10:00:00Z", []),
        ("CreatedDate < 2026-01-31T12:00:00+02:00", []),
        ("DAY_ONLY(CreatedDate) = 2026-01-31 AND Amount = 1e7", ["2025-12-31"]),
        ("HOUR_IN_DAY(convertTimezone(CreatedDate)) = 10 AND Amount > 11", ["2025-12-31"]),
        ("IsClosed = true", ["2025-12-31"]),
        ("IsWon != TRUE AND Amount != null", ["2026-01-31"]),
    ],
)
def test_dates_and_formulas(names: Names, condition: str, found: list[str]) -> None:
    soql = f"SELECT CloseDate FROM Opportunity WHERE {condition} ORDER BY CloseDate"
    assert names(soql) == found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("INCLUDES ('Red')", ["k1"]),
        ("INCLUDES ('Green')", ["k1", "k2"]),
        ("INCLUDES ('Green;Red', 'Blue')", ["k1"]),
        ("EXCLUDES ('Red')", ["k2", "K3"]),
        ("= 'Green;Red'", ["k1"]),
        ("!= 'Green'", ["k1", "K3"]),
        ("= null", ["K3"]),
    ],
)
def test_multipicklists(names: Names, condition: str, found: list[str]) -> None:
    soql = f"SELECT Required_Text__c FROM Showcase__c WHERE Multi_Picklist__c {condition}"
    assert names(f"{soql} ORDER BY Required_Text__c") == found


def test_order(names: Names) -> None:
    assert names("SELECT LastName FROM Contact ORDER BY LastName") == ["amy", "Bob", "Zoe"]
    assert names("SELECT LastName FROM Contact ORDER BY LastName DESC") == ["Zoe", "Bob", "amy"]
    amounts = [None, 10.5, 1e7]
    soql = "SELECT Amount FROM Opportunity ORDER BY Amount"
    assert names(soql) == amounts
    assert names(f"{soql} NULLS LAST") == [10.5, 1e7, None]
    assert names(f"{soql} DESC") == [None, 1e7, 10.5]
    assert names(f"{soql} DESC NULLS LAST LIMIT 1") == [1e7]
    assert names(f"{soql} LIMIT 1 OFFSET 1") == [10.5]
    by_parent = "SELECT LastName FROM Contact ORDER BY Account.Name DESC, LastName"
    assert names(by_parent) == ["Bob", "amy", "Zoe"]


def test_deleted_rows_need_query_all(names: Names) -> None:
    soql = "SELECT Name FROM Account WHERE IsDeleted = true"
    assert names(soql) == []
    assert names(soql, "queryAll") == ["Gone"]
    assert names(f"{soql} ALL ROWS") == ["Gone"]


def test_ids_of_both_lengths(names: Names, ids: Ids) -> None:
    for key in (ids["acme"], ids["acme"][:15]):
        assert names(f"SELECT Name FROM Account WHERE Id = '{key}'") == ["Acme"]
        assert len(names(f"SELECT Name FROM Contact WHERE AccountId IN ('{key}')")) == 2


def test_names_in_any_case_and_with_prefixes(client: Api, ids: Ids) -> None:
    soql = f"select a.NAME, aCCount.id, parent.name FROM account a wHere A.id='{ids['beta']}'"
    record = client.query(soql)[0]
    assert list(record) == ["attributes", "Name", "Id", "Parent"]
    assert record["Parent"] == {
        "attributes": {
            "type": "Account",
            "url": f"/services/data/v66.0/sobjects/Account/{ids['acme']}",
        },
        "Name": "Acme",
    }


def test_parents_of_several_types(client: Api, ids: Ids) -> None:
    soql = "SELECT Subject, Who.Name, Who.Type, What.Name, Owner.Name FROM Task ORDER BY Subject"
    first, second, third = client.query(soql)
    assert first["Who"] == {
        "attributes": {
            "type": "Name",
            "url": f"/services/data/v66.0/sobjects/Contact/{ids['Zoe']}",
        },
        "Name": "Zoe",
        "Type": "Contact",
    }
    who = second["Who"]
    assert isinstance(who, dict)
    assert (who["Name"], who["Type"], second["What"]) == ("Lee", "Lead", None)
    assert third["Who"] is None
    assert [
        r["Subject"] for r in client.query("SELECT Subject FROM Task WHERE Who.Name='lee'")
    ] == ["b"]


def test_children(client: Api, ids: Ids) -> None:
    soql = (
        "SELECT Name, (SELECT LastName, Account.Name FROM Contacts WHERE LastName != 'x'"
        " ORDER BY LastName DESC LIMIT 1) FROM Account ORDER BY Name"
    )
    acme, beta = client.query(soql)
    assert acme["Contacts"] == {
        "totalSize": 1,
        "done": True,
        "records": [
            {
                "attributes": {
                    "type": "Contact",
                    "url": f"/services/data/v66.0/sobjects/Contact/{ids['Zoe']}",
                },
                "LastName": "Zoe",
                "Account": {
                    "attributes": {
                        "type": "Account",
                        "url": f"/services/data/v66.0/sobjects/Account/{ids['acme']}",
                    },
                    "Name": "Acme",
                },
            }
        ],
    }
    contacts = beta["Contacts"]
    assert isinstance(contacts, dict)
    assert contacts["records"][0]["LastName"] == "Bob"
    none = client.query("SELECT Id, (SELECT Id FROM Cases) FROM Account LIMIT 1")[0]
    assert none["Cases"] is None


def test_count_and_aggregates(client: Api, ids: Ids) -> None:
    assert ids
    count = client("GET", "/query", params={"q": "SELECT COUNT() FROM Contact"})
    assert count.text == '{"totalSize":3,"done":true,"records":[]}'
    limited = client("GET", "/query", params={"q": "SELECT COUNT() FROM Contact LIMIT 2"})
    assert limited.json()["totalSize"] == 2
    rows = client.query(
        "SELECT StageName, COUNT(Id), SUM(Amount) total, MAX(CloseDate), AVG(Amount)"
        " FROM Opportunity GROUP BY StageName ORDER BY COUNT(Id) DESC"
    )
    kind = {"attributes": {"type": "AggregateResult"}}
    assert rows == [
        {**kind, "StageName": "Prospecting", "expr0": 2, "total": 10.5, "expr1": "2026-02-28",
         "expr2": 10.5},
        {**kind, "StageName": "Closed Won", "expr0": 1, "total": 1e7, "expr1": "2025-12-31",
         "expr2": 1e7},
    ]  # fmt: skip
    having = client.query(
        "SELECT Account.Name, COUNT_DISTINCT(LastName) n FROM Contact GROUP BY Account.Name"
        " HAVING COUNT(Id) > 1"
    )
    assert having == [{**kind, "Name": "Acme", "n": 2}]
    years = client.query(
        "SELECT CALENDAR_YEAR(CloseDate) y, COUNT(Id) FROM Opportunity"
        " GROUP BY CALENDAR_YEAR(CloseDate) ORDER BY CALENDAR_YEAR(CloseDate)"
    )
    assert [(row["y"], row["expr0"]) for row in years] == [(2025, 1), (2026, 2)]
    bounds = client.query("SELECT COUNT(Id) c, MAX(SystemModstamp) m FROM Account WHERE Name='?'")
    assert bounds == [{**kind, "c": 0, "m": None}]


def test_fields_and_labels(client: Api, ids: Ids) -> None:
    assert ids
    everything = client.query("SELECT FIELDS(ALL) FROM Contact LIMIT 200")
    described = client("GET", "/sobjects/Contact/describe").json()["fields"]
    assert list(everything[0])[1:] == [field["name"] for field in described]
    custom = client.query("SELECT Id, FIELDS(CUSTOM) FROM Showcase__c LIMIT 1")
    assert all(name.endswith(("__c", "__s")) for name in list(custom[0])[2:])
    shown = client.query(
        "SELECT toLabel(ForecastCategory) shown, FORMAT(Amount), FORMAT(CloseDate) FROM Opportunity"
        " WHERE Amount = 10000000"
    )[0]
    assert shown["shown"] == "Closed"
    assert (shown["Amount"], shown["CloseDate"]) == ("$10,000,000.00", "12/31/2025")


def test_addresses_and_formulas_follow_what_they_are_made_of(org: Emulator, client: Api) -> None:
    key = org.org.records.insert(
        "Account", {"Name": "At", "BillingCity": "Ulm", "BillingLatitude": 48.4}
    )
    soql = f"SELECT BillingAddress, ShippingAddress FROM Account WHERE Id = '{key}'"
    record = client.query(soql)[0]
    assert record["BillingAddress"] == {
        "city": "Ulm",
        "country": None,
        "geocodeAccuracy": None,
        "latitude": 48.4,
        "longitude": None,
        "postalCode": None,
        "state": None,
        "street": None,
    }
    assert record["ShippingAddress"] is None
    show = org.org.records.insert("Showcase__c", {"Required_Text__c": "f", "Account__c": key})
    soql = (
        "SELECT Formula_Parent__c, Formula_Days_Open__c, SystemModstamp FROM Showcase__c"
        f" WHERE Id = '{show}'"
    )
    before = client.query(soql)[0]
    org.org.records.update("Account", key, {"Name": "Moved"})
    after = client.query(soql)[0]
    assert (before["Formula_Parent__c"], after["Formula_Parent__c"]) == ("At", "Moved")
    assert before["SystemModstamp"] == after["SystemModstamp"]
    org.org.records.purge("Showcase__c", show)
    org.org.records.purge("Account", key)


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT Foo FROM Account", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'."),
        ("SELECT Id FROM Foo", "INVALID_TYPE", "sObject type 'Foo' is not supported."),
        ("SELECT Foo.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Foo'"),
        (
            "SELECT Id, (SELECT Id FROM Foos) FROM Account",
            "INVALID_TYPE",
            "Didn't understand relationship 'Foos' in FROM part of query call.",
        ),
        (
            "SELECT Id FROM Account WHERE CreatedDate > '2026-01-01T00:00:00Z'",
            "INVALID_FIELD",
            "value of filter criterion for field 'CreatedDate' must be of type dateTime and should",
        ),
        (
            "SELECT Id FROM Account WHERE CreatedDate > 2026-01-01",
            "INVALID_FIELD",
            "value of filter criterion for field 'CreatedDate' must be of type dateTime",
        ),
        (
            "SELECT Id FROM Opportunity WHERE CloseDate > 2026-01-01T00:00:00Z",
            "INVALID_FIELD",
            "value of filter criterion for field 'CloseDate' must be of type date",
        ),
        (
            "SELECT Id FROM Account WHERE Name = 5",
            "INVALID_FIELD",
            "value of filter criterion for field 'Name' must be of type string and should be",
        ),
        (
            "SELECT Id FROM Account WHERE Id = 'x'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid ID field: x",
        ),
        (
            "SELECT Id FROM Account WHERE Id LIKE '001%'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator on id field",
        ),
        (
            "SELECT Id FROM Account WHERE Description = 'x'",
            "INVALID_FIELD",
            "field 'Description' can not be filtered in a query call",
        ),
        (
            "SELECT Id FROM Account ORDER BY Description",
            "INVALID_FIELD",
            "field 'Description' can not be sorted in a query call",
        ),
        (
            "SELECT CreatedDate, COUNT(Id) FROM Account GROUP BY CreatedDate",
            "INVALID_FIELD",
            "field 'CreatedDate' can not be grouped in a query call",
        ),
        (
            "SELECT Name, COUNT(Id) FROM Account",
            "MALFORMED_QUERY",
            "Field must be grouped or aggregated: Name",
        ),
        ("SELECT Id, Name, id FROM Account", "MALFORMED_QUERY", "duplicate field selected: Id"),
        (
            "SELECT SUM(Name) FROM Account",
            "MALFORMED_QUERY",
            "field Name does not support aggregate operator SUM",
        ),
        (
            "SELECT FIELDS(ALL) FROM Account",
            "MALFORMED_QUERY",
            "The SOQL FIELDS function must have a LIMIT of at most 200",
        ),
        (
            "SELECT Id FROM Account OFFSET 2001",
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Maximum SOQL offset allowed is 2000",
        ),
        (
            "SELECT TYPEOF What WHEN Account THEN Phone END FROM Task",
            "MALFORMED_QUERY",
            "TYPEOF is not supported in this org",
        ),
        (
            "SELECT Id FROM Account WHERE COUNT(Id) > 1",
            "MALFORMED_QUERY",
            "Aggregate functions are not allowed in the WHERE clause",
        ),
        (
            "SELECT Id, (SELECT Id, (SELECT Id FROM Tasks) FROM Contacts) FROM Account",
            "MALFORMED_QUERY",
            "A subquery may not have subqueries of its own in this org",
        ),
        ("SELECT Name n FROM Account", "MALFORMED_QUERY", "only aggregate expressions use field"),
        (
            "SELECT Id FROM Contact WHERE Account.Parent.Parent.Parent.Parent.Parent.Name = 'x'",
            "INVALID_FIELD",
            "SOQL relationship queries may not have more than 5 levels of parents",
        ),
        (
            "SELECT Id FROM Account WHERE Name IN (SELECT Id FROM Contact)",
            "MALFORMED_QUERY",
            "The left operand 'Name' and the inner select of a semi join must be of type ID",
        ),
    ],
)
def test_refusals(refusal: Refusal, soql: str, code: str, message: str) -> None:
    found_code, found_message = refusal(soql)
    assert found_code == code
    assert found_message.startswith(message)


def test_queries_too_deep_to_understand(client: Api, ids: Ids) -> None:
    assert ids
    # Bulk takes queries in the body, where they may be longer than an address.
    soql = f"SELECT Id FROM Account WHERE {'(' * 5000}Name = 'x'{')' * 5000}"
    answer = client("POST", "/jobs/query", json={"operation": "query", "query": soql})
    assert answer.json()[0]["errorCode"] == "QUERY_TOO_COMPLICATED"


def test_escapes_of_half_characters_do_no_harm(names: Names) -> None:
    assert names("SELECT Name FROM Account WHERE Name = '\\ud800'") == []
    assert names("SELECT Name FROM Account WHERE Name = '\\u0041CME'") == ["Acme"]


def test_recorded_wording(client: Api, ids: Ids) -> None:
    """The text of a real org, from a recorded exchange."""
    assert ids
    answer = client("GET", "/query/", params={"q": "select count() from XYZZY"})
    assert answer.json() == [
        {
            "message": "\nselect count() from XYZZY\n                    ^\n"
            "ERROR at Row:1:Column:21\nsObject type 'XYZZY' is not supported. If you are"
            " attempting to use a custom object, be sure to append the '__c' after the entity"
            " name. Please reference your WSDL or the describe call for the appropriate names.",
            "errorCode": "INVALID_TYPE",
        }
    ]
