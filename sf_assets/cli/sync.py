"""`sf-assets refresh` and `sf-assets backfill`."""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from sf_assets.cli.output import emit, json_option, messages, object_option, show, watching

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option(
    "--derived",
    is_flag=True,
    help="Instead of a tick, read the formulas, roll-ups and parents' fields of all rows again.",
)
@object_option
@json_option
def refresh(derived: bool, objects: tuple[str, ...], as_json: bool) -> None:
    """One incremental tick: what changed becomes raw, silver and gold."""
    from sf_assets.assets import commands

    command = commands.refresh_derived if derived else commands.refresh
    _run(lambda runner, catalog: command(runner, catalog, objects), as_json=as_json)


@click.command()
@click.option("first", "--from", type=_DAY, required=True, help="First UTC day.")
@click.option("last", "--to", type=_DAY, required=True, help="Last UTC day, included.")
@object_option
@json_option
def backfill(first: datetime, last: datetime, objects: tuple[str, ...], as_json: bool) -> None:
    """Extract a range of days anew, and merge it."""
    from sf_assets.assets import commands

    if last < first:
        raise click.BadParameter("--to is before --from")
    _run(
        lambda runner, catalog: commands.backfill(
            runner, catalog, objects, first.date(), last.date()
        ),
        as_json=as_json,
    )


def _run(command: Callable[[Any, Any], None], *, as_json: bool) -> None:
    """Run assets, tell what became of them, and exit with 1 when any failed."""
    from sf_assets.assets.running import runner
    from sf_assets.catalog import load_catalog
    from sf_assets.settings import load_settings

    catalog = load_catalog(load_settings().catalog)
    with runner() as run, watching(quiet=as_json):
        command(run, catalog)
    report = run.report
    severe = [c for c in report.checks if not c["passed"] and c["severity"] == "ERROR"]
    ok = not report.errors and not severe
    if as_json:
        emit({"ok": ok, **_document(report)})
    else:
        _tell(report)
    sys.exit(0 if ok else 1)


def _document(report: Any) -> dict[str, Any]:
    return {
        "assets": [
            {"asset": "/".join(key), **_facts(facts)} for key, facts in report.materialized.items()
        ],
        "checks": report.checks,
        "errors": report.errors,
    }


def _facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Metadata of an asset, without the schema, which the warehouse tells better."""
    return {
        n: v for n, v in facts.items() if n != "dagster/column_schema" and "references/" not in n
    }


def _tell(report: Any) -> None:
    layers: dict[str, dict[str, dict[str, Any]]] = {"raw": {}, "silver": {}, "gold": {}}
    for (layer, name), facts in report.materialized.items():
        kind = layer.partition("_")[0]
        layers[kind][name if kind == layer else f"{layer}.{name}"] = facts
    names = layers["raw"] | layers["silver"]
    if names:
        show("Objects", _OBJECT_COLUMNS, [_object_row(name, layers) for name in names])
    if layers["gold"]:
        built = [(name, facts.get("dagster/row_count")) for name, facts in layers["gold"].items()]
        show("Gold", ("table", "rows"), built)
    bad = [c for c in report.checks if not c["passed"]]
    if bad:
        rows = [
            (
                c["asset"],
                c["check"],
                c["severity"],
                ", ".join(f"{n}: {v}" for n, v in c["facts"].items()),
            )
            for c in bad
        ]
        show("Checks that did not pass", ("asset", "check", "severity", "facts"), rows)
    if not report.materialized and not report.errors:
        messages.print("nothing has changed; all objects are covered")
    elif report.checks:
        messages.print(f"{len(report.checks) - len(bad)} of {len(report.checks)} checks passed")
    for name, error in report.errors.items():
        messages.print(f"{name}: {error}", style="red", markup=False, soft_wrap=True)


_OBJECT_COLUMNS = (
    "object", "read", "known", "inserted", "updated", "unchanged", "stale", "rejected", "live rows",
    "seconds",
)  # fmt: skip


def _object_row(name: str, layers: dict[str, dict[str, dict[str, Any]]]) -> tuple[Any, ...]:
    raw, silver = layers["raw"].get(name, {}), layers["silver"].get(name, {})
    return (
        name,
        raw.get("ledger/parsed"),
        raw.get("ledger/known"),
        silver.get("ledger/inserted"),
        silver.get("ledger/updated"),
        silver.get("ledger/unchanged"),
        silver.get("ledger/stale"),
        silver.get("ledger/rejected values"),
        silver.get("dagster/row_count"),
        raw.get("seconds"),
    )
