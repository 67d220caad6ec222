"""The company's records agree with one another."""

from collections.abc import Iterator
from datetime import date

import pytest

from sf_assets.emulator.metadata import standard_schema
from sf_assets.emulator.server import Emulator
from sf_assets_tests.emulator.conftest import Api
from sf_assets_tests.emulator.world.conftest import NOW, World

LATEST_STEP = """
    (SELECT *, row_number() OVER (PARTITION BY OpportunityId ORDER BY CreatedDate DESC, Id DESC)
     AS place FROM OpportunityHistory)
"""
LATEST_CHANGE = """
    (SELECT *, row_number() OVER (PARTITION BY CaseId, Field, DataType
     ORDER BY CreatedDate DESC, Id DESC) AS place FROM CaseHistory)
"""


def test_size_of_the_demo_org(world: World) -> None:
    assert 10_000 <= sum(len(rows) for rows in world.tables.values()) <= 22_000


def test_opportunities_are_where_their_history_ends(world: World) -> None:
    differing = world.rows(f"""
        SELECT o.Id FROM Opportunity AS o LEFT JOIN {LATEST_STEP} AS h
        ON h.OpportunityId = o.Id AND h.place = 1
        WHERE h.StageName IS DISTINCT FROM o.StageName OR h.Amount IS DISTINCT FROM o.Amount
        OR h.CloseDate IS DISTINCT FROM o.CloseDate OR h.Probability IS DISTINCT FROM o.Probability
        OR h.IsDeleted IS DISTINCT FROM o.IsDeleted OR h.CreatedDate > o.LastModifiedDate
    """)
    assert differing == []


def test_history_begins_with_the_opportunity_and_moves_on(world: World) -> None:
    first = world.number("""
        SELECT count(*) FROM Opportunity AS o WHERE CreatedDate <>
        (SELECT min(h.CreatedDate) FROM OpportunityHistory AS h WHERE h.OpportunityId = o.Id)
    """)
    assert first == 0
    steps = world.rows("SELECT count(*) FROM OpportunityHistory GROUP BY OpportunityId")
    assert {count for (count,) in steps} >= {1, 2, 3, 4, 5}
    after_closing = world.number("""
        SELECT count(*) FROM OpportunityHistory AS a JOIN OpportunityHistory AS b
        USING (OpportunityId) WHERE a.StageName LIKE 'Closed%' AND b.CreatedDate > a.CreatedDate
    """)
    assert after_closing == 0


def test_the_history_that_an_opportunity_points_at(world: World) -> None:
    for field, what in (
        ("LastAmountChangedHistoryId", "Amount"),
        ("LastCloseDateChangedHistoryId", "CloseDate"),
    ):
        wrong = world.number(f"""
            SELECT count(*) FROM Opportunity AS o JOIN OpportunityHistory AS h ON h.Id = o.{field}
            WHERE h.OpportunityId <> o.Id OR h.{what} <> o.{what}
        """)
        assert wrong == 0
        assert world.number(f"SELECT count({field}) FROM Opportunity") > 100
    assert not world.number("""
        SELECT count(*) FROM Opportunity AS o WHERE LastStageChangeDate <> (SELECT max(CreatedDate)
        FROM OpportunityHistory AS h WHERE h.OpportunityId = o.Id)
    """)


def test_stages_probabilities_and_forecasts_agree(world: World) -> None:
    states = world.rows("""
        SELECT StageName, count(DISTINCT Probability), count(DISTINCT ForecastCategoryName),
        min(Probability), min(ForecastCategoryName) FROM Opportunity GROUP BY 1
    """)
    assert len(states) >= 8
    assert all(probabilities == forecasts == 1 for _, probabilities, forecasts, *_ in states)
    closed = {stage: rest for stage, _, _, *rest in states if stage.startswith("Closed")}
    assert closed == {"Closed Won": [100.0, "Closed"], "Closed Lost": [0.0, "Omitted"]}
    assert not world.number(
        f"SELECT count(*) FROM Opportunity WHERE StageName LIKE 'Closed%'"
        f" AND CloseDate > DATE '{NOW:%Y-%m-%d}'"
    )


