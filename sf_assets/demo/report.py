"""What the demo shows at its end: every number asked of the org or the warehouse, none assumed."""

import click

from sf_assets.cli.output import show
from sf_assets.cli.report import Report
from sf_assets.demo.home import HOME, ROOT
from sf_assets.pipeline.org import Org
from sf_assets.pipeline.reconciliation.reconcile import Reconciled, reconcile
from sf_assets.sql import quoted

_GOLD_LINES, _GOLD_COLUMNS = 3, 6


def tell(org: Org, report: Report) -> bool:
    """Print the tables; whether all is well."""
    equal = _objects(org, report)
    _gold(org)
    well = _checks(report)
    for name, error in report.errors.items():
        click.echo(f"{name}: {error}", err=True)
    _next(org)
    return equal and well and not report.errors


def _objects(org: Org, report: Report) -> bool:
    """Objects in the org and in silver, counted by the org itself at one horizon."""
    compared = list(reconcile(org, org.catalog.objects.values()))
    rejects: dict[str, int] = {}
    with org.reading(org.raw.org_id) as session:
        silver = session.silver
        for slug in (found.slug for found in compared if not found.error):
            ((rejects[slug],),) = silver.select(f"SELECT count(*) FROM {silver.rejects(slug)[0]}")
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


def _gold(org: Org) -> None:
    with org.reading(org.raw.org_id) as session:
        names = sorted(session.gold.tables())
    for name in names:
        table = quoted(org.gold, name)
        (count,) = org.warehouse.query(f"SELECT count(*) AS n FROM {table}")["n"].to_pylist()
        lines = org.warehouse.query(f"FROM {table} LIMIT {_GOLD_LINES}")
        title = f"{org.gold}.{name}: {count:,} rows, the first {len(lines)}"
        shown = lines.column_names[:_GOLD_COLUMNS]
        show(title, shown, [[row[column] for column in shown] for row in lines.to_pylist()])


def _checks(report: Report) -> bool:
    asked, bad = report.checks, [check for check in report.checks if not check["passed"]]
    passed = f"{len(asked) - len(bad)} of {len(asked)} passed"
    click.echo(f"Checks: {passed if asked else 'none asked again, as nothing has changed'}")
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
  raw        {home}/lake                        Parquet and manifests
  warehouse  {home}/warehouse.duckdb            schemas silver, gold and ops
  a copy     {home}/warehouse.published.duckdb  for readers, who keep nobody waiting
  catalogue  {home}/catalog.yaml

What to type next
  make dev                                    the org, alive, and the Dagster UI
  .venv/bin/python -c "import duckdb; print(duckdb.connect('{home}/warehouse.published.duckdb', \\
      read_only=True).sql('FROM {org.gold}.pipeline_by_account LIMIT 10'))"
  README.md, "Your own org"                   the same on your Salesforce org"""
    )
