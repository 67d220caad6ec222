"""What `refresh` and `backfill` do: the runs that schedules and the UI would launch, in order."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from sf_assets.assets.automation import tick_request
from sf_assets.assets.gold import day_tags, gold_tables
from sf_assets.assets.objects import DERIVED_TAG, WINDOW_TAG, Group, group_objects
from sf_assets.assets.partitions import open_key
from sf_assets.assets.quality import quality_key
from sf_assets.assets.running import Runner
from sf_assets.catalog import Catalog
from sf_assets.errors import (
    ConfigError,
    LimitExceededError,
    SfAssetsError,
    WarehouseLockedError,
)
from sf_assets.failures import Work, alone
from sf_assets.naming import ONLY, gold_name, silver_name
from sf_assets.pipeline.estimate import Estimate
from sf_assets.pipeline.gold_due import GoldState, GoldStatus, gold_due, unanswered_gates
from sf_assets.pipeline.org import Org, load_org
from sf_assets.pipeline.plan import Plan, plan_backfill
from sf_assets.pipeline.tick import due, left_out
from sf_assets.quality import References
from sf_assets.windows import ALWAYS, BEGIN, Grain, Window, compact, parse_compact, utc_day


def refresh(runner: Runner, catalog: Catalog, names: Collection[str]) -> None:
    """One incremental tick, then the gold tables whose sources changed.

    Args:
        runner: Where the runs go.
        catalog: The catalogue.
        names: Which objects; all of them when none is named. Those named are tried even if they
            have been set aside.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    slugs = {spec.slug for spec in catalog.select(names)}
    for group in group_objects(catalog):
        wanted = [slug for slug in group.specs if slug in slugs]
        if not wanted:
            continue
        try:
            found = due(group.org, [group.specs[slug] for slug in wanted], anyway=bool(names))
        except LimitExceededError as error:
            runner.report.waiting |= dict.fromkeys(wanted, str(error))
            continue
        for slug, why in found.aside.items():
            name = group.specs[slug].name
            runner.report.errors[slug] = f"{why}; `sf-assets refresh --object {name}` tries it now"
        _leave_out(runner, group, found.absent)
        if request := tick_request(group, found):
            runner.run(
                request.asset_selection or (),
                request.tags,
                request.partition_key,
                checks=request.asset_check_keys,
            )
    _build_on_silver(runner, catalog)


def backfill(
    runner: Runner, catalog: Catalog, names: Collection[str], first: date, last: date
) -> None:
    """Extract a range of days anew, merge it, and build the gold tables whose sources changed.

    Args:
        runner: Where the runs go.
        catalog: The catalogue.
        names: Which objects; all of them when none is named.
        first: First UTC day.
        last: Last UTC day, which is included.

    Raises:
        ConfigError: The range lies before an object's first partition.
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    for group, wanted in _there(runner, catalog, names):
        if wanted:
            tags = {WINDOW_TAG: _window(group, first, last)}
            _run_objects(runner, group, wanted, tags)
    _build_on_silver(runner, catalog)


def plan(
    catalog: Catalog, names: Iterable[str], first: date, last: date
) -> Iterator[tuple[Org, dict[str, Estimate], Plan]]:
    """What a backfill would do and cost, org by org; nothing is extracted.

    Args:
        catalog: The catalogue.
        names: Which objects; all of them when none is named.
        first: First UTC day.
        last: Last UTC day, which is included.

    Yields:
        The org, what each object is likely to cost, and the plan.

    Raises:
        ConfigError: The range lies before an object's first partition.
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    slugs = {spec.slug for spec in catalog.select(names)}
    for name in catalog.orgs or (ONLY,):
        org = load_org(name)
        whole = Plan(org.now())
        for group in group_objects(catalog):
            specs = [spec for slug, spec in group.specs.items() if slug in slugs]
            if group.org == name and specs:
                start, end = map(parse_compact, _window(group, first, last).split("/"))
                part = plan_backfill(org, specs, Window(start, end))
                whole.orders |= part.orders
                whole.failed |= part.failed
        yield org, whole.costs(org.lake, whole.failed), whole


def refresh_derived(runner: Runner, catalog: Catalog, names: Collection[str]) -> None:
    """Read derived fields of all rows again, and build the gold tables whose sources changed.

    Args:
        runner: Where the runs go.
        catalog: The catalogue.
        names: Which objects; all of them when none is named.

    Raises:
        SfAssetsError: The org or the storage cannot be reached at all.
    """
    for group, wanted in _there(runner, catalog, names):
        if wanted:
            _run_objects(runner, group, wanted, {DERIVED_TAG: "all"})
    _build_on_silver(runner, catalog)


