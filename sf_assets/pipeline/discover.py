"""A catalogue written from what the org has."""

from collections.abc import Iterator, Sequence
from datetime import date
from fnmatch import fnmatchcase

import yaml

from sf_assets.describe import ObjectInfo
from sf_assets.errors import ConfigError
from sf_assets.salesforce.client import Client
from sf_assets.windows import Grain

_UNREADABLE = ("*ChangeEvent", "*__e", "*__x", "*__mdt", "*Feed", "*Share")
"""Events cannot be queried, external objects and settings are not exported, feeds and shares only
when they are asked for."""

_HEADER = """\
# Written by `sf-assets catalog --from-org` for org {org_id}.
# docs/catalogue.md says what can be declared for each object.

"""


def catalog_from_org(
    client: Client, include: Sequence[str], exclude: Sequence[str], start: date
) -> str:
    """Write a catalogue of the objects that this user may export.

    Args:
        client: The org.
        include: Patterns such as `Invoice*`; only these, where any is given, in any case.
        exclude: Patterns of objects to leave out.
        start: First partition.

    Returns:
        YAML.

    Raises:
        ConfigError: No object is left.
        SalesforceError: The org refuses.
    """
    names = [
        str(entry["name"])
        for entry in client.rest.objects()
        if entry.get("queryable", True) and _wanted(str(entry["name"]), include, exclude)
    ]
    objects = dict(_entries(client, names))
    if not objects:
        raise ConfigError(
            "the org has no object that fits; widen --include, or let this user see its objects"
        )
    lines = [f"  {name}:{_declared(settings)}\n" for name, settings in objects.items()]
    header = _HEADER.format(org_id=client.org_id)
    return f"{header}start: {start}\nobjects:\n{''.join(lines)}"


def _declared(settings: dict[str, str] | None) -> str:
    if settings is None:
        return ""
    return " " + yaml.safe_dump(settings, default_flow_style=True).strip()


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    chosen = _fits(name, include) if include else not _fits(name, _UNREADABLE)
    return chosen and not _fits(name, exclude)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _entries(client: Client, names: Sequence[str]) -> Iterator[tuple[str, dict[str, str] | None]]:
    """Objects that can be exported, each with what differs from the defaults."""
    for _, info in client.rest.describe(names):
        if isinstance(info, ObjectInfo) and info.queryable and info.field("Id"):
            yield info.name, None if info.cursor else {"grain": str(Grain.NONE)}
