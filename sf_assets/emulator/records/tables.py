"""Reading and writing rows of the store inside a transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from sf_assets.emulator.schema import SObject
from sf_assets.emulator.store import quoted

Row = dict[str, Any]
_ARROW_TYPES = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "currency": pa.float64(),
    "percent": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "time": pa.time64("us"),
    "base64": pa.binary(),
}


class Tables:
    """The rows as one transaction sees them.

    Args:
        connection: With the transaction open.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """Rows of a statement."""
        return self._connection.execute(sql, dict(parameters or {})).fetchall()

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a statement, by column name."""
        found = self._connection.execute(sql, dict(parameters or {}))
        names = [d[0] for d in found.description]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]

    def rows(self, sobject: SObject, column: str, keys: Iterable[str]) -> list[Row]:
        """Whole rows whose column has one of the values."""
        sql = (
            f"SELECT * FROM {quoted(sobject.name)}"
            f" WHERE {quoted(column)} IN (SELECT unnest($keys)) ORDER BY rowid"
        )
        return self.select(sql, {"keys": list(keys)})

    def insert(self, sobject: SObject, rows: Sequence[Row]) -> None:
        """Append rows."""
        columns = [f.name for f in sobject.fields.values() if f.stored]
        self._with(sobject, columns, rows, f"INSERT INTO {quoted(sobject.name)} BY NAME FROM batch")

    def update(self, sobject: SObject, columns: Iterable[str], rows: Sequence[Row]) -> None:
        """Set some columns of rows, found by their Id."""
        chosen = [c for c in dict.fromkeys(columns) if c != "Id"]
        if not rows or not chosen:
            return
        sets = ", ".join(f"{quoted(c)} = batch.{quoted(c)}" for c in chosen)
        table = quoted(sobject.name)
        sql = f'UPDATE {table} SET {sets} FROM batch WHERE {table}."Id" = batch."Id"'
        self._with(sobject, ["Id", *chosen], rows, sql)

    def _with(self, sobject: SObject, columns: list[str], rows: Sequence[Row], sql: str) -> None:
        """Run a statement that reads some rows as the table `batch`."""
        fields = [sobject.fields[name.lower()] for name in columns]
        schema = pa.schema([(f.name, _ARROW_TYPES.get(f.type, pa.string())) for f in fields])
        data = [
            pa.array([row.get(f.name) for row in rows], type=schema.field(f.name).type)
            for f in fields
        ]
        self._connection.register("batch", pa.Table.from_arrays(data, schema=schema))
        try:
            self._connection.execute(sql).fetchall()
        finally:
            self._connection.unregister("batch")
