"""`sf-assets refresh` and `sf-assets backfill`."""

import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, NoReturn

import click

from sf_assets.cli.output import (
    Day,
    emit,
    json_option,
    limits_text,
    messages,
    object_option,
    org_option,
    show,
    show_budget,
    show_errors,
    watching,
)
from sf_assets.naming import placed


@click.command()
@click.option(
    "--derived",
    is_flag=True,
    help="Instead of a tick, read the formulas, roll-ups and parents' fields of all rows again.",
)
@org_option
@object_option
@json_option
def refresh(derived: bool, orgs: tuple[str, ...], objects: tuple[str, ...], as_json: bool) -> None:
    """One incremental tick: what changed becomes raw, silver and gold."""
    from sf_assets.pipeline import refresh as commands

    command = commands.refresh_derived if derived else commands.refresh
    _run(
        orgs,
        objects,
        command,
        as_json=as_json,
        insists=derived or bool(objects),
    )


@click.command()
@click.option("first", "--from", type=Day(), required=True, help="First UTC day.")
@click.option("last", "--to", type=Day(), required=True, help="Last UTC day, included.")
@click.option("--plan", "only_plan", is_flag=True, help="Only say what it would cost.")
@org_option
@object_option
@json_option
def backfill(
    first: datetime,
    last: datetime,
    orgs: tuple[str, ...],
    objects: tuple[str, ...],
    *,
    only_plan: bool,
    as_json: bool,
) -> None:
    """Extract a range of days anew, and merge it."""
    from sf_assets.pipeline import refresh as commands

    if last < first:
        raise click.BadParameter("--to is before --from")
    if first.date() > datetime.now(UTC).date():
        raise click.BadParameter("--from is in the future")
    if only_plan:
        _plan(orgs, objects, first.date(), last.date(), as_json=as_json)
    _run(
        orgs,
        objects,
        lambda org, names: commands.backfill(org, names, first.date(), last.date()),
        as_json=as_json,
        insists=True,
    )


def _plan(
    orgs: tuple[str, ...], objects: tuple[str, ...], first: date, last: date, *, as_json: bool
) -> NoReturn:
    """Tell what a backfill would cost, and whether today's budget carries it."""
    from sf_assets.cli.report import chosen, each
    from sf_assets.pipeline.planning.estimate import days_needed
    from sf_assets.pipeline.refresh import plan_days

    documents: list[dict[str, Any]] = []

    def work(org: Any) -> None:
        found = plan_days(org, org.catalog.select(org.catalog.having(objects)), first, last)
        costs = found.costs(org.raw, found.failed)
        standings = org.client.budget.look()
        days = days_needed(list(costs.values()), standings)
        documents.append(
            {
                "org": org.name,
                "objects": [{"object": slug, **asdict(cost)} for slug, cost in costs.items()],
                "errors": {slug: str(error) for slug, error in found.failed.items()},
                "budget": limits_text(standings),
                "days": days,
                "calls made for this plan": org.client.budget.made,
            }
        )
        if not as_json:
            _print_plan(documents[-1], days)

    errors = each(chosen(orgs, objects), work)
    ok = not errors and not any(document["errors"] for document in documents)
    if as_json:
        emit({"ok": ok, "orgs": documents, "errors": errors})
    show_errors(errors)
    sys.exit(0 if ok else 1)


def _print_plan(document: dict[str, Any], days: int | None) -> None:
    columns = ("object", "rows", "by", "windows", "calls", "jobs", "MB")
    rows = [tuple(cost.values()) for cost in document["objects"]]
    show(f"Backfill of org {document['org']}", columns, rows)
    show_errors(document["errors"])
    show_budget(document["budget"])
    calls = sum(cost["calls"] for cost in document["objects"])
    fit = {None: "the org does not tell its budget", 1: "fits into today's budget"}
    click.echo(f"about {calls:,} calls: {fit.get(days, f'takes about {days} days')}")


def _run(
    orgs: tuple[str, ...],
    objects: tuple[str, ...],
    command: Callable[[Any, list[str]], Generator[Any]],
    *,
    as_json: bool,
    insists: bool,
) -> NoReturn:
    """Carry out a command, tell what became of it, and exit with 1 when not all was done.

    Args:
        orgs: For which orgs; all of them when none is named.
        objects: For which objects, of the orgs that have them; all when none is named.
        command: What is done for objects of an org, event by event.
        as_json: Whether to print a document.
        insists: Whether it is not enough that another run is at work on an object.
    """
    from sf_assets.cli.dagster_ui import reporting
    from sf_assets.cli.report import carry_out, chosen

    def work(org: Any) -> Generator[Any]:
        return command(org, org.catalog.having(objects))

    with reporting() as tell_dagster, watching(quiet=as_json):
        report = carry_out(chosen(orgs, objects), work, tell_dagster)
    severe = [c for c in report.checks if not c["passed"] and c["severity"] == "ERROR"]
    ok = not (report.errors or report.waiting or severe or (insists and report.left))
    if as_json:
        emit({"ok": ok, **_document(report)})
    else:
        _print_report(report)
    sys.exit(0 if ok else 1)


