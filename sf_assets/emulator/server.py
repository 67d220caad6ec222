"""An org that runs: data, address, threads. The door for tests, the demo and the command line."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import uvicorn

from sf_assets.emulator.administrator import Administrator
from sf_assets.emulator.app import App
from sf_assets.emulator.asgi import Asgi
from sf_assets.emulator.clock import Clock
from sf_assets.emulator.faults import Faults
from sf_assets.emulator.live_traffic import living
from sf_assets.emulator.metadata import load_describes, standard_schema
from sf_assets.emulator.org import Org
from sf_assets.emulator.records import Records
from sf_assets.emulator.schema import Schema
from sf_assets.emulator.settings import Settings
from sf_assets.emulator.store import Store, quoted

_STOP_SECONDS = 2
_WORTH_COMPRESSING = 100_000
# Addresses above the limit must reach the app, which refuses them as Salesforce does.
_LARGEST_HEAD = 1 << 20


@dataclass(frozen=True)
class World:
    """What a new org holds.

    Attributes:
        seed: The same seed gives the same records.
        scale: 1 is the demo: some ten thousand records.
        rows: Number of records of single objects, in place of what the scale gives.
        describes: Folder or files with describe documents, in place of the standard objects.
        load: Folder with records as CSV or JSON, in place of generated ones.
        custom_objects: Number of further custom objects.
        virtual: Custom objects whose rows are computed when they are asked for and never stored,
            with their number, which may be many millions; nobody can write them.
    """

    seed: int = 0
    scale: float = 1
    rows: Mapping[str, int] = field(default_factory=dict)
    describes: Path | Sequence[Path] | None = None
    load: Path | None = None
    custom_objects: int = 0
    virtual: Mapping[str, int] = field(default_factory=dict)

    def schema(self, now: datetime) -> Schema:
        """The org's objects, as of a time."""
        if self.describes is None:
            return standard_schema(self.custom_objects, self.virtual, now)
        return load_describes(self.describes)

    def tables(self, schema: Schema, now: datetime) -> Iterator[tuple[str, pa.Table]]:
        """The org's records, object by object and in chunks."""
        from sf_assets.emulator import world

        schema = Schema(o for o in schema if o.generated is None)
        if self.load is not None:
            return world.load_folder(schema, self.load)
        return world.generate(schema, seed=self.seed, scale=self.scale, now=now, rows=self.rows)


class Emulator:
    """A Salesforce org on loopback, running while the `with` block does.

        with Emulator(scale=0.1) as org:
            client = connect(**org.environment)

    Args:
        store: File that keeps the org; None for memory.
        live: Changes a second that the org's users make.
        clock: Its time; None for this machine's.
        settings: How it behaves.
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        schema: Objects, in place of those of the world; the org then begins without records.
        world: Attributes of `World`: what the org holds when `store` does not hold one already.

    Attributes:
        org: The org, once it has started.
        store: Its records.
        faults: What is to go wrong; None unless the settings allow it.
    """

    org: Org
    store: Store

    def __init__(
        self,
        *,
        store: Path | None = None,
        live: float = 0.0,
        clock: Clock | None = None,
        settings: Settings | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        schema: Schema | None = None,
        **world: Any,
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock or Clock()
        self._world = World(**world)
        self._schema = schema
        self._store_path = store
        self._live = live
        self._host = host
        self._port = port
        self._resources = ExitStack()
        self.faults = Faults() if self.settings.faults else None

    @property
    def records(self) -> Records:
        """Changes the org's records in the name of the org."""
        return self.org.records

    @property
    def admin(self) -> Administrator:
        """Changes fields, objects, permissions and sharing while the org runs."""
        return self.org.admin

    @property
    def url(self) -> str:
        """Address of the org, which is its login address too."""
        return f"http://{self._host}:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to log in, as environment variables."""
        credentials = self.settings.credentials
        return {
            "SALESFORCE_LOGIN_URL": self.url,
            "SALESFORCE_CLIENT_ID": credentials.client_id,
            "SALESFORCE_CLIENT_SECRET": credentials.client_secret,
            "SALESFORCE_USERNAME": credentials.username,
            "SALESFORCE_PASSWORD": credentials.password,
            "SALESFORCE_SECURITY_TOKEN": credentials.security_token,
            "SALESFORCE_REFRESH_TOKEN": credentials.refresh_token,
        }

    def start(self) -> None:
        """Load the org and begin to answer.

        Raises:
            OSError: The port is taken, or the store cannot be opened.
            ValueError: Describes or records cannot be loaded.
        """
        with self._resources:
            listener = self._resources.enter_context(self._listen(self._port))
            self._port = listener.getsockname()[1]
            schema = self._schema or self._world.schema(self.clock.stamp())
            self.store = Store(schema, self._store_path)
            self._resources.callback(self.store.close)
            if self.store.is_new and self._schema is None:
                self._populate(schema)
            self.org = Org(
                schema,
                self.store,
                self.clock,
                self.settings,
                self._world.seed,
                listen=self._listen_elsewhere,
            )
            self._resources.callback(self.org.close)
            self._app = Asgi(App(self.org).answer, self.clock, self.faults)
            self._serve(listener)
            if self._live > 0:
                self._resources.enter_context(living(self.org, self._world.seed, self._live))
            self._resources = self._resources.pop_all()

    def stop(self) -> None:
        """Stop answering and close the store."""
        self._resources.close()

    def advance(self, seconds: float) -> None:
        """Move the org's clock on; what was held until then is committed."""
        self.org.advance(seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _listen_elsewhere(self) -> str:
        """Answer at one more port; the address."""
        listener = self._resources.enter_context(self._listen(0))
        self._serve(listener)
        return f"http://{self._host}:{listener.getsockname()[1]}"

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, port))
        except OSError as error:
            listener.close()
            where = f"{self._host}:{port}"
            raise OSError(f"cannot listen on {where}: {error.strerror}") from error
        return listener

    def _populate(self, schema: Schema) -> None:
        # What is there was left by a start that did not get to its end.
        self.store.empty(schema)
        loaded = 0
        for object_name, rows in self._world.tables(schema, self.clock.stamp()):
            self.store.load(object_name, rows)
            loaded += rows.num_rows
        if self._world.load is not None:
            self._check_ids(schema)
        self.store.keep("seed", str(self._world.seed))
        if loaded > _WORTH_COMPRESSING:
            self.store.checkpoint()

    def _check_ids(self, schema: Schema) -> None:
        """Refuse records that were loaded and could not be told apart."""
        for name in (o.name for o in schema if o.generated is None):
            found = self.store.rows(
                f'SELECT "Id" FROM {quoted(name)} GROUP BY 1 HAVING count(*) > 1 LIMIT 1'
            )
            if found:
                raise ValueError(f"{self._world.load}: the Id {found[0][0]} of {name} comes twice")

    def _serve(self, listener: socket.socket) -> None:
        """Answer in a thread; returns once the server accepts connections."""
        server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                log_level="error",
                lifespan="off",
                # The other parser of uvicorn writes all header names in lower case.
                http="h11",
                # An upgrade to a websocket is answered like any other request.
                ws="none",
                h11_max_incomplete_event_size=_LARGEST_HEAD,
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="emulator", daemon=True
        )
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join()

        self._resources.callback(stop)
        while not server.started and thread.is_alive():
            time.sleep(0.005)
