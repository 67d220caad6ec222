"""`sf-assets reconcile` and `sf-assets rebuild`."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click

from sf_assets.cli.output import (
    emit,
    json_option,
    messages,
    object_option,
    org_option,
    show,
    show_errors,
    warehouse_option,
    watching,
)
from sf_assets.errors import SfAssetsError
from sf_assets.naming import ONLY, placed

_MOST_DAYS = 10


@click.command()
@click.option("--repair", is_flag=True, help="Read what differs again, and record deletions.")
@click.option(
    "--accept-deletions",
    is_flag=True,
    help="With --repair: believe that a large share of the records is gone.",
)
@click.option(
    "--all-fields",
    is_flag=True,
    help="Compare all fields of all records, not of a sample: reads the objects whole.",
)
@org_option
@object_option
@warehouse_option
@json_option
def reconcile(
    orgs: tuple[str, ...],
    objects: tuple[str, ...],
    warehouses: tuple[str, ...],
    *,
    as_json: bool,
    repair: bool,
    accept_deletions: bool,
    all_fields: bool,
) -> None:
    """Compare the org and silver, record by record; exit 1 when they differ."""
    from sf_assets.cli.report import chosen, each, each_place

    rows: list[tuple[Any, ...]] = []
    document: list[dict[str, Any]] = []
    errors: dict[str, str] = {}

    def work(place: Any) -> None:
        how = {"repair": repair, "accept": accept_deletions, "everything": all_fields}
        for found in _compared(place, place.catalog.having(objects), **how):
            rows.append((place.name, placed(place.place, found.slug), *_reconciled_row(found)))
            facts = asdict(found) | {"error": found.error, "equal": found.equal}
            del facts["gone"]
            names = {"org_name": place.name, "warehouse": place.warehouse_name}
            document.append(names | facts)

    with watching(quiet=as_json):
        found = chosen(orgs, objects)
        errors |= each(found, lambda org: errors.update(each_place(org, work, warehouses)))
    ok = not errors and all(item["equal"] for item in document)
    if as_json:
        emit({"ok": ok, "objects": document, "errors": errors})
    else:
        counts = ("records in the org", "in silver", "all fields of")
        show("Reconciliation", ("org", "object", "horizon (UTC)", *counts, "outcome"), rows)
        days = [
            (i["org_name"], i["warehouse"], i["slug"], *d.values())
            for i in document
            for d in i["differences"]
        ]
        if days:
            columns = (
                "org", "warehouse", "object", "day", "records in the org", "in silver",
                "same digest",
            )  # fmt: skip
            show("Days that differ", columns, days[:_MOST_DAYS])
        if len(days) > _MOST_DAYS:
            messages.print(f"and {len(days) - _MOST_DAYS:,} days more, with --json all of them")
        show_errors(errors)
    sys.exit(0 if ok else 1)


def _compared(
    org: Any, objects: Sequence[str], *, repair: bool, accept: bool, everything: bool
) -> Iterator[Any]:
    """Each object as it stands, after the repair if there is one."""
    from sf_assets.pipeline.extraction.repair import Repair
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.planning.due import left_out
    from sf_assets.pipeline.reconciliation.reconcile import reconcile as compare

    specs = org.catalog.select(objects)
    for slug, why in ({} if objects else left_out(org, {spec.slug for spec in specs})).items():
        specs = [spec for spec in specs if spec.slug != slug]
        messages.print(f"{slug} is left out: {why}", markup=False, soft_wrap=True)
    if repair and org.place:  # it may have been away, and what was read is not to be read again
        for spec in specs:
            load(org, org.raw, spec.slug)
    if not repair:
        yield from compare(org, specs, everything=everything)
        return
    for found in compare(org, specs, Repair(org, accept=accept), everything=everything):
        spec = next(spec for spec in specs if spec.slug == found.slug)
        try:
            load(org, org.raw, spec.slug)
        except SfAssetsError as error:
            found.error = found.error or error
        again = bool(found.kinds) and not found.error
        yield next(iter(compare(org, [spec], everything=everything))) if again else found
    org.warehouse.publish()


def _reconciled_row(found: Any) -> tuple[Any, ...]:
    compared = found.compared.records if found.compared else None
    return (found.horizon, found.org, found.silver, compared, _outcome(found))


def _outcome(found: Any) -> str:
    if found.error:
        return str(found.error)
    told = []
    if found.kinds and not found.equal:
        told.append(", ".join(f"{count} {kind}" for kind, count in found.kinds.items()))
    if found.unasked:
        told.append(f"{found.unasked} of those gone since deletions were last asked for")
    if found.examples:
        told.append(f"such as {', '.join(found.examples)}")
    for what, fields in (("differ", "changed"), ("derived, to be read again", "derived")):
        if found.compared and (names := getattr(found.compared, fields)):
            told.append(f"{what}: {', '.join(names)}")
    if found.replayed:
        told.append(f"{found.replayed} are not what raw says; run `sf-assets rebuild`")
    if found.standing:
        told.append(found.standing)
    return "; ".join(told if not found.equal else ["equal", *told])


@click.command()
@org_option
@object_option
@warehouse_option
@json_option
def rebuild(
    orgs: tuple[str, ...], objects: tuple[str, ...], warehouses: tuple[str, ...], as_json: bool
) -> None:
    """Make silver anew from raw alone; the org is not asked."""
    from sf_assets.cli.report import chosen, each, each_place
    from sf_assets.pipeline.load import quarantine_if_damaged
    from sf_assets.pipeline.load import rebuild as make_anew
    from sf_assets.pipeline.publish import publish
    from sf_assets.pipeline.unite import unite

    rows: list[tuple[Any, ...]] = []
    errors: dict[str, str] = {}

    def work(org: Any) -> None:
        if aside := quarantine_if_damaged(org):
            messages.print(
                f"the warehouse was damaged; it is {aside} now, and a new one is made: run "
                "`sf-assets refresh` afterwards for gold and objects not named here",
                markup=False,
                soft_wrap=True,
            )
        for spec in org.catalog.select(org.catalog.having(objects)):
            try:
                made = make_anew(org, org.stored_raw, spec.slug)
                told = made.slices, made.outcome.rows_in, made.rows
                rows.append((org.name, org.warehouse_name, spec.slug, *told))
            except SfAssetsError as error:
                name = placed(org.place, spec.slug)
                errors[name if org.name == ONLY else f"{org.name}/{name}"] = str(error)
        errors.update(
            {placed(org.place, f.object): str(f.error) for f in (*unite(org), *publish(org))}
        )

    with watching(quiet=as_json):
        found = chosen(orgs, objects)
        errors |= each(found, lambda org: errors.update(each_place(org, work, warehouses)))
    names = ("org", "warehouse", "object", "slices", "versions", "live rows")
    if as_json:
        objects_made = [dict(zip(names, row, strict=True)) for row in rows]
        emit({"ok": not errors, "objects": objects_made, "errors": errors})
    else:
        show("Rebuilt from raw", names, rows)
        show_errors(errors)
    sys.exit(1 if errors else 0)
