"""The file of a catalogue: YAML, read with care, and what is wrong with it told with its line.

The file's folder is where relative paths in it begin.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from sf_assets.catalog import DERIVED, PACKAGED, REFRESH, START, Catalog, ObjectSpec
from sf_assets.errors import ConfigError
from sf_assets.naming import folded
from sf_assets.windows import Grain

_DEFAULTS: dict[str, Any] = {
    "start": START,
    "grain": Grain.DAILY,
    "refresh": REFRESH,
    "derived": DERIVED,
    "retention_days": None,
}
"""What holds for objects where neither they nor the file say it."""


def load_catalog(path: Path | None = None) -> Catalog:
    """Read a catalogue.

    Args:
        path: The YAML file; None for the one in the package.

    Raises:
        ConfigError: The file is missing, is not YAML or says something unknown; the message names
            the file and the line.
    """
    path = (path or PACKAGED).absolute()
    documents = _parse(path)
    for second, _ in documents[1:]:
        raise ConfigError(f"{path}:{second.start_mark.line + 1}: a catalogue is one document")
    tree, document = documents[0] if documents else (None, None)
    return _validated(path, tree, document)


def orgs_named(path: Path) -> tuple[str, ...]:
    """The orgs that a catalogue names, which may still be without objects.

    Raises:
        ConfigError: The file is missing, is not YAML or says something unknown.
    """
    for tree, document in _parse(path):
        if isinstance(document, dict):
            some = document if document.get("objects") else document | {"objects": {"Account": {}}}
            return _validated(path, tree, some).orgs
    return ()


def catalog_within(
    path: Path, key: str, line: int, resolve: Callable[[Any], Any] = lambda value: value
) -> Catalog:
    """Read a catalogue that is a part of another YAML file.

    Args:
        path: The file.
        key: Name under which it stands there.
        line: Line of that name, counted from 1.
        resolve: What is done to its values first, as to templates.

    Raises:
        ConfigError: The part says something unknown; the message names the file and the line.
    """
    for tree, document in _parse(path):
        for name, node, part in _parts(tree, document):
            if (name.value, name.start_mark.line + 1) == (key, line):
                return _validated(path, node, resolve(part))
    raise ConfigError(f"{path}:{line}: there is no {key} here")


def _parts(tree: yaml.Node, document: Any) -> Iterator[tuple[yaml.ScalarNode, yaml.Node, Any]]:
    """All that a document maps names to, at any depth: name, node and value."""
    if isinstance(tree, yaml.MappingNode) and isinstance(document, dict):
        for name, node in tree.value:
            if isinstance(name, yaml.ScalarNode):
                yield name, node, document.get(name.value)
                yield from _parts(node, document.get(name.value))


def _validated(path: Path, tree: yaml.Node | None, document: Any) -> Catalog:
    if document is None or (isinstance(document, dict) and not _objects(document)):
        line = _line(tree, ("objects",))
        raise ConfigError(
            f"{path}:{line}: there is no object; name some under `objects:`, or have the org say "
            "which it has: `sf-assets catalog --from-org`"
        )
    if not isinstance(document, dict):
        raise ConfigError(f"{path}:1: a catalogue maps settings to values, such as `objects:`")
    try:
        catalog = Catalog.model_validate(_completed(document, path, tree))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        problem = first["msg"].removeprefix("Value error, ")
        raise _refusal(path, tree, _as_written(tree, first["loc"]), problem) from None
    for location, problem in _clashes(document, catalog):
        raise _refusal(path, tree, location, problem)
    for org, own in catalog.of_orgs.items():
        for location, problem in _clashes(_for_org(document, org), own):
            raise _refusal(path, tree, _place(tree, org, location), problem)
    return catalog


def _objects(document: Mapping[str, Any]) -> Any:
    """The objects of a file; where they stand by the orgs alone, those of all of them."""
    if document.get("objects") or not isinstance(document.get("orgs"), dict):
        return document.get("objects")
    orgs = [org for org in document["orgs"].values() if isinstance(org, dict)]
    named = [org["objects"] for org in orgs if isinstance(org.get("objects"), dict)]
    return {name: entry for objects in reversed(named) for name, entry in objects.items()}


def _for_org(document: Mapping[str, Any], org: str) -> Any:
    """The file as it holds for one org.

    What stands by the org goes before what the file says. An org that names objects has no others;
    what it does not say of one the file says, if it has it.
    """
    own = document["orgs"][org] or {}
    if not isinstance(own, dict):
        return own
    whole = {name: value for name, value in document.items() if name != "orgs"} | own
    common = document.get("objects")
    if isinstance(own.get("objects"), dict) and isinstance(common, dict):
        whole["objects"] = {
            name: {**(common.get(name) or {}), **(entry or {})}
            if isinstance(entry, dict | None) and isinstance(common.get(name), dict | None)
            else entry
            for name, entry in own["objects"].items()
        }
    return whole


def _place(
    tree: yaml.Node | None, org: str, location: tuple[int | str, ...]
) -> tuple[int | str, ...]:
    """Where something of an org stands in the file: by the org, or for all of them."""
    by_org = ("orgs", org, *location)
    return by_org if _stands(tree, by_org[:5]) or not _stands(tree, location[:3]) else location


class _Loader(yaml.SafeLoader):
    """YAML that takes no key twice, and knows the line of a date that no calendar has."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise ConstructorError(
                problem=f"{node.value}: {error}", problem_mark=node.start_mark
            ) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(
                    problem=f"{key.value} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def _parse(path: Path) -> list[tuple[yaml.Node, Any]]:
    """The file's documents, each as a tree of nodes, which know their lines, and as values."""
    try:
        text = path.read_text(encoding="utf-8")
        return list(_documents(_Loader(text)))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no catalogue {path}; write one with `sf-assets catalog --from-org`, or "
            "correct the path, as in SF_ASSETS_CATALOG"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the catalogue {path} cannot be read ({error.strerror}); set SF_ASSETS_CATALOG"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the file is not UTF-8; save it as that") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.reason}") from None
    except RecursionError:
        raise ConfigError(f"{path}:1: not YAML that anybody means: it is nested too deep") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}") from None


