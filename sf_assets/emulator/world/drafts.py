"""Values for new records, as people type them in."""

from collections.abc import Mapping
from datetime import date, timedelta
from random import Random
from typing import Any

import pyarrow as pa

from sf_assets.emulator.world import words

Record = Mapping[str, Any]

_AWKWARD = 0.05
_NAME_LENGTH = 120


class Drafts:
    """Makes up values.

    Args:
        rng: Chooses.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._people = 0

    def word(self, pool: pa.Array) -> str:
        """One of some words."""
        return str(pool[self._rng.randrange(len(pool))].as_py())

    def text(self) -> str:
        """A sentence, or seldom a text that breaks exporters."""
        return self.word(words.AWKWARD_TEXTS if self._is_awkward() else words.SENTENCES)

    def phone(self) -> str:
        """A telephone number that nobody has."""
        return f"(4{self._rng.randrange(100):02d}) 555-{self._rng.randrange(10_000):04d}"

    def company(self) -> dict[str, Any]:
        """An account's name and number."""
        parts = (words.COMPANY_FIRST, words.COMPANY_SECOND, words.COMPANY_FORM)
        return {"Name": " ".join(self.word(pool) for pool in parts), "Phone": self.phone()}

    def person(self) -> dict[str, Any]:
        """A contact or lead."""
        self._people += 1
        number = self._rng.randrange(10**6)
        return {
            "FirstName": self.word(words.FIRST_NAMES),
            "LastName": self.word(words.AWKWARD_NAMES if self._is_awkward() else words.LAST_NAMES),
            "Email": f"new.{self._people}.{number}@example.com",
            "Phone": self.phone(),
        }

    def deal(self, account: Record, today: date) -> dict[str, Any]:
        """An opportunity with an account."""
        return {
            "Name": f"{account['Name']} - {self.word(words.PRODUCTS)}"[:_NAME_LENGTH],
            "AccountId": account["Id"],
            "StageName": "Prospecting",
            "Amount": round(self._rng.lognormvariate(9.5, 1.5), 2),
            "CloseDate": today + timedelta(days=self._rng.randrange(14, 120)),
        }

    def _is_awkward(self) -> bool:
        return self._rng.random() < _AWKWARD
