"""What the org fills in when a record is created."""

import re
from typing import Any

from sf_assets.emulator.records.tables import Row, Tables
from sf_assets.emulator.schema import Field, SObject
from sf_assets.emulator.store import quoted

_NUMBER = re.compile(r"\d+")
_FIRST_NUMBER = "00001000"


def set_defaults(sobject: SObject, rows: list[Row], user_id: str, tables: Tables) -> None:
    """Fill in owners, defaults of the fields, and automatic numbers.

    Args:
        sobject: Object of the records.
        rows: The records; what they have stays.
        user_id: Who creates them.
        tables: To read the highest number in use.
    """
    for field in sobject.fields.values():
        if not field.stored:
            continue
        if field.document["autoNumber"]:
            _number(sobject, field, rows, tables)
            continue
        default = user_id if field.name == "OwnerId" else _default(field)
        if default is not None:
            for row in rows:
                if row.get(field.name) is None:
                    row[field.name] = default


def _default(field: Field) -> Any:
    value = field.document["defaultValue"]
    if field.type == "boolean":
        return value in (True, "true")
    if value is None and field.type in ("picklist", "multipicklist"):
        entries = field.document["picklistValues"]
        return next((v["value"] for v in entries if v["defaultValue"] and v["active"]), None)
    return value if field.type in ("string", "picklist", "combobox") else None


def _number(sobject: SObject, field: Field, rows: list[Row], tables: Tables) -> None:
    """Continue the series of an automatic number: `A-0041`, `A-0042`."""
    column = quoted(field.name)
    found = tables.execute(
        f"SELECT max({column}) FROM {quoted(sobject.name)} WHERE length({column}) ="
        f" (SELECT max(length({column})) FROM {quoted(sobject.name)})"
    )
    last = found[0][0]
    for row in rows:
        last = _FIRST_NUMBER if last is None else _after(last)
        row[field.name] = last


def _after(number: str) -> str:
    """The number after this one, in the same layout."""
    digits = list(_NUMBER.finditer(number))
    if not digits:
        return f"{number}1"
    span = digits[-1]
    following = str(int(span[0]) + 1).zfill(len(span[0]))
    return number[: span.start()] + following + number[span.end() :]
