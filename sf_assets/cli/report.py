"""What a command has done, gathered from the events of its runs."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from sf_assets.checks.check import format_score
from sf_assets.errors import ConfigError, HeldError, SfAssetsError
from sf_assets.failures import Work, isolated
from sf_assets.naming import ONLY, Layer, gold_name, ops_name, placed, raw_name, silver_name
from sf_assets.pipeline import events
from sf_assets.pipeline.checks.results import UNASKED, UNASKED_OF
from sf_assets.pipeline.events import Event, Reason
from sf_assets.pipeline.org import Org

_SCHEMAS = {Layer.RAW: raw_name, Layer.SILVER: silver_name, Layer.GOLD: gold_name}


class Report:
    """What became of everything that was asked for, by org, layer and object.

    Attributes:
        materialized: Facts of what was made, by schema and name: `("silver", "account")`.
        checks: Latest outcome of the checks: asset, name, passed, severity, facts.
        left_out: By schema and name, why something is not there, though nothing is wrong.
        waiting: By object or table, what keeps it waiting: the budget, or who holds the warehouse.
        left: By object, which other run is at work on it.
        orphans: By table, what to do about what nothing makes any more.
        errors: Messages by object, table, or org.
    """

    def __init__(self) -> None:
        self.materialized: dict[tuple[str, str], dict[str, Any]] = {}
        self.left_out: dict[tuple[str, str], str] = {}
        self.waiting: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.orphans: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self._checks: dict[tuple[str, str], dict[str, Any]] = {}

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Outcomes of the checks, in the order in which they came first."""
        return list(self._checks.values())

    @property
    def quality(self) -> Iterator[str]:
        """The score of each org, with all that it does not count and that is not all right."""
        for (schema, name), facts in self.materialized.items():
            place, _, home = schema.rpartition("/")
            if not home.startswith("ops") or name != "quality" or "score" not in facts:
                continue
            told = f"{format_score(facts['score'])} of 100; to fix: {facts['to fix']}"
            told = f"in {place} {told}" if place else told
            if UNASKED in facts:
                told += f"; never asked: {facts[UNASKED]} checks of {facts[UNASKED_OF]}"
            raw = f"raw{home.removeprefix('ops')}/"
            bad = [c for c in self.checks if not c["passed"] and c["asset"].startswith(raw)]
            yield f"{told}; not passed of raw: {len(bad)}" if bad else told

    def add(self, event: Event) -> None:
        """Take up an event."""
        match event:
            case events.ObjectExtracted(org, extraction, facts):
                self.materialized[raw_name(org), extraction.slug] = dict(facts)
            case events.ObjectLoaded(org, slug, loaded, True, place):
                facts = events.loading_facts(loaded, f"{silver_name(org)}.{slug}")
                self.materialized[placed(place, silver_name(org)), slug] = facts
            case events.TableBuilt(org, name, built, place):
                facts = events.building_facts(built, f"{gold_name(org)}.{name}")
                self.materialized[placed(place, gold_name(org)), name] = facts
            case events.Scored(org, facts, place):
                self.materialized[placed(place, ops_name(org)), "quality"] = dict(facts)
            case events.Checked() | events.Standing():
                self._add_check(event)
            case events.LeftOut(org, layer, name, why, place):
                self.left_out[placed(place, _SCHEMAS[layer](org)), name] = why
            case events.Deferred(org, layer, name, because, error, place):
                kept = self.left if because is Reason.BUSY else self.waiting
                kept[placed(place, _formatted(org, layer, name))] = str(error)
            case events.Orphaned(_, tables, place):
                self.orphans |= {placed(place, table): what for table, what in tables.items()}
            case events.Failed(org, layer, name, error, _, place):
                told = _formatted(org, layer, name, failed=not isinstance(error, HeldError))
                self.errors[placed(place, told)] = str(error)

    def _add_check(self, event: events.Checked | events.Standing) -> None:
        if isinstance(event, events.Standing):
            asset = placed(event.place, f"{silver_name(event.org)}/{event.object}")
            self._add_standing(asset, event)
            return
        found = event.finding
        asset = placed(event.place, f"{_SCHEMAS[event.layer](event.org)}/{found.slug}")
        self._checks[asset, found.name] = {
            "asset": asset,
            "check": found.name,
            "passed": found.passed,
            "severity": "ERROR" if found.severe else "WARN",
            "facts": dict(found.facts),
        }

    def _add_standing(self, asset: str, event: events.Standing) -> None:
        answer = event.answer
        facts: dict[str, Any] = {"asked": f"{answer.checked_at:%Y-%m-%d %H:%M} UTC"}
        facts |= {"since": f"{answer.since:%Y-%m-%d %H:%M} UTC"} if answer.since else {}
        facts |= {"offenders": answer.offenders} if answer.offenders is not None else {}
        facts |= {"reason": answer.reason} if answer.reason else {}
        self._checks[asset, event.check] = {
            "asset": asset,
            "check": event.check,
            "passed": False,
            "severity": "ERROR",
            "facts": facts,
        }


