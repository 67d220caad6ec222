"""The command line as a user runs it: a process of its own."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from sf_assets_tests.cli.forking import Outcome, run


class Shell:
    """Runs `sf-assets` with an environment that holds nothing else of ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, first: str = ""
    ) -> Outcome:
        """Run a command.

        Args:
            arguments: Of `sf-assets`.
            env: Beside the environment of the test.
            first: Python to run before, in the same process.
        """
        program = f"{first}\nfrom sf_assets.cli import main\nmain({list(arguments)!r})"
        return run(program, os.environ | dict(env or {}), self._folder)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in an empty folder."""
    return Shell(tmp_path)
