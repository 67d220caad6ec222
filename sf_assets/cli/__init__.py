"""The command line, `sf-assets`: it can be stopped from the first moment, before it is imported."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from sf_assets.stopping import end_at_once


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line; errors of ours end in one message and exit code 1."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    end_at_once(as_json="--json" in arguments)

    from sf_assets.cli.commands import cli, run

    run(cli, arguments)
