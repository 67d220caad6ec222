"""Are the tables right: every field of every object, awkward text included."""

import pytest

from sf_assets.emulator.server import Emulator
from sf_assets.pipeline.schema.stored_describes import number_room
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.equality import derived_differences, differences

OBJECTS = (
    "User", "Account", "Contact", "Lead", "Opportunity", "OpportunityHistory",
    "OpportunityLineItem", "OpportunityContactRole", "Product2", "PricebookEntry", "Campaign",
    "CampaignMember", "Case", "CaseHistory", "Task", "Event", "Showcase__c",
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, company: Emulator) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("filled"), company.environment)
    workspace.catalogue(dict.fromkeys(OBJECTS))
    outcomes = workspace.tick()
    assert {slug: o.error for slug, o in outcomes.items() if o.error} == {}
    return workspace


@pytest.mark.parametrize("name", OBJECTS)
def test_silver_holds_what_the_org_holds(company: Emulator, filled: Workspace, name: str) -> None:
    assert differences(company, filled, name)[:20] == []


@pytest.mark.parametrize("name", OBJECTS)
def test_silver_holds_what_the_org_works_out(
    company: Emulator, filled: Workspace, name: str
) -> None:
    # A formula that depends on today says something else after midnight.
    found = derived_differences(company, filled, name)
    assert [d for d in found if not d.startswith("Formula_Days_Open__c")][:20] == []


@pytest.mark.parametrize("name", OBJECTS)
def test_manifests_tell_how_many_digits_numbers_have(filled: Workspace, name: str) -> None:
    raw = filled.org().stored_raw
    for piece in raw.slices(name.lower()):
        numbers = number_room(raw, name.lower(), piece.fields)
        assert piece.digits.keys() == numbers.keys()
