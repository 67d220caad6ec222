"""What the Bulk API refuses to query."""

from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.restrictions import Restrictions
from sf_assets.emulator.schema import COMPOUND_TYPES, SObject
from sf_assets.emulator.soql.plan import Plan

# Objects that the Bulk API does not know though REST does.
_UNSUPPORTED = frozenset(
    {
        "AcceptedEventRelation", "AssetTokenEvent", "AttachedContentNote", "CaseStatus",
        "ContractStatus", "DeclinedEventRelation", "EventWhoRelation", "OrderStatus",
        "PartnerRole", "QuoteTemplateRichTextData", "RecentlyViewed", "SolutionStatus",
        "TaskPriority", "TaskStatus", "TaskWhoRelation", "UndecidedEventRelation",
    }
)  # fmt: skip
# Large standard objects that are read in chunks of Id ranges; custom objects are so too.
_CHUNKED = frozenset(
    {
        "Account", "AccountContactRelation", "Asset", "Campaign", "CampaignMember", "Case",
        "CaseArticle", "CaseHistory", "Contact", "ContentDocument", "ContentVersion", "Event",
        "EventRelation", "Lead", "LoginHistory", "Opportunity", "OpportunityHistory",
        "OpportunityLineItem", "Product2", "Task", "TaskRelation", "User",
    }
)  # fmt: skip


def check_object(sobject: SObject, restrictions: Restrictions) -> None:
    """Refuse an object that cannot be exported in bulk.

    Raises:
        ApiError: INVALIDENTITY.
    """
    name = sobject.name
    is_event = name.endswith(("ChangeEvent", "__e"))
    if name in _UNSUPPORTED or is_event or restrictions.of(name).one_page:
        message = f"Entity '{name}' is not supported by the Bulk API."
        raise ApiError(400, "INVALIDENTITY", message)


def check_plan(plan: Plan, restrictions: Restrictions) -> None:
    """Refuse a query that the Bulk API cannot run.

    Raises:
        ApiError: API_ERROR, or whatever the object's own rules say.
    """
    check_object(plan.scope.sobject, restrictions)
    if any(output.children is not None for output in plan.outputs):
        raise _refused("Aggregate Relationships not supported in Bulk Query")
    if plan.kind != "rows":
        raise _refused("Aggregate functions and GROUP BY are not supported in Bulk Query")
    if plan.offset is not None:
        raise _refused("OFFSET is not supported in Bulk Query")
    types = {output.type for output in plan.outputs}
    if types & COMPOUND_TYPES:
        raise _refused("Selecting compound data not supported in Bulk Query")
    if "base64" in types:
        raise _refused("Selecting binary data not supported in Bulk Query")
    restrictions.check(plan)


def supports_chunking(sobject: SObject) -> bool:
    """Whether the org reads the object in chunks of Id ranges."""
    return bool(sobject.document["custom"]) or sobject.name in _CHUNKED


def _refused(message: str) -> ApiError:
    return ApiError(400, "API_ERROR", message)
