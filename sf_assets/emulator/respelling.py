"""API names in another case: Salesforce takes them for the same, and answers with the new one."""

import dataclasses
from typing import Any

from sf_assets.emulator.schema import SObject


def respelt_field(sobject: SObject, old: str, new: str) -> SObject:
    """An object with one of its fields spelt in another way.

    Raises:
        ValueError: The new name differs in more than case.
    """
    _check(old, new)
    fields = [_field(dict(field), old, new) for field in sobject.document["fields"]]
    formulas = {new if n == old else n: formula for n, formula in sobject.formulas.items()}
    document = {**sobject.document, "fields": fields}
    return dataclasses.replace(sobject, document=document, formulas=formulas)


def respelt_object(sobject: SObject, old: str, new: str) -> SObject:
    """An object that is the one to be spelt in another way, or may refer to it.

    Raises:
        ValueError: The new name differs in more than case.
    """
    _check(old, new)
    document: dict[str, Any] = {**sobject.document}
    if document["name"] == old:
        document["name"] = new
        urls = (document.get("urls") or {}).items()
        document["urls"] = {n: _url(url, old, new) for n, url in urls}
    document["fields"] = [
        {**field, "referenceTo": [new if n == old else n for n in field["referenceTo"]]}
        for field in document["fields"]
    ]
    document["childRelationships"] = [
        {**child, "childSObject": new} if child["childSObject"] == old else child
        for child in document["childRelationships"]
    ]
    return dataclasses.replace(sobject, document=document)


def _check(old: str, new: str) -> None:
    if old.lower() != new.lower():
        raise ValueError(f"{new} is another name than {old}, not another spelling")


def _field(field: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """A field of the object: the one to be spelt in another way, or one that names it."""
    for attribute in ("name", "compoundFieldName", "controllerName"):
        if field.get(attribute) == old:
            field[attribute] = new
    relationship = old.removesuffix("__c") + "__r"
    if field["name"] == new and field.get("relationshipName") == relationship:
        field["relationshipName"] = new.removesuffix("__c").removesuffix("__C") + "__r"
    return field


def _url(url: Any, old: str, new: str) -> Any:
    return url.replace(f"/sobjects/{old}", f"/sobjects/{new}") if isinstance(url, str) else url
