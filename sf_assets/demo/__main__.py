"""`python -m sf_assets.demo`: the demo, or with `--ui` the org and the Dagster UI."""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from sf_assets.cli.commands import run
from sf_assets.cli.output import watching
from sf_assets.demo.home import ROOT, org, prepare
from sf_assets.errors import SfAssetsError
from sf_assets.stopping import Stopped

_LIVE = 0.2
"""Changes a second in the org while the UI is open."""

_PORT = 3000
"""Where Dagster's UI is usually found."""

_LOOK = 0.5
"""Seconds between looks whether both are still at work."""

_GRACE = 30.0
"""Seconds in which the UI and the org, which are processes of their own, come to an end."""


@click.command()
@click.option("--ui", is_flag=True, help="Run the org and the Dagster UI until they are stopped.")
def main(ui: bool) -> None:
    """Turn an emulated Salesforce org into raw, silver and gold tables, in `.demo/`."""
    prepare()
    if not ui:
        sys.exit(_demo())
    with suppress(Stopped):  # which is how it is meant to end, from the first moment on
        sys.exit(_ui())


def _demo() -> int:
    started = time.monotonic()
    with org() as running:
        click.echo(f"An emulated Salesforce org is up at {running.env['SALESFORCE_LOGIN_URL']}")
        os.environ.update(running.env)
        from sf_assets.cli.dagster_ui import reporting
        from sf_assets.cli.report import carry_out
        from sf_assets.demo.report import tell
        from sf_assets.pipeline.org import load_orgs
        from sf_assets.pipeline.refresh import refresh

        (home,) = load_orgs()
        with reporting() as tell_dagster, watching(quiet=False):
            report = carry_out([home], refresh, tell_dagster)
        well = tell(home, report)
    click.echo(f"\nDone in {time.monotonic() - started:.0f} s")
    return 0 if well else 1


def _ui() -> int:
    with org("--live", str(_LIVE)) as running:
        url = running.env["SALESFORCE_LOGIN_URL"]
        click.echo(f"An emulated Salesforce org is up at {url}, and alive")
        port = _free_port(_PORT)
        click.echo(f"The Dagster UI comes up at http://127.0.0.1:{port}; Ctrl-C ends both")
        dagster = Path(sys.executable).with_name("dagster")
        process = subprocess.Popen(  # noqa: S603 (the program of our own environment)
            [str(dagster), "dev", "-w", str(ROOT / "workspace.yaml"), "-p", str(port)],
            env=os.environ | running.env,
        )
        try:
            while process.poll() is None:
                if running.process.poll() is not None:
                    click.echo(f"The org has ended; {running.log} says why", err=True)
                    return 1
                time.sleep(_LOOK)
            return process.returncode
        finally:
            process.terminate()
            process.wait()


def _free_port(wanted: int) -> int:
    """The port that is wanted, or any other where another program listens on it."""
    for port in (wanted, 0):
        with socket.socket() as tried, suppress(OSError):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", port))
            return int(tried.getsockname()[1])
    raise SfAssetsError("no port is free on 127.0.0.1 for the Dagster UI")


if __name__ == "__main__":
    run(main, sys.argv[1:], _GRACE)
