"""The command line, `sf-assets`. Each command is imported when it is called."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from sf_assets import __version__
from sf_assets.cli.output import fail
from sf_assets.errors import SfAssetsError

_COMMANDS = {
    "emulator": "sf_assets.emulator.command:emulator_command",
    "catalog": "sf_assets.cli.catalog:catalog",
    "refresh": "sf_assets.cli.sync:refresh",
    "backfill": "sf_assets.cli.sync:backfill",
    "reconcile": "sf_assets.cli.tables:reconcile",
    "rebuild": "sf_assets.cli.tables:rebuild",
    "status": "sf_assets.cli.tables:status",
    "clean": "sf_assets.cli.clean:clean",
    "doctor": "sf_assets.cli.doctor:doctor",
}


class _Lazy(click.Group):
    """A group that imports a command only when it is named, or listed in the help."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Salesforce as Dagster assets: raw, silver and gold tables that are right.

    Settings and credentials are read from the environment and from `.env`.
    """


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run a command line; errors of ours end in one message and exit code 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return cli.main(args=list(arguments), prog_name="sf-assets")
    except SfAssetsError as error:
        fail(str(error), as_json="--json" in arguments)
