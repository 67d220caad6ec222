"""Runs of assets in this process, for the command line: what Dagster would launch, told briefly."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from sf_assets import errors
from sf_assets.assets.carried import ASKED
from sf_assets.assets.gold import LEFT_OUT
from sf_assets.assets.objects import FAILS, LEFT, WAITS
from sf_assets.assets.quality import UNASKED, UNASKED_OF
from sf_assets.definitions import defs
from sf_assets.quality import spelt_score
from sf_assets.stopping import check

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(slots=True)
class Report:
    """What runs did.

    Attributes:
        materialized: Metadata of the assets, by key; of a range of partitions the newest one's.
        checks: Latest outcome of the checks: asset key, name, passed, severity, metadata.
        left_out: By asset key, why a gold table is not built, though nothing is wrong.
        waiting: By object or table, what keeps it waiting: the budget, or who holds the warehouse.
        left: By object, which other run is at work on it.
        errors: Messages by object, or by step where no object is to blame.
    """

    materialized: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[tuple[str, ...], str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def quality(self) -> Iterator[str]:
        """The score of each org, with all that it does not count and that is not all right."""
        for (layer, name), facts in self.materialized.items():
            if not layer.startswith("ops") or name != "quality" or "score" not in facts:
                continue
            told = f"{spelt_score(facts['score'])} of 100; to fix: {facts['to fix']}"
            if UNASKED in facts:
                told += f"; never asked: {facts[UNASKED]} checks of {facts[UNASKED_OF]}"
            raw = f"raw{layer.removeprefix('ops')}/"
            bad = [c for c in self.checks if not c["passed"] and c["asset"].startswith(raw)]
            yield f"{told}; not passed of raw: {len(bad)}" if bad else told

    def add_check(self, evaluation: dg.AssetCheckEvaluation) -> None:
        """Add an outcome, in the place of an earlier one of the same check."""
        asset, name = evaluation.asset_key.to_user_string(), evaluation.check_name
        self.checks = [c for c in self.checks if (c["asset"], c["check"]) != (asset, name)]
        self.checks.append(
            {
                "asset": asset,
                "check": name,
                "passed": evaluation.passed,
                "severity": evaluation.severity.value,
                "facts": {key: value.value for key, value in evaluation.metadata.items()},
            }
        )


class Runner:
    """Runs assets in this process.

    The runs are kept by the instance of DAGSTER_HOME, so that the UI shows them; where that is not
    set they are forgotten.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._job = defs().resolve_implicit_global_asset_job_def()
        self.report = Report()

    def run(
        self,
        keys: Iterable[dg.AssetKey],
        tags: Mapping[str, str],
        partition_key: str | None = None,
        *,
        checks: Iterable[dg.AssetCheckKey] | None = (),
    ) -> None:
        """Run assets, with these checks alone, and add to the report what came of it."""
        subset = self._job.get_subset(
            asset_selection=set(keys), asset_check_selection=set(checks or ())
        )
        self._run(subset, tags, partition_key)

    def check(self, keys: Iterable[dg.AssetCheckKey]) -> None:
        """Run checks alone, if there are any, and add to the report what came of it."""
        if wanted := set(keys):
            self._run(self._job.get_subset(asset_check_selection=wanted), {}, None)

    def _run(
        self, job: dg.JobDefinition, tags: Mapping[str, str], partition_key: str | None
    ) -> None:
        result = job.execute_in_process(
            run_config=_QUIET,
            instance=self._instance,
            tags=dict(tags),
            partition_key=partition_key,
            raise_on_error=False,
        )
        check()  # Dagster has caught the signal, and would go on with the next run
        for event in result.all_events:
            self._note(event)

    def _note(self, event: dg.DagsterEvent) -> None:
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            materialization = event.step_materialization_data.materialization
            key = tuple(materialization.asset_key.path)
            facts = {name: value.value for name, value in materialization.metadata.items()}
            self.report.materialized[key] = self.report.materialized.get(key, {}) | facts
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            if ASKED not in event.asset_check_evaluation_data.metadata:  # else it was not asked now
                self.report.add_check(event.asset_check_evaluation_data)
        elif event.event_type is dg.DagsterEventType.ASSET_OBSERVATION:
            observed = event.asset_observation_data.asset_observation
            report, key = self.report, tuple(observed.asset_key.path)
            if LEFT_OUT in observed.metadata:
                report.left_out[key] = str(observed.metadata[LEFT_OUT].value)
            for name, place in (
                (WAITS, report.waiting),
                (LEFT, report.left),
                (FAILS, report.errors),
            ):
                if name in observed.metadata:
                    place[key[-1]] = str(observed.metadata[name].value)
        elif event.is_step_failure:
            errors = _errors(event)
            waiting = self.report.waiting
            if _is_held(event):
                waiting |= errors
            said = self.report.left | waiting
            self.report.errors |= {n: e for n, e in errors.items() if said.get(n) != e}


def _is_held(event: dg.DagsterEvent) -> bool:
    """Whether the step failed only because another program holds the warehouse."""
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    return error is not None and error.cls_name == errors.WarehouseLockedError.__name__


def _errors(event: dg.DagsterEvent) -> dict[str, str]:
    """Messages of a failed step, by object where the step said which."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.metadata:
        return {name: str(v.value) for name, v in data.user_failure_data.metadata.items()}
    error = data.error
    while error and error.cause:
        error = error.cause
    message = error.message.strip() if error else "failed"
    if error and error.cls_name in vars(errors):  # ours begin with the name of their class
        message = message.partition(": ")[2]
    return {event.step_key or "run": message}


@contextmanager
def runner() -> Iterator[Runner]:
    """A runner on the instance of DAGSTER_HOME, or on one that is forgotten.

    Raises:
        ConfigError: DAGSTER_HOME is no folder.
    """
    import os

    kept = bool(os.environ.get("DAGSTER_HOME"))
    try:
        instance = dg.DagsterInstance.get() if kept else dg.DagsterInstance.ephemeral()
    except dg.DagsterInvariantViolationError as error:
        raise errors.ConfigError(f"{error}; make the folder, or unset it") from None
    with instance:
        yield Runner(instance)
