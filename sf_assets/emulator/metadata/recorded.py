"""An org as somebody else's describes show it: documents recorded from a real one."""

import base64
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sf_assets.emulator.metadata.fields import BLANK, TYPES
from sf_assets.emulator.metadata.standard import DEFAULTS
from sf_assets.emulator.schema import Schema, SObject

_SUFFIX = "_describe.json"
# The list of all objects is worked out from the objects; a recorded one is not needed.
_GLOBAL = "Global" + _SUFFIX
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_KEY_PREFIX = re.compile(r"[0-9A-Za-z]{3}")
_LARGEST = (1 << 31) - 1
# What the parts of a describe have to be, where the org relies on it; null is as good as absent.
_NAMES: Mapping[str, Any] = dict.fromkeys(
    ("relationshipName", "compoundFieldName", "controllerName"), ""
)
_CHILD: Mapping[str, Any] = {
    "childSObject": "",
    "field": "",
    "relationshipName": "",
    "cascadeDelete": False,
}
_PICKLIST: Mapping[str, Any] = {
    "value": "",
    "label": "",
    "active": True,
    "defaultValue": False,
    "validFor": None,
}
_RECORD_TYPE: Mapping[str, Any] = {
    "recordTypeId": "",
    "name": "",
    "developerName": "",
    "master": False,
    "active": True,
}

_log = logging.getLogger(__name__)


def load_describes(paths: Path | Iterable[Path]) -> Schema:
    """Builds a schema from describe documents.

    Args:
        paths: A folder, of which every `*_describe.json` is read, or several folders and files.
            When a folder has several files for one object, the one named after the object is taken
            and the others are reported in the log; else each object may come only once.

    Returns:
        The objects as described. What is calculated has a column of its own, because the formulas
        of a describe are in a language that is not evaluated here.

    Raises:
        ValueError: A file that is no describe document, two for one object, or none at all.
    """
    given = [paths] if isinstance(paths, Path) else list(paths)
    objects: dict[str, dict[str, Any]] = {}
    for path in given:
        found = _folder(path) if path.is_dir() else [_read(path)]
        for document in found:
            name = document["name"].lower()
            if name in objects:
                raise ValueError(f"{path}: a second describe of {document['name']}")
            objects[name] = document
    if not objects:
        raise ValueError("no describe documents given")
    return Schema(SObject(document, {}) for document in objects.values())


def _folder(folder: Path) -> Iterable[dict[str, Any]]:
    """Documents of a folder, for each object from the file named after it if there are several."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if path.name == _GLOBAL or path.name.startswith("."):
            continue
        document = _read(path)
        name = document["name"].lower()
        kept, ignored = (path, document), found.get(name)
        if ignored and path.name != document["name"] + _SUFFIX:
            kept, ignored = ignored, kept
        if ignored:
            _log.warning(
                "%s ignored: %s describes %s too", ignored[0], kept[0].name, document["name"]
            )
        found[name] = kept
    if not found:
        raise ValueError(f"{folder}: no *{_SUFFIX} there")
    return [document for _, document in found.values()]


def _read(path: Path) -> dict[str, Any]:
    """One describe document; what it does not say is as it usually is."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as JSON: {error}") from error
    document = unwrapped(document)
    problem = next(_problems(document), None)
    if problem:
        raise ValueError(f"{path}: not a describe document: {problem}")
    return _completed(document)


def unwrapped(document: Any) -> Any:
    """What an answer of the Salesforce CLI (`--json`) is about; anything else as it is."""
    if isinstance(document, Mapping) and {"status", "result"} <= set(document):
        return document["result"]
    return document


