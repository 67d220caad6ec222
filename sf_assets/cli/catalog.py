"""`sf-assets catalog`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sf_assets.cli.output import emit, json_option, messages
from sf_assets.errors import ConfigError

if TYPE_CHECKING:
    from sf_assets.pipeline.discover import Discovery


@click.command()
@click.option("--from-org", is_flag=True, required=True, help="Ask the org what it has.")
@click.option("--include", multiple=True, metavar="PATTERN", help="Only these objects; repeatable.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Not these; repeatable.")
@click.option(
    "--start", type=click.DateTime(["%Y-%m-%d"]), help="First partition; default: a year ago."
)
@json_option
def catalog(
    from_org: bool,  # noqa: ARG001 (it says where from; more sources may come)
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    start: datetime | None,
    as_json: bool,
) -> None:
    """Write a catalogue of what the org has.

    It is printed, and written to the file that SF_ASSETS_CATALOG names unless that holds one.
    """
    from sf_assets.pipeline.discover import catalog_from_org
    from sf_assets.salesforce.client import connect
    from sf_assets.settings import load_credentials, load_settings

    path = load_settings().catalog
    now = datetime.now(UTC)
    first = start.date() if start else now.date().replace(year=now.year - 1, day=1)
    found = catalog_from_org(connect(load_credentials()), include, exclude, first)
    written = path is not None and _write(path, found.text)
    asked = {name.lower() for name in include}
    missed = [*found.unknown, *(name for name in found.left_out if name.lower() in asked)]
    if as_json:
        emit(
            {
                "ok": not missed,
                "path": path if written else None,
                "catalog": found.text,
                "left_out": found.left_out,
                "unknown": found.unknown,
            }
        )
    else:
        click.echo(found.text, nl=False)
        _tell(found, path, written=written)
    sys.exit(1 if missed else 0)


def _tell(found: "Discovery", path: Path | None, *, written: bool) -> None:
    """Say where the catalogue is, and what is not in it."""
    if written:
        messages.print(f"written to {path}", markup=False, soft_wrap=True)
    elif path:
        messages.print(
            f"{path} holds a catalogue already and is left as it is", markup=False, soft_wrap=True
        )
    for name, reason in found.left_out.items():
        messages.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
    for name, reason in found.unknown.items():
        messages.print(
            f"not known: {name}: {reason}; it is not in the catalogue: add it there, or remove the "
            "file and run again",
            style="red", markup=False, soft_wrap=True,
        )  # fmt: skip


def _write(path: Path, text: str) -> bool:
    """Write the file, unless that would overwrite somebody's catalogue.

    Raises:
        ConfigError: It cannot be written.
    """
    if path.exists() and path.read_text(encoding="utf-8").strip():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the catalogue {path} cannot be written ({error.strerror}); set SF_ASSETS_CATALOG"
        ) from None
    return True
