"""`sf-assets status`, `sf-assets reconcile` and `sf-assets rebuild`."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from sf_assets.cli.output import (
    emit,
    json_option,
    limits_text,
    messages,
    object_option,
    show,
    show_budget,
    watching,
)
from sf_assets.errors import SfAssetsError
from sf_assets.naming import ONLY

_GOLD = ("name", "state", "built_at", "rows", "why")
"""What is told of a gold table."""


@click.command()
@object_option
@json_option
def status(objects: tuple[str, ...], as_json: bool) -> None:
    """Where every object and gold table stands, and what is left of the API budget."""
    from sf_assets.pipeline.gold.due import GoldState, GoldStatus, gold_due
    from sf_assets.pipeline.gold.files import gold_tables
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.orphans import orphans
    from sf_assets.pipeline.status import budget, tick_minutes
    from sf_assets.pipeline.status import status as ask

    document: dict[str, Any] = {"ok": True, "orgs": []}
    for org in load_orgs():
        found = ask(org, org.catalog.select(objects))
        refused: dict[str, SfAssetsError] = {}
        gold = gold_due(org, gold_tables(org.catalog, refused), datetime.now(UTC))
        gold += [GoldStatus(name, GoldState.REFUSED, why=str(e)) for name, e in refused.items()]
        made_no_more = orphans(org)
        left = budget(org)
        told = str(left) if isinstance(left, SfAssetsError) else limits_text(left)
        minutes = tick_minutes(org)
        document["orgs"].append(
            {
                "org": org.name,
                "objects": list(map(asdict, found)),
                "gold": [{name: getattr(table, name) for name in _GOLD} for table in gold],
                "orphans": made_no_more,
                "budget": told,
                "tick_minutes": minutes,
            }
        )
        failed = bool(refused) or any(item.error for item in found)
        document["ok"] = document["ok"] and not failed
        if as_json:
            continue
        columns = (
            "object", "watermark (UTC)", "lag (s)", "slices", "unmerged", "live rows", "failing",
            "error",
        )  # fmt: skip
        show(f"Org {org.name}", columns, [tuple(asdict(item).values()) for item in found])
        if gold:
            names = ("table", "state", "built (UTC)", "rows", "why")
            show("Gold", names, [tuple(getattr(table, n) for n in _GOLD) for table in gold])
        if made_no_more:
            show("Tables that nothing makes any more", ("table", "why"), [*made_no_more.items()])
        if isinstance(left, SfAssetsError):
            click.echo(f"API budget: not known, {left}")
        else:
            show_budget(limits_text(left))
        click.echo(f"a tick every {minutes} minutes")
    if as_json:
        emit(document)
    sys.exit(0 if document["ok"] else 1)


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
@object_option
@json_option
def reconcile(
    objects: tuple[str, ...], as_json: bool, repair: bool, accept_deletions: bool, all_fields: bool
) -> None:
    """Compare the org and silver, record by record; exit 1 when they differ."""
    from sf_assets.cli.report import each
    from sf_assets.pipeline.org import load_orgs

    rows: list[tuple[Any, ...]] = []
    document: list[dict[str, Any]] = []

    def work(org: Any) -> None:
        how = {"repair": repair, "accept": accept_deletions, "everything": all_fields}
        for found in _compared(org, objects, **how):
            rows.append((org.name, *_reconciled_row(found)))
            facts = asdict(found) | {"error": found.error, "equal": found.equal}
            del facts["gone"]
            document.append({"org_name": org.name, **facts})

    with watching(quiet=as_json):
        errors = each(load_orgs(), work)
    ok = not errors and all(item["equal"] for item in document)
    if as_json:
        emit({"ok": ok, "objects": document, "errors": errors})
    else:
        counts = ("records in the org", "in silver", "all fields of")
        show("Reconciliation", ("org", "object", "horizon (UTC)", *counts, "outcome"), rows)
        days = [(i["org_name"], i["slug"], *d.values()) for i in document for d in i["differences"]]
        if days:
            columns = ("org", "object", "day", "records in the org", "in silver", "same digest")
            show("Days that differ", columns, days)
        _print_errors(errors)
    sys.exit(0 if ok else 1)


def _print_errors(errors: Mapping[str, str]) -> None:
    for name, reason in errors.items():
        messages.print(f"{name}: {reason}", style="red", markup=False, soft_wrap=True)


def _compared(
    org: Any, objects: tuple[str, ...], *, repair: bool, accept: bool, everything: bool
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
    return (found.slug, found.horizon, found.org, found.silver, compared, _outcome(found))


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
@object_option
@json_option
def rebuild(objects: tuple[str, ...], as_json: bool) -> None:
    """Make silver anew from raw alone; the org is not asked."""
    from sf_assets.pipeline.load import quarantine_if_damaged
    from sf_assets.pipeline.load import rebuild as make_anew
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.pipeline.publish import publish

    rows, errors = [], {}
    for org in load_orgs():
        if aside := quarantine_if_damaged(org):
            messages.print(
                f"the warehouse was damaged; it is {aside} now, and a new one is made: run "
                "`sf-assets refresh` afterwards for gold and objects not named here",
                markup=False,
                soft_wrap=True,
            )
        with watching(quiet=as_json):
            for spec in org.catalog.select(objects):
                try:
                    made = make_anew(org, org.stored_raw, spec.slug)
                    rows.append((org.name, spec.slug, made.slices, made.outcome.rows_in, made.rows))
                except SfAssetsError as error:
                    name = spec.slug if org.name == ONLY else f"{org.name}/{spec.slug}"
                    errors[name] = str(error)
            errors |= {failed.object: str(failed.error) for failed in publish(org)}
    names = ("org", "object", "slices", "versions", "live rows")
    if as_json:
        objects_made = [dict(zip(names, row, strict=True)) for row in rows]
        emit({"ok": not errors, "objects": objects_made, "errors": errors})
    else:
        show("Rebuilt from raw", names, rows)
        _print_errors(errors)
    sys.exit(1 if errors else 0)
