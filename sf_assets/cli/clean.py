"""`sf-assets clean`."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from sf_assets.cli.output import emit, json_option, org_option, show, show_errors


@click.command()
@org_option
@json_option
def clean(orgs: tuple[str, ...], as_json: bool) -> None:
    """Remove what dead runs left in the storage, and versions that raw keeps no longer."""
    from sf_assets.cli.report import chosen
    from sf_assets.pipeline.retention import expire
    from sf_assets.storage.vacuum import remove_leftovers

    rows: list[tuple[Any, ...]] = []
    document: list[dict[str, Any]] = []
    ok = True
    for org in chosen(orgs):
        for spec in org.catalog.objects.values():
            if error := expire(org.stored_raw, spec, datetime.now(UTC)):
                ok = False
                document.append({"org": org.name, "slug": spec.slug, "error": str(error)})
                show_errors({spec.slug: str(error)})
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
