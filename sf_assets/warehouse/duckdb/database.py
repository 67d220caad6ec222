"""A DuckDB file: one writer at a time, for as short as can be."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import duckdb
import pyarrow as pa

from sf_assets.addresses import shown
from sf_assets.errors import (
    ConfigError,
    WarehouseDamagedError,
    WarehouseError,
    WarehouseLockedError,
    WarehouseUnreachableError,
)
from sf_assets.private import private_folder
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.duckdb.connection import DuckDBConnection
from sf_assets.warehouse.duckdb.published import PublishedCopy
from sf_assets.warehouse.duckdb.refusals import refusal
from sf_assets.warehouse.sql import ops

MEMORY_LIMIT = "1GB"
"""Of the engine, unless the URL says otherwise (`?memory_limit=4GB`)."""

PATIENCE = 60.0
"""Seconds for which a process waits for a file that another program holds; then it goes on without,
and tries again without waiting until it has had the file once more."""

_LOCKED = "Could not set lock"

_NO_FILES = (":memory:", "md:", "motherduck:")
"""How DuckDB's own names begin of databases that are none."""

_QUESTIONS = ([duckdb.StatementType.SELECT], [duckdb.StatementType.MULTI])  # PIVOT is the latter
_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE)?(\s*\([^)]*\))?\s", re.IGNORECASE)
_UNKNOWN = re.compile(r"options were not recognized: ([\w, ]+)")
_NOT_TO_WRITE = "attached in read-only mode"

_DAMAGED = re.compile(
    r"not a valid DuckDB database file|Corrupt (database|WAL) file|while replaying WAL|"
    r"read a database file with version"
)

_given_up: set[tuple[Path, bool]] = set()
"""Files, by whether they are only read, for which this process has waited in vain."""

_in_this_process: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)
"""DuckDB's own lock keeps other processes out; within one it refuses to open a file twice."""