def test_line_items_add_up_to_the_amount(world: World) -> None:
    totals = world.rows("""
        SELECT o.Amount, sum(i.TotalPrice), bool_and(o.HasOpportunityLineItem),
        bool_and(abs(i.TotalPrice - round(i.Quantity * i.UnitPrice, 2)) < 0.005),
        bool_and(i.UnitPrice <= i.ListPrice)
        FROM Opportunity AS o JOIN OpportunityLineItem AS i ON i.OpportunityId = o.Id
        GROUP BY o.Id, o.Amount
    """)
    assert len(totals) > 300
    assert all(abs(amount - total) < 0.005 for amount, total, *_ in totals)
    assert all(flag and product and discount for *_, flag, product, discount in totals)
    assert world.number(
        "SELECT count(*) FILTER (WHERE HasOpportunityLineItem) FROM Opportunity"
    ) == len(totals)
    assert not world.number("""
        SELECT count(*) FROM OpportunityLineItem AS i JOIN PricebookEntry AS e
        ON e.Id = i.PricebookEntryId JOIN Opportunity AS o ON o.Id = i.OpportunityId
        WHERE e.UnitPrice <> i.ListPrice OR e.Product2Id <> i.Product2Id
        OR e.Pricebook2Id <> o.Pricebook2Id
    """)


def test_contact_roles_are_people_of_the_account(world: World) -> None:
    assert not world.number("""
        SELECT count(*) FROM OpportunityContactRole AS r JOIN Contact AS c ON c.Id = r.ContactId
        JOIN Opportunity AS o ON o.Id = r.OpportunityId
        WHERE c.AccountId IS DISTINCT FROM o.AccountId
    """)
    primaries = world.rows(
        "SELECT count(*) FILTER (WHERE IsPrimary) FROM OpportunityContactRole"
        " GROUP BY OpportunityId"
    )
    assert {count for (count,) in primaries} == {1}


def test_converted_leads_became_what_they_say(world: World) -> None:
    converted = world.rows("""
        SELECT l.Status, l.ConvertedDate = l.LastModifiedDate::DATE, l.CreatedDate <= o.CreatedDate,
        o.CreatedDate = l.LastModifiedDate, o.AccountId IS NOT DISTINCT FROM l.ConvertedAccountId,
        c.AccountId IS NOT DISTINCT FROM l.ConvertedAccountId, c.Email = l.Email, l.IsDeleted
        FROM Lead AS l JOIN Opportunity AS o ON o.Id = l.ConvertedOpportunityId
        JOIN Contact AS c ON c.Id = l.ConvertedContactId WHERE l.IsConverted
    """)
    assert len(converted) == world.number("SELECT count(*) FROM Lead WHERE IsConverted") > 100
    assert set(converted) == {("Closed - Converted", True, True, True, True, True, True, False)}
    assert not world.number("""
        SELECT count(*) FROM Lead WHERE NOT IsConverted
        AND (ConvertedDate IS NOT NULL OR ConvertedAccountId IS NOT NULL OR Status LIKE '%- Conv%')
    """)


def test_cases_are_where_their_history_ends(world: World) -> None:
    for field, condition in (
        ("Status", "Field = 'Status'"),
        ("Priority", "Field = 'Priority'"),
        ("OwnerId", "Field = 'Owner' AND DataType = 'EntityId'"),
    ):
        pairs = world.rows(f"""
            SELECT c.{field} = h.NewValue FROM "Case" AS c JOIN {LATEST_CHANGE} AS h
            ON h.CaseId = c.Id AND place = 1 WHERE {condition}
        """)
        assert len(pairs) > 30
        assert set(pairs) == {(True,)}, field
    without = world.rows("""
        SELECT Status, count(*) FROM "Case" WHERE Id NOT IN
        (SELECT CaseId FROM CaseHistory WHERE Field = 'Status') GROUP BY 1
    """)
    assert {status for status, _ in without} <= {"New"}
    assert not world.number("""
        SELECT count(*) FROM "Case" AS c WHERE CreatedDate <> (SELECT min(CreatedDate)
        FROM CaseHistory AS h WHERE h.CaseId = c.Id AND h.Field = 'created')
    """)


