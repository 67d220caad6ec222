"""The objects of our own org, from their short form in `objects/` to full describe documents."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sf_assets.emulator.ids import id_at
from sf_assets.emulator.metadata.custom import common_fields, custom_object
from sf_assets.emulator.metadata.fields import Spec, describe_field, spelled_out
from sf_assets.emulator.metadata.virtual import virtual_rows, virtual_short
from sf_assets.emulator.schema import Schema, SObject

# The order in which the org lists its objects.
OBJECTS = (
    "Organization",
    "User",
    "UserRole",
    "Profile",
    "Group",
    "RecordType",
    "Account",
    "Contact",
    "Lead",
    "Campaign",
    "CampaignMember",
    "Product2",
    "Pricebook2",
    "PricebookEntry",
    "Opportunity",
    "OpportunityHistory",
    "OpportunityLineItem",
    "OpportunityContactRole",
    "Case",
    "CaseHistory",
    "Task",
    "Event",
    "Showcase__c",
    "Showcase_Item__c",
)

# A describe's keys in its order; what an object can do unless its file says otherwise.
DEFAULTS: Mapping[str, Any] = {
    "actionOverrides": [],
    "activateable": False,
    "associateEntityType": None,
    "associateParentEntity": None,
    "childRelationships": [],
    "compactLayoutable": True,
    "createable": True,
    "custom": False,
    "customSetting": False,
    "deepCloneable": False,
    "defaultImplementation": None,
    "deletable": True,
    "deprecatedAndHidden": False,
    "extendedBy": None,
    "extendsInterfaces": None,
    "feedEnabled": False,
    "fields": [],
    "hasSubtypes": False,
    "implementedBy": None,
    "implementsInterfaces": None,
    "isInterface": False,
    "isSubtype": False,
    "keyPrefix": None,
    "label": "",
    "labelPlural": "",
    "layoutable": True,
    "listviewable": None,
    "lookupLayoutable": None,
    "mergeable": False,
    "mruEnabled": True,
    "name": "",
    "namedLayoutInfos": [],
    "networkScopeFieldName": None,
    "queryable": True,
    "recordTypeInfos": [],
    "replicateable": True,
    "retrieveable": True,
    "searchLayoutable": True,
    "searchable": True,
    "sobjectDescribeOption": "FULL",
    "supportedScopes": [],
    "triggerable": True,
    "undeletable": True,
    "updateable": True,
    "urls": {},
}
# The loader in C, which wheels bring along, is ten times faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MASTER = ("Master", "012000000000000AAA")
_API = "/services/data/v67.0"


def standard_schema(
    custom_objects: int = 0,
    virtual: Mapping[str, int] | None = None,
    now: datetime | None = None,
) -> Schema:
    """The org's standard objects and its showcase.

    Args:
        custom_objects: How many further custom objects to add, `Custom_Object_001__c` and on.
        virtual: Names of custom objects whose rows are computed, and how many rows they have.
        now: The latest stamp of computed rows; None for this machine's time.

    Returns:
        All objects, described in full.
    """
    common = _read("common.yaml")
    shorts = {name: _read(f"objects/{name}.yaml") for name in OBJECTS}
    shorts |= dict(custom_object(number) for number in range(1, custom_objects + 1))
    generated = {}
    for number, (name, rows) in enumerate((virtual or {}).items()):
        if name in shorts or not name.endswith("__c"):
            raise ValueError(f"{name}: must be the name of a new custom object, such as Huge__c")
        shorts[name] = virtual_short(name, number, common_fields())
        generated[name] = virtual_rows(number, rows, now or datetime.now(UTC))
    for short in shorts.values():
        short["fields"] = {
            name: common["fields"].get(name, {}) | (spec or {})
            for name, spec in short["fields"].items()
        }
    children = _child_relationships(shorts)
    record_types = _record_type_ids(shorts)
    return Schema(
        replace(
            _expand(name, short, common, children.get(name, []), record_types),
            generated=generated.get(name),
        )
        for name, short in shorts.items()
    )


def _read(name: str) -> Any:
    """A document, of which the caller may change what it likes."""
    return json.loads(_as_json(name))


@cache
def _as_json(name: str) -> str:
    # Read as YAML once in a process: of 25 documents that takes longer than all else.
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return json.dumps(yaml.load(text, Loader=_LOADER))  # noqa: S506 - it is a safe loader


def _child_relationships(shorts: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The references to each object, as the object's describe lists them."""
    children: dict[str, list[dict[str, Any]]] = {}
    for child, short in sorted(shorts.items()):
        for field, spec in sorted(short["fields"].items()):
            for parent in _targets(spec):
                children.setdefault(parent, []).append(
                    {
                        "cascadeDelete": spec.get("onDelete") == "cascade",
                        "childSObject": child,
                        "deprecatedAndHidden": False,
                        "field": field,
                        "junctionIdListNames": [],
                        "junctionReferenceTo": [],
                        "relationshipName": spec.get("children"),
                        "restrictedDelete": spec.get("onDelete") == "restrict",
                    }
                )
    return children


