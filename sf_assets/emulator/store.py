"""The org's records in DuckDB: one table an object, one typed column a stored field.

Readers have a cursor each and never wait. Writers are serialised by the caller; DuckDB refuses
two open transactions that change the same row.
"""

import contextlib
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from sf_assets.emulator.schema import Schema, SObject

_COLUMN_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "double": "DOUBLE",
    "currency": "DOUBLE",
    "percent": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "time": "TIME",
    "base64": "BLOB",
}


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def column_type(field_type: str) -> str:
    """DuckDB type of the column that holds a field of that Salesforce type."""
    return _COLUMN_TYPES.get(field_type, "VARCHAR")


class Store:
    """The database behind the org.

    Args:
        schema: Objects to hold; missing tables and columns are made.
        path: File to keep it in, or None for memory.
        memory_limit: What DuckDB may use before it spills to a temporary folder.

    Raises:
        OSError: The file is no database, or another process has it open.
    """

    def __init__(
        self, schema: Schema, path: Path | None = None, memory_limit: str = "400MB"
    ) -> None:
        self._spill = tempfile.TemporaryDirectory(prefix="sf-emulator-")
        self.folder = Path(self._spill.name)
        config: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": str(self.folder / "spill"),
        }
        try:
            self._database = duckdb.connect(str(path or ":memory:"), config=config)
        except duckdb.Error as error:
            self._spill.cleanup()
            raise OSError(f"cannot open {path}: {error}") from error
        self.writing = threading.RLock()
        self._database.execute("CREATE SCHEMA IF NOT EXISTS emulator")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS emulator.settings (name VARCHAR PRIMARY KEY, value VARCHAR)"
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS emulator.purged"
            " (object VARCHAR, id VARCHAR, deleted TIMESTAMP)"
        )
        self.is_new = self.setting("org_id") is None
        self.add_objects(schema)

    def add_objects(self, objects: Iterable[SObject]) -> None:
        """Make the tables and columns that these objects need and the database lacks."""
        present: dict[str, set[str]] = {}
        for table, column in self._database.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main'"
        ).fetchall():
            present.setdefault(table.lower(), set()).add(column.lower())
        for sobject in objects:
            stored = [f for f in sobject.fields.values() if f.stored]
            columns = [(quoted(f.name), column_type(f.type), f.name.lower()) for f in stored]
            have = present.get(sobject.name.lower())
            if sobject.generated is not None:
                if have is None:
                    view = f"CREATE VIEW {quoted(sobject.name)} AS {sobject.generated}"
                    self._database.execute(view)
                continue
            if have is None:
                body = ", ".join(f"{name} {kind}" for name, kind, _ in columns)
                self._database.execute(f"CREATE TABLE {quoted(sobject.name)} ({body})")
                continue
            for name, kind, key in columns:
                if key not in have:
                    self._database.execute(
                        f"ALTER TABLE {quoted(sobject.name)} ADD COLUMN {name} {kind}"
                    )

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the database, for one reader or one transaction."""
        return self._database.cursor()

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small statement."""
        with self.cursor() as cursor:
            return cursor.execute(sql, parameters or {}).fetchall()

    def load(self, object_name: str, rows: pa.Table) -> None:
        """Append rows as they are, without rules or stamps.

        Args:
            object_name: API name of an object of the schema.
            rows: Columns named after stored fields; absent ones become null.
        """
        with self.writing, self.cursor() as cursor:
            append(cursor, object_name, rows)

    def empty(self, objects: Iterable[SObject]) -> None:
        """Remove all rows of these objects."""
        for sobject in (o for o in objects if o.generated is None):
            self.rows(f"TRUNCATE {quoted(sobject.name)}")

    def table(self, object_name: str) -> pa.RecordBatchReader:
        """The stored values of an object, deleted rows included, for comparison in tests."""
        cursor = self.cursor()
        return cursor.sql(f"SELECT * FROM {quoted(object_name)}").to_arrow_reader(50_000)

    def setting(self, name: str) -> str | None:
        """A value kept with the org, or None."""
        found = self.rows("SELECT value FROM emulator.settings WHERE name = $name", {"name": name})
        return found[0][0] if found else None

    def keep(self, name: str, value: str) -> None:
        """Keep a value with the org."""
        with self.writing, self.cursor() as cursor:
            cursor.execute(
                "INSERT OR REPLACE INTO emulator.settings VALUES ($name, $value)",
                {"name": name, "value": value},
            ).fetchall()

    def checkpoint(self) -> None:
        """Compress what was loaded; skipped while a transaction is open."""
        with self.writing, contextlib.suppress(duckdb.TransactionException):
            self._database.execute("CHECKPOINT")

    def close(self) -> None:
        """Close the database and remove what was spilled."""
        self._database.close()
        self._spill.cleanup()


def append(cursor: duckdb.DuckDBPyConnection, object_name: str, rows: pa.Table) -> None:
    """Insert an Arrow table by column name; datetimes are cut to whole seconds."""
    cursor.register("incoming", rows.cast(_without_zones(rows.schema)))
    try:
        chosen = ", ".join(_selected(rows.schema))
        target = quoted(object_name)
        cursor.execute(f"INSERT INTO {target} BY NAME SELECT {chosen} FROM incoming").fetchall()
    finally:
        cursor.unregister("incoming")


def _without_zones(schema: pa.Schema) -> pa.Schema:
    """The same columns with UTC timestamps left without their zone."""
    return pa.schema(
        [
            f.with_type(pa.timestamp(f.type.unit)) if pa.types.is_timestamp(f.type) else f
            for f in schema
        ]
    )


def _selected(schema: pa.Schema) -> Iterator[str]:
    for field in schema:
        name = quoted(field.name)
        if pa.types.is_timestamp(field.type):
            yield f"date_trunc('second', {name}) AS {name}"
        else:
            yield name
