"""Bulk jobs: what they are, and the threads that run them."""

import queue
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import duckdb

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.csv_results import CsvFormat, CsvResult, render
from sf_assets.emulator.ids import IdSequence
from sf_assets.emulator.limits import Limits
from sf_assets.emulator.settings import Settings
from sf_assets.emulator.soql.plan import Plan
from sf_assets.emulator.store import Store

State = Literal["UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted"]
FINAL_STATES = ("JobComplete", "Failed", "Aborted")
DELIMITERS = {
    "BACKQUOTE": "`",
    "CARET": "^",
    "COMMA": ",",
    "PIPE": "|",
    "SEMICOLON": ";",
    "TAB": "\t",
}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_PREFIX = "750"
_KEPT = timedelta(days=7)
_WORKERS = 8
_PACE_ROWS = 100_000


@dataclass
class Job:
    """One query job.

    Attributes:
        due: When it may begin, by the machine's monotonic clock.
        changed: When its state changed last, by the org's clock.
        records: Rows written so far.
        milliseconds: Time it has worked.
        stop: Set to end it early.
        ending: State to end in whatever happens, on order.
    """

    id: str
    operation: str
    plan: Plan
    api_version: str
    delimiter: str
    line_ending: str
    created: datetime
    created_by: str
    due: float
    changed: datetime
    state: State = "UploadComplete"
    records: int = 0
    milliseconds: int = 0
    error_message: str | None = None
    result: CsvResult | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    ending: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL_STATES


class Jobs:
    """All jobs of the org.

    Args:
        store: Where the records are; results lie in its temporary folder.
        clock: The org's clock.
        limits: Counts the kilobytes of results.
        settings: How fast jobs are.
    """

    def __init__(self, store: Store, clock: Clock, limits: Limits, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._settings = settings
        self._folder = store.folder / "jobs"
        self._folder.mkdir()
        self._jobs: dict[str, Job] = {}
        self._ids = IdSequence(_PREFIX)
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._workers: list[threading.Thread] = []

    def submit(
        self,
        plan: Plan,
        *,
        operation: str,
        api_version: str,
        delimiter: str,
        line_ending: str,
        user_id: str,
        ending: tuple[str | None, str | None] = (None, None),
        delay: float = 0.0,
    ) -> Job:
        """Take a job on; it begins when its time in the queue is over.

        Args:
            plan: The query.
            operation: `query` or `queryAll`.
            api_version: As it was created with.
            delimiter: Key of `DELIMITERS`.
            line_ending: Key of `LINE_ENDINGS`.
            user_id: Who created it.
            ending: State in which it must end, and error message, on order.
            delay: Further seconds in the queue, on order.
        """
        now = self._clock.stamp()
        due = time.monotonic() + self._settings.job_seconds + delay
        with self._lock:
            job = Job(
                id=next(self._ids),
                operation=operation,
                plan=plan,
                api_version=api_version,
                delimiter=delimiter,
                line_ending=line_ending,
                created=now,
                created_by=user_id,
                due=due,
                changed=now,
                ending=ending[0],
                error_message=ending[1],
            )
            self._jobs[job.id] = job
            self._start_worker()
        self._waiting.put(job)
        return job

    def find(self, job_id: str) -> Job | None:
        """The job of that Id, in 15 or 18 characters, unless it is gone."""
        self._forget_old()
        with self._lock:
            found = self._jobs.get(job_id)
            return found or next((j for j in self._jobs.values() if j.id[:15] == job_id), None)

    def all(self) -> list[Job]:
        """All jobs, in no order to rely on."""
        self._forget_old()
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.id[::-1])

    def abort(self, job: Job) -> bool:
        """End a job early; False if it is over already."""
        moved = self._move(job, "Aborted")
        job.stop.set()
        return moved

    def fail(self, job: Job, message: str | None) -> None:
        """End a job as failed."""
        job.error_message = message
        self._move(job, "Failed")
        job.stop.set()

    def delete(self, job: Job) -> None:
        """Forget a job and its results."""
        with self._lock:
            self._jobs.pop(job.id, None)
        job.stop.set()
        if job.result is not None:
            job.result.delete()

    def close(self) -> None:
        """End everything that runs."""
        with self._lock:
            jobs = list(self._jobs.values())
            workers = list(self._workers)
        for job in jobs:
            job.stop.set()
        for _ in workers:
            self._waiting.put(None)
        for worker in workers:
            worker.join()

    def _move(self, job: Job, state: State) -> bool:
        """Change a job's state; False if it is over already."""
        with self._lock:
            if job.is_final:
                return False
            job.state = state
            job.changed = self._clock.stamp()
            return True

    def _forget_old(self) -> None:
        """Jobs that ended long ago are gone with their results."""
        oldest = self._clock.now() - _KEPT
        with self._lock:
            old = [j for j in self._jobs.values() if j.is_final and j.changed < oldest]
        for job in old:
            self.delete(job)

    def _start_worker(self) -> None:
        if len(self._workers) < _WORKERS:
            name = f"bulk-{len(self._workers)}"
            worker = threading.Thread(target=self._work, name=name, daemon=True)
            self._workers.append(worker)
            worker.start()

    def _work(self) -> None:
        """Run jobs one after the other, in the order in which they came."""
        while (job := self._waiting.get()) is not None:
            if not job.stop.wait(max(0.0, job.due - time.monotonic())):
                self._run(job)

    def _run(self, job: Job) -> None:
        if not self._move(job, "InProgress"):
            return
        if job.ending is not None:
            self._end_as_ordered(job)
            return
        started = time.monotonic()
        try:
            result = self._render(job, self._folder / job.id, started)
        except (duckdb.Error, OSError) as error:
            self.fail(job, f"InternalServerError : {type(error).__name__}")
            return
        job.milliseconds = int((time.monotonic() - started) * 1000)
        job.result = result
        if self._move(job, "JobComplete"):
            self._limits.query_kilobytes.add(result.size >> 10)
        else:
            result.delete()

    def _end_as_ordered(self, job: Job) -> None:
        if job.ending == "Failed":
            self.fail(job, job.error_message)
        elif job.ending == "Aborted":
            self.abort(job)

    def _render(self, job: Job, path: Path, started: float) -> CsvResult:
        def progress(rows: int) -> bool:
            job.records = rows
            job.milliseconds = int((time.monotonic() - started) * 1000)
            pace = self._settings.job_seconds_per_100k * rows / _PACE_ROWS
            return not job.stop.wait(max(0.0, started + pace - time.monotonic()))

        form = CsvFormat(DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending])
        return render(self._store, job.plan, form, path, progress)
