"""What writing a catalogue from the org would do to the one that is there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from sf_assets.catalog import ObjectSpec
from sf_assets.catalog_file import load_catalog
from sf_assets.errors import ConfigError
from sf_assets.naming import Names
from sf_assets.pipeline.discovery.discover import MARK, Discovery
from sf_assets.pipeline.discovery.partitioning import Partitioning
from sf_assets.windows import Grain

_WRITTEN = frozenset({"start", "grain"})
"""Settings that a discovery writes, of the file and of an object; and of the file the orgs."""


@dataclass(frozen=True, slots=True)
class CatalogDiff:
    """The user's catalogue against what was found in the org.

    Attributes:
        new: Objects that the file does not have.
        gone: Objects of the file that were not found, and why.
        changed: By object and setting: what the file says, and what was found to suit.
        lost: Settings and comments of the file that one written from the org would not have, each
            with its line.
        unknown: Objects of the file of which nothing could be found out now.
    """

    new: Sequence[str]
    gone: Mapping[str, str]
    changed: Mapping[str, Mapping[str, tuple[str, str]]]
    lost: Sequence[str]
    unknown: Sequence[str]


def compare(path: Path, found: Discovery) -> CatalogDiff:
    """Compare a catalogue with what was found. Of a file that is none all would be lost.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        old = load_catalog(path).objects
    except OSError as error:
        raise ConfigError(f"the catalogue {path} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, ConfigError) as error:
        lost = [f"all of {path}, which is wrong: {error}"]
        return CatalogDiff([*found.objects], {}, {}, lost, [])
    known, new = Names(old.items()), Names(found.objects.items())
    pairs = {name: (known[name], one.partitioning) for name, one in new.items() if name in known}
    return CatalogDiff(
        new=[name for name in new if name not in known],
        gone={name: _why_gone(name, found) for name in old if name not in new},
        changed={name: news for name, pair in pairs.items() if (news := dict(_changes(*pair)))},
        lost=[f"{path}:{line}: {what}" for line, what in sorted(_lost(text))],
        unknown=[name for name in found.unknown if name in known],
    )


def comments_alone(path: Path) -> str | None:
    """The user's own comments of a file that holds no more, but names of orgs; None where it does.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        tree = yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"the catalogue {path} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        return None
    keys = [key.value for key, _ in tree.value] if isinstance(tree, yaml.MappingNode) else []
    if tree is not None and keys != ["orgs"]:
        return None
    return "".join(f"{line}\n" for _, line in _comments(text) if not line.startswith(MARK))


def _why_gone(name: str, found: Discovery) -> str:
    told = Names({**found.left_out, **found.unknown}.items())
    if name in told:
        return told[name]
    if name in Names((other, None) for other in found.listed):
        return "the org has it, and it was not asked for: name it with --include"
    return "the org does not have it, or this user may not see it"


def _changes(spec: ObjectSpec, chosen: Partitioning) -> Iterator[tuple[str, tuple[str, str]]]:
    if spec.grain is not chosen.grain:
        yield "grain", (str(spec.grain), str(chosen.grain))
    if spec.start != chosen.start and chosen.grain is not Grain.NONE:
        yield "start", (str(spec.start), str(chosen.start))


def _lost(text: str) -> Iterator[tuple[int, str]]:
    """Settings and comments that no discovery writes, with their lines."""
    tree = yaml.compose(text, yaml.SafeLoader)
    for key, value in tree.value if tree else ():
        if key.value == "objects" or (key.value == "orgs" and isinstance(value, yaml.MappingNode)):
            written = _WRITTEN if key.value == "objects" else frozenset[str]()
            for name, entry in value.value:
                settings = entry.value if isinstance(entry, yaml.MappingNode) else ()
                for setting, _ in settings:
                    if setting.value not in written:
                        what = f"{key.value}.{name.value}.{setting.value}"
                        yield setting.start_mark.line + 1, what
        elif key.value not in _WRITTEN | {"orgs"}:
            yield key.start_mark.line + 1, key.value
    for line, comment in _comments(text):
        if not comment.startswith(MARK):
            yield line, comment


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Comments are what stands between the tokens of YAML, other than white space."""
    end = 0
    for token in yaml.scan(text, yaml.SafeLoader):
        start = token.start_mark.index
        first = text.count("\n", 0, end) + 1
        for number, line in enumerate(text[end:start].split("\n"), first):
            if comment := line.strip():
                yield number, comment
        end = max(end, token.end_mark.index)