class Database:
    """A DuckDB file by URL.

    Args:
        url: `duckdb:///path/to/file`; a bare file name is in the current folder. Query parameters
            are DuckDB settings, such as `?memory_limit=4GB&threads=2`, and `publish=off` for no
            copy beside it for readers.

    Raises:
        ConfigError: The URL is not of that form.
    """

    engine = "duckdb"

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        path = unquote(parts.path).lstrip("/")
        if parts.scheme != "duckdb" or parts.netloc or not path:
            raise ConfigError(
                f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; it must be like duckdb:////path/to/file"
            )
        if path.startswith(_NO_FILES):
            raise ConfigError(
                f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; the warehouse has to be a file, which "
                "the next command finds again: set it like duckdb:////path/to/file"
            )
        self.url = shown(url)
        self.path = Path("/" + path) if "/" in path else Path.cwd() / path
        options = dict(parse_qsl(parts.query))
        publish = options.pop("publish", "on")
        if publish not in {"on", "off"}:
            raise ConfigError(f"SF_ASSETS_WAREHOUSE_URL is {shown(url)!r}; publish is on or off")
        self.published = PublishedCopy(self.path) if publish == "on" else None
        self._set = list(options)
        self._config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            **options,
        }

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.exists()

    @contextmanager
    def connect(self, *, read_only: bool = False, wait: bool = True) -> Iterator[DuckDBConnection]:
        """Open the file, and close it in any case.

        Args:
            read_only: Whether others may read it meanwhile.
            wait: Whether to wait a while if another program holds it.

        Raises:
            WarehouseLockedError: It is held, and stays so.
            WarehouseDamagedError: It cannot be read; a rebuild makes another.
            WarehouseError: It cannot be opened.
        """
        with _in_this_process[self.path]:
            with self._opened(read_only, wait) as connection:
                if not read_only or ops.is_current(connection):
                    yield connection
                    return
            with self._opened(False, wait):
                pass  # that brings it up to what this release reads
            with self._opened(read_only, wait) as connection:
                yield connection

    def publish(self) -> None:
        """Make the copy for readers anew unless it is as the file is.

        Where another program holds the file nothing is done: it writes, and publishes after that.

        Raises:
            WarehouseError: It cannot be made; the earlier copy stays.
        """
        if not self.exists() or (self.published and self.published.is_current()):
            return
        with suppress(WarehouseLockedError):
            if not self._published():  # which is of the new file, then
                self._published()

    def _published(self) -> bool:
        """Make the copy for readers, or first the file anew; whether the copy is made."""
        with self.connect(wait=False) as connection:
            connection.execute("CHECKPOINT")
            if ops.has_leftovers(connection):
                self._renew(connection)
                return self.published is None
            if self.published:
                self.published.make()
        return True

    def _renew(self, connection: DuckDBConnection) -> None:
        """Put a file in the place of this one that has its tables and nothing else.

        DuckDB leaves the bytes of removed rows where they are until others need the room. The old
        file stays locked until the new one has its name.
        """
        new = self.path.with_name(f"{self.path.name}.renewed")
        new.unlink(missing_ok=True)
        run = connection.execute
        ((name,),) = run("SELECT current_database()")
        try:
            run(f"ATTACH {text_literal(str(new))} AS renewed")
            run(f"COPY FROM DATABASE {quoted(name)} TO renewed")
            run("DELETE FROM renewed.ops.leftovers")
            run("DETACH renewed")
            new.chmod(self.path.stat().st_mode)
            new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)

    def query(self, sql: str) -> pa.Table:
        """All rows that answer a question, as Arrow; nothing is changed.

        Raises:
            WarehouseLockedError: Another program writes, and stays at it.
            WarehouseError: It cannot be opened, refuses the question, or this is none.
        """
        if not self.exists():
            raise WarehouseUnreachableError(
                f"there is no warehouse {self.path} yet; nothing was merged into silver, or its "
                "address is another"
            )
        with self.connect(read_only=True) as connection:
            try:
                return _answer(connection.raw, sql)
            except duckdb.InvalidInputException as error:
                if _NOT_TO_WRITE not in str(error):
                    raise
                raise WarehouseError(
                    f"query() only reads, and this would change the warehouse {self.path}; to do "
                    "so, connect to the file by DuckDB itself, and close it again"
                ) from None

    def check_writing(self) -> None:
        """Open the file for writing.

        Raises:
            WarehouseError: It cannot be written.
        """
        with self.connect():
            pass

    def check(self) -> None:
        """Read everything there is.

        Raises:
            WarehouseDamagedError: Something cannot be read.
        """
        with self.connect(read_only=True) as connection:
            for schema, table in connection.execute(
                "SELECT schema_name, table_name FROM duckdb_tables()"
            ):
                connection.execute(f"SELECT sum(hash(t)) FROM {quoted(schema, table)} t")

    def quarantined(self) -> list[Path]:
        """Files that were given another name, and are there still."""
        return sorted(self.path.parent.glob(f"{self.path.name}.broken-*"))

    def stale_copies(self) -> list[Path]:
        """Copies that nobody makes anew: drafts of runs that died, and that of readers.

        The latter where it is not made any more (`?publish=off`), or there is no file.
        """
        copy = PublishedCopy(self.path).path
        drafts = [_beside(copy, ".new"), _beside(self.path, ".renewed")]
        found = drafts if self.published and self.exists() else [*drafts, copy]
        wals = [_beside(path, ".wal") for path in (*drafts, copy)]
        return [path for path in (*found, *wals) if path.exists()]

    def remove_stale_copies(self) -> list[Path]:
        """Remove them, while nobody can be making one; which there were.

        Raises:
            WarehouseError: Another program holds the file, or one cannot be removed.
        """
        if not self.stale_copies():
            return []
        with self.connect():
            found = self.stale_copies()
            for path in found:
                try:
                    path.unlink()
                except OSError as error:
                    raise WarehouseError(
                        f"the copy {path} cannot be removed: {error.strerror}; remove it"
                    ) from None
        return found

    def quarantine(self) -> Path:
        """Give the file another name, so that a new one can be made.

        Returns:
            The new name: `<file>.broken-<time>`.

        Raises:
            WarehouseError: It cannot be renamed.
        """
        aside = self.path.with_name(f"{self.path.name}.broken-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        wal = self.path.with_name(f"{self.path.name}.wal")
        try:
            if wal.exists():
                wal.rename(aside.with_name(f"{aside.name}.wal"))
            return self.path.rename(aside)
        except OSError as error:
            raise self._unusable(error) from None

    @contextmanager
    def _opened(self, read_only: bool, wait: bool) -> Iterator[DuckDBConnection]:
        raw = self._open(read_only, wait)
        connection = DuckDBConnection(raw)
        try:
            with self.explained(connection):
                raw.execute("SET TimeZone = 'UTC'")
                if not read_only:
                    raw.execute("SET preserve_insertion_order = false")
                    if not ops.is_current(connection):
                        with connection.transaction():
                            ops.bring_up(connection)
                yield connection
        finally:
            raw.close()

    @contextmanager
    def explained(self, connection: DuckDBConnection) -> Iterator[None]:
        """Turn what the engine refuses into our error; the connection stays open."""
        try:
            yield
        except duckdb.Error as error:
            if _is_damage(error, self.path):
                raise self._damaged() from None
            raise WarehouseError(
                f"the warehouse {self.path} refused: {connection.refusal(error)}; "
                "nothing half done was kept, the tables are as they were last committed"
            ) from None

    def _open(self, read_only: bool, wait: bool) -> duckdb.DuckDBPyConnection:
        mode = self.path, read_only
        deadline = time.monotonic() + (PATIENCE if wait and mode not in _given_up else 0)
        pause = 0.05
        while True:
            try:
                private_folder(self.path.parent)
                new = not self.path.exists()
                connection = duckdb.connect(
                    str(self.path), read_only=read_only, config=self._config
                )
                if new:
                    self.path.chmod(0o600)
            except (duckdb.Error, OSError) as error:
                if _LOCKED not in str(error):
                    raise self._unusable(error) from None
                if time.monotonic() > deadline:
                    if wait:
                        # What cannot be read is being written, so it cannot be written, either.
                        _given_up.update({mode, (self.path, False)})
                    raise WarehouseLockedError(
                        f"the warehouse {self.path} is held by another program "
                        f"({_holder(str(error))}); close it there and run again, raw is kept"
                    ) from None
                time.sleep(pause)
                pause = min(pause * 2, 1.0)
            else:
                _given_up.discard(mode)
                return connection

    def _unusable(self, error: Exception) -> WarehouseError:
        if _is_damage(error, self.path):
            return self._damaged()
        why = "it is a folder, not a file" if self.path.is_dir() else refusal(error)
        if unknown := _UNKNOWN.search(str(error)):
            why = f"DuckDB has no setting {unknown[1]}, which stands behind the ?"
        elif self._set and not isinstance(error, OSError | duckdb.IOException):
            why = f"{why}, by one of the settings behind the ?: {', '.join(self._set)}"
        return WarehouseUnreachableError(
            f"the warehouse {self.path} cannot be opened: {why}; check its address, "
            "SF_ASSETS_WAREHOUSE_URL or the resource's url"
        )

    def _damaged(self) -> WarehouseDamagedError:
        return WarehouseDamagedError(
            f"the warehouse {self.path} is damaged, or no DuckDB file; `sf-assets rebuild` puts it "
            "aside and makes a new one from raw, then `sf-assets refresh` builds gold"
        )


def _answer(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """All rows, by a cursor of its own: a connection with an unfinished result runs no relation."""
    cursor = connection.cursor()
    cursor.execute("SET TimeZone = 'UTC'").fetchall()
    return cursor.sql(_question(cursor, sql)).to_arrow_table()


def _question(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one question that a text is.

    Raises:
        WarehouseError: It is something else, or more than one.
    """
    statements = connection.extract_statements(sql)
    if not statements:
        raise WarehouseError("query() asks a question, and this is none; write SELECT …")
    kinds = [statement.type for statement in statements]
    if kinds == [duckdb.StatementType.EXPLAIN] and (explained := _EXPLAIN.match(sql)):
        _question(connection, sql[explained.end() :])
    elif kinds not in _QUESTIONS:
        told = ", ".join(kind.name for kind in kinds)
        raise WarehouseError(
            f"query() only reads, and takes one question: SELECT, DESCRIBE, SHOW, EXPLAIN and the "
            f"like; this is {told}. To change the warehouse, connect to it by DuckDB itself, and "
            "close it again"
        )
    return sql


def _is_damage(error: Exception, path: Path) -> bool:
    """Whether the file itself cannot be read, which no second attempt changes.

    What rows cause is never one, whatever values its words hold.
    """
    kinds = duckdb.IOException, duckdb.SerializationException, duckdb.FatalException
    about_files = isinstance(error, kinds) or type(error) is duckdb.Error
    text = str(error)
    cut_short = f'Could not read enough bytes from file "{path}' in text
    return about_files and (cut_short or _DAMAGED.search(text) is not None)


def _holder(message: str) -> str:
    """Which program has the lock, as far as DuckDB says."""
    _, _, rest = message.partition("Conflicting lock is held in ")
    return rest.partition(". ")[0] or "unknown"


def _beside(path: Path, end: str) -> Path:
    return path.with_name(f"{path.name}{end}")