def _formatted(org: str, layer: Layer, name: str, *, failed: bool = False) -> str:
    """The name of an object or table, with its schema or org where that is not plain.

    A gold table whose build failed is called as the step is that builds it in Dagster; one that
    waits, as its asset.
    """
    if layer is Layer.GOLD:
        between = "__" if failed else "/"
        return f"{gold_name(org)}{between}{name}" if name != gold_name(org) else name
    return name if org == ONLY else f"{org}/{name}"


def carry_out(
    orgs: Iterable[Org],
    command: Callable[[Org], Generator[Event]],
    watch: Callable[[Org, Event], None] = lambda *_: None,
) -> Report:
    """Carry out a command for orgs, one after the other; each fails alone where there are several.

    Args:
        orgs: The orgs.
        command: What is done for one.
        watch: Is told each event as it happens.

    Raises:
        SfAssetsError: Nothing could be done for the only org.
    """
    report = Report()

    def work(org: Org) -> None:
        with closing(command(org)) as told:
            for event in told:
                report.add(event)
                watch(org, event)

    report.errors |= each(orgs, work)
    return report


def chosen(names: Collection[str] = (), objects: Collection[str] = ()) -> list[Org]:
    """The orgs that a command is for.

    Args:
        names: Names of the orgs; all of them when none is named.
        objects: Objects that the command is for; orgs that have none of them are left out.

    Raises:
        ConfigError: There is no org of a name, or none that has an object; or settings or catalogue
            are not valid.
    """
    from sf_assets.pipeline import org as home

    orgs = home.load_orgs()
    known = [org.name for org in orgs]
    if unknown := set(names).difference(known):
        raise ConfigError(
            f"the catalogue has no org {', '.join(sorted(unknown))}; it has {', '.join(known)}"
        )
    orgs = [org for org in orgs if not names or org.name in names]
    if lacking := [name for name in objects if not any(org.catalog.having([name]) for org in orgs)]:
        for org in orgs:
            org.catalog.select(lacking)  # which refuses them
    return [org for org in orgs if not objects or org.catalog.having(objects)]


def each_place(
    org: Org, work: Callable[[Org], None], names: Collection[str] = ()
) -> dict[str, str]:
    """Do something for each warehouse of an org, or some; of several, each fails alone.

    Args:
        org: The org.
        work: What is done for one.
        names: Names of the warehouses; all of them when none is named.

    Returns:
        Why it failed, by name of the warehouse, after that of an org that has one.

    Raises:
        ConfigError: There is no warehouse of a name.
        SfAssetsError: It failed for the only one.
    """
    known = [place.warehouse_name for place in org.places]
    if unknown := set(names).difference(known):
        raise ConfigError(
            f"there is no warehouse {', '.join(sorted(unknown))}; there is {', '.join(known)}"
        )
    failed: dict[str, SfAssetsError] = {}
    for place in org.places:
        if not names or place.warehouse_name in names:
            with isolated(Work.COMMAND, place.warehouse_name, failed, lambda _: len(known) == 1):
                work(place)
    org_name = "" if org.name == ONLY else org.name
    return {placed(org_name, name): str(error) for name, error in failed.items()}


def each(orgs: Iterable[Org], work: Callable[[Org], None]) -> dict[str, str]:
    """Do something for each org, one after the other; of several, each fails alone.

    Args:
        orgs: The orgs.
        work: What is done for one.

    Returns:
        Why it failed, by name of the org.

    Raises:
        SfAssetsError: It failed for the only org.
    """
    failed: dict[str, SfAssetsError] = {}
    orgs = list(orgs)
    for org in orgs:
        with isolated(Work.COMMAND, org.name, failed, lambda _: len(orgs) == 1):
            work(org)
    return {name: str(error) for name, error in failed.items()}
