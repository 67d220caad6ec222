"""Several orgs in one catalogue, each an emulator of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sf_assets.cli.report import Report, carry_out
from sf_assets.emulator.server import Emulator
from sf_assets.pipeline import refresh as commands
from sf_assets.pipeline.org import load_orgs
from sf_assets_tests.conftest import Workspace


class Orgs(Workspace):
    """A workspace of several orgs.

    Attributes:
        emulators: The orgs, by their names in the catalogue.
    """

    def __init__(
        self, folder: Path, emulators: Mapping[str, Emulator], warehouse: str | None = None
    ) -> None:
        super().__init__(folder, {}, warehouse)
        self.emulators = emulators
        for name, emulator in emulators.items():
            prefix = f"SALESFORCE_{name.upper()}_"
            self.env |= {
                key.replace("SALESFORCE_", prefix): value
                for key, value in emulator.environment.items()
            }

    def declare(self, objects: Mapping[str, Any], **more: Any) -> None:
        """Write the catalogue: what holds for all orgs, and by each what it has of its own."""
        orgs = {name: more.pop(name, None) for name in self.emulators}
        self.catalogue(objects, orgs=orgs, **more)

    def refresh(self) -> Report:
        """`sf-assets refresh`, in this process."""
        for emulator in self.emulators.values():
            emulator.advance(60)
        return carry_out(load_orgs(self.env), commands.refresh)
