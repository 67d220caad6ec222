"""`sf-assets catalog`."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sf_assets.cli.output import Day, emit, json_option, messages
from sf_assets.errors import ConfigError

if TYPE_CHECKING:
    from sf_assets.pipeline.discovery.catalog_diff import CatalogDiff
    from sf_assets.pipeline.discovery.discover import Discovery
    from sf_assets.salesforce.client import Client


@click.command()
@click.option("--from-org", is_flag=True, required=True, help="Ask the org what it has.")
@click.option("--include", multiple=True, metavar="PATTERN", help="Only these objects; repeatable.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Not these; repeatable.")
@click.option(
    "--start",
    type=Day(),
    help="First partition of all objects; default: where the records of each begin.",
)
@click.option("--force", is_flag=True, help="Write over the catalogue that is there.")
@json_option
def catalog(
    *,
    from_org: bool,  # noqa: ARG001 (it says where from; more sources may come)
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    start: datetime | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a catalogue of what the org has.

    It is printed, and written to the file that SF_ASSETS_CATALOG names. If that holds a catalogue,
    what is different is told, and the file is left as it is unless --force is given. Of a catalogue
    that names orgs, all of these are asked, and the new one is for all of them.
    """
    from sf_assets.pipeline.discovery.catalog_diff import comments_alone, compare
    from sf_assets.pipeline.discovery.discover import catalog_from_orgs
    from sf_assets.settings import load_settings

    path = load_settings().catalog
    first = _first(start)
    found = catalog_from_orgs(_clients(path), include, exclude, first)
    comments = comments_alone(path) if path else None
    diff = compare(path, found) if path and comments is None else None
    is_written = path is not None and (diff is None or (force and not diff.unknown))
    if not as_json:
        click.echo(found.text, nl=False)
        _print_report(*_missing(found), *(_differences(diff) if diff else ()))
    if path and is_written:
        _write(path, (comments or "") + found.text)
    if not as_json and path:
        _print_report(_outcome(path, diff, written=is_written))
    asked = {name.lower() for name in include}
    missed = [*found.unknown, *(name for name in found.left_out if name.lower() in asked)]
    if as_json:
        emit({"ok": not missed, "path": path if is_written else None} | _document(found, diff))
    sys.exit(1 if missed else 0)


def _clients(path: Path | None) -> "dict[str, Client]":
    """The orgs to ask: those that the user's catalogue names, or the only one."""
    from sf_assets.catalog_file import load_catalog, orgs_named
    from sf_assets.naming import ONLY
    from sf_assets.pipeline.org import org_of_environment
    from sf_assets.settings import environment, load_settings

    env = environment()
    names: tuple[str, ...] = ()
    with suppress(ConfigError):  # there is none yet, or it is told below what is wrong with it
        names = orgs_named(path) if path else ()
    orgs = [
        org_of_environment(name, load_catalog(), load_settings(env), env)
        for name in names or (ONLY,)
    ]
    return {org.name: org.client for org in orgs}


def _first(start: datetime | None) -> date | None:
    """The first partition of all objects, where the user says it."""
    from sf_assets.catalog import checked_start

    try:
        return checked_start(start.date()) if start else None
    except ValueError as error:
        raise click.BadParameter(f"--start: {error}") from None


def _document(found: "Discovery", diff: "CatalogDiff | None") -> dict[str, Any]:
    objects = {
        name: {
            "label": one.label,
            "grain": one.partitioning.grain,
            "start": one.partitioning.start,
            "records": one.activity.records,
            "changed_in_a_month": one.activity.lately,
            "reason": one.reason,
        }
        for name, one in found.objects.items()
    }
    return {
        "catalog": found.text,
        "partitions": found.partitions,
        "objects": objects,
        "left_out": found.left_out,
        "unknown": found.unknown,
        "diff": diff and asdict(diff),
    }


def _print_report(*lines: str) -> None:
    for line in lines:
        messages.print(line, markup=False, soft_wrap=True)


def _missing(found: "Discovery") -> Iterator[str]:
    for name, reason in found.left_out.items():
        yield f"left out: {name}: {reason}"
    for name, reason in found.unknown.items():
        yield f"not known: {name}: {reason}; it is not in the catalogue: run again, or add it there"


def _outcome(path: Path, diff: "CatalogDiff | None", *, written: bool) -> str:
    if written:
        return f"written to {path}"
    if diff and diff.unknown:
        return f"{path} is left as it is: nothing could be found out of {', '.join(diff.unknown)}"
    return f"{path} holds a catalogue already and is left as it is; --force writes over it"


def _differences(diff: "CatalogDiff") -> Iterator[str]:
    for name in diff.new:
        yield f"new: {name}"
    for name, reason in diff.gone.items():
        yield f"gone: {name}: {reason}"
    for name, settings in diff.changed.items():
        news = ", ".join(f"{setting} {old} → {new}" for setting, (old, new) in settings.items())
        yield f"changed: {name}: {news}"
    for place in diff.lost:
        yield f"lost if written over: {place}"


def _write(path: Path, text: str) -> None:
    """Write the file.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the catalogue {path} cannot be written ({error.strerror}); set SF_ASSETS_CATALOG"
        ) from None