def _completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with everything that the org asks it for."""
    name = document["name"]
    defaults = {**DEFAULTS, "label": name, "labelPlural": name, "custom": name.endswith("__c")}
    fields = [
        _with({"label": field["name"], **TYPES.get(field["type"], {}), **field}, BLANK)
        for field in document["fields"]
    ]
    for field in fields:
        field["picklistValues"] = [_with(v, _PICKLIST) for v in field["picklistValues"]]
    whole = _with(document, defaults)
    return {
        **whole,
        "fields": fields,
        "childRelationships": [
            {**_CHILD, "relationshipName": None, **child} for child in whole["childRelationships"]
        ],
        "recordTypeInfos": [_with(info, _RECORD_TYPE) for info in whole["recordTypeInfos"]],
    }


def _with(part: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a document with what it does not say; null says nothing where it makes no sense."""
    missing = {
        name: value
        for name, value in defaults.items()
        if name not in part or (part[name] is None and value is not None)
    }
    return {**part, **missing}


def _problems(document: Any) -> Iterator[str]:
    """What keeps a JSON value from being a describe document."""
    if not isinstance(document, Mapping):
        yield "not an object"
        return
    if not isinstance(document.get("name"), str):
        yield "it has no name"
    elif not _NAME.fullmatch(document["name"]):
        yield f"its name {document['name']!r} is no API name"
    prefix = document.get("keyPrefix")
    if prefix is not None and not (isinstance(prefix, str) and _KEY_PREFIX.fullmatch(prefix)):
        yield f"its keyPrefix is {prefix!r:.40}"
    fields = document.get("fields")
    if not isinstance(fields, list) or not fields:
        yield "it has no fields"
        return
    yield from _wrong(document, DEFAULTS, "it")
    yield from _field_problems(fields)
    yield from _part_problems(document.get("childRelationships"), _CHILD, "child relationship")
    yield from _part_problems(document.get("recordTypeInfos"), _RECORD_TYPE, "record type")
    for place, child in enumerate(document.get("childRelationships") or ()):
        if not (child.get("childSObject") and child.get("field")):
            yield f"child relationship {place} has no childSObject or field"


def _field_problems(fields: list[Any]) -> Iterator[str]:
    names: set[str] = set()
    for place, field in enumerate(fields):
        known = isinstance(field, Mapping) and {"name", "type"} <= set(field)
        if not known or not all(isinstance(field[n], str) for n in ("name", "type")):
            yield f"field {place} has no name or type"
            return
        name = field["name"]
        if not _NAME.fullmatch(name):
            yield f"the name of field {place}, {name!r:.40}, is no API name"
        if name.lower() in names:
            yield f"field {name} comes twice"
        names.add(name.lower())
        yield from _wrong(field, BLANK, name)
        yield from _wrong(field, _NAMES, name)
        if not all(isinstance(target, str) for target in field.get("referenceTo") or ()):
            yield f"{name}: referenceTo must be a list of names"
        yield from _part_problems(field.get("picklistValues"), _PICKLIST, f"{name}: value")
    if "id" not in names:
        yield "it has no field Id"


def _part_problems(parts: Any, defaults: Mapping[str, Any], what: str) -> Iterator[str]:
    for place, part in enumerate(parts or ()):
        if not isinstance(part, Mapping):
            yield f"{what} {place} is no object"
            return
        yield from _wrong(part, defaults, f"{what} {place}")
        try:
            base64.b64decode(part.get("validFor") or "")
        except (TypeError, ValueError):
            yield f"{what} {place}: validFor must be base64"


def _wrong(part: Mapping[str, Any], defaults: Mapping[str, Any], what: str) -> Iterator[str]:
    """Attributes that are not of the kind of their defaults."""
    for name, default in defaults.items():
        value = part.get(name)
        if value is None or default is None:
            continue
        if isinstance(value, bool) != isinstance(default, bool) or not isinstance(
            value, type(default)
        ):
            yield f"{what}: {name} must be a {_KINDS[type(default)]}, and is {value!r:.40}"
        elif isinstance(value, int) and not 0 <= value <= _LARGEST:
            yield f"{what}: {name} is {value!r:.40}"


_KINDS = {bool: "boolean", int: "whole number", str: "text", list: "list", dict: "object"}
