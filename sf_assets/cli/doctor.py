"""`sf-assets doctor`."""

import sys

import click

from sf_assets.cli.output import emit, json_option, show


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Test every connection and permission, and say what to do."""
    from sf_assets.assets.gold import gold_tables
    from sf_assets.pipeline.doctor import Diagnosis, examine
    from sf_assets.pipeline.org import load_orgs

    orgs = load_orgs()
    catalog = orgs[0].catalog
    found = {
        "": [
            Diagnosis(
                "catalogue", ok=True, detail=f"{catalog.path}, {len(catalog.objects)} objects"
            ),
            Diagnosis(
                "gold", ok=True, detail=f"{len(gold_tables(catalog))} tables in {catalog.gold}"
            ),
        ]
    } | {org.name: list(examine(org)) for org in orgs}
    rows = [(org, d.what, d.ok, d.detail) for org, some in found.items() for d in some]
    ok = all(row[2] for row in rows)
    if as_json:
        names = ("org", "what", "ok", "detail")
        emit({"ok": ok, "diagnoses": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        show("Doctor", ("org", "what", "ok", "detail"), rows)
    sys.exit(0 if ok else 1)
