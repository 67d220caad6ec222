"""An org as somebody else's describes show it: documents recorded from a real one."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sf_assets.emulator.metadata.fields import BLANK
from sf_assets.emulator.schema import Schema, SObject

_SUFFIX = "_describe.json"
# The list of all objects is worked out from the objects; a recorded one is not needed.
_GLOBAL = "Global" + _SUFFIX

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
            if document["name"] in objects:
                raise ValueError(f"{path}: a second describe of {document['name']}")
            objects[document["name"]] = document
    if not objects:
        raise ValueError("no describe documents given")
    return Schema(SObject(document, {}) for document in objects.values())


def _folder(folder: Path) -> Iterable[dict[str, Any]]:
    """Documents of a folder, for each object from the file named after it if there are several."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if path.name == _GLOBAL:
            continue
        document = _read(path)
        name = document["name"]
        kept, ignored = (path, document), found.get(name)
        if ignored and path.name != name + _SUFFIX:
            kept, ignored = ignored, kept
        if ignored:
            _log.warning("%s ignored: %s describes %s too", ignored[0], kept[0].name, name)
        found[name] = kept
    if not found:
        raise ValueError(f"{folder}: no *{_SUFFIX} there")
    return [document for _, document in found.values()]


def _read(path: Path) -> dict[str, Any]:
    """One describe document; attributes that an older API version does not have are added."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON: {error}") from error
    problem = next(_problems(document), None)
    if problem:
        raise ValueError(f"{path}: not a describe document: {problem}")
    fields = [
        field | {k: v for k, v in BLANK.items() if k not in field} for field in document["fields"]
    ]
    return {"keyPrefix": None, "childRelationships": [], **document, "fields": fields}


def _problems(document: Any) -> Iterator[str]:
    """What keeps a JSON value from being a describe document."""
    if not isinstance(document, Mapping):
        yield "not an object"
        return
    if not isinstance(document.get("name"), str):
        yield "it has no name"
    fields = document.get("fields")
    if not isinstance(fields, list) or not fields:
        yield "it has no fields"
        return
    for place, field in enumerate(fields):
        if not isinstance(field, Mapping) or not {"name", "type"} <= set(field):
            yield f"field {place} has no name or type"
