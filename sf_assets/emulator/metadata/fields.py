"""A field in short form becomes the 57 attributes that describe gives it.

What follows from a field's type (its soapType, whether it can be sorted, how many bytes it takes)
is worked out here, by rules read off the describes of real orgs; everything else is said in the
YAML files, by the attribute's own name.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

# The attributes of a field in describe's order, as they are when nothing speaks for anything else.
BLANK: Mapping[str, Any] = {
    "aggregatable": False,
    "aiPredictionField": False,
    "autoNumber": False,
    "byteLength": 0,
    "calculated": False,
    "calculatedFormula": None,
    "cascadeDelete": False,
    "caseSensitive": False,
    "compoundFieldName": None,
    "controllerName": None,
    "createable": False,
    "custom": False,
    "defaultValue": None,
    "defaultValueFormula": None,
    "defaultedOnCreate": False,
    "dependentPicklist": False,
    "deprecatedAndHidden": False,
    "digits": 0,
    "displayLocationInDecimal": False,
    "encrypted": False,
    "externalId": False,
    "extraTypeInfo": None,
    "filterable": False,
    "filteredLookupInfo": None,
    "formulaTreatNullNumberAsZero": False,
    "groupable": False,
    "highScaleNumber": False,
    "htmlFormatted": False,
    "idLookup": False,
    "inlineHelpText": None,
    "label": "",
    "length": 0,
    "mask": None,
    "maskType": None,
    "name": "",
    "nameField": False,
    "namePointing": False,
    "nillable": False,
    "permissionable": False,
    "picklistValues": [],
    "polymorphicForeignKey": False,
    "precision": 0,
    "queryByDistance": False,
    "referenceTargetField": None,
    "referenceTo": [],
    "relationshipName": None,
    "relationshipOrder": None,
    "restrictedDelete": False,
    "restrictedPicklist": False,
    "scale": 0,
    "searchPrefilterable": False,
    "soapType": "xsd:string",
    "sortable": False,
    "type": "",
    "unique": False,
    "updateable": False,
    "writeRequiresMasterRead": False,
}

_OPEN = {"createable": True, "updateable": True, "permissionable": True, "nillable": True}
_TEXT = _OPEN | dict.fromkeys(("aggregatable", "filterable", "groupable", "sortable"), True)
_NUMBER = _TEXT | {"groupable": False, "soapType": "xsd:double"}
_PLACE = {"filterable": True, "nillable": True, "permissionable": True, "queryByDistance": True}

TYPES: Mapping[str, Mapping[str, Any]] = {
    "id": _TEXT
    | dict.fromkeys(("createable", "updateable", "permissionable", "nillable"), False)
    | {"defaultedOnCreate": True, "idLookup": True, "length": 18, "soapType": "tns:ID"},
    "reference": _TEXT | {"searchPrefilterable": True, "length": 18, "soapType": "tns:ID"},
    "string": _TEXT | {"length": 255},
    "textarea": _TEXT | {"length": 255, "extraTypeInfo": "plaintextarea"},
    "encryptedstring": _OPEN
    | {"aggregatable": True, "length": 100, "mask": "X", "maskType": "lastFour"},
    "email": _TEXT | {"length": 80},
    "phone": _TEXT | {"length": 40},
    "url": _TEXT | {"length": 255},
    "picklist": _TEXT | {"length": 255},
    "multipicklist": _OPEN | {"filterable": True, "length": 4099, "precision": 4},
    "combobox": _TEXT | {"groupable": False, "permissionable": False, "length": 255},
    "boolean": _TEXT
    | {"aggregatable": False, "nillable": False, "defaultedOnCreate": True, "defaultValue": False}
    | {"soapType": "xsd:boolean"},
    "int": _TEXT | {"digits": 8, "soapType": "xsd:int"},
    "double": _NUMBER | {"precision": 18},
    "currency": _NUMBER | {"precision": 18, "scale": 2},
    "percent": _NUMBER | {"precision": 18},
    "date": _TEXT | {"soapType": "xsd:date"},
    "datetime": _TEXT | {"groupable": False, "soapType": "xsd:dateTime"},
    "time": _TEXT | {"soapType": "xsd:time"},
    "address": _PLACE | {"soapType": "urn:address"},
    "location": _PLACE | {"soapType": "urn:location"},
    "base64": _OPEN | {"soapType": "xsd:base64Binary"},
    "anyType": _OPEN | {"soapType": "xsd:anyType"},
}

# A text area longer than this is kept outside the row and can be neither filtered nor sorted.
_SHORT_TEXT = 255
# What Salesforce counts per character of text.
_BYTES_PER_CHARACTER = 3
# Keys of the short form that are no attributes of describe.
_SHORT_KEYS = {"values", "required", "system", "children", "onDelete", "formula"}

Spec = Mapping[str, Any]


def spelled_out(
    fields: Mapping[str, Spec], parts: Mapping[str, Mapping[str, Spec]]
) -> Iterator[tuple[str, Spec]]:
    """Puts the parts of compound fields before the compound, as describe does.

    Args:
        fields: Short forms by field name; an `address` or `location` stands for all its parts.
        parts: What an `address`, a `customAddress` and a `location` consist of.

    Yields:
        Every field of the object with its short form.
    """
    for name, spec in fields.items():
        if spec["type"] in {"address", "location"}:
            yield from _parts(name, spec, parts)
        yield name, {key: value for key, value in spec.items() if key != "parts"}


def _parts(
    name: str, spec: Spec, parts: Mapping[str, Mapping[str, Spec]]
) -> Iterator[tuple[str, Spec]]:
    """The parts of `BillingAddress`: `BillingStreet`, `BillingCity` and so on."""
    custom = name.endswith("__c")
    stem = name.removesuffix("__c") + "__" if custom else name.removesuffix("Address")
    kind = "customAddress" if custom and spec["type"] == "address" else spec["type"]
    label = spec.get("label", label_of(name)).removesuffix("Address").strip()
    shared = {"compoundFieldName": name, "custom": custom} | spec.get("parts", {})
    for part, rest in parts[kind].items():
        own = {"label": f"{label} {rest.get('label', label_of(part))}".strip()}
        if "controllerName" in rest:
            own["controllerName"] = f"{stem}{rest['controllerName']}__s"
        yield f"{stem}{part}{'__s' if custom else ''}", {**rest, **own, **shared}


def describe_field(name: str, spec: Spec, picklists: Mapping[str, Any]) -> dict[str, Any]:
    """Expands one field.

    Args:
        name: API name.
        spec: Its short form: `type`, any attribute of describe by its own name, and
            `values` (picklist entries, or the name of a shared list), `required` (never null),
            `system` (set by the platform alone), `referenceTo` (one name or several). What
            `children`, `onDelete` and `formula` say is not part of the field's own describe.
        picklists: Shared lists of picklist values by name.

    Returns:
        The field's describe: 57 attributes in describe's order.

    Raises:
        ValueError: The short form has no known type, or says what describe does not know.
    """
    unknown = set(spec) - set(BLANK) - _SHORT_KEYS
    if unknown:
        raise ValueError(f"{name}: no such attribute: {', '.join(sorted(unknown))}")
    if spec.get("type") not in TYPES:
        raise ValueError(f"{name}: its type must be one of {', '.join(TYPES)}")
    document = {**BLANK, **TYPES[spec["type"]], "name": name, "label": label_of(name)}
    document["custom"] = name.endswith("__c")
    _apply_traits(document, spec)
    document.update((key, value) for key, value in spec.items() if key in BLANK)
    if spec["type"] == "reference":
        _point(document)
    if "values" in spec:
        document["picklistValues"] = list(_picklist(spec["values"], document, picklists))
    if "byteLength" not in spec:
        document["byteLength"] = _byte_length(document)
    return document


def _apply_traits(document: dict[str, Any], spec: Spec) -> None:
    """Sets what a field's kind brings with it, before its own attributes are heard."""
    if spec["type"] == "textarea" and spec.get("length", _SHORT_TEXT) > _SHORT_TEXT:
        document |= dict.fromkeys(("aggregatable", "filterable", "groupable", "sortable"), False)
    if spec.get("required"):
        document |= {"nillable": False, "permissionable": False}
    if spec.get("system") or spec.get("autoNumber") or spec.get("calculated"):
        document |= {"createable": False, "updateable": False}
    if spec.get("system") or spec.get("autoNumber"):
        document |= {"permissionable": False}
    if spec.get("autoNumber"):
        document |= {"nillable": False, "defaultedOnCreate": True, "groupable": False, "length": 30}
    if spec.get("calculated"):
        document |= {"defaultValue": None}
        document["formulaTreatNullNumberAsZero"] = spec["type"] in {"double", "currency", "string"}
        if spec["type"] == "string":
            document |= {"length": 1300, "groupable": False}
    if spec.get("unique") or spec.get("externalId"):
        document["idLookup"] = True
    if spec.get("defaultValue") is not None:
        document["defaultedOnCreate"] = True


