"""How things are called: an org's schemas, which is also how its assets' keys begin, and names."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import Field

_Value = TypeVar("_Value")

ApiName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
"""A name of Salesforce's: an object's or a field's."""

ONLY = "default"
"""Name of the org of a catalogue that names none."""


def folded(name: str) -> str:
    """A name of Salesforce's as it is compared: Salesforce tells no two names apart by case.

    Names are kept as they are spelt, and an administrator may spell one anew. So wherever two are
    held against each other, of queries, describes, slices, tables or the catalogue, it is by this.
    """
    return name.lower()


def same_name(one: str, other: str) -> bool:
    """Whether two names are of one thing."""
    return folded(one) == folded(other)


class Names(Mapping[str, _Value]):
    """Values by name: found in any case, told as they are spelt.

    Args:
        items: Names and values; of two of one name the later counts.
    """

    def __init__(self, items: Iterable[tuple[str, _Value]] = ()) -> None:
        self._items = {folded(name): (name, value) for name, value in items}

    def __getitem__(self, name: str) -> _Value:
        return self._items[folded(name)][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and folded(name) in self._items

    def spelt(self, name: str) -> str:
        """A name as it is spelt here; as it came where it is not here."""
        return self._items[folded(name)][0] if name in self else name


class Layer(StrEnum):
    """Where something is, or happened."""

    RAW = "raw"
    SILVER = "silver"
    GOLD = "gold"
    OPS = "ops"


def layer_name(layer: Layer, org: str) -> str:
    """`<layer>`, or `<layer>_<org>` where the catalogue names orgs."""
    return layer.value if org == ONLY else f"{layer}_{org}"


def raw_name(org: str) -> str:
    """`raw`, or `raw_<org>` where the catalogue names orgs."""
    return layer_name(Layer.RAW, org)


def silver_name(org: str) -> str:
    """`silver`, or `silver_<org>`."""
    return layer_name(Layer.SILVER, org)


def restricted_name(org: str) -> str:
    """`restricted`, or `restricted_<org>`: what of silver only some may see."""
    return "restricted" if org == ONLY else f"restricted_{org}"


UNITED = f"{Layer.SILVER}_all"
"""Schema of the views of all orgs' tables together."""


def gold_name(org: str) -> str:
    """`gold`, or `gold_<org>`."""
    return layer_name(Layer.GOLD, org)


def placed(place: str, name: str) -> str:
    """What something is called that there is in each warehouse: in the first by its name alone.

    Args:
        place: Name of the warehouse; empty for the first.
        name: What it is called there.
    """
    return f"{place}/{name}" if place else name


def ops_name(org: str) -> str:
    """`ops`, or `ops_<org>`, in asset keys; in the warehouse `ops` is one, rows say whose."""
    return layer_name(Layer.OPS, org)
