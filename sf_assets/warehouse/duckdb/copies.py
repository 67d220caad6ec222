"""Copies of silver tables, in files, so that the warehouse is not held while the org is asked."""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from sf_assets.columns.column import Column
from sf_assets.comparison.aside import Aside
from sf_assets.comparison.keys import SILVER
from sf_assets.sql import quoted, text_literal
from sf_assets.warehouse.duckdb.tables import Table


def copy_keys(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    folder: Path,
    *,
    flagged: bool,
) -> None:
    """Copy Id, cursor, read time and deletion marks of a silver table into a folder.

    Args:
        connection: Open on the warehouse.
        table: The table, as SQL writes it.
        folder: Where to.
        flagged: Whether the object has `IsDeleted`.
    """
    binned = "coalesce(IsDeleted, false)" if flagged else "false"
    target = text_literal(str(folder / SILVER))
    connection.execute(
        f"COPY (SELECT Id, _cursor AS cursor, _read_at AS read_at, _deleted AS deleted, "
        f"{binned} AS binned FROM {table}) TO {target} (FORMAT parquet)"
    )


def set_aside(
    table: Table,
    columns: Mapping[str, Column],
    cursor: str,
    path: Path,
    sample: int | None = None,
    *,
    only: pl.DataFrame | None = None,
) -> Aside:
    """Copy columns of a silver table.

    A column that the table has not, or has of another type, is null: every value differs from it.

    Args:
        table: The silver table, which must be there.
        columns: As described: Id, cursor, and those to compare.
        cursor: Name of the cursor.
        path: The file to write.
        sample: So many live rows taken at random; None for all rows.
        only: Ids of the rows to copy; None for all.
    """
    types, conflicts = table.types(), table.conflicts(columns.values())
    there = {name for name in columns if name in types} - set(conflicts)
    chosen = ", ".join(
        f"{quoted(name) if name in there else f'NULL::{column.sql}'} AS {quoted(name)}"
        for name, column in columns.items()
        if name not in {"Id", cursor}
    )
    query = f"SELECT Id, _cursor, {chosen} FROM {table.name} WHERE NOT _deleted"
    if only is not None:
        table.connection.register("wanted", only)
        query += " AND Id IN (SELECT Id FROM wanted)"
    if sample is not None:
        live = quoted(table.schema, f"{table.slug}_live")
        query = f"FROM (SELECT Id, _cursor, {chosen} FROM {live}) USING SAMPLE {sample} ROWS"
    ((rows,),) = table.connection.execute(
        f"COPY ({query}) TO {text_literal(str(path))} (FORMAT parquet)"
    ).fetchall()
    return Aside(path, columns, cursor, rows)