def _document(report: Any) -> dict[str, Any]:
    return {
        "assets": [
            {"asset": "/".join(key), **_facts(facts)} for key, facts in report.materialized.items()
        ],
        "checks": report.checks,
        "left_out": {"/".join(key): reason for key, reason in report.left_out.items()},
        "waiting": report.waiting,
        "left": report.left,
        "orphans": report.orphans,
        "errors": report.errors,
    }


_AS_BEFORE = {
    "ledger/deduplicated": "ledger/known",
    "api/calls": "api/calls of this run so far",
}
"""Keys that programs know by other names than people are shown."""


def _facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Metadata of an asset, without the schema, which the warehouse tells better."""
    return {
        _AS_BEFORE.get(n, n): v
        for n, v in facts.items()
        if n != "dagster/column_schema" and "references/" not in n
    }


def _print_report(report: Any) -> None:
    layers: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for (layer, name), facts in report.materialized.items():
        place, _, home = layer.rpartition("/")
        kind = home.partition("_")[0]
        shown = name if kind == home else f"{home}.{name}"
        layers[kind][placed(place, shown)] = facts
    if names := layers["raw"] | layers["silver"]:
        show("Objects", _OBJECT_COLUMNS, [_object_row(name, layers) for name in names])
    if layers["gold"]:
        built = [(name, facts.get("dagster/row_count")) for name, facts in layers["gold"].items()]
        show("Gold", ("table", "rows"), built)
    for score in report.quality:
        messages.print(f"quality {score}", markup=False, soft_wrap=True)
    _print_checks(report)
    if not (report.materialized or report.errors or report.waiting or report.left):
        messages.print("nothing has changed; all objects are covered")
    _print_what_is_not_done(report)


def _print_what_is_not_done(report: Any) -> None:
    for reason in report.left_out.values():
        messages.print(reason, style="yellow", markup=False, soft_wrap=True)
    for left, reason in report.left.items():
        messages.print(f"{left} is left to another run: {reason}", markup=False, soft_wrap=True)
    if report.orphans:
        verb = "is" if len(report.orphans) == 1 else "are"
        told = f"{', '.join(report.orphans)} {verb} made by nothing any more"
        messages.print(f"{told}; `sf-assets status` says what to do", markup=False, soft_wrap=True)
    for waiting, reason in _once(report.waiting):
        verb = "wait" if ", " in waiting else "waits"
        messages.print(f"{waiting} {verb}: {reason}", markup=False, soft_wrap=True)
    show_errors(dict(_once(report.errors)))


def _once(reasons: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each reason once, with the names of all that it concerns."""
    for reason in dict.fromkeys(reasons.values()):
        yield ", ".join(name for name, its in reasons.items() if its == reason), reason


def _print_checks(report: Any) -> None:
    bad = [check for check in report.checks if not check["passed"]]
    alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for check in bad:
        why = _formatted(check["facts"])
        alike[check["asset"], check["severity"], why].append(check["check"])
    if alike:
        rows = [(asset, ", ".join(names), *rest) for (asset, *rest), names in alike.items()]
        show("Checks that did not pass", ("asset", "check", "severity", "facts"), rows)
    if report.checks:
        messages.print(f"{len(report.checks) - len(bad)} of {len(report.checks)} checks passed")


def _formatted(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in facts.items() if name != "sql")


_OBJECT_COLUMNS = (
    "object", "read", "deduplicated", "inserted", "updated", "unchanged", "stale", "rejected",
    "live rows", "seconds",
)  # fmt: skip


def _object_row(name: str, layers: dict[str, dict[str, dict[str, Any]]]) -> tuple[Any, ...]:
    raw, silver = layers["raw"].get(name, {}), layers["silver"].get(name, {})
    return (
        name,
        raw.get("ledger/parsed"),
        raw.get("ledger/deduplicated"),
        silver.get("ledger/inserted"),
        silver.get("ledger/updated"),
        silver.get("ledger/unchanged"),
        silver.get("ledger/stale"),
        silver.get("ledger/rejected values"),
        silver.get("dagster/row_count"),
        raw.get("seconds"),
    )
