"""The steps that a crash may interrupt, each in a process forked for it and killed from outside.

`python -m bench.steps` reads orders as JSON lines, `{"step": …, "env": {…}, "after": seconds}`, and
answers each with what became of it: `{"signal": 9}` or `{"code": 0}`, and `seconds`.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from bench import ROOT

KINDS = ("tick", "backfill", "compact", "sweep", "repair", "rebuild")
_DAYS = timedelta(days=20)


def perform(kind: str, env: Mapping[str, str]) -> None:
    """Carry out a step; an object that fails is an error."""
    from sf_assets.pipeline.load import rebuild
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.storage import compaction

    # Few slices are many here, and nobody else reads them.
    compaction.MANY = 3 if kind == "compact" else 24
    compaction._RECENT = compaction._GRACE = timedelta(0)  # noqa: SLF001
    (org,) = load_orgs(dict(env))
    if kind == "rebuild":
        for spec in org.catalog.select([]):
            rebuild(org, org.lake, spec.slug)
    elif kind in {"sweep", "repair"}:
        _put_right(org, reread=kind == "repair")
    else:
        _extract(org, again=kind == "backfill", compact=kind == "compact")


def _put_right(org: Any, *, reread: bool) -> None:
    from sf_assets.pipeline.extraction.repair import Repair
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.reconciliation.reconcile import reconcile

    repair = Repair(org, reread=reread, accept=True)
    for found in reconcile(org, org.catalog.select([]), repair):
        if found.error:
            raise found.error
        load(org, org.lake, found.slug)


def _extract(org: Any, *, again: bool, compact: bool) -> None:
    from sf_assets.pipeline.extraction.execute import execute
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.planning.plan import plan_backfill, plan_tick
    from sf_assets.storage.compaction import compact_slices
    from sf_assets.windows import Window

    specs, now = org.catalog.select([]), org.client.now()
    recent = Window(now - _DAYS, now)
    plan = plan_backfill(org, specs, recent) if again else plan_tick(org, specs)
    for done in execute(org, plan):
        if done.error:
            raise done.error
    for spec in specs:
        if compact:
            compact_slices(org.lake, spec.slug, now)
        load(org, org.lake, spec.slug)


class Steps:
    """A process that forks one for each step."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.steps"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    def run(self, step: str, env: Mapping[str, str], after: float | None = None) -> dict[str, Any]:
        """Run a step; kill it after so many seconds if it is not done by then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"step": step, "env": dict(env), "after": after}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _forked(order: Mapping[str, Any]) -> dict[str, Any]:
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            perform(order["step"], order["env"])
            code = 0
        except BaseException:  # noqa: BLE001 (told, and the process ends)
            traceback.print_exc()
        finally:
            os._exit(code)
    after = order["after"]
    deadline = started + (600.0 if after is None else after)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            break
        time.sleep(0.001)
    seconds = time.monotonic() - started
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status), "seconds": seconds}
    return {"code": os.WEXITSTATUS(status), "seconds": seconds}


def main(lines: Sequence[str] | Any = sys.stdin) -> None:
    """Answer orders until there are no more."""
    # Imported before the fork, used after it: none of them has threads yet.

    for line in lines:
        print(json.dumps(_forked(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
