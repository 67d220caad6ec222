"""`sf-assets forget`."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from sf_assets.cli.output import (
    emit,
    json_option,
    messages,
    org_option,
    show,
    show_errors,
    watching,
)


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
    document = _document(found, home, errors)
    if as_json:
        emit(document)
    else:
        _print(document, ids)
    sys.exit(0 if document["ok"] else 1)


def _document(found: list[tuple[str, Any]], home: Any, failed: dict[str, str]) -> dict[str, Any]:
    """What became of it in all orgs, and in Dagster's home, which is searched if there is one."""
    places = [*found, ("Dagster", home)]
    unsearched = {f"{org}: {p}": why for org, one in found for p, why in one.not_searched.items()}
    errors = failed | {
        f"{org}: {place}": str(error) for org, one in places for place, error in one.errors.items()
    }
    remains = _rows((org, one.remains) for org, one in places)
    ok = bool(found) and not (errors or remains or unsearched)
    if home.not_searched:
        unsearched["Dagster's home"] = home.not_searched
    return {
        "ok": ok,
        "records": max((one.records for _, one in found), default=0),
        "removed": _rows((org, one.removed) for org, one in places),
        "remains": remains,
        "not_searched": unsearched,
        "errors": errors,
    }


def _rows(found: Iterable[tuple[str, Mapping[str, int | None]]]) -> list[dict[str, Any]]:
    return [
        {"org": org, "place": place, "rows": rows}
        for org, places in found
        for place, rows in places.items()
    ]


def _print(document: dict[str, Any], ids: tuple[str, ...]) -> None:
    columns = ("org", "place", "rows")
    for title, name in (("Removed, or emptied where it led there", "removed"),
                        ("Still found", "remains")):  # fmt: skip
        if document[name] or name == "removed":
            show(title, columns, [tuple(row.values()) for row in document[name]])
    show_errors(document["errors"])
    for place, reason in document["not_searched"].items():
        messages.print(f"{place}: not searched: {reason}", markup=False, soft_wrap=True)
    if document["ok"]:
        home = "" if document["not_searched"] else " and Dagster's home"
        none = "" if document["removed"] else f"no record {', '.join(ids)} was found anywhere: "
        told = f"{none}a search of storage and warehouse{home} finds none of them"
        messages.print(told, soft_wrap=True)
