"""A catalogue written from what the org has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

import yaml

from sf_assets.describe import ObjectInfo
from sf_assets.errors import ConfigError, ObjectUnavailableError, SalesforceError
from sf_assets.pipeline.trial import is_passing, refusals
from sf_assets.salesforce.client import Client
from sf_assets.salesforce.soql import Query
from sf_assets.windows import Grain

_UNREADABLE = ("*ChangeEvent", "*__e", "*__x", "*__mdt", "*Feed", "*Share")
"""Events cannot be queried, external objects and settings are not exported, feeds and shares only
when they are asked for."""

_WITHOUT_CURSOR = {"grain": str(Grain.NONE)}

_HEADER = """\
# Written by `sf-assets catalog --from-org` for org {org_id}.
# docs/catalogue.md says what can be declared for each object.

"""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found in an org.

    Attributes:
        text: The catalogue, as YAML.
        left_out: Objects that this user may see and cannot export, and why.
        unknown: Objects of which that could not be found out now, and why.
    """

    text: str
    left_out: Mapping[str, str]
    unknown: Mapping[str, str]


def catalog_from_org(
    client: Client, include: Sequence[str], exclude: Sequence[str], start: date
) -> Discovery:
    """Write a catalogue of the objects that this user may export.

    Each is described and tried with one cheap query. None is passed over in silence: what is left
    out stands in the catalogue as a comment.

    Args:
        client: The org.
        include: Patterns such as `Invoice*`; only these, where any is given, in any case.
        exclude: Patterns of objects to leave out.
        start: First partition.

    Raises:
        ConfigError: No object is left.
        SalesforceError: The org refuses.
    """
    names = [
        str(entry["name"])
        for entry in client.rest.objects()
        if entry.get("queryable", True) and _wanted(str(entry["name"]), include, exclude)
    ]
    left_out: dict[str, str] = {}
    unknown: dict[str, str] = {}
    objects = _readable(client, names, left_out, unknown)
    if not objects and not unknown:
        raise ConfigError(
            "the org has no object that fits; widen --include, or let this user see its objects"
        )
    lines = []
    for name in names:
        if info := objects.get(name):
            lines.append(f"  {info.name}:{'' if info.cursor else _declared(_WITHOUT_CURSOR)}\n")
        elif reason := unknown.get(name) or left_out.get(name):
            lines.append(f"  # {name}: {' '.join(reason.split())}\n")
    header = _HEADER.format(org_id=client.org_id)
    body = "".join(lines) if objects else f"  {{}}\n{''.join(lines)}"
    return Discovery(f"{header}start: {start}\nobjects:\n{body}", left_out, unknown)


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


def _declared(settings: Mapping[str, str]) -> str:
    return " " + yaml.safe_dump(dict(settings), default_flow_style=True).strip()


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    chosen = _fits(name, include) if include else not _fits(name, _UNREADABLE)
    return chosen and not _fits(name, exclude)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