def test_closed_cases_know_when(world: World) -> None:
    states = world.rows("""
        SELECT Status = 'Closed', ClosedDate IS NOT NULL, count(*) FROM "Case" GROUP BY 1, 2
    """)
    assert {(closed, dated) for closed, dated, _ in states} == {(True, True), (False, False)}
    assert not world.number("""
        SELECT count(*) FROM "Case" AS c JOIN CaseHistory AS h ON h.CaseId = c.Id
        WHERE h.NewValue = 'Closed' AND h.CreatedDate <> c.ClosedDate
    """)
    assert world.number("""SELECT count(*) FROM "Case" WHERE Status = 'Escalated'""") > 0
    assert (
        world.number("""
        SELECT count(*) FROM "Case" WHERE IsEscalated <> (Id IN
        (SELECT CaseId FROM CaseHistory WHERE NewValue = 'Escalated'))
    """)
        == 0
    )


def test_activities_belong_to_the_account_of_what_they_are_about(world: World) -> None:
    for name in ("Task", "Event"):
        assert not world.number(f"""
            SELECT count(*) FROM {name} AS t JOIN Opportunity AS o ON o.Id = t.WhatId
            WHERE t.AccountId IS DISTINCT FROM o.AccountId
        """)
        kinds = world.rows(f"SELECT DISTINCT left(WhoId, 3), left(WhatId, 3) FROM {name}")
        assert set(kinds) >= {("003", "006"), ("003", "001"), ("00Q", None), ("003", "500")}
        archived = world.rows(f"SELECT IsArchived, max(ActivityDate) FROM {name} GROUP BY 1")
        assert dict(archived)[True] < date(2025, 11, 21)
    finished = world.rows(
        "SELECT Status = 'Completed', CompletedDateTime IS NOT NULL FROM Task GROUP BY 1, 2"
    )
    assert set(finished) == {(True, True), (False, False)}
    assert not world.number("""
        SELECT count(*) FROM Event WHERE date_diff('minute', StartDateTime, EndDateTime)
        <> DurationInMinutes OR ActivityDate <> StartDateTime::DATE
    """)


