"""A catalogue written from what the org has."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import TypeVar

import yaml

from sf_assets.describe import ObjectInfo
from sf_assets.errors import ConfigError, ObjectUnavailableError, SalesforceError
from sf_assets.pipeline.discovery.activity import Activity, activity_of
from sf_assets.pipeline.discovery.partitioning import BUSY, SECONDS, Partitioning, partition
from sf_assets.pipeline.schema.queryable import is_passing, refusals
from sf_assets.salesforce.client import Client
from sf_assets.salesforce.soql import Query
from sf_assets.windows import Grain

_Value = TypeVar("_Value")

MARK = "#:"
"""Begins each comment that is written here; those that begin otherwise are the user's."""

_UNREADABLE = ("*ChangeEvent", "*__e", "*__x", "*__mdt", "*Feed", "*Share")
"""Events cannot be queried, external objects and settings are not exported, feeds and shares only
when they are asked for."""

_HEADER = """\
#: Written by `sf-assets catalog --from-org` for org {org_id} on {today},
#: as are all comments with a colon. docs/catalogue.md says what can be declared for each object.
#:
#: Rows are cut into partitions by when they last changed: by day where {busy} records or more
#: change in a month, else by month. Partitions begin where most of the records do; the first one
#: holds what is older, too. They are {partitions:,}; a first fill has Dagster note each on raw and
#: on silver, which takes it about {minutes:.1f} minutes.

start: {start}
grain: {grain}
objects:
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that this user may export.

    Attributes:
        name: API name.
        label: What people call it.
        activity: How its records change.
        partitioning: How it is cut into partitions.
    """

    name: str
    label: str
    activity: Activity
    partitioning: Partitioning

    @property
    def reason(self) -> str:
        """Why it is cut so: its counts, as far as the org tells them."""
        activity, chosen = self.activity, self.partitioning
        told = "not counted" if activity.records is None else _counted(activity.records, "record")
        if not activity.has_cursor:
            return f"{told}, no stamp tells when they change: read whole"
        if activity.lately is not None:
            told += f", {activity.lately:,} changed in a month"
        if activity.records and activity.months:
            told += f", {activity.since(chosen.start) / activity.records:.0%} since {chosen.start}"
        if chosen.crowded:
            told += "; by month, as there is room for the days of busier objects alone"
        return f"{told}; {activity.problem}" if activity.problem else told


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found in an org.

    Attributes:
        org_id: Whose it is.
        today: When, by the org's time.
        listed: Names of all objects that this user may see.
        objects: What can be exported and was asked for, by name.
        left_out: Objects that this user may see and cannot export, and why.
        unknown: Objects of which that could not be found out now, and why.
    """

    org_id: str
    today: date
    listed: Sequence[str]
    objects: Mapping[str, Found]
    left_out: Mapping[str, str]
    unknown: Mapping[str, str]

    @property
    def partitions(self) -> int:
        """How many partitions there are, of one layer."""
        return sum(one.partitioning.partitions(self.today) for one in self.objects.values())

    @property
    def text(self) -> str:
        """The catalogue, as YAML."""
        cut = [f.partitioning for f in self.objects.values() if f.activity.has_cursor]
        grain = _commonest([one.grain for one in cut], Grain.MONTHLY)
        start = _commonest([one.start for one in cut if one.grain is grain], self.today)
        header = _HEADER.format(
            org_id=self.org_id, today=self.today, busy=BUSY, start=start, grain=grain,
            partitions=self.partitions, minutes=2 * self.partitions * SECONDS / 60,
        )  # fmt: skip
        lines = ["  {}\n"] if not self.objects else []
        for name in self.listed:
            if found := self.objects.get(name):
                declared = _declared(found.partitioning, grain, start)
                lines.append(f"  {name}:{declared}  {MARK} {_line(found.label)}: {found.reason}\n")
            elif reason := self.unknown.get(name) or self.left_out.get(name):
                lines.append(f"  {MARK} {name} is not in it: {_line(reason)}\n")
        return header + "".join(lines)


def catalog_from_org(
    client: Client, include: Sequence[str], exclude: Sequence[str], start: date | None = None
) -> Discovery:
    """Find out which objects this user may export, and how they are to be cut into partitions.

    Each is described, tried with one cheap query and counted. None is passed over in silence: what
    is left out stands in the catalogue as a comment.

    Args:
        client: The org.
        include: Patterns such as `Invoice*`; only these, where any is given, in any case.
        exclude: Patterns of objects to leave out.
        start: First partition of all objects; None for one that suits each.

    Raises:
        ConfigError: No object is left.
        SalesforceError: The org refuses.
    """
    listed = [str(e["name"]) for e in client.rest.objects() if e.get("queryable", True)]
    names = [name for name in listed if _wanted(name, include, exclude)]
    left_out: dict[str, str] = {}
    unknown: dict[str, str] = {}
    readable = _readable(client, names, left_out, unknown)
    if not readable and not unknown:
        raise ConfigError(
            "the org has no object that fits; widen --include, or let this user see its objects"
        )
    now = client.now()
    activities = activity_of(client.rest, readable, now)
    chosen = partition(activities, now.date(), start)
    objects = {
        name: Found(name, info.label, activities[name], chosen[name])
        for name, info in readable.items()
    }
    return Discovery(client.org_id, now.date(), listed, objects, left_out, unknown)


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


def _declared(chosen: Partitioning, grain: Grain, start: date) -> str:
    """What an object says of its partitions, where the file does not say it for all."""
    settings: dict[str, object] = {}
    if chosen.grain is not grain:
        settings["grain"] = str(chosen.grain)
    if chosen.start != start and chosen.grain is not Grain.NONE:
        settings["start"] = chosen.start
    return f" {yaml.safe_dump(settings, default_flow_style=True).strip()}" if settings else ""


def _commonest(values: Sequence[_Value], otherwise: _Value) -> _Value:
    return Counter(values).most_common(1)[0][0] if values else otherwise


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _line(text: str) -> str:
    """A text as part of a comment: on one line, of characters that YAML knows."""
    return "".join(filter(str.isprintable, " ".join(text.split())))


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    chosen = _fits(name, include) if include else not _fits(name, _UNREADABLE)
    return chosen and not _fits(name, exclude)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
