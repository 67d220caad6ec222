"""Tests; each folder mirrors one of the package."""

from hypothesis import settings

# A machine that is busy with other things makes no test fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
