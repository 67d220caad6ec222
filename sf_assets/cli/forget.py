"""`sf-assets forget`."""

import sys
from typing import Any

import click

from sf_assets.cli.output import emit, json_option, messages, org_option, show, watching


@click.command()
@click.option("name", "--object", required=True, metavar="NAME", help="Object of the records.")
@click.option(
    "ids", "--id", multiple=True, required=True, metavar="ID", help="Id of a record; repeatable."
)
@org_option
@json_option
def forget(name: str, ids: tuple[str, ...], orgs: tuple[str, ...], as_json: bool) -> None:
    """Remove records that the org has no more from raw, tables and notes; exit 1 if any is left."""
    from sf_assets.cli.dagster_home import Home, forget_in_home
    from sf_assets.cli.report import chosen, each
    from sf_assets.pipeline.forget import forget as carry_out
    from sf_assets.pipeline.forgotten import all_forms

    found: list[tuple[str, Any]] = []

    def work(org: Any) -> None:
        (spec,) = org.catalog.select([name])
        found.append((org.name, carry_out(org, spec, ids)))

    with watching(quiet=as_json):
        errors = each(chosen(orgs, [name]), work)
    home = forget_in_home(all_forms(ids)) if found else Home()
    rows = [(org, place, n) for org, one in found for place, n in one.removed.items()]
    remains = [(org, place, n) for org, one in found for place, n in one.remains.items()]
    rows += [("Dagster", place, n) for place, n in home.removed.items()]
    remains += [("Dagster", place, n) for place, n in home.remains.items()]
    for org, one in found:
        errors |= {f"{org}: {place}": str(error) for place, error in one.errors.items()}
    errors |= {f"Dagster: {place}": reason for place, reason in home.errors.items()}
    unsearched = {f"{org}: {p}": why for org, one in found for p, why in one.not_searched.items()}
    ok = bool(found) and not (errors or remains or unsearched)
    if home.not_searched:
        unsearched["Dagster's home"] = home.not_searched
    if as_json:
        columns = ("org", "place", "rows")
        emit(
            {
                "ok": ok,
                "records": max((one.records for _, one in found), default=0),
                "removed": [dict(zip(columns, row, strict=True)) for row in rows],
                "remains": [dict(zip(columns, row, strict=True)) for row in remains],
                "not_searched": unsearched,
                "errors": errors,
            }
        )
    else:
        show("Removed, or emptied where it led there", ("org", "place", "rows"), rows)
        if remains:
            show("Still found", ("org", "place", "rows"), remains)
        for place, reason in errors.items():
            messages.print(f"{place}: {reason}", style="red", markup=False, soft_wrap=True)
        for place, reason in unsearched.items():
            messages.print(f"{place}: not searched: {reason}", markup=False, soft_wrap=True)
        if ok:
            searched = "storage and warehouse" + (
                "" if home.not_searched else " and Dagster's home"
            )
            none = "" if rows else f"no record {', '.join(ids)} was found anywhere: "
            messages.print(f"{none}a search of {searched} finds none of them", soft_wrap=True)
    sys.exit(0 if ok else 1)
