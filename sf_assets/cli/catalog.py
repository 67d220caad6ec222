"""`sf-assets catalog`."""

from datetime import UTC, datetime
from pathlib import Path

import click

from sf_assets.cli.output import emit, json_option, messages
from sf_assets.errors import ConfigError


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
    text = catalog_from_org(connect(load_credentials()), include, exclude, first)
    written = path is not None and _write(path, text)
    if as_json:
        emit({"ok": True, "path": path if written else None, "catalog": text})
        return
    click.echo(text, nl=False)
    if written:
        messages.print(f"written to {path}", markup=False, soft_wrap=True)
    elif path:
        messages.print(
            f"{path} holds a catalogue already and is left as it is", markup=False, soft_wrap=True
        )


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