def test_few_accounts_have_most_of_the_business(world: World) -> None:
    deals = world.rows("SELECT count(*) FROM Opportunity GROUP BY AccountId ORDER BY 1 DESC")
    accounts = len(world.tables["Account"])
    top = sum(count for (count,) in deals[: accounts // 10])
    assert top > 0.5 * len(world.tables["Opportunity"])
    assert deals[0][0] < 0.3 * len(world.tables["Opportunity"])


def test_years_of_business_with_a_weekly_rhythm(world: World) -> None:
    years = world.rows("SELECT year(CreatedDate), count(*) FROM Task GROUP BY 1 ORDER BY 1")
    assert years[0] == (2001, 1)
    assert [year for year, _ in years[1:]] == [2021, 2022, 2023, 2024, 2025, 2026]
    counts = [count for _, count in years[1:]]
    assert counts == sorted(counts), "the company grows"
    weekend = world.number(
        "SELECT count(*) FILTER (WHERE isodow(CreatedDate) > 5) / count(*) FROM Task"
    )
    assert 0 < weekend < 0.06
    night = world.number(
        "SELECT count(*) FILTER (WHERE hour(CreatedDate) < 5) / count(*) FROM Task"
    )
    assert 0 < night < 0.05


def test_one_bulk_load_shares_one_stamp(world: World) -> None:
    stamps = world.rows(
        "SELECT count(*), any_value(LeadSource), count(DISTINCT CreatedDate) FROM Lead"
        " GROUP BY SystemModstamp ORDER BY 1 DESC LIMIT 1"
    )
    assert stamps == [(1000, "Purchased List", 1)]


def test_a_stamp_on_midnight_with_several_rows(world: World) -> None:
    for name in ("Contact", "Task", "Opportunity"):
        midnight = world.rows(f"""
            SELECT SystemModstamp, count(*) FROM {name}
            WHERE SystemModstamp = date_trunc('day', SystemModstamp) GROUP BY 1 ORDER BY 2 DESC
        """)
        assert midnight[0][1] > 3, name


def test_records_change_hands(world: World) -> None:
    moved = world.number("SELECT count(*) FILTER (WHERE OwnerId <> CreatedById) FROM Account")
    assert moved > 10
    prefixes = world.rows("""SELECT DISTINCT left(OwnerId, 3) FROM Lead""")
    assert set(prefixes) == {("005",), ("00G",)}


def test_users_form_a_tree(world: World) -> None:
    managers = dict(world.rows('SELECT Id, ManagerId FROM "User"'))
    for user in managers:
        above, seen = user, set()
        while above is not None:
            assert above not in seen
            seen.add(above)
            above = managers[above]
    assert world.number('SELECT count(*) FROM "User" WHERE NOT IsActive') > 0
    names = world.number('SELECT count(DISTINCT Username) FROM "User"')
    assert names == len(managers)


def test_campaign_members_are_in_a_campaign_once(world: World) -> None:
    assert not world.rows("""
        SELECT CampaignId, coalesce(LeadId, ContactId) FROM CampaignMember
        GROUP BY 1, 2 HAVING count(*) > 1
    """)
    kinds = world.rows("SELECT DISTINCT LeadId IS NULL, ContactId IS NULL FROM CampaignMember")
    assert set(kinds) == {(True, False), (False, True)}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """A running org."""
    with Emulator(seed=7, scale=0.2) as emulator:
        yield Api(emulator)


FORMULAS = {sobject.name: list(sobject.formulas) for sobject in standard_schema()}


@pytest.mark.parametrize("name", [name for name, fields in FORMULAS.items() if fields])
def test_every_derived_field_can_be_worked_out(api: Api, name: str) -> None:
    query = f"SELECT {', '.join(FORMULAS[name])} FROM {name} LIMIT 50"
    records = api("GET", "/query", params={"q": query}).json()["records"]
    assert records
    # None of the fields is null everywhere.
    fields = {field for record in records for field, value in record.items() if value is not None}
    rare = {"Fax", "ContactFax"}
    assert set(FORMULAS[name]) - fields <= rare


def test_derived_fields_agree_with_what_they_are_derived_from(api: Api) -> None:
    query = (
        "SELECT StageName, IsClosed, IsWon, CloseDate, FiscalYear, FiscalQuarter, Fiscal, Amount,"
        " Probability, ExpectedRevenue, ForecastCategory FROM Opportunity"
    )
    for deal in api("GET", "/query", params={"q": query}).json()["records"]:
        assert deal["IsClosed"] == deal["StageName"].startswith("Closed")
        assert deal["IsWon"] == (deal["StageName"] == "Closed Won")
        closes = date.fromisoformat(deal["CloseDate"])
        quarter = (closes.month + 2) // 3
        assert (deal["FiscalYear"], deal["FiscalQuarter"]) == (closes.year, quarter)
        assert deal["Fiscal"] == f"{closes.year} {quarter}"
        if deal["Amount"] is None:
            assert deal["ExpectedRevenue"] is None
        else:
            expected = deal["Amount"] * deal["Probability"] / 100
            assert abs(deal["ExpectedRevenue"] - expected) < 0.0051


def test_roll_ups_follow_their_children(api: Api) -> None:
    query = (
        "SELECT Item_Count__c, Item_Total__c, Formula_Parent__c, Account__r.Name,"
        " (SELECT Amount__c FROM Showcase_Items__r) FROM Showcase__c"
    )
    records = api("GET", "/query", params={"q": query}).json()["records"]
    counts = set()
    for record in records:
        items = (record["Showcase_Items__r"] or {"records": []})["records"]
        counts.add(len(items))
        assert record["Item_Count__c"] == len(items)
        total = sum(item["Amount__c"] or 0 for item in items)
        assert abs(record["Item_Total__c"] - total) < 0.01 * max(1, len(items))
        assert record["Formula_Parent__c"] == (record["Account__r"] or {"Name": None})["Name"]
    assert len(counts) > 2
