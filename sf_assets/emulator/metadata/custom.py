"""Made-up custom objects, for orgs with hundreds of them."""

from collections.abc import Iterator
from typing import Any

from sf_assets.emulator.ids import DIGITS
from sf_assets.emulator.metadata.fields import Spec

# The showcase objects have the first two key prefixes of custom objects.
_FIRST_PREFIX = 2
_SYSTEM = (
    "Id",
    "OwnerId",
    "IsDeleted",
    "Name",
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
)
_NAME: Spec = {
    "type": "string",
    "length": 80,
    "defaultedOnCreate": True,
    "idLookup": True,
    "nameField": True,
    "permissionable": False,
}
# What the objects' own fields are taken from: each object skips a third of them, a different one.
_FIELDS: dict[str, Spec] = {
    "Account__c": {"type": "reference", "referenceTo": "Account"},
    "Active__c": {"type": "boolean"},
    "Amount__c": {"type": "currency"},
    "Budget__c": {"type": "currency", "scale": 0},
    "Code__c": {"type": "string", "length": 40, "externalId": True, "unique": True},
    "Contact__c": {"type": "reference", "referenceTo": "Contact"},
    "Count__c": {"type": "double"},
    "Due_Date__c": {"type": "date"},
    "Email__c": {"type": "email"},
    "Finished__c": {"type": "datetime"},
    "Latest_Reading__c": {"type": "double", "scale": 6},
    "Notes__c": {"type": "textarea", "length": 32768},
    "Phone__c": {"type": "phone"},
    "Place__c": {"type": "location"},
    "Reason__c": {"type": "string", "length": 255},
    "Regions__c": {"type": "multipicklist", "values": ["North", "East", "South", "West"]},
    "Reviewer__c": {"type": "reference", "referenceTo": "User"},
    "Share__c": {"type": "percent", "precision": 5, "scale": 2},
    "Stage__c": {"type": "picklist", "values": ["Planned", "Open", "Done", "Dropped"]},
    "Started__c": {"type": "datetime"},
    "Starts_At__c": {"type": "time"},
    "Summary__c": {"type": "textarea"},
    "Website__c": {"type": "url"},
    "Weight__c": {"type": "double", "precision": 10, "scale": 3},
}


def custom_object(number: int) -> tuple[str, dict[str, Any]]:
    """One made-up custom object, in the short form of the YAML files.

    Args:
        number: 1 or more; decides the name, the key prefix and which fields there are. From the
            second one on, an object refers to the one before it.

    Returns:
        API name and short form.
    """
    name = f"Custom_Object_{number:03d}__c"
    high, low = divmod(number - 1 + _FIRST_PREFIX, len(DIGITS))
    fields = common_fields() | dict(_own_fields(number))
    if number > 1:
        fields["Previous__c"] = {
            "type": "reference",
            "referenceTo": f"Custom_Object_{number - 1:03d}__c",
            "children": "Next__r",
        }
    return name, {
        "label": f"Custom Object {number:03d}",
        "labelPlural": f"Custom Objects {number:03d}",
        "keyPrefix": f"a{DIGITS[high]}{DIGITS[low]}",
        "mruEnabled": False,
        "recordTypes": [],
        "fields": fields,
    }


def common_fields() -> dict[str, Spec]:
    """The fields that all custom objects have."""
    return {field: {} for field in _SYSTEM} | {"Name": _NAME}


def _own_fields(number: int) -> Iterator[tuple[str, Spec]]:
    for place, (name, spec) in enumerate(_FIELDS.items()):
        if (place + number) % 3:
            yield name, spec
