"""The sensor that builds gold: it asks what is due, and never what happened."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from sf_assets.assets.dead_runs import BELIEVED, end_dead_runs
from sf_assets.assets.gold import day_tags, lock_name
from sf_assets.assets.integration import Integration
from sf_assets.assets.schedules import ACTIVE, BEGINS
from sf_assets.assets.unseen import unseen_gold
from sf_assets.errors import ConfigError, SfAssetsError, WarehouseLockedError
from sf_assets.naming import Layer, gold_name
from sf_assets.pipeline.gold.files import gold_tables

if TYPE_CHECKING:
    from sf_assets.pipeline.gold.due import GoldStatus
    from sf_assets.pipeline.org import Org


def rebuild_gold(integration: Integration, org: str, place: str) -> dg.SensorDefinition:
    """Every 30 seconds: build the gold tables that are due, and ask blocking checks that are.

    Nothing is asked of Salesforce. What fails is tried again after pauses that grow.
    """
    known = {
        table.name: integration.key(org, Layer.GOLD, table.name, place)
        for table in integration.tables(org, place)
    }
    blocking = {
        dg.AssetCheckKey(integration.key(org, Layer.SILVER, spec.slug, place), check.name)
        for spec in integration.of(org).objects.values()
        for check in spec.expectations
        if check.blocking
    }
    target = dg.AssetSelection.assets(*known.values()) | dg.AssetSelection.checks(*blocking)

    @dg.sensor(
        name=integration.named("_".join(filter(None, ("rebuild", place, gold_name(org))))),
        target=target,
        minimum_interval_seconds=30,
        default_status=integration.sensor_status,
        required_resource_keys=integration.resource_keys(org),
        description="Builds the gold tables that are due, by what the warehouse holds; tries again "
        "what failed.",
    )
    def rebuild(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            home = integration.org(context.resources, org, place)
            requests, unseen, told = _look(context, integration, home, known)
        except WarehouseLockedError as error:
            return dg.SkipReason(f"asks again: {error}")
        if requests or unseen:
            return dg.SensorResult(run_requests=requests, asset_events=unseen)
        return dg.SkipReason("; ".join(told) or "all of gold is as it should be")

    return rebuild


def _look(
    context: dg.SensorEvaluationContext,
    integration: Integration,
    org: "Org",
    key: Mapping[str, dg.AssetKey],
) -> tuple[list[dg.RunRequest], list[dg.AssetMaterialization], list[str]]:
    """Runs for what is due and not at work already, what Dagster has not seen, and what to say."""
    from sf_assets.pipeline.gold.due import GoldState, gold_due, start_attempts

    now = datetime.now(UTC)
    refused: dict[str, SfAssetsError] = {}
    tables = {
        table.name: table for table in gold_tables(org.catalog, refused, org.warehouse.engine)
    }
    new = [f"{name}: {why}" for name, why in refused.items()]
    new += [f"{name} is new: reload the code location" for name in tables if name not in key]
    found = gold_due(org, [t for t in tables.values() if t.name in key], now, wait=False)
    assets, checks = _at_work(context.instance, now)
    _end_dead(context.instance, org, key, now)
    due = {s.name: s for s in found if s.state is GoldState.DUE}
    at_work = {name for name in tables if key.get(name) in assets}
    ready = {name: s for name, s in due.items() if name not in at_work and _is_ready(s, now)}
    # Each waits for those that it reads, so that it is not built twice.
    ready = {n: s for n, s in ready.items() if not tables[n].gold & (ready.keys() | at_work)}
    closed = {gate.name: gate for status in found for gate in status.closed}
    asked = {
        name: dg.AssetCheckKey(
            integration.key(org.name, Layer.SILVER, gate.slug, org.place), gate.check
        )
        for name, gate in closed.items()
        if gate.answer is None and (not gate.next_try or gate.next_try <= now)
    }
    asked = {name: check for name, check in asked.items() if check not in checks}
    if ready or asked:
        hashes = {name: tables[name].sql_hash for name in ready}
        start_attempts(org, hashes | {name: closed[name].merge for name in asked}, now)
    built = {
        key[s.name]: _days(org.catalog.start, s) if tables[s.name].daily else []
        for s in found
        if s.state in {GoldState.BUILT, GoldState.WAITING}
    }
    return (
        list(_requests(key, ready, list(asked.values()))),
        unseen_gold(context.instance, built),
        new + [f"{s.name}: {s.why}" for s in found if s.why],
    )


def _days(start: date, status: "GoldStatus") -> list[str]:
    """The days that a daily table has which is as it should be."""
    end = (status.built_at or datetime.now(UTC)).astimezone(UTC).date()
    return [f"{start + timedelta(n)}" for n in range((end - start).days + 1)]


def _is_ready(status: "GoldStatus", now: datetime) -> bool:
    return status.next_try is None or status.next_try <= now


def _requests(
    keys: Mapping[str, dg.AssetKey],
    ready: Mapping[str, "GoldStatus"],
    checks: Sequence[dg.AssetCheckKey],
) -> Iterator[dg.RunRequest]:
    """One run for all tables that are not daily, one for each that is, and one for the checks."""
    whole = [keys[name] for name, status in ready.items() if not status.days]
    if whole:
        yield dg.RunRequest(asset_selection=whole, asset_check_keys=[])
    for name, status in ready.items():
        if status.days:
            tags = day_tags(status.days)
            yield dg.RunRequest(asset_selection=[keys[name]], asset_check_keys=[], tags=tags)
    if checks:
        yield dg.RunRequest(asset_selection=[], asset_check_keys=checks)


def _at_work(
    instance: dg.DagsterInstance, now: datetime
) -> tuple[set[dg.AssetKey], set[dg.AssetCheckKey]]:
    """Assets and checks of runs that are not over.

    Nothing tells of a run of checks whether its process lives: it is waited for only so long.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=ACTIVE))
    runs = [record.dagster_run for record in records]
    believed = [
        record.dagster_run
        for record in records
        if record.dagster_run.status in BEGINS or now - record.update_timestamp <= BELIEVED
    ]
    assets = {key for run in runs for key in run.asset_selection or ()}
    return assets, {key for run in believed for key in run.asset_check_selection or ()}


def _end_dead(
    instance: dg.DagsterInstance, org: "Org", key: Mapping[str, dg.AssetKey], now: datetime
) -> None:
    """End runs of gold alone whose process has died: of any other nothing can be said here."""
    names = {key: name for name, key in key.items()}

    def is_alive(run: dg.DagsterRun) -> bool:
        keys = run.asset_selection or set()
        if not keys or not keys <= names.keys():
            return True
        return any(org.stored_raw.is_building(lock_name(org.place, names[key])) for key in keys)

    with suppress(ConfigError):  # nothing was ever read
        end_dead_runs(
            instance, dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]), is_alive, now
        )
