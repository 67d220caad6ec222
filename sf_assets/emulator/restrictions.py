"""What an org refuses of single objects, though their describes say nothing of it.

Some objects answer no query without a certain filter, give no second page, or know no aggregates:
those that Salesforce has are known here by name. Others are made so by an order to `/_control`,
which takes the place of what was ordered for the object before:

    {"action": "restrict", "object_name": "Account", "needs_filter": ["OwnerId"]}
    {"action": "restrict", "object_name": "Account", "aggregates": false}
    {"action": "restrict", "object_name": "Account", "one_page": true}
    {"action": "restrict", "object_name": "Account", "most_rows": 500, "code": "QUERY_TIMEOUT"}
    {"action": "restrict", "object_name": "Account"}

The last one makes it an object like any other again. `most_rows` is how many rows a query, or an
aggregate, may look at; a Bulk job over more of them fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sf_assets.emulator.errors import ApiError, not_queryable
from sf_assets.emulator.soql.plan import Plan

TooLarge = Literal["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"]
_TOO_LARGE: dict[str, str] = {
    "QUERY_TIMEOUT": "Your query request was running for too long.",
    "OPERATION_TOO_LARGE": "exceeded 100000 distinct ids",
}
_BY_ID = "Implementation restriction: {object} requires a filter by a single Id on {fields} using"
_BY_ID += " the equals operator or multiple Id's using the IN operator."
_REIFIED = "{object}: a filter on a reified column is required [{fields}]"
_SYNTAX = (
    "Implementation restriction: When querying the {object} object, you must filter using the"
    " following syntax: {fields} = [single ID] or Id IN [list of IDs]."
)


@dataclass(frozen=True)
class Restriction:
    """What an org refuses of one object.

    Attributes:
        needs_filter: Fields of which every query has to name one, by `=` or IN; none for no such
            rule.
        wording: The refusal of a query that does not; it may name `{object}` and `{fields}`.
        aggregates: Whether it knows COUNT and the like.
        one_page: Whether a result has to fit on a page.
        most_rows: Rows that a query may look at; None for any number.
        code: The refusal of one that looks at more.
    """

    needs_filter: tuple[str, ...] = ()
    wording: str = _BY_ID
    aggregates: bool = True
    one_page: bool = False
    most_rows: int | None = None
    code: TooLarge = "QUERY_TIMEOUT"


def _reified(*fields: str) -> Restriction:
    """An object whose rows are worked out from the org's metadata when they are asked for."""
    return Restriction((*fields, "DurableId"), _REIFIED, one_page=True)


def _by_id(*fields: str, wording: str = _BY_ID) -> Restriction:
    return Restriction((*fields, "Id"), wording)


_ENTITY = ("EntityDefinitionId", "EntityDefinition.QualifiedApiName")
# Parts of others, or of nothing that is kept: they are reached as children, or by no query at all.
_NOT_QUERYABLE = frozenset(
    {
        "ActivityHistory", "AggregateResult", "CombinedAttachment", "ContentBody", "EmailStatus",
        "FeedLike", "FeedTrackedChange", "LookedUpFromActivity", "Name", "OpenActivity",
    }
)  # fmt: skip
_KNOWN = {
    "Announcement": _by_id("ParentId", wording=_SYNTAX),
    "ContentDocumentLink": _by_id("ContentDocumentId", "LinkedEntityId"),
    "ContentFolderItem": _by_id("ParentContentFolderId"),
    "ContentFolderMember": _by_id("ChildRecordId", "ParentContentFolderId"),
    "CollaborationGroupRecord": _by_id("CollaborationGroupId", wording=_SYNTAX),
    "IdeaComment": _by_id("CommunityId", "IdeaId", wording=_SYNTAX),
    "Vote": _by_id("ParentId", wording=_SYNTAX),
    "EntityDefinition": Restriction(one_page=True),
    "DataStatistics": _reified("UserId", "Type", "StatType"),
    "EntityParticle": _reified(*_ENTITY, "FieldDefinitionId"),
    "FieldDefinition": _reified(*_ENTITY),
    "FieldHistoryArchive": _by_id("ParentId", "FieldHistoryType"),
    "FlexQueueItem": _reified("JobType"),
    "OwnerChangeOptionInfo": _reified(*_ENTITY),
    "PicklistValueInfo": _reified("EntityParticleId"),
    "PlatformAction": _reified("ActionListContext", "SourceEntity"),
    "RelationshipDomain": _reified(
        "ParentSobjectId", "FieldId", "ChildSobjectId", "RelationshipInfoId"
    ),
    "RelationshipInfo": _reified("ParentSobjectId", "FieldId", "ChildSobjectId"),
    "SearchLayout": _reified(*_ENTITY),
    "SiteDetail": _reified(),
    "UserEntityAccess": _reified("UserId", *_ENTITY),
    "UserFieldAccess": _reified("UserId", *_ENTITY, "FieldDefinitionId"),
}
_BIG_OBJECT = Restriction(aggregates=False)
_NONE = Restriction()


