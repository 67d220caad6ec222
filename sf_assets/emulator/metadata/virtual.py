"""Custom objects of tens of millions of rows, none of which is stored.

Each value is worked out by the database from the row's number when a query asks for it.
"""

from datetime import datetime
from typing import Any

from sf_assets.emulator.ids import DIGITS, INSTANCE, id18
from sf_assets.emulator.metadata.fields import Spec

_YEARS_SECONDS = 5 * 365 * 86_400
_STATUSES = ("New", "Open", "Waiting", "Done")
_LOW_DIGITS = 5
# With more rows the checksum's second character would not be the same for all Ids.
_MOST = len(DIGITS) ** _LOW_DIGITS
_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def virtual_fields(common: dict[str, Spec]) -> dict[str, Spec]:
    """The fields of such an object in short form.

    Args:
        common: Those that all custom objects have.
    """
    return common | {
        "Code__c": {"type": "string", "length": 40, "externalId": True, "unique": True},
        "Status__c": {"type": "picklist", "values": list(_STATUSES)},
        "Amount__c": {"type": "currency"},
        "Quantity__c": {"type": "double"},
        "Active__c": {"type": "boolean"},
        "Due_Date__c": {"type": "date"},
        "Email__c": {"type": "email"},
        "Notes__c": {"type": "textarea", "length": 32768},
    }


def virtual_short(name: str, number: int, common: dict[str, Spec]) -> dict[str, Any]:
    """Such an object in the short form of the YAML files; nobody can write it.

    Args:
        name: API name.
        number: Distinguishes its key prefix from those of other such objects.
        common: The fields that all custom objects have.
    """
    label = name.removesuffix("__c").replace("_", " ")
    return {
        "label": label,
        "labelPlural": f"{label}s",
        "keyPrefix": _prefix(number),
        "mruEnabled": False,
        "createable": False,
        "updateable": False,
        "deletable": False,
        "undeletable": False,
        "recordTypes": [],
        "fields": virtual_fields(common),
    }


def virtual_rows(number: int, rows: int, now: datetime) -> str:
    """The statement that computes the rows of such an object.

    They were created evenly over five years. Every fourth was changed some time after; every
    thousandth is deleted.

    Args:
        number: As the object's key prefix has it.
        rows: How many.
        now: The latest stamp.

    Raises:
        ValueError: That many rows cannot have Ids.
    """
    if not 0 <= rows < _MOST:
        raise ValueError(f"an object cannot have {rows} computed rows: {_MOST - 1} is the most")
    born = f"TIMESTAMP '{now:%Y-%m-%d %H:%M:%S}' - INTERVAL {_YEARS_SECONDS} SECOND"
    age = f"(i * {_YEARS_SECONDS} // {max(rows, 1)})"
    later = f"if(i % 4 = 0, (i * 7919) % ({_YEARS_SECONDS} - {age} + 1), 0)"
    user = 'coalesce((SELECT min("Id") FROM "User"), \'005000000000001AAA\')'
    status = " ".join(f"WHEN {n} THEN '{status}'" for n, status in enumerate(_STATUSES))
    values = {
        "rowid": "i",
        "Id": _id_sql(number),
        "OwnerId": user,
        "IsDeleted": "i % 1000 = 7",
        "Name": "'Row ' || i",
        "CreatedDate": f"{born} + to_seconds({age})",
        "CreatedById": user,
        "LastModifiedDate": f"{born} + to_seconds({age} + {later})",
        "LastModifiedById": user,
        "SystemModstamp": f"{born} + to_seconds({age} + {later})",
        "Code__c": "'C-' || i",
        "Status__c": f"CASE (i * 31) % {len(_STATUSES)} {status} END",
        "Amount__c": "((i * 7919) % 100000000)::DOUBLE / 100",
        "Quantity__c": "((i * 104729) % 1000)::DOUBLE",
        "Active__c": "i % 3 = 0",
        "Due_Date__c": "DATE '2020-01-01' + ((i * 31) % 3650)::INTEGER",
        "Email__c": "'row.' || i || '@example.com'",
        "Notes__c": "if(i % 5 = 0, NULL, 'Note on \"row\" ' || i || ',\n' || (i * 7919) % 997)",
    }
    columns = ", ".join(f'{sql} AS "{name}"' for name, sql in values.items())
    return f"SELECT {columns} FROM range({rows}) AS r(i)"


def _prefix(number: int) -> str:
    return f"aZ{DIGITS[number]}"


def _id_sql(number: int) -> str:
    """SQL for the Id whose counter is `i`."""
    head = f"{_prefix(number)}{INSTANCE}0" + "0" * (9 - _LOW_DIGITS)
    digits = [f"(i // {62**place} % 62)" for place in reversed(range(_LOW_DIGITS))]
    text = " || ".join(f"substr('{DIGITS}', {digit} + 1, 1)" for digit in digits)
    uppers = " + ".join(
        f"if({digit} BETWEEN 10 AND 35, {1 << place}, 0)" for place, digit in enumerate(digits)
    )
    first = id18(head + "0" * _LOW_DIGITS)[15:17]
    return f"'{head}' || {text} || '{first}' || substr('{_CHECKSUM}', {uppers} + 1, 1)"