def _there(
    runner: Runner, catalog: Catalog, names: Collection[str]
) -> Iterator[tuple[Group, list[str]]]:
    """Objects by group; not those that a refresh found absent, unless they are named."""
    slugs = {spec.slug for spec in catalog.select(names)}
    for group in group_objects(catalog):
        wanted = [slug for slug in group.specs if slug in slugs]
        absent = left_out(load_org(group.org), wanted) if not names else {}
        _leave_out(runner, group, absent)
        yield group, [slug for slug in wanted if slug not in absent]


def _leave_out(runner: Runner, group: Group, absent: Mapping[str, str]) -> None:
    """Tell of objects that the org does not have."""
    for slug, why in absent.items():
        runner.report.left_out[tuple(group.raw_key(slug).path)] = f"{slug} is left out: {why}"


def _run_objects(
    runner: Runner, group: Group, slugs: Sequence[str], tags: Mapping[str, str]
) -> None:
    """Run objects of a group, with the checks that cost no call."""
    checks = group.checks(slugs)
    runner.run(group.keys(slugs), tags, open_key(group.grain), checks=checks)


def _window(group: Group, first: date, last: date) -> str:
    """The window of a range of days, as the step reads it from the run's tag."""
    if group.grain is Grain.NONE:
        return f"{compact(ALWAYS.start)}/{compact(ALWAYS.end)}"
    if last < group.start:
        raise ConfigError(
            f"the partitions of {group.name} begin on {group.start}, and the first holds "
            "everything before; name a range that touches it"
        )
    start = BEGIN if first <= group.start else utc_day(first)
    return f"{compact(start)}/{compact(utc_day(last + timedelta(days=1)))}"


def _build_on_silver(runner: Runner, catalog: Catalog) -> None:
    """Build gold, where no blocking check keeps it from being built, and the quality scores.

    Where another program holds the warehouse, all of that waits.
    """
    for name in catalog.orgs or (ONLY,):
        try:
            _build_on_silver_of(runner, load_org(name))
        except WarehouseLockedError as error:
            runner.report.waiting[gold_name(name)] = str(error)


def _build_on_silver_of(runner: Runner, org: Org) -> None:
    runner.check(_outdated(runner, org))
    _build_gold(runner, org)
    silver = silver_name(org.name)
    if any(check["asset"].startswith(f"{silver}/") for check in runner.report.checks):
        runner.run([quality_key(org.name)], {})


def _outdated(runner: Runner, org: Org) -> set[dg.AssetCheckKey]:
    """Checks to ask once more, because all objects are loaded only now.

    These are references that did not lead anywhere, and blocking checks that were not asked of what
    silver holds now.
    """
    silver = silver_name(org.name)
    loose = {
        (silver, spec.slug, check.name)
        for spec in org.catalog.objects.values()
        for check in spec.expectations
        if isinstance(check, References)
    }
    told = {(*c["asset"].split("/"), c["check"]) for c in runner.report.checks if not c["passed"]}
    again = {dg.AssetCheckKey(dg.AssetKey([layer, slug]), c) for layer, slug, c in loose & told}
    return again | {
        dg.AssetCheckKey(dg.AssetKey([silver, gate.slug]), gate.check)
        for gate in unanswered_gates(org)
    }


def _build_gold(runner: Runner, org: Org) -> None:
    """Build the gold tables that are due, each after those that it reads."""
    tables = gold_tables(org.catalog)
    found: dict[str, GoldStatus] = {}
    for table in tables:
        key = dg.AssetKey([gold_name(org.name), table.name])
        failed: dict[str, SfAssetsError] = {}
        with alone(Work.BUILD, table.name, failed, _is_held):
            found = found or {told.name: told for told in gold_due(org, tables, datetime.now(UTC))}
            status = found[table.name]
            if status.state is GoldState.HELD:
                runner.report.errors[key.to_user_string()] = status.why or "held"
            elif status.state is GoldState.LEFT_OUT:
                runner.report.left_out[tuple(key.path)] = status.why or "left out"
            elif status.state is GoldState.DUE:
                found = {}  # what reads it is another matter once it is built
                runner.run([key], day_tags(status.days))
        runner.report.errors |= {key.to_user_string(): str(e) for e in failed.values()}


def _is_held(error: SfAssetsError) -> bool:
    """Whether another program holds the warehouse, so that no table can be built."""
    return isinstance(error, WarehouseLockedError)
