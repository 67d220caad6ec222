"""What an org's schemas are called, which is also how its assets' keys begin."""

ONLY = "default"
"""Name of the org of a catalogue that names none."""


def raw_name(org: str) -> str:
    """`raw`, or `raw_<org>` where the catalogue names orgs."""
    return _named("raw", org)


def silver_name(org: str) -> str:
    """`silver`, or `silver_<org>`."""
    return _named("silver", org)


def gold_name(org: str) -> str:
    """`gold`, or `gold_<org>`."""
    return _named("gold", org)


def _named(layer: str, org: str) -> str:
    return layer if org == ONLY else f"{layer}_{org}"
