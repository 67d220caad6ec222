"""`sf-assets doctor`."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sf_assets.cli.output import emit, json_option, org_option, show
from sf_assets.errors import ConfigError, SfAssetsError

if TYPE_CHECKING:
    from sf_assets.catalog import Catalog
    from sf_assets.pipeline.doctor import Diagnosis
    from sf_assets.pipeline.org import Org


@click.command()
@org_option
@json_option
def doctor(orgs: tuple[str, ...], as_json: bool) -> None:
    """Test every connection and permission, and say what to do."""
    from sf_assets.pipeline.doctor import examine

    general, some, whole = _catalogue(orgs)
    found = {"": general} | {org.name: list(examine(org, objects=whole)) for org in some}
    rows = [(org, d.what, d.ok, d.detail) for org, some in found.items() for d in some]
    ok = all(row[2] for row in rows)
    if as_json:
        names = ("org", "what", "ok", "detail")
        emit({"ok": ok, "diagnoses": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        show("Doctor", ("org", "what", "ok", "detail"), rows)
    sys.exit(0 if ok else 1)


def _catalogue(names: tuple[str, ...]) -> tuple[list["Diagnosis"], list["Org"], bool]:
    """What is to be said of the catalogue, its orgs, and whether there is one at all.

    Without one, the org of the environment can be examined all the same.
    """
    from sf_assets.catalog_file import load_catalog
    from sf_assets.cli.report import chosen
    from sf_assets.naming import ONLY
    from sf_assets.pipeline.doctor import Diagnosis
    from sf_assets.pipeline.org import org_of_environment
    from sf_assets.settings import environment, load_settings

    settings = load_settings()
    try:
        catalog = load_catalog(settings.catalog)
        orgs = chosen(names)
    except ConfigError as error:
        if names:
            raise
        org = org_of_environment(ONLY, load_catalog(), settings, environment())
        return [Diagnosis("catalogue", ok=False, detail=str(error))], [org], False
    diagnoses = [
        Diagnosis(
            "catalogue",
            ok=True,
            detail=f"{catalog.path}, {len(catalog.known or catalog.objects)} objects",
        )
    ]
    return [*diagnoses, *_gold(catalog)], orgs, True


def _gold(catalog: "Catalog") -> Iterator["Diagnosis"]:
    """How many gold tables there are, which packaged ones are left out, and which are refused."""
    from sf_assets.pipeline.doctor import Diagnosis
    from sf_assets.pipeline.gold.files import gold_tables, tables_left_out

    refused: dict[str, SfAssetsError] = {}
    try:
        count, left_out = len(gold_tables(catalog, refused)), tables_left_out(catalog)
    except SfAssetsError as error:
        yield Diagnosis("gold", ok=False, detail=str(error))
        return
    yield Diagnosis("gold", ok=True, detail=_told(catalog, count, left_out))
    for why in refused.values():
        yield Diagnosis("gold", ok=False, detail=str(why))


def _told(catalog: "Catalog", count: int, left_out: list[str]) -> str:
    if not left_out:
        return f"{count} tables in {catalog.gold}"
    return (
        f"{count} of {count + len(left_out)} tables in {catalog.gold}; left out, as the catalogue "
        f"lacks objects that they read: {', '.join(left_out)}"
    )
