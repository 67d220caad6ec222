"""`python -m sf_assets.demo`: the demo, or with `--ui` the org and the Dagster UI."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click

from sf_assets.cli.output import fail, watching
from sf_assets.demo.home import ROOT, org, prepare
from sf_assets.errors import SfAssetsError

_LIVE = 0.2
"""Changes a second in the org while the UI is open."""


@click.command()
@click.option("--ui", is_flag=True, help="Run the org and the Dagster UI until they are stopped.")
def main(ui: bool) -> None:
    """Turn an emulated Salesforce org into raw, silver and gold tables, in `.demo/`."""
    prepare()
    try:
        sys.exit(_ui() if ui else _demo())
    except SfAssetsError as error:
        fail(str(error), as_json=False)


def _demo() -> int:
    started = time.monotonic()
    with org() as env:
        click.echo(f"An emulated Salesforce org is up at {env['SALESFORCE_LOGIN_URL']}")
        os.environ.update(env)
        from sf_assets.assets.commands import refresh
        from sf_assets.assets.running import runner
        from sf_assets.demo.report import tell
        from sf_assets.pipeline.org import load_orgs

        (home,) = load_orgs()
        with runner() as run, watching(quiet=False):
            refresh(run, home.catalog, [])
        well = tell(home, run.report)
    click.echo(f"\nDone in {time.monotonic() - started:.0f} s")
    return 0 if well else 1


def _ui() -> int:
    with org("--live", str(_LIVE)) as env:
        click.echo(f"An emulated Salesforce org is up at {env['SALESFORCE_LOGIN_URL']}, and alive")
        click.echo("The Dagster UI comes up at http://127.0.0.1:3000; Ctrl-C ends both")
        dagster = Path(sys.executable).with_name("dagster")
        # A shell that started us in the background has SIGINT ignored, and so would Dagster; it
        # would then not end on SIGTERM either.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(  # noqa: S603 (the program of our own environment)
            [str(dagster), "dev", "-w", str(ROOT / "workspace.yaml")],
            env=os.environ | env,
        )
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the child got it, too, and ends by itself
                continue


if __name__ == "__main__":
    main()