def _documents(loader: _Loader) -> Iterator[tuple[yaml.Node, Any]]:
    while loader.check_node():
        tree = loader.get_node()
        if tree is not None:
            yield tree, loader.construct_document(tree)


def _refusal(
    path: Path, tree: yaml.Node | None, location: tuple[int | str, ...], problem: str
) -> ConfigError:
    where = ".".join(map(str, location))
    return ConfigError(f"{path}:{_line(tree, location)}: {where}: {problem}")


def _as_written(tree: yaml.Node | None, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The location in the file: pydantic says of a key that it is one, and of orgs by our name."""
    found = tuple(part for part in location if part != "[key]")
    if found[0] == "of_orgs":
        return _place(tree, str(found[1]), found[2:])
    if found[0] == "orgs" and isinstance(found[-1], int):
        return _nth_org(tree, found)
    return found


def _nth_org(tree: yaml.Node | None, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The place of an org's name, which may be the key of what stands by it."""
    named = [value for key, value in tree.value if key.value == "orgs"]  # type: ignore[union-attr]
    if isinstance(named[0], yaml.MappingNode):
        return "orgs", named[0].value[int(location[-1])][0].value
    return location


def _clashes(document: Any, catalog: Catalog) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """What each part of the file is right about, and the whole is wrong: where, and why."""
    for name in {"path", "of_orgs", "known", "queries"} & document.keys():
        yield (name,), "this is no setting"
    if "gold" in document and not catalog.gold.is_dir():
        yield ("gold",), f"there is no folder {catalog.gold}"
    if repeated := [name for name, count in Counter(catalog.orgs).items() if count > 1]:
        yield ("orgs",), f"{', '.join(repeated)} is there twice"
    slugs = set()
    for name, spec in catalog.objects.items():
        for setting in {"file", "lines"} & (_objects(document)[name] or {}).keys():
            yield ("objects", name, setting), "this is no setting"
        if spec.name != name:
            yield ("objects", name, "name"), "an object's name is its key"
        if spec.slug in slugs:
            yield ("objects", name), "this object is there twice, in different case"
        slugs.add(spec.slug)
        yield from _clashing_fields(spec)
        yield from _clashing_privacy(spec)
        yield from _repeated_checks(spec)


def _clashing_fields(spec: ObjectSpec) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """What says twice which fields are exported, or in two ways."""
    here = ("objects", spec.name)
    named: dict[str, str] = {}
    for setting, fields in (("fields", spec.fields), ("exclude", spec.exclude)):
        if spec.soql and fields is not None and (fields or setting == "fields"):
            yield (*here, setting), f"the fields are those that {spec.soql.name} selects"
        for number, name in enumerate(fields or ()):
            if before := named.get(folded(name)):
                again = "twice" if before == setting else f"in {before}, too"
                yield (*here, setting, number), f"{name} is there {again}"
            named[folded(name)] = setting


def _clashing_privacy(spec: ObjectSpec) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """What is done to one field twice."""
    seen: set[str] = set()
    for name in spec.privacy:
        if folded(name) in seen:
            yield ("objects", spec.name, "privacy", name), f"{name} is there twice"
        seen.add(folded(name))


def _repeated_checks(spec: ObjectSpec) -> Iterator[tuple[tuple[int | str, ...], str]]:
    names = set()
    for index, declared in enumerate(spec.checks):
        for name in (one.name for one in declared.each()):
            if name.lower() in names:
                yield ("objects", spec.name, "checks", index), f"{name} is there twice"
            names.add(name.lower())


def _completed(document: Any, path: Path, tree: yaml.Node | None, org: str = "") -> Any:
    """Hand the file's defaults to each object, and make its paths begin at the file's folder.

    Each object is told where in the file its fields are named: only the org knows them.

    Args:
        document: The file, or the file as it holds for one org.
        path: The file.
        tree: The same as nodes, which know their lines.
        org: That org; empty for the file.
    """
    if not isinstance(document, dict):
        return {"path": path} if not org else document
    orgs = {} if org else _of_orgs(document, path, tree)
    document = document | {"objects": _objects(document)} | orgs
    if not isinstance(document["objects"], dict):
        return document | {"path": path}
    said = {name: document[name] for name in (*_DEFAULTS, "owners") if name in document}
    defaults = _DEFAULTS | said
    objects = {}
    for name, written in document["objects"].items():
        where = _place(tree, org, ("objects", name)) if org else ("objects", name)
        objects[name] = written
        if written is None or isinstance(written, dict):
            objects[name] = entry = defaults | {"name": name} | (written or {})
            if isinstance(entry.get("soql"), str):
                entry["soql"] = path.parent / entry["soql"]
            entry |= {"file": path, "lines": _lines_of_fields(tree, where, entry)}
    completed = document | {"path": path, "objects": objects}
    if isinstance(document.get("gold"), str):
        completed["gold"] = path.parent / document["gold"]
    return completed


def _of_orgs(document: Mapping[str, Any], path: Path, tree: yaml.Node | None) -> dict[str, Any]:
    """The names of orgs by which something stands, and the file as it holds for these."""
    orgs = document.get("orgs")
    if not isinstance(orgs, dict):
        return {}
    alone = not document.get("objects")
    parts = {name: _for_org(document, name) for name in orgs if orgs[name] or alone}
    common = {"orgs": list(orgs), **_of_all(document, orgs, path)}
    own = {name: _completed(part, path, tree, name) for name, part in parts.items()}
    own = {name: part | common if isinstance(part, dict) else part for name, part in own.items()}
    return common | {"of_orgs": own}


def _of_all(document: Mapping[str, Any], orgs: Iterable[str], path: Path) -> dict[str, Any]:
    """The objects and queries that a file names for any of its orgs."""
    parts = [document, *(_for_org(document, org) for org in orgs)]
    named = [part["objects"] for part in parts if isinstance(part, dict) and part.get("objects")]
    entries = [item for objects in named if isinstance(objects, dict) for item in objects.items()]
    queries = [entry.get("soql") for _, entry in entries if isinstance(entry, dict)]
    return {
        "known": frozenset(folded(str(name)) for name, _ in entries),
        "queries": frozenset(path.parent / query for query in queries if isinstance(query, str)),
    }


def _lines_of_fields(
    tree: yaml.Node | None, where: tuple[int | str, ...], entry: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    found = {
        setting: tuple(_line(tree, (*where, setting, number)) for number in range(len(fields)))
        for setting in ("fields", "exclude")
        if isinstance(fields := entry.get(setting), list)
    }
    if isinstance(tags := entry.get("privacy"), dict):
        found["privacy"] = tuple(_line(tree, (*where, "privacy", tag)) for tag in tags)
    return found


def _stands(tree: yaml.Node | None, location: Iterable[int | str]) -> bool:
    """Whether there is a node at a place."""
    for part in location:
        if isinstance(tree, yaml.SequenceNode) and isinstance(part, int):
            tree = tree.value[part]
            continue
        named = tree.value if isinstance(tree, yaml.MappingNode) else ()
        tree = next((value for key, value in named if key.value == str(part)), None)
    return tree is not None


def _line(tree: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """Line of the deepest node on the way to `location`, for the reader of an error."""
    line = 1
    for part in location:
        if isinstance(tree, yaml.MappingNode):
            found = next(((k, v) for k, v in tree.value if k.value == str(part)), None)
            if found is None:
                return line
            line, tree = found[0].start_mark.line + 1, found[1]
        elif isinstance(tree, yaml.SequenceNode) and isinstance(part, int):
            tree = tree.value[part]
            line = tree.start_mark.line + 1
    return line
