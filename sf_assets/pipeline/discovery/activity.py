"""How many records objects have, and when they last changed: by the org's own counts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from sf_assets.describe import ObjectInfo
from sf_assets.salesforce.responses import is_too_large
from sf_assets.salesforce.rest import Answer, RestApi
from sf_assets.salesforce.soql import Query
from sf_assets.windows import ALWAYS, Window

_LATELY = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Activity:
    """How an object's records change. Deleted ones are counted, too, as they are exported.

    Attributes:
        records: How many there are; None if the org does not tell.
        lately: How many of them changed within a month, of late; None if the org does not tell.
        months: How many of them last changed in each month, by its first day.
        has_cursor: Whether there is a stamp that tells when a record last changed.
        too_many: Whether there were too many to be counted in time.
        problem: What the org said in place of `months`; empty where it told.
    """

    records: int | None = None
    lately: int | None = None
    months: Mapping[date, int] = field(default_factory=dict)
    has_cursor: bool = True
    too_many: bool = False
    problem: str = ""

    def __add__(self, other: "Activity") -> "Activity":
        """The same object of two orgs together."""
        return Activity(
            _sum(self.records, other.records),
            _sum(self.lately, other.lately),
            Counter(self.months) + Counter(other.months),
            self.has_cursor and other.has_cursor,
            self.too_many or other.too_many,
            self.problem or other.problem,
        )

    def since(self, day: date) -> int:
        """How many records last changed in the month of a day, or later."""
        return sum(n for month, n in self.months.items() if month >= day.replace(day=1))


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def activity_of(
    rest: RestApi, objects: Mapping[str, ObjectInfo], now: datetime
) -> dict[str, Activity]:
    """Ask an org how the records of objects change, five objects to a call.

    Where the months are refused, as by an object that knows no aggregates, the records are asked
    for, and those changed within the last 30 days: two more questions.

    Args:
        rest: The org.
        objects: The objects, by a key of the caller's.
        now: The org's present.

    Returns:
        An entry for each object, by its key.

    Raises:
        SalesforceError: It is not an object that is the matter, but the org.
    """
    queries = {key: (Query(o.name, ("Id",)), o.cursor) for key, o in objects.items()}
    monthly = {key: query.per_month(cursor) for key, (query, cursor) in queries.items() if cursor}
    found = {key: Activity(has_cursor=False) for key in queries} | {
        key: _by_month(answer, now.date()) for key, answer in rest.query_each(monthly)
    }
    untold = {n: queries[n] for n, activity in found.items() if activity.records is None}
    all_of_time = {
        key: query.count(None, None)
        for key, (query, _) in untold.items()
        if not found[key].too_many
    }
    for key, answer in rest.query_each(all_of_time):
        found[key] = replace(found[key], records=_total(answer))
    recent = Window(now - _LATELY, ALWAYS.end)
    of_late = {n: query.count(cursor, recent) for n, (query, cursor) in untold.items() if cursor}
    for key, answer in rest.query_each(of_late):
        too_many = _is_too_large(answer)
        found[key] = replace(found[key], lately=_total(answer), too_many=too_many)
    return found


def _by_month(answer: Answer, today: date) -> Activity:
    if answer.error:
        return Activity(problem=str(answer.error), too_many=_is_too_large(answer))
    months: Counter[date] = Counter()
    records = 0
    try:
        for row in answer.body["records"]:
            records += int(row["n"])
            if row["y"] is not None:
                months[date(int(row["y"]), int(row["m"]), 1)] += int(row["n"])
        whole = bool(answer.body["done"])
    except (LookupError, TypeError, ValueError):
        whole = False
    if not whole:
        return Activity(problem="the counts by month came in a form that is not known")
    present = today.replace(day=1)
    last = (present - timedelta(days=1)).replace(day=1)
    return Activity(records, max(months[present], months[last]), months)


def _total(answer: Answer) -> int | None:
    return None if answer.error else int(answer.body["totalSize"])


def _is_too_large(answer: Answer) -> bool:
    return answer.error is not None and is_too_large(answer.error)
