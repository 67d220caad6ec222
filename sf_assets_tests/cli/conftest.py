"""The command line as a user runs it: a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Its standard output as JSON."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


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
        done = subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-c", program],
            env=os.environ | dict(env or {}),
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in an empty folder."""
    return Shell(tmp_path)
