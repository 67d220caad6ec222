"""`sf-assets status`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from sf_assets.cli.output import (
    emit,
    json_option,
    limits_text,
    object_option,
    org_option,
    show,
    show_budget,
    show_errors,
)
from sf_assets.errors import SfAssetsError

_GOLD = ("name", "state", "built_at", "rows", "why")
"""What is told of a gold table."""


@click.command()
@org_option
@object_option
@json_option
def status(orgs: tuple[str, ...], objects: tuple[str, ...], as_json: bool) -> None:
    """Where every object and gold table stands, and what is left of the API budget."""
    from sf_assets.cli.report import chosen, each

    found: list[dict[str, Any]] = []

    def work(org: Any) -> None:
        found.append(_standing(org, org.catalog.having(objects)))
        if not as_json:
            _print(found[-1])

    errors = each(chosen(orgs, objects), work)
    ok = not errors and all(org["ok"] for org in found)
    if as_json:
        emit({"ok": ok, "orgs": found, "errors": errors})
    show_errors(errors)
    sys.exit(0 if ok else 1)


def _standing(org: Any, objects: Sequence[str]) -> dict[str, Any]:
    """Where an org stands, in the first of its warehouses and in each."""
    from sf_assets.cli.report import each_place
    from sf_assets.pipeline.status import budget, tick_minutes

    warehouses: list[dict[str, Any]] = []
    errors = each_place(org, lambda place: warehouses.append(_standing_in(place, objects)))
    nothing: dict[str, Any] = {"objects": [], "gold": [], "orphans": {}}
    first = next((w for w in warehouses if w["warehouse"] == org.warehouse_name), nothing)
    left = budget(org)
    return {
        "org": org.name,
        "ok": not errors and all(one["ok"] for one in warehouses),
        **{name: first[name] for name in nothing},
        "warehouses": warehouses,
        "errors": errors,
        "budget": str(left) if isinstance(left, SfAssetsError) else limits_text(left),
        "tick_minutes": tick_minutes(org),
    }


def _standing_in(org: Any, objects: Sequence[str]) -> dict[str, Any]:
    """Where an org stands in one warehouse."""
    from sf_assets.pipeline.gold.due import GoldState, GoldStatus, gold_due
    from sf_assets.pipeline.gold.files import gold_tables, tables_left_out
    from sf_assets.pipeline.orphans import orphans
    from sf_assets.pipeline.status import status as ask

    found = ask(org, org.catalog.select(objects))
    refused: dict[str, SfAssetsError] = {}
    tables = gold_tables(org.catalog, refused, org.warehouse.engine)
    gold = gold_due(org, tables, datetime.now(UTC), refused)
    lacking = "the catalogue lacks objects that it reads"
    gold += [
        GoldStatus(name, GoldState.LEFT_OUT, why=lacking) for name in tables_left_out(org.catalog)
    ]
    return {
        "warehouse": org.warehouse_name,
        "ok": not refused and not any(item.error for item in found),
        "objects": list(map(asdict, found)),
        "gold": [{name: getattr(table, name) for name in _GOLD} for table in gold],
        "orphans": orphans(org),
    }


_COLUMNS = (
    "object", "watermark (UTC)", "lag (s)", "slices", "unmerged", "live rows", "failing", "error",
)  # fmt: skip


def _print(found: Mapping[str, Any]) -> None:
    several = len(found["warehouses"]) + len(found["errors"]) > 1
    for one in found["warehouses"]:
        where = f", warehouse {one['warehouse']}" if several else ""
        rows = [tuple(item.values()) for item in one["objects"]]
        show(f"Org {found['org']}{where}", _COLUMNS, rows)
        if one["gold"]:
            names = ("table", "state", "built (UTC)", "rows", "why")
            show(f"Gold{where}", names, [tuple(table.values()) for table in one["gold"]])
        if one["orphans"]:
            rows = [*one["orphans"].items()]
            show(f"Tables that nothing makes any more{where}", ("table", "why"), rows)
    show_errors({f"warehouse {name}": why for name, why in found["errors"].items()})
    if isinstance(found["budget"], str):
        click.echo(f"API budget: not known, {found['budget']}")
    else:
        show_budget(found["budget"])
    click.echo(f"a tick every {found['tick_minutes']} minutes")