class Restrictions:
    """The rules of the org's objects.

    Args:
        count: Counts the rows that a query looks at.
    """

    def __init__(self, count: Callable[[Plan], int]) -> None:
        self._count = count
        self._ordered: dict[str, Restriction] = {}

    def restrict(
        self,
        object_name: str,
        *,
        needs_filter: Sequence[str] = (),
        aggregates: bool = True,
        one_page: bool = False,
        most_rows: int | None = None,
        code: TooLarge = "QUERY_TIMEOUT",
    ) -> None:
        """Give an object other rules than it has; arguments as of `Restriction`."""
        if code not in _TOO_LARGE:
            raise ValueError(f"code must be one of {', '.join(_TOO_LARGE)}")
        self._ordered[object_name.lower()] = Restriction(
            tuple(needs_filter),
            aggregates=aggregates,
            one_page=one_page,
            most_rows=most_rows,
            code=code,
        )

    def of(self, object_name: str) -> Restriction:
        """The rules of an object."""
        usual = _BIG_OBJECT if object_name.endswith("__b") else _KNOWN.get(object_name, _NONE)
        return self._ordered.get(object_name.lower(), usual)

    def check(self, plan: Plan) -> None:
        """Refuse what can be refused before the query runs.

        Raises:
            ApiError: It cannot be queried, a filter is missing, or it knows no aggregates.
        """
        name, rule = plan.object_name, self.of(plan.object_name)
        if name in _NOT_QUERYABLE:
            raise not_queryable(name)
        if plan.kind != "rows" and not rule.aggregates:
            message = f"Aggregate functions are not supported on {name}"
            raise ApiError(400, "BIG_OBJECT_UNSUPPORTED_OPERATION", message)
        wanted = {field.lower() for field in rule.needs_filter}
        if wanted and not wanted & plan.filtered_by:
            joiner = "," if rule.wording == _REIFIED else " or "
            fields = joiner.join(rule.needs_filter)
            message = rule.wording.format(object=name, fields=fields)
            raise ApiError(400, "MALFORMED_QUERY", message)

    def check_pages(self, plan: Plan, rows: int, batch: int) -> None:
        """Refuse a result that needs a second page where there is none.

        Raises:
            ApiError: EXCEEDED_ID_LIMIT.
        """
        grouped = plan.kind == "aggregate"
        if rows > batch and (grouped or self.of(plan.object_name).one_page):
            what = "Aggregate query" if grouped else plan.object_name
            message = (
                f"{what} does not support queryMore(), use LIMIT to restrict the results to a"
                " single batch"
            )
            raise ApiError(400, "EXCEEDED_ID_LIMIT", message)

    def overrun(self, plan: Plan) -> ApiError | None:
        """What a query ends in that looks at too many rows; None if it does not."""
        rule = self.of(plan.object_name)
        if rule.most_rows is None or self._count(plan) <= rule.most_rows:
            return None
        return ApiError(400, rule.code, _TOO_LARGE[rule.code])
