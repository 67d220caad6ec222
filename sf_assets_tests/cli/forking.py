"""Programs run in processes forked from one that has imported the package.

To import it takes longer than most commands do, and there are many of them to try.
"""

import json
import multiprocessing
import os
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import sf_assets

_MOST_SECONDS = 240


@dataclass(frozen=True)
class Outcome:
    """What a program said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Its standard output as JSON."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


def run(program: str, env: dict[str, str], folder: Path) -> Outcome:
    """Run Python with an environment, in a folder that nobody else uses, to its end."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(_modules())
    out, err = folder / f"{uuid4()}.out", folder / f"{uuid4()}.err"
    process = forks.Process(target=_run, args=(program, env, folder, out, err))
    process.start()
    process.join(_MOST_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode is not None
    outcome = Outcome(process.exitcode, out.read_text(), err.read_text())
    out.unlink()
    err.unlink()
    return outcome


def _modules() -> list[str]:
    found = pkgutil.walk_packages(sf_assets.__path__, "sf_assets.")
    return [module.name for module in found if not module.name.endswith("__main__")]


def _run(program: str, env: dict[str, str], folder: Path, out: Path, err: Path) -> None:
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(path, flags), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    exec(program, {"__name__": "__main__"})  # noqa: S102 (our own program)