def _targets(spec: Spec) -> Iterable[str]:
    targets = spec.get("referenceTo", ())
    return (targets,) if isinstance(targets, str) else targets


def _record_type_ids(shorts: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Ids of the record types, by object and developer name."""
    names = [
        (name, kind) for name, short in shorts.items() for kind in short.get("recordTypes", ())
    ]
    return {key: id_at("012", number) for number, key in enumerate(names, start=1)}


def _expand(
    name: str,
    short: Mapping[str, Any],
    common: Mapping[str, Any],
    children: list[dict[str, Any]],
    record_types: Mapping[tuple[str, str], str],
) -> SObject:
    unknown = set(short) - set(DEFAULTS) - {"recordTypes"}
    if unknown:
        raise ValueError(f"{name}: no such key of a describe: {', '.join(sorted(unknown))}")
    document = {**DEFAULTS, "name": name, "custom": name.endswith("__c"), **short}
    document.pop("recordTypes", None)
    document["fields"] = [
        describe_field(field, spec, common["picklists"])
        for field, spec in spelled_out(short["fields"], common["parts"])
    ]
    document["childRelationships"] = children
    document["urls"] = _urls(document)
    document["supportedScopes"] = list(_scopes(document))
    if "recordTypes" in short:
        kinds = [(kind, record_types[name, kind]) for kind in short["recordTypes"]]
        document["recordTypeInfos"] = list(_record_type_infos(document["urls"]["sobject"], kinds))
    formulas = {n: spec["formula"] for n, spec in short["fields"].items() if "formula" in spec}
    return SObject(document, formulas)


def _urls(document: Mapping[str, Any]) -> dict[str, str]:
    """Addresses below the API's root; those of pages for people are left out: there are none."""
    base = f"{_API}/sobjects/{document['name']}"
    urls = {"compactLayouts": f"{base}/describe/compactLayouts"}
    if not document["compactLayoutable"]:
        urls = {}
    urls["rowTemplate"] = base + "/{ID}"
    if document["layoutable"] and document["mruEnabled"]:
        urls["approvalLayouts"] = f"{base}/describe/approvalLayouts"
        urls["listviews"] = f"{base}/listviews"
    urls["describe"] = f"{base}/describe"
    if document["layoutable"]:
        urls["quickActions"] = f"{base}/quickActions"
        urls["layouts"] = f"{base}/describe/layouts"
    urls["sobject"] = base
    return urls


def _scopes(document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    plural = document["labelPlural"].lower()
    yield {"label": f"All {plural}", "name": "everything"}
    if any(field["name"] == "OwnerId" for field in document["fields"]):
        yield {"label": f"My {plural}", "name": "mine"}
        yield {"label": f"My team's {plural}", "name": "team"}


def _record_type_infos(base: str, kinds: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Record types of an object; the first is the default, the master one comes last."""
    for place, (name, record_type_id) in enumerate([*kinds, _MASTER]):
        yield {
            "active": True,
            "available": True,
            "defaultRecordTypeMapping": place == 0,
            "developerName": name,
            "master": name == _MASTER[0],
            "name": name,
            "recordTypeId": record_type_id,
            "urls": {"layout": f"{base}/describe/layouts/{record_type_id}"},
        }
