"""What an org has that its user may export: described, tried with one query, and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

from sf_assets.describe import ObjectInfo
from sf_assets.errors import ObjectUnavailableError, SalesforceError
from sf_assets.naming import Names
from sf_assets.pipeline.discovery.activity import Activity, activity_of
from sf_assets.pipeline.schema.queryable import is_passing, refusals
from sf_assets.salesforce.client import Client
from sf_assets.salesforce.soql import Query

_UNREADABLE = ("*ChangeEvent", "*__e", "*__x", "*__mdt", "*Feed", "*Share")
"""Events cannot be queried, external objects and settings are not exported, feeds and shares only
when they are asked for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one org has.

    Attributes:
        org_id: Whose it is.
        today: When, by the org's time.
        listed: Names of all objects that this user may see.
        infos: Describes of those that can be exported.
        activities: How these change.
        left_out: Objects that cannot be exported, and why.
        unknown: Objects of which that could not be found out now, and why.
    """

    org_id: str
    today: date
    listed: Sequence[str]
    infos: Mapping[str, ObjectInfo]
    activities: Mapping[str, Activity]
    left_out: Mapping[str, str]
    unknown: Mapping[str, str]

    def lacks(self, name: str) -> str | None:
        """Why an object cannot be exported from it; None where it can."""
        if name in Names(self.infos.items()):
            return None
        told = Names({**self.left_out, **self.unknown}.items())
        return told.get(name, "this user may not see it")


def look(client: Client, include: Sequence[str], exclude: Sequence[str]) -> Seen:
    """Find out what one org has.

    Args:
        client: The org.
        include: Patterns such as `Invoice*`; only these, where any is given, in any case.
        exclude: Patterns of objects to leave out.

    Raises:
        SalesforceError: The org refuses.
    """
    listed = [str(e["name"]) for e in client.rest.objects() if e.get("queryable", True)]
    names = [name for name in listed if _wanted(name, include, exclude)]
    left_out: dict[str, str] = {}
    unknown: dict[str, str] = {}
    readable = _readable(client, names, left_out, unknown)
    now = client.now()
    activities = activity_of(client.rest, readable, now) if readable else {}
    return Seen(client.org_id, now.date(), listed, readable, activities, left_out, unknown)


def _readable(
    client: Client, names: Sequence[str], left_out: dict[str, str], unknown: dict[str, str]
) -> dict[str, ObjectInfo]:
    """Describe and try objects; why those that are missing are so is added to the last two."""
    found: dict[str, ObjectInfo] = {}
    for name, info in client.rest.describe(names):
        if isinstance(info, ObjectUnavailableError):
            left_out[name] = str(info)
        elif isinstance(info, SalesforceError):
            unknown[name] = f"its describe failed: {info}"
        elif not (info.queryable and info.field("Id")):
            left_out[name] = "its describe says that it cannot be queried for records"
        else:
            found[name] = info
    tried = {name: (info, Query(info.name, ("Id",))) for name, info in found.items()}
    for name, error in refusals(client.rest, tried).items():
        del found[name]
        if is_passing(error):
            unknown[name] = f"it gave no row when it was tried: {error}"
        else:
            left_out[name] = f"the org refuses to have it read: {error}"
    return found


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    chosen = _fits(name, include) if include else not _fits(name, _UNREADABLE)
    return chosen and not _fits(name, exclude)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
