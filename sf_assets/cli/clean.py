"""`sf-assets clean`."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime

import click

from sf_assets.cli.output import emit, json_option, org_option, show


@click.command()
@org_option
@json_option
def clean(orgs: tuple[str, ...], as_json: bool) -> None:
    """Remove what dead runs left in the storage: no reader has ever seen it."""
    from sf_assets.cli.report import chosen
    from sf_assets.storage.vacuum import remove_leftovers

    rows, document, ok = [], [], True
    for org in chosen(orgs):
        for found in remove_leftovers(org.stored_raw, datetime.now(UTC)):
            ok = ok and (found.waits or found.error is None)
            note = str(found.error) if found.error else ""
            megabytes = round(found.bytes / 1e6, 1)
            rows.append((org.name, found.slug, found.files, megabytes, found.slices, note))
            document.append({"org": org.name, **asdict(found), "error": note or None})
    if as_json:
        emit({"ok": ok, "objects": document})
    else:
        columns = ("org", "object", "files", "MB", "replaced slices", "")
        show("Removed", columns, rows)
    sys.exit(0 if ok else 1)
