"""The commands of `sf-assets`. Each is imported when it is called."""

import importlib
import os
import sys
import threading
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from sf_assets import __version__
from sf_assets.cli.output import fail, print_error
from sf_assets.errors import SfAssetsError
from sf_assets.stopping import CODE, GRACE, STOPPED, Stopped, watch

_PRIVATE = 0o077
"""What is taken from the modes of new files: records and credentials are their owner's alone."""

_COMMANDS = {
    "emulator": "sf_assets.emulator.command:emulator_command",
    "catalog": "sf_assets.cli.catalog:catalog",
    "refresh": "sf_assets.cli.refresh:refresh",
    "backfill": "sf_assets.cli.refresh:backfill",
    "reconcile": "sf_assets.cli.tables:reconcile",
    "rebuild": "sf_assets.cli.tables:rebuild",
    "status": "sf_assets.cli.status:status",
    "forget": "sf_assets.cli.forget:forget",
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
    from sf_assets.settings import environment

    os.environ.update(environment())  # libraries of the clouds look there alone


def run(command: click.Command, arguments: list[str], grace: float = GRACE) -> NoReturn:
    """Run a command as a process of its own: private files, one line where it ends early.

    Args:
        command: The command.
        arguments: Its arguments.
        grace: Seconds that it has to end when it is told to.
    """
    as_json = "--json" in arguments
    os.umask(_PRIVATE)
    told = threading.Lock()

    def leave() -> None:
        if told.acquire(blocking=False):  # one line, whoever is the first to say it
            print_error(STOPPED, as_json=as_json)

    watch(leave, grace)
    try:
        sys.exit(command.main(args=arguments, prog_name="sf-assets", standalone_mode=False))
    except click.ClickException as error:
        _refuse(error, as_json=as_json)
    except SfAssetsError as error:
        fail(str(error), as_json=as_json)
    except Stopped:
        leave()
        sys.exit(CODE)


def _refuse(error: click.ClickException, *, as_json: bool) -> NoReturn:
    """End because the command line is not understood, with click's words and code in our manner."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, NoArgsIsHelpError):
        error.show()
        sys.exit(error.exit_code)
    if context and not as_json:
        click.echo(f"{context.get_usage()}\n", err=True)
    print_error(error.format_message(), as_json=as_json)
    sys.exit(error.exit_code)
