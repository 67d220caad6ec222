"""The demo's own folder, and the org that lives in it."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dotenv import dotenv_values

from sf_assets.errors import SfAssetsError

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".demo"
DAYS = 60
"""How long ago the demo's partitions begin."""


def prepare() -> None:
    """Make the folder, with a catalogue and a copy of Dagster's settings, and move into it.

    What the user has set for an org of their own, in `.env` or in the environment, is not the
    demo's.
    """
    (HOME / "dagster").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", HOME / "dagster" / "dagster.yaml")
    catalog = HOME / "catalog.yaml"
    if not catalog.exists():
        template = Path(__file__).with_name("catalog.yaml").read_text(encoding="utf-8")
        start = datetime.now(UTC).date() - timedelta(days=DAYS)
        catalog.write_text(template.format(start=start), encoding="utf-8")
    os.chdir(HOME)
    for name in [n for n in os.environ if n.startswith(("SALESFORCE_", "SF_ASSETS_"))]:
        del os.environ[name]


@dataclass(frozen=True, slots=True)
class RunningOrg:
    """The emulated org, at work.

    Attributes:
        env: Everything that the demo needs in its environment; it is also in `.demo/env`.
        process: The process that it is.
        log: Where it says what goes on.
    """

    env: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path


@contextlib.contextmanager
def org(*options: str) -> Iterator[RunningOrg]:
    """Run the emulated org in a process of its own.

    Args:
        options: Further options of `sf-assets emulator`.

    Yields:
        The org, once it answers.

    Raises:
        SfAssetsError: The org did not start.
    """
    env_file = HOME / "env"
    env_file.unlink(missing_ok=True)
    emulator = [sys.executable, "-m", "sf_assets.cli", "emulator"]
    where = ["--store", str(HOME / "org.duckdb"), "--env-file", str(env_file)]
    log_file = HOME / "emulator.log"
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 (our own program)
            [*emulator, *where, *options], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while not env_file.exists():
                if process.poll() is not None:
                    raise SfAssetsError(f"the emulator did not start; {log_file} says why")
                time.sleep(0.05)
            yield RunningOrg(_environment(env_file), process, log_file)
        finally:
            process.terminate()
            process.wait()


def _environment(env_file: Path) -> dict[str, str]:
    """The org's address and credentials and the demo's settings, kept in the file as well."""
    ours = {
        "SF_ASSETS_CATALOG": str(HOME / "catalog.yaml"),
        "SF_ASSETS_STORAGE_URL": f"file://{HOME / 'lake'}",
        "SF_ASSETS_WAREHOUSE_URL": f"duckdb:///{HOME / 'warehouse.duckdb'}",
        "DAGSTER_HOME": str(HOME / "dagster"),
    }
    with env_file.open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in ours.items())
    return {name: value for name, value in dotenv_values(env_file).items() if value}
