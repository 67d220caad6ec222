"""Silver held against the org's own store, value by value.

The way to the store knows no CSV and no JSON: what silver should hold is worked out here from typed
values. Fields that the org works out itself are not stored; they are compared with what REST says.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import requests

from sf_assets.emulator.schema import COMPOUND_TYPES, Field, SObject
from sf_assets.emulator.server import Emulator
from sf_assets_tests.conftest import Workspace

_NOT_EXPORTED = COMPOUND_TYPES | {"base64", "junctionIdList", "complexvalue"}


def differences(
    emulator: Emulator, workspace: Workspace, object_name: str, *, may_be_empty: bool = False
) -> list[str]:
    """What differs between an object's records and its silver table; empty when nothing does."""
    sobject, fields = _comparable_fields(emulator, object_name)
    longest = workspace.longest_text
    stored = _stored(emulator, sobject, fields)
    theirs = {key: tuple(within(one, longest) for one in values) for key, values in stored}
    ours = dict(_silver(workspace, sobject, fields))
    assert theirs or ours or may_be_empty, f"there is no {object_name} to compare"
    return _compare(fields, theirs, ours)


def within(value: Any, longest: int) -> Any:
    """A value where a text of more bytes is none."""
    return None if isinstance(value, str) and len(value.encode()) > longest else value


def derived_differences(emulator: Emulator, workspace: Workspace, object_name: str) -> list[str]:
    """The same for the fields that the org works out when it is asked."""
    sobject = emulator.org.schema.get(object_name)
    assert sobject is not None, object_name
    fields = [f for f in sobject.fields.values() if f.formula and f.type not in _NOT_EXPORTED]
    if not fields:
        return []
    theirs = dict(_told(emulator, sobject, fields))
    return _compare(fields, theirs, dict(_silver(workspace, sobject, fields)))


def versions_of_org(emulator: Emulator, object_name: str) -> set[tuple[Any, ...]]:
    """An object's records as the org has them now, each as a tuple of its Id and stored values."""
    sobject, fields = _comparable_fields(emulator, object_name)
    return {(key, *_hashable(values)) for key, values in _stored(emulator, sobject, fields)}


def versions_in_silver(
    emulator: Emulator, workspace: Workspace, object_name: str
) -> set[tuple[Any, ...]]:
    """All rows of a silver table likewise, those marked as deleted included."""
    sobject, fields = _comparable_fields(emulator, object_name)
    rows = _silver(workspace, sobject, fields, "true")
    return {(key, *_hashable(values)) for key, values in rows}


def _comparable_fields(emulator: Emulator, object_name: str) -> tuple[SObject, list[Field]]:
    sobject = emulator.org.schema.get(object_name)
    assert sobject is not None, object_name
    fields = sobject.fields.values()
    return sobject, [f for f in fields if f.stored and f.type not in _NOT_EXPORTED]


def _hashable(values: tuple[Any, ...]) -> Iterator[Any]:
    return (tuple(value) if isinstance(value, list) else value for value in values)


def _compare(
    fields: list[Field], theirs: dict[str, tuple[Any, ...]], ours: dict[str, tuple[Any, ...]]
) -> list[str]:
    found = [f"{key} is only in the org" for key in sorted(theirs.keys() - ours.keys())]
    found += [f"{key} is only in silver" for key in sorted(ours.keys() - theirs.keys())]
    for key in sorted(theirs.keys() & ours.keys()):
        for field, a, b in zip(fields, theirs[key], ours[key], strict=True):
            if a != b:
                found.append(f"{field.name} of {key}: {a!r} there, {b!r} in silver")
    return found


def _stored(
    emulator: Emulator, sobject: SObject, fields: list[Field]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for batch in emulator.store.table(sobject.name):
        for row in batch.to_pylist():
            yield row["Id"], tuple(_expected(field, row[field.name]) for field in fields)


def _expected(field: Field, value: Any) -> Any:
    """What silver should make of a stored value."""
    if value is None or value == "":
        return None
    if field.type == "multipicklist":
        return str(value).split(";")
    if field.type in {"double", "currency", "percent"}:
        return Decimal(repr(value))
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return value


def _told(
    emulator: Emulator, sobject: SObject, fields: list[Field]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Records as REST tells them, asked with a client that is not ours."""
    env = emulator.environment
    form = {
        "grant_type": "client_credentials",
        "client_id": env["SALESFORCE_CLIENT_ID"],
        "client_secret": env["SALESFORCE_CLIENT_SECRET"],
    }
    token = requests.post(f"{emulator.url}/services/oauth2/token", form, timeout=10).json()
    http = requests.Session()
    http.headers["Authorization"] = f"Bearer {token['access_token']}"
    soql = f"SELECT Id, {', '.join(f.name for f in fields)} FROM {sobject.name}"
    url = f"{emulator.url}/services/data/v66.0/queryAll?q={quote(soql)}"
    while url:
        page = http.get(url, timeout=30).json(parse_float=Decimal)
        for record in page["records"]:
            yield record["Id"], tuple(_spoken(f, record[f.name]) for f in fields)
        url = emulator.url + page["nextRecordsUrl"] if "nextRecordsUrl" in page else ""


def _spoken(field: Field, value: Any) -> Any:
    """What silver should make of a value of a JSON document."""
    if value is None:
        return None
    if field.type == "date":
        return date.fromisoformat(value)
    if field.type == "datetime":
        return datetime.fromisoformat(value)
    if field.type == "multipicklist":
        return value.split(";")
    if isinstance(value, Decimal):
        return value.normalize() if value else Decimal(0)
    return value


def _silver(
    workspace: Workspace, sobject: SObject, fields: list[Field], where: str = "NOT _deleted"
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    names = ", ".join(f'"{field.name}"' for field in fields)
    slug = sobject.name.lower()
    for row in workspace.rows(f'SELECT Id, {names} FROM silver."{slug}" WHERE {where}'):
        yield row[0], tuple(_comparable(value) for value in row[1:])


def _comparable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.normalize() if value else Decimal(0)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    assert value is None or isinstance(value, str | bool | int | date | time | list), type(value)
    return value
