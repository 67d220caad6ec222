"""What the demo shows at its end: every number asked of the org or the warehouse, none assumed."""

from typing import Any

import click
import duckdb

from sf_assets.cli.output import show
from sf_assets.cli.report import Report
from sf_assets.demo.home import HOME, ROOT
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.reconciliation.reconcile import Reconciled, reconcile
from sf_assets.sql import quoted
from sf_assets.warehouse.duckdb.silver import Silver

_GOLD_LINES, _GOLD_COLUMNS = 3, 6


def tell(org: Org, report: Report) -> bool:
    """Print the tables; whether all is well."""
    equal = _objects(org, report)
    with org.warehouse.connect(read_only=True) as connection:
        _gold(connection, org.gold)
    well = _checks(report)
    for name, error in report.errors.items():
        click.echo(f"{name}: {error}", err=True)
    _next(org)
    return equal and well and not report.errors


def _objects(org: Org, report: Report) -> bool:
    """Objects in the org and in silver, counted by the org itself at one horizon."""
    compared = list(reconcile(org, org.catalog.objects.values()))
    rejects = {}
    with org.warehouse.connect(read_only=True) as connection:
        silver = Silver(connection, org.schema)
        rejects = {c.slug: sum(silver.rejects(c.slug).values()) for c in compared if not c.error}
    rows = [
        (
            found.slug,
            found.org,
            found.silver,
            rejects.get(found.slug),
            report.materialized.get(("raw", found.slug), {}).get("seconds"),
            _outcome(found),
        )
        for found in compared
    ]
    columns = ("object", "rows in the org", "rows in silver", "rejects", "seconds", "")
    show("Objects, deleted records included, up to the watermark", columns, rows)
    return all(found.as_asked for found in compared)


def _outcome(found: Reconciled) -> str:
    if found.error:
        return str(found.error)
    if found.as_asked and found.unasked:
        return f"equal but for {found.unasked} gone since deletions were asked for"
    return "equal" if found.as_asked else "differs"


def _gold(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    names = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? ORDER BY 1", [schema]
    ).fetchall()
    for (name,) in names:
        table = quoted(schema, name)
        count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        result = connection.execute(f"FROM {table} LIMIT {_GOLD_LINES}")
        columns = [column[0] for column in result.description or ()]
        lines: list[tuple[Any, ...]] = result.fetchall()
        title = f"{schema}.{name}: {count[0] if count else 0:,} rows, the first {len(lines)}"
        show(title, columns[:_GOLD_COLUMNS], [line[:_GOLD_COLUMNS] for line in lines])


def _checks(report: Report) -> bool:
    bad = [check for check in report.checks if not check["passed"]]
    click.echo(f"Checks: {len(report.checks) - len(bad)} of {len(report.checks)} passed")
    for check in bad:
        facts = ", ".join(f"{n}: {value}" for n, value in check["facts"].items() if n != "sql")
        click.echo(f"  {check['severity'].lower()}: {check['asset']} {check['check']}: {facts}")
    for score in report.quality:
        click.echo(f"Quality: {score} (see ops.to_fix)")
    return not any(check["severity"] == "ERROR" for check in bad)


def _next(org: Org) -> None:
    home = HOME.relative_to(ROOT)
    click.echo(
        f"""
Where it is
  raw        {home}/lake              Parquet and manifests
  warehouse  {home}/warehouse.duckdb  schemas silver, gold and ops
  catalogue  {home}/catalog.yaml

What to type next
  make dev                                    the org, alive, and the Dagster UI
  .venv/bin/python -c "import duckdb; print(duckdb.connect('{home}/warehouse.duckdb', \\
      read_only=True).sql('FROM {org.gold}.pipeline_by_account LIMIT 10'))"
  README.md, "Your own org"                   the same on your Salesforce org"""
    )
