"""What is done to fields on their way to silver, for the sake of those whose data they hold."""

from enum import StrEnum

from sf_assets.errors import ConfigError

HASH_KEY = "SF_ASSETS_HASH_KEY"
"""The variable with the key of hashes."""

_SHORTEST = 16


class Treatment(StrEnum):
    """What becomes of a field's values; each leaves less of them than those before it."""

    KEEP = "keep"  # they are as they are
    MASK = "mask"  # their form is left
    HASH = "hash"  # whether two are the same is left
    RESTRICTED = "restricted"  # they are in a schema of their own
    DROP = "drop"  # they stay in raw

    @property
    def leaves_column(self) -> bool:
        """Whether silver has a column of the field."""
        return self not in {Treatment.RESTRICTED, Treatment.DROP}


def strictest(treatments: "list[Treatment]") -> Treatment:
    """That which leaves least; `keep` of none."""
    order = list(Treatment)
    return max(treatments, key=order.index, default=Treatment.KEEP)


def hash_key(secret: str | None) -> bytes:
    """The key of hashes.

    Raises:
        ConfigError: There is none, or it can be guessed.
    """
    if secret and len(secret) >= _SHORTEST:
        return secret.encode()
    what = f"has fewer than {_SHORTEST} characters" if secret else "is not set"
    raise ConfigError(
        f"the catalogue has fields hashed, and {HASH_KEY} {what}: nothing of these objects is "
        "merged; put a long secret into it, such as `openssl rand -hex 32` gives, and keep it: "
        "under another key all hashes are others"
    )