def _point(document: dict[str, Any]) -> None:
    """Completes a reference: its targets as a list, the name of the relationship."""
    targets = document["referenceTo"]
    document["referenceTo"] = [targets] if isinstance(targets, str) else list(targets)
    if len(document["referenceTo"]) > 1:
        document |= {"polymorphicForeignKey": True, "namePointing": True}
    if document["relationshipName"] is None:
        name = document["name"]
        custom = name.endswith("__c")
        document["relationshipName"] = name[:-1] + "r" if custom else name.removesuffix("Id")
    if document["relationshipName"] == "":  # said to have none
        document["relationshipName"] = None


def _picklist(
    values: Any, document: Mapping[str, Any], picklists: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Picklist entries of a list of values, or of a mapping from value to label or details."""
    if isinstance(values, str):
        values = picklists[values]
    if not isinstance(values, Mapping):
        values = {str(value): None for value in values}
    for value, details in values.items():
        more = details if isinstance(details, Mapping) else {"label": details}
        yield {
            "active": more.get("active", True),
            "defaultValue": value == document["defaultValue"],
            "label": more.get("label") or value,
            "validFor": valid_for(more["validFor"]) if "validFor" in more else None,
            "value": value,
        }


def valid_for(positions: list[int]) -> str:
    """Says which entries of the controlling picklist allow a value.

    Args:
        positions: Positions of those entries, counted from 0.

    Returns:
        A bitmap as describe spells it: Base64 of whole groups of three bytes, the first entry being
        the highest bit of the first byte.
    """
    size = 3 * (max(positions) // 24 + 1)
    bits = bytearray(size)
    for position in positions:
        bits[position // 8] |= 0x80 >> position % 8
    return base64.b64encode(bits).decode()


def _byte_length(document: Mapping[str, Any]) -> int:
    length = int(document["length"])
    if document["type"] in {"id", "reference", "multipicklist"}:
        return length
    return length * _BYTES_PER_CHARACTER


def label_of(name: str) -> str:
    """The label that a field or object gets when none is given: `AccountId` → `Account ID`."""
    stem = re.sub(r"__[cs]$", "", name).replace("_", " ")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", stem)
    return re.sub(r"\bId\b", "ID", words)
