"""A catalogue written from what the org has."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import yaml

from sf_assets.describe import ObjectInfo
from sf_assets.errors import ConfigError
from sf_assets.naming import ONLY, Names
from sf_assets.pipeline.discovery.activity import Activity
from sf_assets.pipeline.discovery.look import Seen, look
from sf_assets.pipeline.discovery.partitioning import BUSY, SECONDS, Partitioning, partition
from sf_assets.salesforce.client import Client
from sf_assets.windows import Grain

_Value = TypeVar("_Value")

MARK = "#:"
"""Begins each comment that is written here; those that begin otherwise are the user's."""

_HEADER = """\
#: Written by `sf-assets catalog --from-org` for {whose} on {today},
#: as are all comments that begin with `#:`. docs/catalogue.md says what can be declared for each
#: object.
#:
#: Rows are cut into partitions by when they last changed: by day where {busy} records or more
#: change in a month, else by month. Partitions begin where most of the records do; the first one
#: holds what is older, too. They are {partitions:,}; a first fill has Dagster note each on raw and
#: on silver, which takes it {duration}.

start: {start}
grain: {grain}
{orgs}objects:
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that this user may export.

    Attributes:
        name: API name.
        label: What people call it.
        activity: How its records change.
        partitioning: How it is cut into partitions.
        lacking: Orgs that it cannot be exported from, and why, where another has it.
    """

    name: str
    label: str
    activity: Activity
    partitioning: Partitioning
    lacking: Mapping[str, str] = field(default_factory=dict)

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
        told += f"; {activity.problem}" if activity.problem else ""
        return told + "".join(f"; not in {org}: {why}" for org, why in self.lacking.items())


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found in an org, or in several together.

    Attributes:
        org_id: Whose it is; of several their Ids.
        today: When, by the org's time.
        listed: Names of all objects that this user may see.
        objects: What can be exported and was asked for, by name.
        left_out: Objects that this user may see and cannot export, and why.
        unknown: Objects of which that could not be found out now, and why.
        orgs: Names of the orgs, where the catalogue has names for them.
    """

    org_id: str
    today: date
    listed: Sequence[str]
    objects: Mapping[str, Found]
    left_out: Mapping[str, str]
    unknown: Mapping[str, str]
    orgs: Sequence[str] = ()

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
        whose = f"org{'s' if len(self.orgs) > 1 else ''} {self.org_id}"
        header = _HEADER.format(
            whose=whose, today=self.today, busy=BUSY, start=start, grain=grain,
            partitions=self.partitions, duration=_lasting(2 * self.partitions * SECONDS),
            orgs=f"orgs: [{', '.join(self.orgs)}]\n" if self.orgs else "",
        )  # fmt: skip
        lines = ["  {}\n"] if not self.objects else []
        for name in self.listed:
            if found := self.objects.get(name):
                declared = _declared(found.partitioning, grain, start)
                lines.append(
                    f"  {name}:{declared}  {MARK} {_line(f'{found.label}: {found.reason}')}\n"
                )
            elif reason := self.unknown.get(name) or self.left_out.get(name):
                lines.append(f"  {MARK} {name} is not in it: {_line(reason)}\n")
        return header + "".join(lines)


def catalog_from_orgs(
    clients: Mapping[str, Client],
    include: Sequence[str],
    exclude: Sequence[str],
    start: date | None = None,
) -> Discovery:
    """Find out which objects these users may export, and how they are to be cut into partitions.

    Each is described, tried with one cheap query and counted. None is passed over in silence: what
    is left out stands in the catalogue as a comment. An object of several orgs is one entry, cut by
    what they have together.

    Args:
        clients: The orgs, by the catalogue's names for them; `ONLY` for one that it does not name.
        include: Patterns such as `Invoice*`; only these, where any is given, in any case.
        exclude: Patterns of objects to leave out.
        start: First partition of all objects; None for one that suits each.

    Raises:
        ConfigError: No object is left.
        SalesforceError: An org refuses.
    """
    seen = {name: look(client, include, exclude) for name, client in clients.items()}
    if not any(one.infos or one.unknown for one in seen.values()):
        raise ConfigError(
            "the org has no object that fits; widen --include, or let this user see its objects"
        )
    infos = _first(one.infos for one in seen.values())
    activities = {name: _together(name, seen.values()) for name in infos}
    today = max(one.today for one in seen.values())
    chosen = partition(activities, today, start)
    return Discovery(
        org_id=", ".join(_of(name, one.org_id, " ") for name, one in seen.items()),
        today=today,
        listed=list(_first(dict.fromkeys(one.listed) for one in seen.values())),
        objects={
            name: Found(name, info.label, activities[name], chosen[name], _lacking(name, seen))
            for name, info in infos.items()
        },
        left_out=_told({org: one.left_out for org, one in seen.items()}, infos),
        unknown=_told({org: one.unknown for org, one in seen.items()}, infos),
        orgs=[name for name in seen if name != ONLY],
    )


def _together(name: str, seen: Iterable[Seen]) -> Activity:
    """How an object's records change in all orgs that have it."""
    first, *others = (
        activity for one in seen if (activity := Names(one.activities.items()).get(name))
    )
    return sum(others, first)


def _told(said: Mapping[str, Mapping[str, str]], found: Mapping[str, ObjectInfo]) -> dict[str, str]:
    """What is said of objects that no org has, by name, each as the first org says it."""
    named = ({n: _of(org, why) for n, why in told.items()} for org, told in said.items())
    return {name: why for name, why in _first(named).items() if name not in found}


def _of(org: str, told: str, between: str = ": ") -> str:
    return told if org == ONLY else f"{org}{between}{told}"


def _first(several: Iterable[Mapping[str, _Value]]) -> Names[_Value]:
    """Of what several orgs have by name, in any case, each as the first one has it."""
    found = Names[_Value]()
    for one in several:
        found = Names([*found.items(), *((n, v) for n, v in one.items() if n not in found)])
    return found


def _lacking(name: str, seen: Mapping[str, Seen]) -> dict[str, str]:
    told = {org: one.lacks(name) for org, one in seen.items()}
    return {org: why for org, why in told.items() if why is not None}


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


def _lasting(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"about {_counted(minutes, 'minute')}" if minutes else "less than a minute"


def _line(text: str) -> str:
    """A text as part of a comment: on one line, of characters that YAML knows."""
    return "".join(filter(str.isprintable, " ".join(text.split())))
