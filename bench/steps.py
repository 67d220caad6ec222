"""The steps that a crash may interrupt, each in a process forked for it and killed at some moment.

`python -m bench.steps` reads orders as JSON lines, what `Steps.run` takes, and answers each with
what became of it: `{"signal": 9}` or `{"code": 0}`, and the `seconds` it took.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from threading import Lock
from types import TracebackType
from typing import Any, Self

from bench import ROOT
from sf_assets.warehouse.engines import engine_of

KINDS = ("tick", "backfill", "compact", "sweep", "repair", "rebuild")
_DAYS = timedelta(days=20)


def perform(kind: str, env: Mapping[str, str], objects: Sequence[str] = ()) -> None:
    """Carry out a step for some objects, or for all; an object that fails is an error."""
    from sf_assets.pipeline.load import rebuild
    from sf_assets.pipeline.org import load_orgs
    from sf_assets.storage import compaction

    # Few slices are many here, and nobody else reads them.
    compaction.MANY = 3 if kind == "compact" else 24
    compaction._RECENT = compaction._GRACE = timedelta(0)  # noqa: SLF001
    (org,) = load_orgs(dict(env))
    lease_of: Any = sys.modules[type(org.warehouse).__module__]
    if hasattr(lease_of, "LEASE"):
        lease_of.LEASE = 1  # of one that was killed
    specs = org.catalog.select(objects)
    if kind == "rebuild":
        for spec in specs:
            rebuild(org, org.raw, spec.slug)
    elif kind in {"sweep", "repair"}:
        _put_right(org, specs, reread=kind == "repair")
    else:
        _extract(org, specs, again=kind == "backfill", compact=kind == "compact")


def _put_right(org: Any, specs: Sequence[Any], *, reread: bool) -> None:
    from sf_assets.pipeline.extraction.repair import Repair
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.reconciliation.reconcile import reconcile

    repair = Repair(org, reread=reread, accept=True)
    for found in reconcile(org, specs, repair):
        if found.error:
            raise found.error
        load(org, org.raw, found.slug)


def _extract(org: Any, specs: Sequence[Any], *, again: bool, compact: bool) -> None:
    from sf_assets.pipeline.extraction.execute import execute
    from sf_assets.pipeline.load import load
    from sf_assets.pipeline.planning.plan import plan_backfill, plan_tick
    from sf_assets.storage.compaction import compact_slices
    from sf_assets.windows import Window

    now = org.client.now()
    recent = Window(now - _DAYS, now)
    plan = plan_backfill(org, specs, recent) if again else plan_tick(org, specs)
    for done in execute(org, plan):
        if done.error:
            raise done.error
    for spec in specs:
        if compact:
            compact_slices(org.raw, spec.slug, now)
        load(org, org.raw, spec.slug)


def _connection_of(warehouse: str) -> Any:
    """The class of connections that commit by a statement; None where a driver's call does."""
    match engine_of(warehouse):
        case "bigquery":
            from sf_assets.warehouse.bigquery.connection import BigQueryConnection

            return BigQueryConnection
        case "redshift":
            from sf_assets.warehouse.redshift.connection import RedshiftConnection

            return RedshiftConnection
        case "snowflake":
            from sf_assets.warehouse.snowflake.connection import SnowflakeConnection

            return SnowflakeConnection
    return None


class Writes:
    """Has a process killed before one of its writes.

    A write is what another run would find: a file of the raw that comes or goes, a commit. Each is
    called by what is done and in which folder: "put manifests", "delete raw", "commit".

    Args:
        raw: Address of the storage.
        warehouse: Address of the warehouse.
        before: Name of the write that does not come to pass, and which of that name.
    """

    def __init__(self, raw: str, warehouse: str, before: tuple[str, int]) -> None:
        self._raw, self._warehouse = raw, warehouse
        self._name, self._left = before
        self._lock = Lock()

    def watch(self) -> None:
        """Count those of this process from now on."""
        import duckdb
        from adbc_driver_manager import dbapi

        from sf_assets.storage.store import Store

        for name in ("put", "create", "replace", "delete"):
            setattr(Store, name, self._counting(getattr(Store, name)))
        commit = duckdb.DuckDBPyConnection.commit

        def committing(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
            self._count("commit")
            return commit(connection)

        duckdb.DuckDBPyConnection.commit = committing  # type: ignore[assignment, method-assign]
        server_commit = dbapi.Connection.commit

        def committing_there(connection: dbapi.Connection) -> None:
            self._count("commit")
            server_commit(connection)

        dbapi.Connection.commit = committing_there  # type: ignore[assignment, method-assign]
        if (kind := _connection_of(self._warehouse)) is not None:
            kind.run = self._committing(kind.run)

    def _committing(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def counting(connection: Any, sql: str, *more: Any) -> Any:
            if sql.startswith("COMMIT"):
                self._count("commit")
            return run(connection, sql, *more)

        return counting

    def _counting(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counting(store: Any, path: Any, *more: Any) -> Any:
            path = path if isinstance(path, str) else list(path)
            first = path if isinstance(path, str) else next(iter(path), "")
            if first and store.url == self._raw:  # others are thrown away
                folder = "".join(first.split("/")[1:2])
                self._count(f"{write.__name__} {folder}")
            return write(store, path, *more)

        return counting

    def _count(self, name: str) -> None:
        with self._lock:
            if name == self._name:
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)


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

    def run(
        self,
        step: str,
        env: Mapping[str, str],
        *,
        objects: Sequence[str] = (),
        after: float | None = None,
        before: tuple[str, int] | None = None,
    ) -> dict[str, Any]:
        """Run a step; kill it after so many seconds, or before a write: a name, and which."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {
            "step": step, "env": dict(env), "objects": objects, "after": after, "before": before,
        }  # fmt: skip
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _forked(
    step: str,
    env: Mapping[str, str],
    objects: Sequence[str],
    after: float | None,
    before: tuple[str, int] | None,
) -> dict[str, Any]:
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if before:
                raw, tables = (env[f"SF_ASSETS_{what}_URL"] for what in ("STORAGE", "WAREHOUSE"))
                Writes(raw, tables, before).watch()
            perform(step, env, objects)
            code = 0
        except BaseException:  # noqa: BLE001 (told, and the process ends)
            traceback.print_exc()
        finally:
            os._exit(code)
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
    import sf_assets.pipeline.extraction.execute
    import sf_assets.pipeline.extraction.repair
    import sf_assets.pipeline.load
    import sf_assets.pipeline.planning.plan
    import sf_assets.pipeline.reconciliation.reconcile  # noqa: F401

    for line in lines:
        print(json.dumps(_forked(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
